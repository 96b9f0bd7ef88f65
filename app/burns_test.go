package app

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// burningBank burns anything, or fails.
type burningBank struct {
	bankkeeper.Keeper
	err error
}

func (b burningBank) BurnCoins(context.Context, string, sdk.Coins) error { return b.err }

// burnLog keeps what was recorded.
type burnLog struct {
	recorded []math.Int
	err      error
}

func (l *burnLog) RecordBurn(_ context.Context, amount math.Int) error {
	l.recorded = append(l.recorded, amount)
	return l.err
}

func TestRecordingBank(t *testing.T) {
	uisc := func(amount int64) sdk.Coin { return sdk.NewInt64Coin(sunstypes.BaseDenom, amount) }
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		coins     sdk.Coins
		bankErr   error
		recordErr error
		recorded  []int64
		err       error
	}{
		"our coin":              {coins: sdk.NewCoins(uisc(7)), recorded: []int64{7}},
		"our part of many":      {coins: sdk.NewCoins(uisc(7), sdk.NewInt64Coin("voucher", 3)), recorded: []int64{7}},
		"another coin":          {coins: sdk.NewCoins(sdk.NewInt64Coin("voucher", 3))},
		"nothing":               {coins: sdk.NewCoins()},
		"a burn that fails":     {coins: sdk.NewCoins(uisc(7)), bankErr: failed, err: failed},
		"a record that fails":   {coins: sdk.NewCoins(uisc(7)), recordErr: failed, recorded: []int64{7}, err: failed},
		"a failed foreign burn": {coins: sdk.NewCoins(sdk.NewInt64Coin("voucher", 3)), bankErr: failed, err: failed},
	} {
		t.Run(name, func(t *testing.T) {
			log := &burnLog{err: c.recordErr}
			bank := newRecordingBank(burningBank{err: c.bankErr}, log)
			require.ErrorIs(t, bank.BurnCoins(context.Background(), "module", c.coins), c.err)
			require.Len(t, log.recorded, len(c.recorded))
			for i, amount := range c.recorded {
				require.Equal(t, math.NewInt(amount), log.recorded[i])
			}
		})
	}
}
