package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// operations ends a block, counts what its end did on the stores, and begins the next block. The counts do not depend on
// the machine.
func (f *fixture) operations(d time.Duration) uint64 {
	f.T.Helper()
	ctx := f.Ctx.WithGasMeter(storetypes.NewInfiniteGasMeter()).WithKVGasConfig(storetypes.GasConfig{
		HasCost: 1, DeleteCost: 1, ReadCostFlat: 1, WriteCostFlat: 1, IterNextCostFlat: 1,
	})
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(f.Ctx))
	require.NoError(f.T, f.keeper.EndBlock(ctx))
	f.Commit(d)
	f.BeginBlock()
	return ctx.GasMeter().GasConsumed()
}

func (f *fixture) queued(queue duequeue.Queue[types.NodeKey]) int {
	f.T.Helper()
	count := 0
	require.NoError(f.T, queue.Entries.Walk(f.Ctx, nil, func(collections.Pair[uint64, types.NodeKey]) (bool, error) {
		count++
		return false, nil
	}))
	return count
}

func (f *fixture) registerMany(count int) []types.NodeID {
	f.T.Helper()
	ids := make([]types.NodeID, count)
	for i := range ids {
		ids[i] = f.register(fmt.Sprintf("operator %d", i), 1)
	}
	return ids
}

// What one item of each queue may take: the params, the node's records and their indexes, two balances and the events' nothing.
const (
	operationsPerCheckIn  = 10
	operationsPerDeadline = 30
	operationsPerPayout   = 30
	operationsPerBond     = 60
)

// Every node checks in within one block: each check-in is counted once, at the cost of its own record, and the epoch is
// written once.
func TestFloodOfCheckIns(t *testing.T) {
	f := newFixture(t)
	ids := f.registerMany(300)
	f.hour()
	f.NextBlock(time.Second)
	for range 2 {
		for _, id := range ids {
			f.checkIn(id)
		}
	}
	require.LessOrEqual(t, f.operations(time.Second), uint64(len(ids)*operationsPerCheckIn))
	require.EqualValues(t, len(ids), f.epoch().Nodes)
	require.Less(t, f.operations(time.Second), uint64(operationsPerCheckIn*3), "nothing is left for the next block")
}

// Nodes fall silent at once: a block notices its budget of them, in time every one.
func TestFloodOfSilentNodes(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxDeadlinesPerBlock = 40 })
	ids := f.registerMany(100)
	f.hour()
	f.hour() // idle nodes have two epochs
	for left := len(ids); left > 0; left -= 40 {
		require.LessOrEqual(t, f.operations(time.Millisecond), uint64(40*operationsPerDeadline))
		require.Equal(t, max(0, left-40), f.queued(f.keeper.DeadlineQueue))
	}
	for _, id := range ids {
		require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	}
}

// Operators withdraw at once, several times: a block pays its budget of them, in time everybody, once.
func TestFloodOfPayouts(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxPayoutsPerBlock = 40 })
	ids := f.registerMany(100)
	f.hour()
	f.NextBlock(time.Second)
	for _, id := range ids {
		f.checkIn(id)
	}
	f.hour()
	f.NextBlock(time.Second)
	for range 3 {
		for _, id := range ids {
			require.Positive(t, f.withdraw(id))
		}
	}
	for left := len(ids); left > 0; left -= 40 {
		require.Equal(t, left, f.queued(f.keeper.PayoutQueue))
		for _, id := range ids { // asking again does not put anybody behind, and leaves nothing in the queue
			f.withdraw(id)
		}
		require.LessOrEqual(t, f.operations(time.Second), uint64(40*operationsPerPayout))
	}
	require.Zero(t, f.queued(f.keeper.PayoutQueue))
	for _, id := range ids {
		require.Zero(t, f.rewards(id))
	}
}

// A machine enters and leaves the market again and again: each round locks a bond, and leaves an entry in the queue of
// bonds, which returns a budget of them in a block and forgets the nodes.
func TestRegisteringAndRetiringInTurn(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) {
		g.Params.MaxUnbondingsPerBlock = 10
		g.Params.UnbondingPeriod = time.Minute
	})
	const rounds = 30
	for number := range uint64(rounds) {
		id := f.register("operator", number+1)
		f.retire(id)
		require.Zero(t, f.queued(f.keeper.DeadlineQueue))
	}
	require.Equal(t, rounds, f.queued(f.keeper.UnbondingQueue))
	f.NextBlock(time.Minute)
	for left := rounds; left > 0; left -= 10 {
		require.LessOrEqual(t, f.operations(time.Millisecond), uint64(10*operationsPerBond))
		require.Equal(t, left-10, f.queued(f.keeper.UnbondingQueue))
	}
	left := 0
	require.NoError(t, f.keeper.Nodes.Walk(f.Ctx, nil, func(types.NodeKey, types.Node) (bool, error) {
		left++
		return false, nil
	}))
	require.Zero(t, left)
	require.EqualValues(t, rounds*registration("operator", 1).Bond.Amount.Int64(), f.Balance(testkit.Addr("operator")))
}
