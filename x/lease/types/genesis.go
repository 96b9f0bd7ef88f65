package types

import (
	"slices"

	"cosmossdk.io/math"
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
	for _, s := range g.Standings {
		if err := s.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("standing: %s", err)
		}
	}
	for _, e := range g.Evictions {
		if err := e.Node.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("eviction: %s", err)
		}
	}
	for i, item := range g.Quarantine {
		if item.Number == 0 || item.Number > g.Quarantined || i > 0 && item.Number <= g.Quarantine[i-1].Number {
			return ErrInvalidGenesis.Wrapf("quarantined item %d is out of order", item.Number)
		}
	}
	return nil
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
		if err := l.Lease.Rules.Validate(); err != nil {
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
		if err := p.Placement.Node.Validate(); err != nil {
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
		if err := validAmounts(p.Billing.PaidOperator, p.Billing.PaidAudit, p.Billing.PaidRoyalty); err != nil {
			return ErrInvalidGenesis.Wrapf("placement %s: %s", id, err)
		}
		for _, span := range p.Billing.Spans {
			if span.EndMs < span.StartMs {
				return ErrInvalidGenesis.Wrapf("placement %s has an hour that ends before it starts", id)
			}
			if err := validAmounts(span.Reserved, span.ReservedRoyalty); err != nil {
				return ErrInvalidGenesis.Wrapf("placement %s: %s", id, err)
			}
		}
	}
	return nil
}

func validAmounts(amounts ...math.Int) error {
	if slices.ContainsFunc(amounts, func(a math.Int) bool { return a.IsNil() || a.IsNegative() }) {
		return ErrInvalidAmount.Wrap("an amount is missing or negative")
	}
	return nil
}
