package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// NowMs is the chain clock: milliseconds since genesis, less what exceeded max_gap between blocks.
func (k *Keeper) NowMs(ctx context.Context) (uint64, error) {
	clock, err := k.Clock.Get(ctx)
	return clock.NowMs, err
}

// advanceClock moves the chain clock by min(block time − last block time, max_gap). The first block only sets where it
// starts from. Block times are compared in whole milliseconds since 1970, so no part of a millisecond is lost by rounding
// each difference.
func (k *Keeper) advanceClock(ctx context.Context) error {
	clock, err := k.Clock.Get(ctx)
	if err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime()
	if !clock.LastBlockTime.IsZero() {
		if gap := now.UnixMilli() - clock.LastBlockTime.UnixMilli(); gap > 0 {
			clock.NowMs += min(uint64(gap), types.Ms(params.MaxGap))
		}
	}
	clock.LastBlockTime = now
	return k.Clock.Set(ctx, clock)
}
