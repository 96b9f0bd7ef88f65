package keeper

import (
	"context"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// payRewards pays the withdrawals that are due, within the block's budget. What does not fit waits for the next block.
func (k Keeper) payRewards(ctx context.Context) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	_, err = k.PayoutQueue.Process(ctx, now, duequeue.Run[sunstypes.NodeKey]{
		Budget:      params.MaxPayoutsPerBlock,
		Describe:    describeNode,
		Handle:      func(ctx context.Context, key sunstypes.NodeKey, _ uint64) error { return k.pay(ctx, key) },
		Quarantine:  k.Quarantine,
		Quarantined: emitQuarantined,
	})
	return err
}

// pay pays what a node has accrued to its operator. A node that asked twice, or is gone, has nothing left: no error. Called
// in the end blocker only.
func (k Keeper) pay(ctx context.Context, key sunstypes.NodeKey) error {
	reward, err := k.reward(ctx, key)
	if err != nil || !reward.Accrued.IsPositive() {
		return err
	}
	pool, err := k.Pool.Get(ctx)
	if err != nil {
		return err
	}
	amount := reward.Accrued
	if err := k.bank.SendCoins(ctx, k.address(), key.K1(), types.Coins(amount)); err != nil {
		return err
	}
	reward.Accrued = math.ZeroInt()
	if err := k.setReward(ctx, key, reward); err != nil {
		return err
	}
	pool.Owed, pool.Distributed = pool.Owed.Sub(amount), pool.Distributed.Add(amount)
	if err := k.Pool.Set(ctx, pool); err != nil {
		return err
	}
	return emit(ctx, &types.EventAuditRewardsPaid{Operator: key.K1().String(), Node: key.K2(), Amount: amount.String()})
}
