package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// smallGenesis has one of everything: a lease with one placement that runs, one that is history and a request.
func smallGenesis() types.GenesisState {
	tenant := testkit.Addr("tenant").String()
	node := sunstypes.NewNodeID(testkit.Addr("op"), 1)
	lease := types.LeaseID{Tenant: tenant, Number: 2}
	running := types.Placement{
		ID: types.PlacementID{Tenant: tenant, Number: 2, Replica: 0, Generation: 2}, Node: node,
		Status: types.PLACEMENT_STATUS_RUNNING, Price: 3_600, GeneralMilliSuns: 1_000, MilliSuns: 1_000, PeriodMs: 60_000,
		MatchedMs: 1_000, StartedMs: 2_000,
	}
	settled := running
	settled.ID.Generation, settled.Status, settled.EndedMs = 1, types.PLACEMENT_STATUS_SETTLED, 1_500
	settled.EndReason = types.END_REASON_REJECTED
	billing := types.NewBilling(running.Rate().Reserve(2_000, 62_000))
	billing.Spans[0].AttestedMs, billing.ServedMs, billing.AttestedUntilMs = 5_000, 5_000, 7_000
	history := types.NewBilling(types.Span{})
	history.Spans = nil
	return types.GenesisState{
		Params: types.DefaultParams(),
		Leases: []types.GenesisLease{{
			Lease: types.Lease{
				ID: lease, Image: "image", Demand: sunstypes.Demand{GeneralMilliSuns: 1_000}, Replicas: 2, MaxPrice: 3_600,
				Status: types.LEASE_STATUS_ACTIVE, NextGeneration: 3, Revision: 1, SpecRevision: 1, ReconciledReplicas: 2,
				LivePlacements: 1, OpenPlacements: 1, FailedNodes: []sunstypes.NodeID{node},
			},
			Money: types.NewMoney(math.NewInt(500)),
		}},
		Requests: []types.Request{{Lease: lease, Replica: 1, QueuedHeight: 3, Cursor: &types.MatchCursor{Node: node}}},
		Placements: []types.GenesisPlacement{
			{Placement: running, Billing: billing}, {Placement: settled, Billing: history},
		},
		Tenants:     []types.TenantSequence{{Tenant: tenant, Number: 2}},
		Standings:   []types.GenesisStanding{{Node: node}},
		Evictions:   []types.NodeEviction{{Node: node, Reason: types.END_REASON_NODE_SILENT, Cursor: &running.ID}},
		Queues:      []types.QueueEntry{{Queue: "endings", DueMs: 5, Placement: &running.ID}, {Queue: "reindexes", Node: &node}},
		Quarantine:  []duequeue.QuarantinedItem{{Number: 1}, {Number: 3}},
		Quarantined: 3,
		Indexed: []types.GenesisIndexedNode{{Node: node, Indexed: &types.IndexedNode{
			Country: "DE", Architecture: sunstypes.ArchAMD64, Class: 11, Price: 3_600, Load: 1,
			Devices: []types.DeviceBucket{{Device: "gpu/", HourPrice: 1}, {Device: "gpu/RTX 4090", HourPrice: 1}},
		}}},
		Classes: []types.GenesisClasses{{Bucket: "/amd64/", Classes: 1 << 40}, {Bucket: "DE/arm64/gpu/A/B", Classes: 1}},
	}
}

// A genesis is input too: whatever does not hang together, or is beyond what messages may make, is refused by name.
func TestGenesisValidate(t *testing.T) {
	type state = types.GenesisState
	lease := func(change func(*types.Lease)) func(*state) {
		return func(g *state) { change(&g.Leases[0].Lease) }
	}
	money := func(change func(*types.LeaseMoney)) func(*state) {
		return func(g *state) { change(&g.Leases[0].Money) }
	}
	placement := func(change func(*types.Placement)) func(*state) {
		return func(g *state) { change(&g.Placements[0].Placement) }
	}
	billing := func(change func(*types.PlacementBilling)) func(*state) {
		return func(g *state) { change(&g.Placements[0].Billing) }
	}
	indexed := func(change func(*types.IndexedNode)) func(*state) {
		return func(g *state) { change(g.Indexed[0].Indexed) }
	}
	bucket := func(name string) func(*state) {
		return func(g *state) { g.Classes[0].Bucket = name }
	}
	huge := math.NewIntWithDecimal(1, 77)
	nobody := sunstypes.NodeID{Operator: "nobody", Number: 1}
	for _, tc := range []struct {
		name   string
		change func(*state)
		ok     bool
	}{
		{"as it is", func(*state) {}, true},
		{"default", func(g *state) { *g = *types.DefaultGenesis() }, true},
		{"empty", func(g *state) { *g = state{} }, false},

		{"lease twice", func(g *state) { g.Leases = append(g.Leases, g.Leases[0]) }, false},
		{"lease of nobody", lease(func(l *types.Lease) { l.ID.Tenant = "nobody" }), false},
		{"lease in upper case", lease(func(l *types.Lease) { l.ID.Tenant = strings.ToUpper(l.ID.Tenant) }), false},
		{"lease above its tenant's sequence", func(g *state) { g.Tenants[0].Number = 1 }, false},
		{"lease of a tenant without sequence", func(g *state) { g.Tenants = nil }, false},
		{"tenant twice", func(g *state) { g.Tenants = append(g.Tenants, g.Tenants[0]) }, false},
		{"tenant is nobody", func(g *state) { g.Tenants[0].Tenant = "" }, false},
		{"no status", lease(func(l *types.Lease) { l.Status = 0 }), false},
		{"unknown status", lease(func(l *types.Lease) { l.Status = 99 }), false},
		{"bad rules", lease(func(l *types.Lease) { l.Rules.Zones = []string{""} }), false},
		{"no demand", lease(func(l *types.Lease) { l.Demand = sunstypes.Demand{} }), false},
		{"no cap", lease(func(l *types.Lease) { l.MaxPrice = 0 }), false},
		{"no replicas", lease(func(l *types.Lease) { l.Replicas = 0 }), false},
		{"most replicas", lease(func(l *types.Lease) { l.Replicas = types.MaxReplicasBound }), true},
		{"too many replicas", lease(func(l *types.Lease) { l.Replicas = types.MaxReplicasBound + 1 }), false},
		{"too many reconciled", lease(func(l *types.Lease) { l.ReconciledReplicas = ^uint32(0) }), false},
		{"bad command", lease(func(l *types.Lease) { l.Args = []string{"\x00"} }), false},
		{"too many failed nodes", lease(func(l *types.Lease) { l.FailedNodes = make([]sunstypes.NodeID, types.MaxFailedNodes+1) }), false},
		{"failed node of nobody", lease(func(l *types.Lease) { l.FailedNodes[0] = nobody }), false},
		{"latest time", lease(func(l *types.Lease) { l.WaitDeadlineMs = sunstypes.MaxClockMs }), true},
		{"beyond all time", lease(func(l *types.Lease) { l.WaitDeadlineMs = sunstypes.MaxClockMs + 1 }), false},

		{"no balance", money(func(m *types.LeaseMoney) { m.Balance = math.Int{} }), false},
		{"debt", money(func(m *types.LeaseMoney) { m.Balance = math.NewInt(-1) }), false},
		{"balance whose sum overflows", money(func(m *types.LeaseMoney) { m.Balance = huge }), false},
		{"unset total", money(func(m *types.LeaseMoney) { m.Totals.PaidAudit = math.Int{} }), false},
		{"negative total", money(func(m *types.LeaseMoney) { m.Totals.Refunded = math.NewInt(-1) }), false},

		{"request of an unknown lease", func(g *state) { g.Requests[0].Lease.Number = 1 }, false},
		{"request twice", func(g *state) { g.Requests = append(g.Requests, g.Requests[0]) }, false},
		{"request for no replica", func(g *state) { g.Requests[0].Replica = types.MaxReplicasBound }, false},
		{"request before the first block", func(g *state) { g.Requests[0].QueuedHeight = -1 }, false},
		{"request beyond all time", func(g *state) { g.Requests[0].RetryMs = ^uint64(0) }, false},
		{"request at a node of nobody", func(g *state) { g.Requests[0].Cursor.Node = nobody }, false},

		{"indexed node is nobody's", func(g *state) { g.Indexed[0].Node = nobody }, false},
		{"indexed node twice", func(g *state) { g.Indexed = append(g.Indexed, g.Indexed[0]) }, false},
		{"node that is not indexed yet", func(g *state) { g.Indexed[0].Indexed = nil }, true},
		{"indexed in no country", indexed(func(n *types.IndexedNode) { n.Country = "" }), false},
		{"indexed for no architecture", indexed(func(n *types.IndexedNode) { n.Architecture = "z80" }), false},
		{"indexed without room", indexed(func(n *types.IndexedNode) { n.Class = 0 }), false},
		{"indexed with more room than there is", indexed(func(n *types.IndexedNode) { n.Class = 41 }), false},
		{"indexed at a price beyond all", indexed(func(n *types.IndexedNode) { n.Price = ^uint64(0) }), false},
		{"indexed with a load beyond all", indexed(func(n *types.IndexedNode) { n.Load = ^uint32(0) }), false},
		{"indexed with a device of no kind", indexed(func(n *types.IndexedNode) { n.Devices[0].Device = "tube/" }), false},
		{"indexed with a device twice", indexed(func(n *types.IndexedNode) { n.Devices[0] = n.Devices[1] }), false},
		{"indexed with a long model", indexed(func(n *types.IndexedNode) {
			n.Devices[0].Device = "gpu/" + strings.Repeat("x", sunstypes.MaxModelBytes+1)
		}), false},
		{"indexed with too many devices", indexed(func(n *types.IndexedNode) {
			for i := range 2 * sunstypes.MaxAccelerators {
				n.Devices = append(n.Devices, types.DeviceBucket{Device: "gpu/" + strings.Repeat("x", i+1)})
			}
		}), false},
		{"bucket twice", func(g *state) { g.Classes = append(g.Classes, g.Classes[0]) }, false},
		{"bucket without classes", func(g *state) { g.Classes[0].Classes = 0 }, false},
		{"bucket with a class of more room than there is", func(g *state) { g.Classes[0].Classes = 1 << 41 }, false},
		{"bucket of no name", bucket(""), false},
		{"bucket of no country", bucket("XX/amd64/"), false},
		{"bucket of no architecture", bucket("DE//"), false},
		{"bucket of no device", bucket("DE/amd64/gpu"), false},

		{"placement twice", func(g *state) { g.Placements = append(g.Placements, g.Placements[0]) }, false},
		{"placement of no generation", placement(func(p *types.Placement) { p.ID.Generation = 0 }), false},
		{"placement above its lease's generation", placement(func(p *types.Placement) { p.ID.Generation = 3 }), false},
		{"placement of an unknown lease", placement(func(p *types.Placement) { p.ID.Number = 1 }), false},
		{"history of a lease that is gone", func(g *state) { g.Placements[1].Placement.ID.Number = 1 }, true},
		{"placement on no node", placement(func(p *types.Placement) { p.Node = sunstypes.NodeID{} }), false},
		{"no placement status", placement(func(p *types.Placement) { p.Status = 0 }), false},
		{"unknown placement status", placement(func(p *types.Placement) { p.Status = 99 }), false},
		{"unknown reason", placement(func(p *types.Placement) { p.EndReason = 99 }), false},
		{"runs without start", placement(func(p *types.Placement) { p.StartedMs = 0 }), false},
		{"highest price", placement(func(p *types.Placement) { p.Price = sunstypes.MaxAskPrice }), true},
		{"price too high", placement(func(p *types.Placement) { p.Price = sunstypes.MaxAskPrice + 1 }), false},
		{"royalty too high", placement(func(p *types.Placement) { p.Royalty = types.MaxPrice + 1 }), false},
		{"too many SUNS", placement(func(p *types.Placement) { p.MilliSuns = sunstypes.MaxNodeMilliSuns + 1 }), false},
		{"more general than all", placement(func(p *types.Placement) { p.GeneralMilliSuns = p.MilliSuns + 1 }), false},
		{"too many devices", placement(func(p *types.Placement) { p.Devices = make([]types.ReservedDevice, sunstypes.MaxAccelerators+1) }), false},
		{"no period", placement(func(p *types.Placement) { p.PeriodMs = 0 }), false},
		{"period too long", placement(func(p *types.Placement) { p.PeriodMs = types.Ms(types.MaxPeriod) + 1 }), false},
		{"bad endpoint", placement(func(p *types.Placement) { p.Endpoints = make([]types.Endpoint, 1) }), false},
		{"placement beyond all time", placement(func(p *types.Placement) { p.StartedMs = ^uint64(0) }), false},

		{"runs without an hour", billing(func(b *types.PlacementBilling) { b.Spans = nil }), false},
		{"settled with an hour", func(g *state) { g.Placements[1].Billing.Spans = g.Placements[0].Billing.Spans }, false},
		{"too many hours", billing(func(b *types.PlacementBilling) { b.Spans = append(b.Spans, b.Spans[0], b.Spans[0]) }), false},
		{"an hour that ends before it starts", billing(func(b *types.PlacementBilling) { b.Spans[0].EndMs = 1_999 }), false},
		{"an hour beyond all time", billing(func(b *types.PlacementBilling) { b.Spans[0].EndMs = ^uint64(0) }), false},
		{"more served than an hour has", billing(func(b *types.PlacementBilling) { b.Spans[0].AttestedMs = 60_001 }), false},
		{"all of an hour served", billing(func(b *types.PlacementBilling) { b.Spans[0].AttestedMs = 60_000 }), true},
		{"unset reservation", billing(func(b *types.PlacementBilling) { b.Spans[0].Reserved = math.Int{} }), false},
		{"negative reservation", billing(func(b *types.PlacementBilling) { b.Spans[0].ReservedRoyalty = math.NewInt(-1) }), false},
		{"reservation whose sum overflows", billing(func(b *types.PlacementBilling) { b.Spans[0].Reserved = huge }), false},
		{"unset payment", billing(func(b *types.PlacementBilling) { b.PaidOperator = math.Int{} }), false},
		{"served beyond all time", billing(func(b *types.PlacementBilling) { b.ServedMs = ^uint64(0) }), false},

		{"standing of nobody", func(g *state) { g.Standings[0].Node = nobody }, false},
		{"standing twice", func(g *state) { g.Standings = append(g.Standings, g.Standings[0]) }, false},
		{"eviction of nobody", func(g *state) { g.Evictions[0].Node = nobody }, false},
		{"eviction twice", func(g *state) { g.Evictions = append(g.Evictions, g.Evictions[0]) }, false},
		{"eviction for no known reason", func(g *state) { g.Evictions[0].Reason = 99 }, false},
		{"eviction at no placement", func(g *state) { g.Evictions[0].Cursor = &types.PlacementID{} }, false},

		{"queue entry of nothing", func(g *state) { g.Queues[0].Placement = nil }, false},
		{"queue entry of two things", func(g *state) { g.Queues[0].Node = g.Queues[1].Node }, false},
		{"queue entry of nobody's lease", func(g *state) { g.Queues[0].Placement = &types.PlacementID{Tenant: "x", Number: 1} }, false},
		{"queue entry of nobody's node", func(g *state) { g.Queues[1].Node = &nobody }, false},
		{"queue entry beyond all time", func(g *state) { g.Queues[0].DueMs = ^uint64(0) }, false},

		{"quarantine out of order", func(g *state) { g.Quarantine[1].Number = 1 }, false},
		{"quarantine from 0", func(g *state) { g.Quarantine[0].Number = 0 }, false},
		{"quarantine above its count", func(g *state) { g.Quarantined = 2 }, false},
		{"bad params", func(g *state) { g.Params.MaxReplicas = 0 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			genesis := smallGenesis()
			tc.change(&genesis)
			err := genesis.Validate()
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.Less(t, len(err.Error()), 1_000)
			if tc.name != "empty" && tc.name != "bad params" {
				require.ErrorIs(t, err, types.ErrInvalidGenesis)
			}
		})
	}
}
