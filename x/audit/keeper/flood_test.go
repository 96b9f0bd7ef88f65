package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// operations ends a block and counts what its end did on the stores.
func (f *fixture) operations() (uint64, sdk.Events) {
	f.T.Helper()
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(f.Ctx))
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager()).
		WithGasMeter(storetypes.NewInfiniteGasMeter()).WithKVGasConfig(storetypes.GasConfig{
		HasCost: 1, DeleteCost: 1, ReadCostFlat: 1, WriteCostFlat: 1, IterNextCostFlat: 1,
	})
	require.NoError(f.T, f.keeper.EndBlock(ctx))
	f.suns.now++
	f.Commit(time.Second)
	return ctx.GasMeter().GasConsumed(), ctx.EventManager().Events()
}

// attestGas is what an attestation of so many entries costs in x/audit itself.
func (f *fixture) attestGas(node sunstypes.Node, sequence uint64, entries int) uint64 {
	f.T.Helper()
	msg := attestMsg(node, sequence)
	for i := range entries {
		msg.Entries = append(msg.Entries, usage(uint64(i+1), 10*sequence))
	}
	var gas uint64
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.AttestUsage(ctx, msg)
		gas = ctx.GasMeter().GasConsumed()
		return err
	})
	require.NoError(f.T, err)
	return gas
}

// The largest attestation pays for each of its entries; what it pays besides is less than one more.
func TestAttestationsPayByTheEntry(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	none := f.attestGas(node, 1, 0)
	half := f.attestGas(f.addNode("half"), 1, types.MaxEntries/2)
	all := f.attestGas(f.addNode("all"), 1, types.MaxEntries)
	perEntry := (half - none) / (types.MaxEntries / 2)
	require.InDelta(t, float64(half-none), float64(all-half), float64(all)/5)
	require.Greater(t, perEntry, uint64(2_000), "in x/audit alone, without the transaction's size and x/lease's part")
	// What is attested again costs the bytes that are read and written, however often.
	again := f.attestGas(node, 2, types.MaxEntries)
	require.InDelta(t, float64(all), float64(again), float64(all)/5)
	t.Logf("%d gas for none, %d for an entry, %d for %d", none, perEntry, all, types.MaxEntries)
}

// What the end of a block may take for each node that checked in, and for each that is paid.
const (
	operationsPerShare  = 12
	operationsPerPayout = 30
)

// Every node checks in within one block, then every operator withdraws in one block, and again while the others wait: the
// shares cost their own records, a block pays its budget, and everybody is paid once.
func TestFloodOfSharesAndPayouts(t *testing.T) {
	f := newFixture(t)
	const count, budget = 100, 40
	require.NoError(t, f.keeper.UpdateParams(f.Ctx, f.Authority.String(), func() types.Params {
		params := types.DefaultParams()
		params.MaxPayoutsPerBlock = budget
		return params
	}()))
	nodes := make([]sunstypes.Node, count)
	for i := range nodes {
		nodes[i] = f.addNode(fmt.Sprintf("operator %d", i))
		f.checkIn(nodes[i])
	}
	used, _ := f.operations()
	require.LessOrEqual(t, used, uint64(count*operationsPerShare))
	f.FundModule(types.ModuleName, 100*count)
	f.closeEpoch()
	paid := 0
	for paid < count {
		for _, node := range nodes {
			f.withdraw(node)
		}
		used, events := f.operations()
		now := len(testkit.EventsOf[types.EventAuditRewardsPaid](t, events))
		require.Equal(t, min(budget, count-paid), now)
		// The first block counts the settlements of all withdrawals too.
		require.LessOrEqual(t, used, uint64(budget*operationsPerPayout+count*operationsPerShare))
		paid += now
	}
	for _, node := range nodes {
		require.EqualValues(t, 100, f.operatorBalance(node))
	}
	used, _ = f.operations()
	require.Less(t, used, uint64(10), "nothing is left")
}
