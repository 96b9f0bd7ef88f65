package app

import (
	"context"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// burnRecorder counts what leaves the supply, in uisc, so that the supply can always be explained.
type burnRecorder interface {
	RecordBurn(ctx context.Context, amount math.Int) error
}

// recordingBank is the bank as staking and governance see it: what they burn (slashed stake, vetoed deposits) is recorded.
// Whoever else may ever burn must be given it too.
type recordingBank struct {
	bankkeeper.Keeper
	recorder burnRecorder
}

func newRecordingBank(bank bankkeeper.Keeper, recorder burnRecorder) recordingBank {
	return recordingBank{Keeper: bank, recorder: recorder}
}

// BurnCoins burns and records the part in uisc; an error of either undoes the transaction or the block step.
func (b recordingBank) BurnCoins(ctx context.Context, module string, coins sdk.Coins) error {
	if err := b.Keeper.BurnCoins(ctx, module, coins); err != nil {
		return err
	}
	burned := coins.AmountOf(sunstypes.BaseDenom)
	if burned.IsZero() {
		return nil
	}
	return b.recorder.RecordBurn(ctx, burned)
}
