package keeper_test

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// The index must not depend on params: governance may change them, and nobody indexes every node anew.
func TestIndexOutlivesChangesOfParams(t *testing.T) {
	t.Run("least demand", func(t *testing.T) {
		f := newFixture(t)
		f.addNode(nodeSpec{operator: "op"})
		f.NextBlock(time.Second)
		f.setParams(func(p *types.Params) { p.MinDemandMilliSuns = 5_000 })
		f.NextBlock(time.Second) // the invariants hold
		f.addNode(nodeSpec{operator: "small", suns: 2, ask: ask - 1})
		f.NextBlock(time.Second)
		f.setParams(func(p *types.Params) { p.MinDemandMilliSuns = 100 })
		id := f.lease()
		f.NextBlock(time.Second)
		f.requireMoved(id, "small")
	})
	t.Run("placements of a node", func(t *testing.T) {
		f := newFixture(t)
		f.addNode(nodeSpec{operator: "op"})
		f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
		f.setParams(func(p *types.Params) { p.MaxPlacementsPerNode = 2 })
		f.NextBlock(time.Second)
		id := f.lease()
		f.NextBlock(time.Second)
		require.Empty(t, f.live(id))
		require.Contains(t, f.get(id).Requests[0].Reason, "as many placements as it may")
		f.setParams(func(p *types.Params) { p.MaxPlacementsPerNode = 3 })
		f.Advance(5*time.Second, time.Second)
		require.Len(t, f.live(id), 1)
	})
}

func TestFullNodeLeavesTheIndexAndComesBack(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 1})
	f.NextBlock(time.Second)
	key, err := node.Key()
	require.NoError(t, err)
	indexed := func() bool {
		has, err := f.k.IndexedNodes.Has(f.Ctx, key)
		require.NoError(t, err)
		return has
	}
	require.True(t, indexed())
	id := f.lease()
	f.NextBlock(time.Second)
	require.False(t, indexed())
	f.close(id)
	f.NextBlock(time.Second)
	require.True(t, indexed())
}

// When the last candidate is also the last one that may be examined, nothing is left to go on with.
func TestNoCursorWhenAllWereExamined(t *testing.T) {
	for _, tc := range []struct {
		nodes  int
		cursor bool
	}{{2, false}, {3, false}, {4, true}} {
		t.Run(fmt.Sprintf("%d nodes, 3 may be examined", tc.nodes), func(t *testing.T) {
			f := newFixture(t, func(p *types.Params) { p.MaxCandidates = 3 })
			for i := range tc.nodes {
				f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), zone: "wrong"})
			}
			id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Zones = []string{"right"} })
			f.NextBlock(time.Second)
			require.Equal(t, tc.cursor, f.get(id).Requests[0].Cursor != nil)
		})
	}
}

func TestSearchGoesOnInTheNextCountry(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.MaxCandidates = 2 })
	for i := range 3 {
		f.addNode(nodeSpec{operator: fmt.Sprintf("jp-%d", i), country: "JP", zone: "wrong"})
	}
	f.addNode(nodeSpec{operator: "tw", zone: "right"})
	id := f.lease(func(m *types.MsgCreateLease) {
		m.Rules.Countries, m.Rules.Zones = []string{"JP", "TW"}, []string{"right"}
	})
	f.Advance(7*time.Second, time.Second)
	f.requireMoved(id, "tw")
}

// Emptied buckets are forgotten by the searches that find them empty, and marked again when a node comes.
func TestEmptiedBucketsAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 4})
	id := f.lease(func(m *types.MsgCreateLease) {
		m.Demand = &sunstypes.Demand{GeneralMilliSuns: 4_000}
		m.MaxPrice = 5 * ask
	})
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1)
	classes := func() uint64 {
		classes, err := f.k.MatchClasses.Get(f.Ctx, "/amd64/")
		require.NoError(t, err)
		return classes
	}
	require.NotZero(t, classes())
	waits := f.lease()
	f.NextBlock(time.Second)
	require.Empty(t, f.live(waits))
	require.Zero(t, classes())
	f.close(id)
	f.Advance(5*time.Second, time.Second)
	require.Len(t, f.live(waits), 1)
}

// Whatever an operator's many nodes do, exactly the first few of a bucket are candidates: the invariant computes them anew
// after every block.
func TestCandidatesFollowEveryChange(t *testing.T) {
	for seed := range int64(8) {
		f := newFixture(t)
		random := rand.New(rand.NewSource(seed))
		var nodes []sunstypes.NodeID
		for i := range uint64(keeper.MaxOperatorEntries + 4) {
			nodes = append(nodes, f.addNode(nodeSpec{operator: "many", number: i + 1, ask: ask + uint64(random.Intn(3))}))
		}
		f.NextBlock(time.Second)
		drained := map[sunstypes.NodeID]bool{}
		for range 30 {
			for range 1 + random.Intn(3) {
				node := nodes[random.Intn(len(nodes))]
				switch {
				case random.Intn(3) > 0:
					f.changeAsk(node, ask+uint64(random.Intn(3)))
				case drained[node]:
					f.resume(node)
					drained[node] = false
				default:
					f.drain(node)
					drained[node] = true
				}
			}
			if random.Intn(2) == 0 {
				f.lease()
			}
			f.NextBlock(time.Second)
		}
	}
}
