package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

var (
	_ sunstypes.Hooks  = Hooks{}
	_ leasetypes.Hooks = Hooks{}
)

// Hooks follow nodes, epochs and placements.
type Hooks struct{ keeper Keeper }

// Hooks are what x/suns and x/lease call.
func (k Keeper) Hooks() Hooks { return Hooks{keeper: k} }

// BeforeParamsChanged refuses a silence limit that nodes which attest in time would miss: governance shortens the interval
// first.
func (h Hooks) BeforeParamsChanged(ctx context.Context, suns sunstypes.Params) error {
	params, err := h.keeper.GetParams(ctx)
	if err != nil {
		return err
	}
	return params.ValidateWith(suns)
}

// AfterNodeCheckedIn settles the node's earlier share and counts it into the running epoch.
func (h Hooks) AfterNodeCheckedIn(ctx context.Context, node sunstypes.Node, epoch uint64) error {
	return h.keeper.joinEpoch(ctx, node, epoch)
}

// AfterRewardsWithdrawn settles the node's share and queues its payment.
func (h Hooks) AfterRewardsWithdrawn(ctx context.Context, id sunstypes.NodeID) error {
	return h.keeper.withdraw(ctx, id)
}

// AfterEpochClosed divides the audit pool.
func (h Hooks) AfterEpochClosed(ctx context.Context, epoch uint64) error {
	return h.keeper.closeEpoch(ctx, epoch)
}

// AfterNodeRemoved pays what the node still has and forgets it.
func (h Hooks) AfterNodeRemoved(ctx context.Context, id sunstypes.NodeID) error {
	return h.keeper.removeNode(ctx, id)
}

// AfterPlacementSettled keeps the placement's usage by itself.
func (h Hooks) AfterPlacementSettled(ctx context.Context, key leasetypes.PlacementKey, node sunstypes.NodeID) error {
	return h.keeper.settleUsage(ctx, key, node)
}

// AfterPlacementPruned forgets the placement's usage.
func (h Hooks) AfterPlacementPruned(ctx context.Context, id leasetypes.PlacementID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	return h.keeper.Usages.Remove(ctx, key)
}

// AfterNodeChanged does nothing: what a node qualifies for is looked at when it checks in.
func (Hooks) AfterNodeChanged(context.Context, sunstypes.NodeID) error { return nil }

// AfterNodeLost does nothing: a share the node checked in for stays its own.
func (Hooks) AfterNodeLost(context.Context, sunstypes.NodeID, sunstypes.LossReason) error { return nil }

// AfterNodeDraining does nothing: draining nodes share.
func (Hooks) AfterNodeDraining(context.Context, sunstypes.NodeID) error { return nil }

// AfterNodeResumed does nothing.
func (Hooks) AfterNodeResumed(context.Context, sunstypes.NodeID) error { return nil }

// removeNode settles and pays what a node can still have, gives up its part in the running epoch and removes its records.
// Called in the end blocker only, so the pool is changed at once.
func (k Keeper) removeNode(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	epoch, err := k.suns.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	if err := k.countLeftShare(ctx, key, epoch.Number); err != nil {
		return err
	}
	reward, err := k.reward(ctx, key)
	if err != nil {
		return err
	}
	settled, err := k.settle(ctx, &reward, epoch.Number)
	if err != nil {
		return err
	}
	if err := k.countShare(ctx, settled, epoch.Number); err != nil {
		return err
	}
	if err := k.uncount(ctx, reward.Epoch); err != nil {
		return err
	}
	reward.Epoch = 0
	if err := k.setReward(ctx, key, reward); err != nil {
		return err
	}
	if err := k.pay(ctx, key); err != nil {
		return err
	}
	if err := k.PayoutPlaces.Remove(ctx, key); err != nil {
		return err
	}
	return k.Attestations.Remove(ctx, key)
}

// countLeftShare counts what a node left in this block, if the end blocker has not.
func (k Keeper) countLeftShare(ctx context.Context, key sunstypes.NodeKey, running uint64) error {
	share, err := k.PendingShares.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := k.PendingShares.Remove(ctx, key); err != nil {
		return err
	}
	return k.countShare(ctx, share, running)
}

// uncount takes a node out of an epoch that is not divided yet, so that the others share its part. In the block that closed
// the epoch the count is 0 already, and a share that was promised is pruned with its epoch.
func (k Keeper) uncount(ctx context.Context, epoch uint64) error {
	pool, err := k.Pool.Get(ctx)
	if err != nil {
		return err
	}
	if epoch == 0 || pool.SharingEpoch != epoch || pool.SharingNodes == 0 {
		return nil
	}
	pool.SharingNodes--
	return k.Pool.Set(ctx, pool)
}
