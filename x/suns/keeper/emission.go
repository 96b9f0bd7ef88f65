package keeper

import (
	"context"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// RecordBurn counts uisc that left the supply, for the app's bank adapter of staking and governance. Called in begin and end
// blockers only: the count is shared.
func (k *Keeper) RecordBurn(ctx context.Context, amount math.Int) error {
	if amount.IsNil() || amount.IsNegative() {
		return types.ErrInvalidAmount.Wrap("a burn must not be negative")
	}
	if amount.IsZero() {
		return nil
	}
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return err
	}
	state.Burned = state.Burned.Add(amount)
	return k.Emission.Set(ctx, state)
}

// TakeValidatorEmission gives what x/mint must mint now, and counts it as minted. It may be 0.
func (k *Keeper) TakeValidatorEmission(ctx context.Context) (math.Int, error) {
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return math.Int{}, err
	}
	due := state.DueToValidators
	if due.IsZero() {
		return due, nil
	}
	state.MintedToValidators = state.MintedToValidators.Add(due)
	state.DueToValidators = math.ZeroInt()
	return due, k.Emission.Set(ctx, state)
}

// mintFor mints an epoch's emission: the nodes' part now, less what nobody claimed of earlier epochs, and the validators'
// part when x/mint takes it. It gives what the nodes get.
func (k *Keeper) mintFor(ctx context.Context, epoch types.Epoch, params types.Params) (minted, error) {
	schedule, err := k.EmissionSchedule.Get(ctx)
	if err != nil {
		return minted{}, err
	}
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return minted{}, err
	}
	emission := schedule.ForEpoch(epoch.StartMs, types.Ms(params.EpochDuration), schedule.HardCap.Sub(state.Minted()))
	recycled := math.MinInt(state.Unclaimed, emission.ToNodes)
	m := minted{
		toNodes: emission.ToNodes, fresh: emission.ToNodes.Sub(recycled), recycled: recycled,
		toValidators: emission.ToValidators,
	}
	if m.fresh.IsPositive() {
		if err := k.bank.MintCoins(ctx, types.RewardPoolName, types.Coins(m.fresh)); err != nil {
			return minted{}, err
		}
	}
	state.Unclaimed = state.Unclaimed.Sub(recycled)
	state.MintedToNodes = state.MintedToNodes.Add(m.fresh)
	state.DueToValidators = state.DueToValidators.Add(m.toValidators)
	return m, k.Emission.Set(ctx, state)
}

// minted is how an epoch's emission came about, in uisc: toNodes is fresh and recycled together.
type minted struct{ toNodes, fresh, recycled, toValidators math.Int }

func nothingMinted() minted {
	return minted{toNodes: math.ZeroInt(), fresh: math.ZeroInt(), recycled: math.ZeroInt(), toValidators: math.ZeroInt()}
}
