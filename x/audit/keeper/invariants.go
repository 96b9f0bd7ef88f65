package keeper

import (
	"context"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// claims are what nodes can still take.
type claims struct {
	// accrued is settled and not paid.
	accrued math.Int
	// pending is settled in this block and not counted as claimed yet, by epoch.
	pending map[uint64]math.Int
	// joined counts the nodes that await their share, by epoch.
	joined map[uint64]uint64
	// uncounted counts the nodes that joined the running epoch in this block.
	uncounted uint64
	// latest is the latest epoch a node joined.
	latest uint64
}

// AllInvariants says what of the state contradicts itself. It reads everything, so only genesis, tests and simulations call
// it. It holds at the end of a block, after all end blockers, and between transactions.
func (k Keeper) AllInvariants(ctx context.Context) error {
	pool, err := k.Pool.Get(ctx)
	if err != nil {
		return err
	}
	claims, err := k.gatherClaims(ctx)
	if err != nil {
		return err
	}
	if err := k.checkOwed(ctx, pool, claims); err != nil {
		return err
	}
	if err := k.checkSharing(ctx, pool, claims); err != nil {
		return err
	}
	return nil
}

func (k Keeper) gatherClaims(ctx context.Context) (claims, error) {
	c := claims{accrued: math.ZeroInt(), pending: make(map[uint64]math.Int), joined: make(map[uint64]uint64)}
	err := k.Rewards.Walk(ctx, nil, func(_ sunstypes.NodeKey, reward types.NodeAuditReward) (bool, error) {
		c.accrued = c.accrued.Add(reward.Accrued)
		if reward.Epoch != 0 {
			c.joined[reward.Epoch]++
			c.latest = max(c.latest, reward.Epoch)
		}
		return false, nil
	})
	if err != nil {
		return c, err
	}
	err = k.PendingShares.Walk(ctx, nil, func(_ sunstypes.NodeKey, share types.PendingShare) (bool, error) {
		if share.Counted {
			c.uncounted++
		}
		if share.SettledEpoch != 0 {
			c.pending[share.SettledEpoch] = c.pendingOf(share.SettledEpoch).Add(share.SettledAmount)
		}
		return false, nil
	})
	return c, err
}

func (c claims) pendingOf(epoch uint64) math.Int {
	if amount, ok := c.pending[epoch]; ok {
		return amount
	}
	return math.ZeroInt()
}

// checkOwed: what is owed is what nodes accrued and what epochs still hold for them, every epoch holds enough for those who
// await their share, and the account covers it.
func (k Keeper) checkOwed(ctx context.Context, pool types.PoolState, c claims) error {
	sum := c.accrued
	err := k.EpochPools.Walk(ctx, nil, func(epoch uint64, closed types.EpochPool) (bool, error) {
		left := closed.Unclaimed().Sub(c.pendingOf(epoch))
		sum = sum.Add(left)
		if due := closed.PerNode.Mul(math.NewIntFromUint64(c.joined[epoch])); due.GT(left) {
			return true, types.ErrBrokenInvariant.Wrapf("epoch %d holds %s for %d nodes that await %s each",
				epoch, left, c.joined[epoch], closed.PerNode)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if !sum.Equal(pool.Owed) {
		return types.ErrBrokenInvariant.Wrapf("owed is %s, but nodes and epochs add up to %s", pool.Owed, sum)
	}
	if balance := k.Balance(ctx); balance.LT(pool.Owed) {
		return types.ErrBrokenInvariant.Wrapf("the account holds %s of %s owed", balance, pool.Owed)
	}
	return nil
}

// checkSharing: the nodes counted in the running epoch are those that joined it.
func (k Keeper) checkSharing(ctx context.Context, pool types.PoolState, c claims) error {
	epoch, err := k.suns.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	if c.latest > epoch.Number {
		return types.ErrBrokenInvariant.Wrapf("a node shares in epoch %d, the running one is %d", c.latest, epoch.Number)
	}
	counted := c.uncounted
	if pool.SharingEpoch == epoch.Number {
		counted += pool.SharingNodes
	}
	if counted != c.joined[epoch.Number] {
		return types.ErrBrokenInvariant.Wrapf("%d nodes are counted in epoch %d, %d joined it",
			counted, epoch.Number, c.joined[epoch.Number])
	}
	return nil
}
