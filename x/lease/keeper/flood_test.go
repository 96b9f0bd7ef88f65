package keeper_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// floodEnv makes the floods larger: the number of requests in the largest of them.
const floodEnv = "ISUN_FLOOD"

// floodSize is how many items a flood has. Small ones show the same as large ones: what a block does must not depend on it.
func floodSize(t *testing.T, small int) int {
	t.Helper()
	text := os.Getenv(floodEnv)
	if text == "" {
		return small
	}
	size, err := strconv.Atoi(text)
	require.NoError(t, err, floodEnv)
	return size
}

// worked is what a block's end did.
type worked struct {
	// operations on the store: reads, writes, deletions and steps of iterators. They do not depend on the machine.
	operations uint64
	took       time.Duration
	events     sdk.Events
}

// countOperations makes each operation on a store one unit of gas.
func countOperations(ctx sdk.Context) sdk.Context {
	return ctx.WithGasMeter(storetypes.NewInfiniteGasMeter()).WithKVGasConfig(storetypes.GasConfig{
		HasCost: 1, DeleteCost: 1, ReadCostFlat: 1, WriteCostFlat: 1, IterNextCostFlat: 1,
	})
}

// floodBlock ends a block without checking the invariants, which walk the whole state, and begins the next one.
func (f *fixture) floodBlock(d time.Duration) worked {
	f.T.Helper()
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(f.Ctx))
	ctx := countOperations(f.Ctx.WithEventManager(sdk.NewEventManager()))
	began := time.Now()
	require.NoError(f.T, f.k.EndBlocker(ctx))
	w := worked{operations: ctx.GasMeter().GasConsumed(), took: time.Since(began), events: ctx.EventManager().Events()}
	require.NoError(f.T, f.suns.EndBlock(f.Ctx))
	f.Commit(d)
	f.BeginBlock()
	return w
}

// tried counts the requests that a block's end looked for a node for.
func (w worked) tried(t *testing.T) int {
	t.Helper()
	return len(testkit.EventsOf[types.EventRequestPostponed](t, w.events)) +
		len(testkit.EventsOf[types.EventPlacementMatched](t, w.events))
}

// entries counts what stands in a queue.
func entries[K any](f *fixture, queue duequeue.Queue[K]) int {
	f.T.Helper()
	count := 0
	require.NoError(f.T, queue.Entries.Walk(f.Ctx, nil, func(collections.Pair[uint64, K]) (bool, error) {
		count++
		return false, nil
	}))
	return count
}

// nowhere is a country without nodes: a request for it waits.
const nowhere = "AQ"

// flood orders replicas that never fit, a hundred a lease.
func (f *fixture) flood(tenant sdk.AccAddress, replicas int) []types.LeaseID {
	f.T.Helper()
	var ids []types.LeaseID
	for ; replicas > 0; replicas -= 100 {
		ids = append(ids, f.lease(func(m *types.MsgCreateLease) {
			m.Tenant, m.Replicas, m.MaxPrice = tenant.String(), uint32(min(replicas, 100)), 1
			m.Rules.Countries = []string{nowhere}
			m.Deposit = testkit.Coin(10 * int64(m.Replicas))
		}))
	}
	return ids
}

// rich is a tenant with money.
func (f *fixture) rich(name string) sdk.AccAddress {
	f.T.Helper()
	tenant := testkit.Addr(name)
	f.Fund(tenant, 10_000_000)
	return tenant
}

func (f *fixture) leaseOf(tenant sdk.AccAddress) types.LeaseID {
	f.T.Helper()
	return f.lease(func(m *types.MsgCreateLease) { m.Tenant = tenant.String() })
}

// A block's matches may take so many operations each, however many requests wait: the order with its money read and written,
// the image, the buckets, the candidates and the queues.
const operationsPerMatch = 60

func TestOneTenantsFloodDelaysNobodyElse(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.MaxWait = 24 * time.Hour })
	f.addNode(nodeSpec{operator: "op", suns: 100})
	size := floodSize(t, 5_000)
	f.flood(f.tenant, size)
	honest := f.rich("honest")
	budget := int(testParams().Budgets.Matches)
	for block := range 10 {
		id := f.leaseOf(honest)
		f.flood(f.tenant, 400) // more than a block can match
		w := f.floodBlock(time.Millisecond)
		require.Len(t, f.live(id), 1, "block %d", block)
		require.Equal(t, budget, w.tried(t))
		require.LessOrEqual(t, w.operations, uint64(budget*operationsPerMatch))
		t.Logf("block %d: %d requests tried, %d operations, %s", block, w.tried(t), w.operations, w.took)
	}
	require.Equal(t, size+10*400-10*(budget-1), entries(f, f.k.NewRequestQueue))
	f.NextBlock(time.Millisecond)
}

// A tenant who floods is served in full while nobody else waits, and one who was idle has nothing saved up.
func TestLineWastesNothing(t *testing.T) {
	f := newFixture(t)
	budget := int(testParams().Budgets.Matches)
	f.flood(f.tenant, 3*budget)
	for range 3 {
		require.Equal(t, budget, f.floodBlock(time.Millisecond).tried(t))
	}
	require.Zero(t, entries(f, f.k.NewRequestQueue))
	served, err := f.k.Served.Get(f.Ctx)
	require.NoError(t, err)
	idle := f.rich("idle")
	id := f.leaseOf(idle)
	require.Equal(t, served, f.get(id).Requests[0].Place)
	f.NextBlock(time.Second)
}

// Many tenants with a request each delay another by as many blocks as their requests take.
func TestFloodOfTenants(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 100})
	budget := int(testParams().Budgets.Matches)
	tenants := floodSize(t, 1_000)
	for i := range tenants {
		f.flood(f.rich(fmt.Sprintf("tenant %d", i)), 1)
	}
	id := f.leaseOf(f.rich("honest"))
	most := tenants/budget + 1
	blocks := 0
	for ; len(f.live(id)) == 0; blocks++ {
		require.Less(t, blocks, most)
		w := f.floodBlock(time.Millisecond)
		require.LessOrEqual(t, w.tried(t), budget)
		require.LessOrEqual(t, w.operations, uint64(budget*operationsPerMatch))
	}
	t.Logf("matched after %d of at most %d blocks", blocks, most)
}

// Thousands of requests fall due to be tried again at the same moment: a block takes its budget of them, new requests do not
// wait for them, and one of them waits no longer than all of them take.
func TestFloodOfRetries(t *testing.T) {
	f := newFixture(t, func(p *types.Params) {
		p.Budgets.Matches, p.Budgets.DuePlacements, p.Budgets.Prunes = types.MaxMatchBudget, types.MaxBudget, types.MaxBudget
		p.RetryBackoffMin, p.RetryBackoffMax = 5*time.Second, time.Hour
	})
	size := floodSize(t, 2_000)
	waiting := f.leaseOf(f.rich("waiting")) // no node yet
	flood := f.flood(f.tenant, size)
	for entries(f, f.k.NewRequestQueue) > 0 {
		f.floodBlock(time.Millisecond)
	}
	require.Equal(t, size+1, entries(f, f.k.RetryQueue))
	f.setParams(func(p *types.Params) { p.Budgets.Matches = testParams().Budgets.Matches })
	f.floodBlock(6 * time.Second)
	f.addNode(nodeSpec{operator: "op", suns: 100})
	budget := int(testParams().Budgets.Retries)
	honest := f.rich("honest")
	for blocks := 0; len(f.live(waiting)) == 0; blocks++ {
		require.LessOrEqual(t, blocks, size/budget+1)
		id := f.leaseOf(honest)
		w := f.floodBlock(time.Millisecond)
		require.Len(t, f.live(id), 1)
		require.LessOrEqual(t, w.tried(t), budget+1)
		require.LessOrEqual(t, w.operations, uint64((budget+1)*operationsPerMatch))
	}
	require.True(t, f.get(flood[0]).Lease.Money.Totals.RetryFees.IsPositive(), "waiting for nothing costs")
}

// An order that changes back and forth leaves nothing behind: each replica that waits stands in one queue, once.
func TestUpdatePingPongFillsNoQueue(t *testing.T) {
	f := newFixture(t)
	id := f.flood(f.tenant, 100)[0]
	for block := range 5 {
		for i := range 10 {
			f.update(id, func(m *types.MsgUpdateLease) { m.Replicas = uint32(100 - i%2*50) })
			f.update(id, func(m *types.MsgUpdateLease) { m.MaxPrice = uint64(1 + i%2) })
			f.fund(id, f.tenant, 1)
		}
		require.Equal(t, 1, entries(f, f.k.LeaseUpdateQueue), "block %d", block)
		require.LessOrEqual(t, entries(f, f.k.NewRequestQueue)+entries(f, f.k.RetryQueue), 100)
		f.NextBlock(time.Second)
		require.Equal(t, 1, entries(f, f.k.LeaseDueQueue))
	}
	f.close(id)
	f.NextBlock(time.Second)
	require.Zero(t, entries(f, f.k.NewRequestQueue)+entries(f, f.k.RetryQueue)+entries(f, f.k.LeaseDueQueue))
}

// An update pays gas for the replicas that the end blocker will end, replace or add.
func TestUpdatesPayForTheWorkTheyCause(t *testing.T) {
	f := newFixture(t)
	id := f.flood(f.tenant, 1)[0]
	gas := func(change func(*types.MsgUpdateLease)) uint64 {
		msg := &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number}
		change(msg)
		var used uint64
		_, err := f.Deliver(func(ctx sdk.Context) error {
			_, err := f.msgs.UpdateLease(ctx, msg)
			used = ctx.GasMeter().GasConsumed()
			return err
		})
		require.NoError(t, err)
		return used
	}
	same := gas(func(m *types.MsgUpdateLease) { m.MaxPrice = 2 })
	require.Less(t, same, uint64(types.ReplicaGas*5))
	require.Greater(t, gas(func(m *types.MsgUpdateLease) { m.Replicas = 100 }), uint64(types.ReplicaGas*99))
	f.NextBlock(time.Second)
	require.Greater(t, gas(func(m *types.MsgUpdateLease) { m.Demand = f.demand(2_000) }), uint64(types.ReplicaGas*100))
	require.Greater(t, gas(func(m *types.MsgUpdateLease) { m.Replicas = 1 }), uint64(types.ReplicaGas*99))
}
