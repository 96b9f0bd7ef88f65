package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// copied is a chain that begins with this one's state, in the same block.
func (f *fixture) copied() *fixture {
	f.T.Helper()
	other := importState(f.T.(*testing.T), f.export())
	other.Ctx = other.Ctx.WithBlockHeader(f.Ctx.BlockHeader()).WithHeaderHash(f.Ctx.HeaderHash()).WithHeaderInfo(f.Ctx.HeaderInfo())
	other.broken = f.broken
	for id, served := range f.served {
		other.served[id] = served
	}
	return other
}

// requireAlike runs both chains, with the same work in each block, and compares events and state after each.
func requireAlike(f, other *fixture, blocks int, work func(*fixture)) {
	f.T.Helper()
	for i := range blocks {
		work(f)
		work(other)
		require.Equal(f.T, f.NextBlock(5*time.Second), other.NextBlock(5*time.Second), "events of block %d", i)
		want, got := f.export(), other.export()
		requireSame(f.T, want.lease, got.lease, i)
		requireSame(f.T, want.suns, got.suns, i)
		requireSame(f.T, want.bank, got.bank, i)
	}
}

// requireSame shows where two states begin to differ.
func requireSame(t testing.TB, want, got []byte, block int) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			require.Equal(t, string(want[max(0, i-300):min(len(want), i+100)]), string(got[max(0, i-300):min(len(got), i+100)]),
				"state after block %d", block)
		}
	}
	require.Len(t, got, len(want))
}

func idle(*fixture) {}

// A node is matched no sooner in a chain that was imported while it waited to be indexed.
func TestImportedChainIndexesNodesWhenTheOldOneDoes(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Budgets.Reindexes, p.Budgets.Matches = 1, 1 })
	var nodes []sunstypes.NodeID
	for _, operator := range []string{"a", "b", "c", "d"} {
		nodes = append(nodes, f.addNode(nodeSpec{operator: operator, suns: 1}))
	}
	f.NextBlock(time.Second)
	var ids []types.LeaseID
	for range 4 {
		ids = append(ids, f.lease())
	}
	f.NextBlock(time.Second)
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	require.NotEmpty(t, genesis.Indexed)
	require.NotEmpty(t, genesis.Classes)
	requireAlike(f, f.copied(), 8, func(f *fixture) {
		for _, node := range nodes {
			f.checkIn(node)
		}
		for _, id := range ids {
			for _, p := range f.live(id) {
				if p.StartedMs == 0 {
					f.start(p)
				}
			}
		}
	})
	for _, id := range ids {
		require.NotEmpty(t, f.live(id))
	}
}

// A node whose pause is over and waits for its turn, and one whose indexing failed, are what they were.
func TestImportKeepsWhatTheIndexHolds(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.NodeBackoffMin, p.Budgets.NodeBackoffs = 5*time.Second, 1 })
	for _, operator := range []string{"a", "b", "c"} {
		node := f.addNode(nodeSpec{operator: operator})
		id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Node = &node })
		f.NextBlock(time.Millisecond)
		f.reject(f.placement(id))
	}
	failed := f.addNode(nodeSpec{operator: "failed"})
	key, err := failed.Key()
	require.NoError(t, err)
	encoded, err := collections.EncodeKeyWithPrefix(nil, sunstypes.NodeKeyCodec, key)
	require.NoError(t, err)
	require.NoError(t, f.k.ReindexQueue.Remove(f.Ctx, f.now(), key))
	f.broken = true
	_, err = f.k.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{
		Queue: f.k.ReindexQueue.Name(), Item: failed.String(), Key: encoded, Error: "gone", DueMs: f.now(),
	})
	require.NoError(t, err)
	f.NextBlock(6 * time.Second)
	f.NextBlock(time.Second)
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	require.Greater(t, len(genesis.Indexed), 1)
	other := f.copied()
	requireAlike(f, other, 3, idle)
	retry := func(f *fixture) {
		f.NextBlock(0)
		require.NoError(t, deliver(f, f.msgs.RetryQuarantined, &types.MsgRetryQuarantined{Authority: f.Authority.String(), Number: 1}))
	}
	requireAlike(f, other, 1, retry)
	requireAlike(f, other, 3, idle)
	has, err := other.k.IndexedNodes.Has(other.Ctx, key)
	require.NoError(t, err)
	require.True(t, has)
}

// What is attested of a placement whose end waits in a queue counts the same, whether its node's record was there before the
// end or is made anew after an import.
func TestAttestationBeforeAnEndsTurnIsImportedAlike(t *testing.T) {
	f := newFixture(t, oneEach)
	f.addNode(nodeSpec{operator: "op", suns: 4})
	var ids []types.LeaseID
	for range 4 {
		ids = append(ids, f.lease())
		f.NextBlock(time.Second)
	}
	for _, id := range ids {
		f.start(f.placement(id))
	}
	for range 4 {
		f.NextBlock(5 * time.Second)
		f.attestLive(ids[:3]...) // the last one is attested first when it has ended
	}
	for _, id := range ids {
		f.reject(f.placement(id))
	}
	f.NextBlock(5 * time.Second)
	require.NotEmpty(t, f.live(ids[3]), "its end waits")
	requireAlike(f, f.copied(), 20, func(f *fixture) { f.attestLive(ids...) })
	for _, id := range ids {
		p := f.known(types.PlacementID{Tenant: id.Tenant, Number: id.Number, Generation: 1})
		require.Equal(t, types.PLACEMENT_STATUS_SETTLED, p.Placement.Status)
	}
}

// A genesis may say that the index holds a node otherwise than it is only of nodes that wait to be indexed anew.
func TestInitGenesisRefusesAnIndexThatNothingMends(t *testing.T) {
	for name, tc := range map[string]struct {
		indexed func(sunstypes.NodeID) types.GenesisIndexedNode
		err     error
	}{
		"a node that is not there": {func(sunstypes.NodeID) types.GenesisIndexedNode {
			return types.GenesisIndexedNode{Node: sunstypes.NewNodeID(testkit.Addr("nobody"), 1)}
		}, types.ErrInvalidGenesis},
		"a node left out": {func(id sunstypes.NodeID) types.GenesisIndexedNode {
			return types.GenesisIndexedNode{Node: id}
		}, types.ErrInvariantBroken},
		"a node as it is not": {func(id sunstypes.NodeID) types.GenesisIndexedNode {
			return types.GenesisIndexedNode{Node: id, Indexed: &types.IndexedNode{
				Country: "DE", Architecture: sunstypes.ArchAMD64, Class: 5, Price: 1,
			}}
		}, types.ErrInvariantBroken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.addNode(nodeSpec{operator: "op"})
			f.NextBlock(time.Second)
			suns, err := f.suns.ExportGenesis(f.Ctx)
			require.NoError(t, err)
			genesis, err := f.k.ExportGenesis(f.Ctx)
			require.NoError(t, err)
			require.Empty(t, genesis.Indexed)
			genesis.Indexed = append(genesis.Indexed, tc.indexed(id))

			other := newEmptyFixture(t)
			other.Bank.InitGenesis(other.Ctx, f.Bank.ExportGenesis(f.Ctx))
			require.NoError(t, other.suns.InitGenesis(other.Ctx, suns))
			require.ErrorIs(t, other.k.InitGenesis(other.Ctx, *genesis), tc.err)
		})
	}
}
