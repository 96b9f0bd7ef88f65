package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// retry puts an item of the quarantine back.
func (f *fixture) retry(number uint64) (sdk.Events, error) {
	f.T.Helper()
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager())
	_, err := f.msg.RetryQuarantined(ctx, &types.MsgRetryQuarantined{Authority: f.Authority.String(), Number: number})
	return ctx.EventManager().Events(), err
}

// A payout that found the account empty is paid in full once the coins are back.
func TestRetriedPayoutIsPaid(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("a")
	f.FundModule(types.ModuleName, 200)
	f.checkIn(node)
	f.closeEpoch()
	f.withdraw(node)
	thief := testkit.Addr("thief")
	require.NoError(t, f.Bank.SendCoins(f.Ctx, f.Accounts.GetModuleAddress(types.ModuleName), thief, testkit.Coins(200)))
	require.NoError(t, f.keeper.EndBlock(f.Ctx))
	require.Zero(t, f.operatorBalance(node))

	require.NoError(t, f.Bank.SendCoins(f.Ctx, thief, f.Accounts.GetModuleAddress(types.ModuleName), testkit.Coins(200)))
	events, err := f.retry(1)
	require.NoError(t, err)
	require.Equal(t, []types.EventQuarantinedItemRetried{{
		Number: 1, Queue: types.PayoutQueueName, Item: node.ID.String(),
	}}, testkit.EventsOf[types.EventQuarantinedItemRetried](t, events))
	require.NoError(t, f.keeper.EndBlock(f.Ctx))
	require.EqualValues(t, 200, f.operatorBalance(node))
	items, last, err := f.keeper.Quarantine.Export(f.Ctx)
	require.NoError(t, err)
	require.Empty(t, items)
	require.EqualValues(t, 1, last, "its number is not given again")
}

func TestWhatCannotBeRetried(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("a")
	require.NoError(t, f.keeper.PendingShares.Set(f.Ctx, mustKey(t, node), types.PendingShare{
		SettledEpoch: 4, SettledAmount: math.NewInt(1),
	}))
	require.NoError(t, f.keeper.EndBlock(f.Ctx))
	_, err := f.retry(1)
	require.ErrorIs(t, err, duequeue.ErrNotRetryable)
	_, err = f.retry(2)
	require.ErrorIs(t, err, duequeue.ErrItemNotFound)
	_, err = f.msg.RetryQuarantined(f.Ctx, &types.MsgRetryQuarantined{Authority: testkit.Addr("x").String(), Number: 1})
	require.ErrorIs(t, err, types.ErrUnauthorized)
}
