package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func (k *Keeper) reward(ctx context.Context, key types.NodeKey) (types.NodeReward, error) {
	reward, err := orZero(k.Rewards.Get(ctx, key))
	if reward.Accrued.IsNil() {
		reward.Accrued = math.ZeroInt()
	}
	return reward, err
}

// settle moves what a closed epoch owes a node to what the node has accrued, and gives what must be counted as claimed of
// that epoch. An epoch whose time to claim is over owes nothing. Nothing is written here.
func (k *Keeper) settle(ctx context.Context, reward *types.NodeReward, running types.Epoch) (types.PendingCheckIn, error) {
	settled := types.PendingCheckIn{SettledAmount: math.ZeroInt()}
	if reward.Epoch == 0 || reward.Epoch >= running.Number {
		return settled, nil
	}
	epoch, weight := reward.Epoch, reward.Weight
	reward.Epoch, reward.Weight = 0, 0
	closed, err := k.EpochRewards.Get(ctx, epoch)
	if errors.Is(err, collections.ErrNotFound) {
		return settled, nil
	}
	if err != nil {
		return settled, err
	}
	if amount := types.RewardOf(weight, closed.RewardPerWeight); amount.IsPositive() {
		settled.SettledEpoch, settled.SettledAmount = epoch, amount
		reward.Accrued = reward.Accrued.Add(amount)
	}
	return settled, nil
}

// claim counts what nodes have settled of a closed epoch. Called in the end blocker only.
func (k *Keeper) claim(ctx context.Context, epoch uint64, amount math.Int) error {
	closed, err := k.EpochRewards.Get(ctx, epoch)
	if err != nil {
		return err
	}
	closed.Claimed = closed.Claimed.Add(amount)
	return k.EpochRewards.Set(ctx, epoch, closed)
}

// WithdrawRewards settles what can be settled and queues a node's accrued reward to be paid at the end of the block. It
// gives what will be paid; there may be nothing. It writes only records of the node.
func (k *Keeper) WithdrawRewards(ctx context.Context, id types.NodeID) (math.Int, error) {
	key, _, err := k.node(ctx, id)
	if err != nil {
		return math.Int{}, err
	}
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return math.Int{}, err
	}
	reward, err := k.reward(ctx, key)
	if err != nil {
		return math.Int{}, err
	}
	pending, err := k.settle(ctx, &reward, epoch)
	if err != nil {
		return math.Int{}, err
	}
	if err := k.Rewards.Set(ctx, key, reward); err != nil {
		return math.Int{}, err
	}
	if err := k.addPending(ctx, key, pending); err != nil {
		return math.Int{}, err
	}
	if reward.Accrued.IsPositive() {
		now, err := k.NowMs(ctx)
		if err != nil {
			return math.Int{}, err
		}
		if err := k.PayoutQueue.PushOnce(ctx, k.PayoutPlaces, now, key); err != nil {
			return math.Int{}, err
		}
	}
	return reward.Accrued, k.hooks.AfterRewardsWithdrawn(ctx, id)
}

// pay pays a node's accrued reward to its operator. Called in the end blocker only. A node that was paid already, or is
// gone, has nothing.
func (k *Keeper) pay(ctx context.Context, key types.NodeKey) error {
	reward, err := k.reward(ctx, key)
	if err != nil || !reward.Accrued.IsPositive() {
		return err
	}
	amount := reward.Accrued
	reward.Accrued = math.ZeroInt()
	if err := k.Rewards.Set(ctx, key, reward); err != nil {
		return err
	}
	pool := k.accounts.GetModuleAddress(types.RewardPoolName)
	if err := k.bank.SendCoins(ctx, pool, key.K1(), types.Coins(amount)); err != nil {
		return err
	}
	return emit(ctx, &types.EventRewardsPaid{Operator: key.K1().String(), Number: key.K2(), Amount: amount.String()})
}
