package app

import (
	"context"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// emissionSource says how much of the emission is due to the validators now, in uisc, and takes it as given out.
type emissionSource interface {
	TakeValidatorEmission(ctx context.Context) (math.Int, error)
}

// mintValidatorEmission replaces x/mint's inflation: the schedule of x/suns, fixed at genesis, is the only source of new
// coins, and the validators' share of it reaches them as fees do. What is taken is minted in the same step, so the schedule
// and the supply cannot part.
func mintValidatorEmission(source emissionSource) mintkeeper.MintFn {
	return func(ctx sdk.Context, mint *mintkeeper.Keeper) error {
		amount, err := source.TakeValidatorEmission(ctx)
		if err != nil {
			return fmt.Errorf("take the validators' emission: %w", err)
		}
		if !amount.IsPositive() {
			return nil
		}
		coins := sdk.NewCoins(sdk.NewCoin(sunstypes.BaseDenom, amount))
		if err := mint.MintCoins(ctx, coins); err != nil {
			return fmt.Errorf("mint the validators' emission: %w", err)
		}
		if err := mint.AddCollectedFees(ctx, coins); err != nil {
			return fmt.Errorf("hand out the validators' emission: %w", err)
		}
		return nil
	}
}
