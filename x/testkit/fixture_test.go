package testkit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/testkit"
)

func TestVirtualSendsAreCreditedOnce(t *testing.T) {
	f := testkit.New(t, testkit.Options{})
	alice := testkit.Addr("alice")
	f.Fund(alice, 1_000)
	supply := f.Supply()

	for _, amount := range []int64{100, 23} {
		_, err := f.Deliver(func(ctx sdk.Context) error {
			return f.Bank.SendCoinsFromAccountToModuleVirtual(ctx, alice, "suns", testkit.Coins(amount))
		})
		require.NoError(t, err)
	}
	require.EqualValues(t, 877, f.Balance(alice))
	require.Zero(t, f.ModuleBalance("suns"))

	f.NextBlock(time.Second)
	require.EqualValues(t, 123, f.ModuleBalance("suns"))
	f.NextBlock(time.Second)
	require.EqualValues(t, 123, f.ModuleBalance("suns"))
	require.Equal(t, supply, f.Supply())
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	f := testkit.New(t, testkit.Options{})
	alice := testkit.Addr("alice")
	f.Fund(alice, 1_000)
	failure := errors.New("refused")

	_, err := f.Deliver(func(ctx sdk.Context) error {
		require.NoError(t, f.Bank.SendCoinsFromAccountToModuleVirtual(ctx, alice, "suns", testkit.Coins(100)))
		return failure
	})
	require.ErrorIs(t, err, failure)
	f.NextBlock(time.Second)
	require.EqualValues(t, 1_000, f.Balance(alice))
	require.Zero(t, f.ModuleBalance("suns"))
}

func TestBlocksRunInOrder(t *testing.T) {
	f := testkit.New(t, testkit.Options{})
	var ran []string
	note := func(what string) testkit.Blocker {
		return func(context.Context) error { ran = append(ran, what); return nil }
	}
	f.OnBeginBlock(note("begin"))
	f.OnEndBlock(note("lease"), note("suns"))
	f.OnBlockDone(note("check"))

	start := f.Ctx.BlockTime()
	f.NextBlock(2 * time.Second)
	require.Equal(t, []string{"lease", "suns", "check", "begin"}, ran)
	require.EqualValues(t, 2, f.Ctx.BlockHeight())
	require.Equal(t, start.Add(2*time.Second), f.Ctx.BlockTime())
	require.Equal(t, testkit.HeaderHash(2), f.Ctx.HeaderHash())
	require.NotEqual(t, testkit.HeaderHash(1), testkit.HeaderHash(2))

	f.Advance(3500*time.Millisecond, time.Second)
	require.EqualValues(t, 6, f.Ctx.BlockHeight())
	require.Equal(t, start.Add(5500*time.Millisecond), f.Ctx.BlockTime())
}
