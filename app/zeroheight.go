package app

import (
	"errors"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
)

// prepareForZeroHeight changes the state at hand so that its export can begin a chain at height 1: rewards that are
// reckoned by heights are paid out and their books opened anew, and every height that is kept becomes 0. Our own modules
// reckon on the chain clock, which goes on where it stood.
func (app *App) prepareForZeroHeight(ctx sdk.Context, jailExcept []string) error {
	keep, err := operatorSet(jailExcept)
	if err != nil {
		return err
	}
	validators, err := app.StakingKeeper.GetAllValidators(ctx)
	if err != nil {
		return err
	}
	delegations, err := app.StakingKeeper.GetAllDelegations(ctx)
	if err != nil {
		return err
	}

	if err := app.payOutRewards(ctx, validators, delegations); err != nil {
		return fmt.Errorf("pay out rewards: %w", err)
	}
	// What is written from here on is written as if before the first block.
	zero := ctx.WithBlockHeight(0)
	if err := app.reopenRewards(zero, validators, delegations); err != nil {
		return fmt.Errorf("open the rewards' books: %w", err)
	}
	if err := app.resetStakingHeights(zero, validators, keep); err != nil {
		return fmt.Errorf("reset the heights of stake: %w", err)
	}
	return app.resetSigningInfos(zero)
}

// payOutRewards withdraws every commission and every delegator's rewards, then drops the periods they were reckoned by.
func (app *App) payOutRewards(
	ctx sdk.Context, validators []stakingtypes.Validator, delegations []stakingtypes.Delegation,
) error {
	for _, validator := range validators {
		operator, err := sdk.ValAddressFromBech32(validator.OperatorAddress)
		if err != nil {
			return err
		}
		_, err = app.DistrKeeper.WithdrawValidatorCommission(ctx, operator)
		if err != nil && !errors.Is(err, distrtypes.ErrNoValidatorCommission) {
			return err
		}
	}
	for _, delegation := range delegations {
		delegator, operator, err := delegationParties(delegation)
		if err != nil {
			return err
		}
		if _, err := app.DistrKeeper.WithdrawDelegationRewards(ctx, delegator, operator); err != nil {
			return err
		}
	}
	app.DistrKeeper.DeleteAllValidatorSlashEvents(ctx)
	app.DistrKeeper.DeleteAllValidatorHistoricalRewards(ctx)
	return nil
}

// reopenRewards gives what rounding left behind to the community pool and starts every validator's and delegation's
// reckoning anew.
func (app *App) reopenRewards(
	ctx sdk.Context, validators []stakingtypes.Validator, delegations []stakingtypes.Delegation,
) error {
	hooks := app.DistrKeeper.Hooks()
	for _, validator := range validators {
		operator, err := sdk.ValAddressFromBech32(validator.OperatorAddress)
		if err != nil {
			return err
		}
		rest, err := app.DistrKeeper.GetValidatorOutstandingRewardsCoins(ctx, operator)
		if err != nil {
			return err
		}
		pool, err := app.DistrKeeper.FeePool.Get(ctx)
		if err != nil {
			return err
		}
		pool.CommunityPool = pool.CommunityPool.Add(rest...)
		if err := app.DistrKeeper.FeePool.Set(ctx, pool); err != nil {
			return err
		}
		if err := hooks.AfterValidatorCreated(ctx, operator); err != nil {
			return err
		}
	}
	for _, delegation := range delegations {
		delegator, operator, err := delegationParties(delegation)
		if err != nil {
			return err
		}
		if err := hooks.BeforeDelegationCreated(ctx, delegator, operator); err != nil {
			return err
		}
		if err := hooks.AfterDelegationModified(ctx, delegator, operator); err != nil {
			return err
		}
	}
	return nil
}

// resetStakingHeights zeroes the heights of unbondings and validators, and jails whoever is not to be kept.
func (app *App) resetStakingHeights(
	ctx sdk.Context, validators []stakingtypes.Validator, keep map[string]bool,
) error {
	if err := app.resetUnbondings(ctx); err != nil {
		return err
	}
	for _, validator := range validators {
		validator.UnbondingHeight = 0
		if len(keep) > 0 && !keep[validator.OperatorAddress] && !validator.Jailed {
			// A jailed validator must not stand in the index that the next validator set is drawn from.
			if err := app.StakingKeeper.DeleteValidatorByPowerIndex(ctx, validator); err != nil {
				return err
			}
			validator.Jailed = true
		}
		if err := app.StakingKeeper.SetValidator(ctx, validator); err != nil {
			return err
		}
	}
	_, err := app.StakingKeeper.ApplyAndReturnValidatorSetUpdates(ctx)
	return err
}

func (app *App) resetUnbondings(ctx sdk.Context) error {
	var failed error
	err := app.StakingKeeper.IterateRedelegations(ctx, func(_ int64, red stakingtypes.Redelegation) bool {
		for i := range red.Entries {
			red.Entries[i].CreationHeight = 0
		}
		failed = app.StakingKeeper.SetRedelegation(ctx, red)
		return failed != nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	err = app.StakingKeeper.IterateUnbondingDelegations(ctx, func(_ int64, ubd stakingtypes.UnbondingDelegation) bool {
		for i := range ubd.Entries {
			ubd.Entries[i].CreationHeight = 0
		}
		failed = app.StakingKeeper.SetUnbondingDelegation(ctx, ubd)
		return failed != nil
	})
	return errors.Join(err, failed)
}

// resetSigningInfos makes every validator's time of signing begin with the new chain.
func (app *App) resetSigningInfos(ctx sdk.Context) error {
	var failed error
	err := app.SlashingKeeper.IterateValidatorSigningInfos(
		ctx,
		func(validator sdk.ConsAddress, info slashingtypes.ValidatorSigningInfo) bool {
			info.StartHeight = 0
			failed = app.SlashingKeeper.SetValidatorSigningInfo(ctx, validator, info)
			return failed != nil
		},
	)
	return errors.Join(err, failed)
}

func delegationParties(delegation stakingtypes.Delegation) (sdk.AccAddress, sdk.ValAddress, error) {
	delegator, err := sdk.AccAddressFromBech32(delegation.DelegatorAddress)
	if err != nil {
		return nil, nil, err
	}
	operator, err := sdk.ValAddressFromBech32(delegation.ValidatorAddress)
	return delegator, operator, err
}
