package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func (f *fixture) demand(milliSuns uint64) *sunstypes.Demand {
	return &sunstypes.Demand{GeneralMilliSuns: milliSuns}
}

// onNode keeps a lease on one node.
func onNode(node sunstypes.NodeID) func(*types.MsgCreateLease) {
	return func(m *types.MsgCreateLease) { m.Rules.Node = &node }
}

func (f *fixture) standing(node sunstypes.NodeID) types.NodeStanding {
	f.T.Helper()
	key, err := node.Key()
	require.NoError(f.T, err)
	standing, err := f.k.Standings.Get(f.Ctx, key)
	require.NoError(f.T, err)
	return standing
}

func (f *fixture) onMarket(node sunstypes.NodeID) bool {
	f.T.Helper()
	key, err := node.Key()
	require.NoError(f.T, err)
	indexed, err := f.k.IndexedNodes.Has(f.Ctx, key)
	require.NoError(f.T, err)
	return indexed
}

// Two nodes are the cheapest and give back whatever they get. Leases reach the honest node all the same, each within three
// blocks of its order, and the two are on the market less and less.
func TestRejectingNodesAreOutOfTheWay(t *testing.T) {
	f := newFixture(t)
	bad := []sunstypes.NodeID{
		f.addNode(nodeSpec{operator: "bad", suns: 100, ask: ask / 2}), f.addNode(nodeSpec{operator: "worse", suns: 100, ask: ask / 2}),
	}
	good := f.addNode(nodeSpec{operator: "good", suns: 100})
	nodes := append([]sunstypes.NodeID{good}, bad...)
	rejected := 0
	for range 15 {
		id := f.lease()
		for blocks := 0; len(f.live(id)) == 0 || f.live(id)[0].Node != good; blocks++ {
			require.Less(t, blocks, 3)
			for _, p := range f.live(id) {
				f.reject(p)
				rejected++
			}
			f.NextBlock(5 * time.Second)
			for _, node := range nodes {
				f.checkIn(node)
			}
		}
		f.start(f.placement(id))
		f.NextBlock(5 * time.Second)
		for _, node := range nodes {
			f.checkIn(node)
		}
	}
	require.LessOrEqual(t, rejected, 6, "each pause is twice the one before")
	require.LessOrEqual(t, entries(f, f.k.NodeBackoffQueue), len(bad))
	for _, node := range bad {
		require.False(t, f.onMarket(node))
	}
}

// Every node gives everything back: the leases are suspended after three tries, and no block does more than its budgets.
func TestAllNodesReject(t *testing.T) {
	f := newFixture(t)
	const nodes, leases = 10, 100
	for i := range nodes {
		f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), suns: 100})
	}
	ids := f.leases(leases)
	budgets := testParams().Budgets
	for range 12 {
		for _, id := range ids {
			for _, p := range f.live(id) {
				f.reject(p)
			}
		}
		w := f.floodBlock(time.Millisecond)
		require.LessOrEqual(t, w.tried(t), int(budgets.Matches+budgets.Retries))
		require.LessOrEqual(t, len(testkit.EventsOf[types.EventPlacementEnded](t, w.events)), int(budgets.Endings))
		require.LessOrEqual(t, w.operations, uint64(30_000))
		require.LessOrEqual(t, entries(f, f.k.NodeBackoffQueue), nodes)
	}
	for _, id := range ids {
		require.Zero(t, len(f.live(id)))
	}
	f.NextBlock(time.Millisecond)
}

// One node gives back all ten replicas of a lease: that is one failure. The lease goes on elsewhere, and the node's pause is
// that of one failed start.
func TestANodeFailsALeaseOnce(t *testing.T) {
	f := newFixture(t)
	bad := f.addNode(nodeSpec{operator: "bad", suns: 10, ask: ask / 2})
	f.addNode(nodeSpec{operator: "good", suns: 10})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 10, testkit.Coin(1_000_000) })
	f.NextBlock(time.Second)
	for _, p := range f.live(id) {
		require.Equal(t, bad, p.Node)
		f.reject(p)
	}
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_ACTIVE, f.get(id).Lease.Lease.Status)
	require.Len(t, f.live(id), 10)
	require.EqualValues(t, 1, f.standing(bad).FailedStarts)
	require.Equal(t, 1, entries(f, f.k.NodeBackoffQueue))
}

// A tenant and an operator who work together cannot clear a node's record by having a lease suspended: a node he migrated
// away from, a pause that another lease brought since, and a node that only fell silent are none of that lease's business.
func TestSuspensionTakesBackOnlyItsOwnPauses(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.NodeBackoffMin, p.NodeBackoffMax = 2*time.Second, time.Hour })
	var nodes []sunstypes.NodeID
	for i := range 5 {
		nodes = append(nodes, f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), ask: ask + uint64(i)}))
	}
	moved, again := nodes[0], nodes[1]

	id := f.lease()
	f.NextBlock(time.Second)
	require.Equal(t, moved, f.placement(id).Node)
	blamed := f.lease(onNode(moved))
	f.NextBlock(time.Second)
	f.reject(f.placement(blamed)) // what the node is really paused for
	f.migrate(id, 0)
	f.NextBlock(time.Second)
	pause := f.standing(moved)
	require.EqualValues(t, 1, pause.FailedStarts)

	require.Equal(t, again, f.placement(id).Node)
	f.reject(f.placement(id))
	f.NextBlock(3 * time.Second) // the pause ends
	other := f.lease(onNode(again))
	f.NextBlock(time.Millisecond)
	f.NextBlock(time.Millisecond)
	f.reject(f.placement(other)) // and another lease brings a longer one
	f.NextBlock(time.Millisecond)
	longer := f.standing(again)
	require.EqualValues(t, 2, longer.FailedStarts)

	for f.get(id).Lease.Lease.Status == types.LEASE_STATUS_ACTIVE {
		for _, p := range f.live(id) {
			f.reject(p)
		}
		f.NextBlock(time.Millisecond)
	}
	require.Equal(t, types.LEASE_STATUS_SUSPENDED, f.get(id).Lease.Lease.Status)
	require.Equal(t, pause.FailedStarts, f.standing(moved).FailedStarts)
	require.Equal(t, longer, f.standing(again))
	require.False(t, f.onMarket(again))
	for _, node := range nodes[2:4] {
		require.Zero(t, f.standing(node).FailedStarts)
		require.True(t, f.onMarket(node))
	}
	require.Empty(t, f.get(id).Lease.Lease.EarlyPauses)
}

// An operator drains and resumes a node with placements, block after block: its queues hold no more than without.
func TestDrainPingPongFillsNoQueue(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.DrainGrace = time.Hour })
	node := f.addNode(nodeSpec{operator: "op", suns: 50})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 40, testkit.Coin(10_000_000) })
	f.NextBlock(time.Millisecond)
	require.Equal(t, 40, entries(f, f.k.PlacementDueQueue))
	for range 20 {
		for range 3 {
			f.drain(node)
			f.resume(node)
		}
		f.drain(node)
		require.LessOrEqual(t, entries(f, f.k.EvictionQueue), 1)
		f.floodBlock(time.Millisecond)
		f.resume(node)
		f.floodBlock(time.Millisecond)
	}
	for range 4 {
		f.NextBlock(time.Millisecond)
	}
	require.Equal(t, 40, entries(f, f.k.PlacementDueQueue))
	require.Zero(t, entries(f, f.k.EvictionQueue)+entries(f, f.k.NewRequestQueue)+entries(f, f.k.RetryQueue))
	require.Len(t, f.live(id), 40)
}

// While hundreds of nodes drain, more than blocks can move, the placements of a node that was lost are moved in the block
// that loses it.
func TestLostNodesGoFirst(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Budgets.Evictions = 20 })
	drained := floodSize(t, 100)
	nodes := f.smallNodes(drained)
	lost := f.addNode(nodeSpec{operator: "lost"})
	id := f.lease(onNode(lost), func(m *types.MsgCreateLease) { m.Replicas = 4 })
	var ids []types.LeaseID
	for _, node := range nodes {
		ids = append(ids, f.lease(onNode(node)))
	}
	for f.countLive(ids) < drained {
		f.NextBlock(time.Millisecond)
	}
	for i, node := range nodes {
		f.start(f.placement(ids[i]))
		f.drain(node)
	}
	f.floodBlock(time.Second)
	require.NotZero(t, entries(f, f.k.EvictionQueue))
	f.retire(lost)
	w := f.floodBlock(time.Second)
	require.Empty(t, f.live(id))
	moved := len(testkit.EventsOf[types.EventPlacementDraining](t, w.events)) +
		len(testkit.EventsOf[types.EventPlacementEnded](t, w.events))
	require.LessOrEqual(t, moved, 20)
	f.NextBlock(time.Second)
}

// All nodes of a country fall silent at once: their placements move within as many blocks as the budget takes, and run again
// in the next country, while a lease elsewhere is matched at once.
func TestACountryFallsSilent(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.StartDeadline, p.Budgets.Evictions = 10*time.Minute, 50 })
	const silent, each = 20, 10
	var ids []types.LeaseID
	for i := range silent {
		f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), suns: each, country: "JP"})
	}
	for range silent {
		ids = append(ids, f.lease(func(m *types.MsgCreateLease) {
			m.Replicas, m.Rules.Countries, m.Deposit = each, []string{"JP", "TW"}, testkit.Coin(1_000_000)
		}))
	}
	f.NextBlock(time.Second)
	require.Equal(t, silent*each, f.countLive(ids))
	spare := f.addNode(nodeSpec{operator: "spare", suns: 300})
	for range 3 { // at the end of the last block x/suns notices all of them
		f.floodBlock(10 * time.Second)
		f.checkIn(spare)
	}
	f.floodBlock(time.Second)
	for left := silent * each; left > 0; left -= 50 {
		honest := f.lease(onNode(spare))
		w := f.floodBlock(time.Millisecond)
		require.Len(t, f.live(honest), 1)
		require.Len(t, testkit.EventsOf[types.EventPlacementEnded](t, w.events), 50)
		require.LessOrEqual(t, w.operations, uint64(50*200))
	}
	require.Equal(t, silent*each, f.countLive(ids))
	for _, id := range ids {
		for _, p := range f.live(id) {
			require.Equal(t, spare, p.Node)
		}
	}
	f.NextBlock(time.Millisecond)
}

// Prices change several times in every block: each node is indexed once, at its last price, and a block takes its budget.
func TestPriceChangesAreIndexedWithinTheBudget(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Budgets.Reindexes = 10 })
	var nodes []sunstypes.NodeID
	for i := range 50 {
		nodes = append(nodes, f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i)}))
	}
	for i := range 5 {
		for _, node := range nodes {
			f.changeAsk(node, uint64(ask+i))
		}
	}
	require.Equal(t, len(nodes), entries(f, f.k.ReindexQueue))
	for left := len(nodes); left > 0; left -= 10 {
		w := f.floodBlock(time.Millisecond)
		require.LessOrEqual(t, w.operations, uint64(10*100))
		require.Equal(t, left-10, entries(f, f.k.ReindexQueue))
	}
	f.NextBlock(time.Millisecond)
}

// Nodes with devices of many models have many entries in the index: a block indexes fewer of them.
func TestNodesWithManyDevicesCostMoreOfTheBudget(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Budgets.Reindexes = 6 })
	for i := range 4 {
		spec := nodeSpec{operator: fmt.Sprintf("op-%d", i)}
		for d := range sunstypes.MaxAccelerators {
			device := gpu(fmt.Sprint(d), 10)
			device.Model = fmt.Sprintf("model %d", d%sunstypes.MaxAcceleratorModels)
			spec.devices = append(spec.devices, device)
		}
		f.addNode(spec)
	}
	for left := 4; left > 0; left -= 2 { // 2 countries · (1 + 1 kind + 4 models), a unit for every 4
		require.Equal(t, left, entries(f, f.k.ReindexQueue))
		f.NextBlock(time.Millisecond)
	}
}
