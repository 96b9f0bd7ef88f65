package types

import (
	"errors"
	"math/bits"
	"slices"
	"strings"

	"cosmossdk.io/math"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// DefaultGenesis is the state of a new chain.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate says whether the state hangs together: a genesis is hostile input too.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	leases, err := g.validateLeases()
	if err != nil {
		return err
	}
	if err := g.validateRequests(leases); err != nil {
		return err
	}
	if err := g.validatePlacements(leases); err != nil {
		return err
	}
	if err := g.validateSnapshots(leases); err != nil {
		return err
	}
	if err := g.validateNodes(); err != nil {
		return err
	}
	if err := g.validateIndex(); err != nil {
		return err
	}
	if g.Served > sunstypes.MaxClockMs {
		return ErrInvalidGenesis.Wrapf("place %d of the line was served", g.Served)
	}
	for _, entry := range g.Queues {
		if err := entry.validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("queue %.40q: %s", entry.Queue, err)
		}
	}
	for i, item := range g.Quarantine {
		if item.Number == 0 || item.Number > g.Quarantined || i > 0 && item.Number <= g.Quarantine[i-1].Number {
			return ErrInvalidGenesis.Wrapf("quarantined item %d is out of order", item.Number)
		}
	}
	return nil
}

func (g GenesisState) validateNodes() error {
	standings := make(map[sunstypes.NodeID]bool, len(g.Standings))
	for _, s := range g.Standings {
		if err := s.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("standing: %s", err)
		}
		if standings[s.Node] {
			return ErrInvalidGenesis.Wrapf("node %s has two standings", s.Node)
		}
		standings[s.Node] = true
	}
	evictions := make(map[sunstypes.NodeID]bool, len(g.Evictions))
	for _, e := range g.Evictions {
		if err := e.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("eviction: %s", err)
		}
		if evictions[e.Node] {
			return ErrInvalidGenesis.Wrapf("node %s is evicted twice", e.Node)
		}
		evictions[e.Node] = true
		if EndReason_name[int32(e.Reason)] == "" {
			return ErrInvalidGenesis.Wrapf("eviction of node %s for reason %d", e.Node, e.Reason)
		}
		if e.Cursor == nil {
			continue
		}
		if _, err := e.Cursor.Key(); err != nil {
			return ErrInvalidGenesis.Wrapf("eviction of node %s: %s", e.Node, err)
		}
	}
	return nil
}

// validateIndex says whether the index could hold the nodes so. That they exist and wait to be indexed is for the keeper to
// say.
func (g GenesisState) validateIndex() error {
	indexed := make(map[sunstypes.NodeID]bool, len(g.Indexed))
	for _, node := range g.Indexed {
		if err := node.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("indexed node: %s", err)
		}
		if indexed[node.Node] {
			return ErrInvalidGenesis.Wrapf("node %s is indexed twice", node.Node)
		}
		indexed[node.Node] = true
		if node.Indexed == nil {
			continue
		}
		if err := node.Indexed.validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("indexed node %s: %s", node.Node, err)
		}
	}
	buckets := make(map[string]bool, len(g.Classes))
	for _, c := range g.Classes {
		if buckets[c.Bucket] || c.Classes == 0 || bits.Len64(c.Classes) > maxClass+1 || !validBucket(c.Bucket) {
			return ErrInvalidGenesis.Wrapf("bucket %.40q has classes %b", c.Bucket, c.Classes)
		}
		buckets[c.Bucket] = true
	}
	return nil
}

// maxClass is the bit length of the largest free capacity.
var maxClass = bits.Len64(sunstypes.MaxNodeMilliSuns)

// validBucket says whether text is "country/architecture/device", where the country may be any and the device none.
func validBucket(text string) bool {
	parts := strings.SplitN(text, "/", 3)
	return len(parts) == 3 && (parts[0] == "" || sunstypes.ValidateCountry(parts[0]) == nil) &&
		sunstypes.ValidArchitecture(parts[1]) && (parts[2] == "" || validDevice(parts[2]))
}

// validDevice says whether text is "kind/model", where the model may be any.
func validDevice(text string) bool {
	kind, model, whole := strings.Cut(text, "/")
	return whole && sunstypes.ValidKind(kind) && len(model) <= sunstypes.MaxModelBytes
}

// validate says whether the index could hold a node that x/suns accepts so.
func (n IndexedNode) validate() error {
	if err := sunstypes.ValidateCountry(n.Country); err != nil {
		return err
	}
	seen := make(map[string]bool, len(n.Devices))
	for _, bucket := range n.Devices {
		if seen[bucket.Device] || !validDevice(bucket.Device) {
			return ErrInvalidGenesis.Wrapf("bucket of devices %.40q", bucket.Device)
		}
		seen[bucket.Device] = true
	}
	switch {
	case !sunstypes.ValidArchitecture(n.Architecture):
		return ErrInvalidGenesis.Wrapf("architecture %.20q", n.Architecture)
	case n.Class == 0 || n.Class > uint32(maxClass):
		return ErrInvalidGenesis.Wrapf("class %d", n.Class)
	case n.Price > sunstypes.MaxAskPrice || n.Load >= MaxPlacementsPerNodeBound:
		return ErrInvalidGenesis.Wrapf("price %d, %d placements", n.Price, n.Load)
	case len(n.Devices) > 2*sunstypes.MaxAccelerators:
		return ErrInvalidGenesis.Wrapf("%d buckets of devices", len(n.Devices))
	}
	return nil
}

// validate says whether an entry names one item. Which kind a queue holds is for the keeper to say.
func (e QueueEntry) validate() error {
	if (e.Placement == nil) == (e.Node == nil) {
		return ErrInvalidGenesis.Wrap("an entry names either a node or a lease, request or placement")
	}
	if e.DueMs > sunstypes.MaxClockMs {
		return ErrInvalidGenesis.Wrapf("an entry is due at %d ms", e.DueMs)
	}
	if e.Node != nil {
		return e.Node.Validate()
	}
	_, err := e.Placement.Lease().Key()
	return err
}

func (g GenesisState) validateLeases() (map[LeaseID]Lease, error) {
	newest := make(map[string]uint64, len(g.Tenants))
	for _, tenant := range g.Tenants {
		if _, err := (LeaseID{Tenant: tenant.Tenant, Number: tenant.Number}).Key(); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("tenant sequence: %s", err)
		}
		if _, twice := newest[tenant.Tenant]; twice {
			return nil, ErrInvalidGenesis.Wrapf("tenant %s has two sequences", tenant.Tenant)
		}
		if tenant.Place > sunstypes.MaxClockMs {
			return nil, ErrInvalidGenesis.Wrapf("tenant %s has place %d in the line", tenant.Tenant, tenant.Place)
		}
		newest[tenant.Tenant] = tenant.Number
	}
	leases := make(map[LeaseID]Lease, len(g.Leases))
	for _, l := range g.Leases {
		id := l.Lease.ID
		if _, err := id.Key(); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("lease: %s", err)
		}
		if _, twice := leases[id]; twice {
			return nil, ErrInvalidGenesis.Wrapf("lease %s is there twice", id)
		}
		if id.Number > newest[id.Tenant] {
			return nil, ErrInvalidGenesis.Wrapf("lease %s is above its tenant's sequence %d", id, newest[id.Tenant])
		}
		if l.Lease.Status == LEASE_STATUS_UNSPECIFIED || LeaseStatus_name[int32(l.Lease.Status)] == "" {
			return nil, ErrInvalidGenesis.Wrapf("lease %s has status %d", id, l.Lease.Status)
		}
		if err := l.Lease.validate(); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("lease %s: %s", id, err)
		}
		t := l.Money.Totals
		if err := validAmounts(l.Money.Balance, t.Deposited, t.Refunded, t.RetryFees, t.PaidOperators, t.PaidAudit, t.PaidRoyalty); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("lease %s: %s", id, err)
		}
		leases[id] = l.Lease
	}
	return leases, nil
}

// validate says whether an order is within the bounds of messages, whatever the params are.
func (l Lease) validate() error {
	if err := l.Rules.Validate(); err != nil {
		return err
	}
	if err := l.Demand.Validate(); err != nil {
		return err
	}
	if err := ValidatePrice(l.MaxPrice); err != nil {
		return err
	}
	if err := ValidateCommand(l.Args, l.Env); err != nil {
		return err
	}
	if l.Replicas == 0 || l.Replicas > MaxReplicasBound || l.ReconciledReplicas > MaxReplicasBound {
		return ErrInvalidReplicas.Wrapf("%d, of which %d have a placement or wait", l.Replicas, l.ReconciledReplicas)
	}
	if err := ValidateSnapshotPolicy(l.SnapshotEverySeconds, l.SnapshotKeep); err != nil {
		return err
	}
	if len(l.FailedNodes) > MaxFailedNodes {
		return ErrInvalidRules.Wrapf("%d nodes failed it, at most %d are remembered", len(l.FailedNodes), MaxFailedNodes)
	}
	for _, node := range l.FailedNodes {
		if err := node.Validate(); err != nil {
			return err
		}
	}
	if len(l.EarlyPauses) > MaxSuspendAfter {
		return ErrInvalidRules.Wrapf("it paused %d nodes, at most %d are remembered", len(l.EarlyPauses), MaxSuspendAfter)
	}
	for _, pause := range l.EarlyPauses {
		if err := errors.Join(pause.Node.Validate(), validTimes(pause.UntilMs)); err != nil {
			return err
		}
	}
	return validTimes(l.CreatedMs, l.ClosingMs, l.ClosedMs, l.WaitDeadlineMs, l.PruneMs, l.SnapshotRequestMs)
}

func validTimes(times ...uint64) error {
	if latest := slices.Max(times); latest > sunstypes.MaxClockMs {
		return ErrInvalidGenesis.Wrapf("a time of %d ms", latest)
	}
	return nil
}

func (g GenesisState) validateRequests(leases map[LeaseID]Lease) error {
	type replica struct {
		lease  LeaseID
		number uint32
	}
	seen := make(map[replica]bool, len(g.Requests))
	for _, request := range g.Requests {
		if _, known := leases[request.Lease]; !known {
			return ErrInvalidGenesis.Wrapf("request of unknown lease %s", request.Lease)
		}
		own := replica{request.Lease, request.Replica}
		if seen[own] {
			return ErrInvalidGenesis.Wrapf("replica %d of lease %s has two requests", request.Replica, request.Lease)
		}
		seen[own] = true
		if request.Replica >= MaxReplicasBound || request.QueuedHeight < 0 {
			return ErrInvalidGenesis.Wrapf("request for replica %d of lease %s at height %d",
				request.Replica, request.Lease, request.QueuedHeight)
		}
		if err := validTimes(request.QueuedMs, request.RetryMs, request.Place); err != nil {
			return ErrInvalidGenesis.Wrapf("request of lease %s: %s", request.Lease, err)
		}
		if request.Cursor == nil || request.Cursor.Node == (sunstypes.NodeID{}) {
			continue // it begins a country
		}
		if err := request.Cursor.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("request of lease %s: %s", request.Lease, err)
		}
	}
	return nil
}

func (g GenesisState) validatePlacements(leases map[LeaseID]Lease) error {
	seen := make(map[PlacementID]bool, len(g.Placements))
	for _, p := range g.Placements {
		id := p.Placement.ID
		if _, err := id.Key(); err != nil {
			return ErrInvalidGenesis.Wrapf("placement: %s", err)
		}
		if seen[id] {
			return ErrInvalidGenesis.Wrapf("placement %s is there twice", id)
		}
		seen[id] = true
		if err := p.Placement.validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("placement %s: %s", id, err)
		}
		settled := p.Placement.Status == PLACEMENT_STATUS_SETTLED
		lease, known := leases[id.Lease()]
		switch {
		case p.Placement.Status == PLACEMENT_STATUS_UNSPECIFIED || PlacementStatus_name[int32(p.Placement.Status)] == "":
			return ErrInvalidGenesis.Wrapf("placement %s has status %d", id, p.Placement.Status)
		case !known && !settled:
			return ErrInvalidGenesis.Wrapf("placement %s of an unknown lease", id)
		case known && id.Generation >= lease.NextGeneration:
			return ErrInvalidGenesis.Wrapf("placement %s is above its lease's generation %d", id, lease.NextGeneration)
		case settled != (len(p.Billing.Spans) == 0):
			return ErrInvalidGenesis.Wrapf("placement %s has %d open hours", id, len(p.Billing.Spans))
		}
		if p.Recorded && (settled || p.Placement.StartedMs == 0) {
			return ErrInvalidGenesis.Wrapf("placement %s is in its node's record, which holds what has started and is not settled", id)
		}
		if err := p.Billing.validate(p.Placement); err != nil {
			return ErrInvalidGenesis.Wrapf("placement %s: %s", id, err)
		}
	}
	return nil
}

// validate says whether a placement is within the bounds of what a match can have made.
func (p Placement) validate() error {
	if err := p.Node.Validate(); err != nil {
		return err
	}
	if err := ValidateEndpoints(p.Endpoints); err != nil {
		return err
	}
	switch {
	case p.Price > sunstypes.MaxAskPrice || p.Royalty > MaxPrice:
		return ErrInvalidPrice.Wrapf("%d uisc per SUNS-hour, royalty %d", p.Price, p.Royalty)
	case p.MilliSuns > sunstypes.MaxNodeMilliSuns || p.GeneralMilliSuns > p.MilliSuns:
		return ErrInvalidDemand.Wrapf("%d milli-SUNS, of them %d general", p.MilliSuns, p.GeneralMilliSuns)
	case len(p.Devices) > sunstypes.MaxAccelerators:
		return ErrInvalidDemand.Wrapf("%d devices", len(p.Devices))
	case p.PeriodMs < Ms(MinPeriod) || p.PeriodMs > Ms(MaxPeriod):
		return ErrInvalidGenesis.Wrapf("a period of %d ms", p.PeriodMs)
	case p.Status == PLACEMENT_STATUS_RUNNING && p.StartedMs == 0:
		return ErrPlacementNotStarted.Wrap("it runs")
	case EndReason_name[int32(p.EndReason)] == "":
		return ErrInvalidReason.Wrapf("%d", p.EndReason)
	}
	return validTimes(p.MatchedMs, p.StartDeadlineMs, p.StartedMs, p.EndedMs, p.DrainDeadlineMs, p.TrialEndMs, p.PruneMs)
}

// maxOpenHours is how many hours of a placement are open at once, since the grace is at most a period.
const maxOpenHours = 2

// validate says whether a placement's money can be what it is.
func (b PlacementBilling) validate(p Placement) error {
	if len(b.Spans) > maxOpenHours || p.Status == PLACEMENT_STATUS_ASSIGNED && len(b.Spans) != 1 {
		return ErrInvalidGenesis.Wrapf("it has %d open hours", len(b.Spans))
	}
	if err := validTimes(b.ServedMs, b.AttestedUntilMs); err != nil {
		return err
	}
	for _, span := range b.Spans {
		if span.EndMs < span.StartMs || span.EndMs > sunstypes.MaxClockMs || span.AttestedMs > span.EndMs-span.StartMs {
			return ErrInvalidGenesis.Wrapf("an hour of %d to %d ms with %d ms served", span.StartMs, span.EndMs, span.AttestedMs)
		}
		if err := validAmounts(span.Reserved, span.ReservedRoyalty); err != nil {
			return err
		}
	}
	return validAmounts(b.PaidOperator, b.PaidAudit, b.PaidRoyalty)
}

// maxAmountBits keeps the sum of all amounts of a genesis within 256 bits.
const maxAmountBits = 192

func validAmounts(amounts ...math.Int) error {
	wrong := func(a math.Int) bool { return a.IsNil() || a.IsNegative() || a.BigIntMut().BitLen() > maxAmountBits }
	if slices.ContainsFunc(amounts, wrong) {
		return ErrInvalidAmount.Wrap("an amount is missing, negative or beyond all coins")
	}
	return nil
}
