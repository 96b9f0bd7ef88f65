package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// joinEpoch settles a node's earlier share and, if the node qualifies, counts it into the running epoch's pool. It runs in
// transactions: what concerns the pool waits for the block's end.
func (k Keeper) joinEpoch(ctx context.Context, node sunstypes.Node, epoch uint64) error {
	key, err := node.ID.Key()
	if err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	reward, err := k.reward(ctx, key)
	if err != nil {
		return err
	}
	settled, err := k.settle(ctx, &reward, epoch)
	if err != nil {
		return err
	}
	if reward.Epoch == 0 && params.Qualifies(node, epoch) {
		reward.Epoch, settled.Counted = epoch, true
	}
	return k.saveShare(ctx, key, reward, settled)
}

// withdraw settles what can be settled and queues what the node has accrued. It runs in transactions.
func (k Keeper) withdraw(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	epoch, err := k.suns.CurrentEpoch(ctx)
	if err != nil {
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
	if err := k.saveShare(ctx, key, reward, settled); err != nil {
		return err
	}
	if !reward.Accrued.IsPositive() {
		return nil
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	return k.PayoutQueue.PushOnce(ctx, k.PayoutPlaces, now, key)
}

// settle moves a node's share of a closed epoch to what it has accrued, and says what is to be counted as claimed of that
// epoch. A share whose time to be claimed is over is gone, and an epoch that had nothing to divide gave none. It writes
// nothing.
func (k Keeper) settle(ctx context.Context, reward *types.NodeAuditReward, running uint64) (types.PendingShare, error) {
	settled := types.NewPendingShare()
	if reward.Epoch == 0 || reward.Epoch >= running {
		return settled, nil
	}
	epoch := reward.Epoch
	reward.Epoch = 0
	pool, err := k.EpochPools.Get(ctx, epoch)
	if errors.Is(err, collections.ErrNotFound) {
		return settled, nil
	}
	if err != nil {
		return settled, err
	}
	reward.Accrued = reward.Accrued.Add(pool.PerNode)
	settled.SettledEpoch, settled.SettledAmount = epoch, pool.PerNode
	return settled, nil
}

// saveShare stores a node's side and adds to what it leaves for the block's end.
func (k Keeper) saveShare(ctx context.Context, key sunstypes.NodeKey, reward types.NodeAuditReward, more types.PendingShare) error {
	if err := k.setReward(ctx, key, reward); err != nil {
		return err
	}
	if !more.Counted && more.SettledEpoch == 0 {
		return nil
	}
	share, err := k.PendingShares.Get(ctx, key)
	share, err = orElse(share, err, types.NewPendingShare())
	if err != nil {
		return err
	}
	share.Counted = share.Counted || more.Counted
	if more.SettledEpoch != 0 {
		if share.SettledEpoch != 0 {
			// Epochs close at the end of blocks, so within one block a node has at most one to settle.
			return types.ErrSettledTwice.Wrapf("epochs %d and %d", share.SettledEpoch, more.SettledEpoch)
		}
		share.SettledEpoch, share.SettledAmount = more.SettledEpoch, more.SettledAmount
	}
	return k.PendingShares.Set(ctx, key, share)
}

func (k Keeper) reward(ctx context.Context, key sunstypes.NodeKey) (types.NodeAuditReward, error) {
	reward, err := k.Rewards.Get(ctx, key)
	return orElse(reward, err, types.NewNodeAuditReward())
}

// setReward stores a node's side, or removes one that holds nothing.
func (k Keeper) setReward(ctx context.Context, key sunstypes.NodeKey, reward types.NodeAuditReward) error {
	if reward.IsEmpty() {
		return k.Rewards.Remove(ctx, key)
	}
	return k.Rewards.Set(ctx, key, reward)
}

// countPendingShares counts the shares and settlements that the block's transactions left. There are at most as many as the
// block has transactions.
func (k Keeper) countPendingShares(ctx context.Context) error {
	shares, err := k.takePendingShares(ctx)
	if err != nil || len(shares) == 0 {
		return err
	}
	epoch, err := k.suns.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	for _, share := range shares {
		failure := duequeue.Isolated(ctx, func(ctx context.Context) error { return k.countShare(ctx, share.Value, epoch.Number) })
		if failure == nil {
			continue
		}
		if err := k.quarantineShare(ctx, share.Key, failure); err != nil {
			return err
		}
	}
	return nil
}

// takePendingShares gives all pending shares and removes them.
func (k Keeper) takePendingShares(ctx context.Context) ([]collections.KeyValue[sunstypes.NodeKey, types.PendingShare], error) {
	it, err := k.PendingShares.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	shares, err := it.KeyValues()
	if err != nil {
		return nil, err
	}
	for _, share := range shares {
		if err := k.PendingShares.Remove(ctx, share.Key); err != nil {
			return nil, err
		}
	}
	return shares, nil
}

// countShare counts a node into the running epoch, and its settlement as claimed. Called in the end blocker only.
func (k Keeper) countShare(ctx context.Context, share types.PendingShare, running uint64) error {
	if share.SettledEpoch != 0 {
		if err := k.claim(ctx, share.SettledEpoch, share.SettledAmount); err != nil {
			return err
		}
	}
	if !share.Counted {
		return nil
	}
	pool, err := k.Pool.Get(ctx)
	if err != nil {
		return err
	}
	if pool.SharingEpoch != running {
		pool.SharingEpoch, pool.SharingNodes = running, 0
	}
	pool.SharingNodes++
	return k.Pool.Set(ctx, pool)
}

// claim counts what a node settled of a closed epoch.
func (k Keeper) claim(ctx context.Context, epoch uint64, amount math.Int) error {
	pool, err := k.EpochPools.Get(ctx, epoch)
	if err != nil {
		return err
	}
	if amount.GT(pool.Unclaimed()) {
		return types.ErrBrokenInvariant.Wrapf("epoch %d: %s claimed of the last %s", epoch, amount, pool.Unclaimed())
	}
	pool.Claimed = pool.Claimed.Add(amount)
	return k.EpochPools.Set(ctx, epoch, pool)
}

func (k Keeper) quarantineShare(ctx context.Context, key sunstypes.NodeKey, failure error) error {
	encoded := make([]byte, sunstypes.NodeKeyCodec.Size(key))
	if _, err := sunstypes.NodeKeyCodec.Encode(encoded, key); err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	item, err := k.Quarantine.Add(ctx, duequeue.QuarantinedItem{
		Queue: types.PendingSharesName, Item: describeNode(key), Key: encoded, Error: failure.Error(),
		Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), DueMs: now,
	})
	if err != nil {
		return err
	}
	return emitQuarantined(ctx, item)
}

func describeNode(key sunstypes.NodeKey) string { return sunstypes.NodeIDFromKey(key).String() }

func emitQuarantined(ctx context.Context, item duequeue.QuarantinedItem) error {
	return emit(ctx, &types.EventItemQuarantined{Number: item.Number, Queue: item.Queue, Item: item.Item, Error: item.Error})
}
