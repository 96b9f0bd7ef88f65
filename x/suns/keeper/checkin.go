package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

// checkInsQueue is what the quarantine calls a block's check-ins that could not be counted.
const checkInsQueue = "check_ins"

// RecordCheckIn notes that a node is alive: for MsgCheckIn and for x/audit's attestations. It brings an unresponsive node
// back, and at the first check-in of an epoch settles the reward of an earlier one and freezes the node's weight in this
// one. It writes only records of the node.
func (k *Keeper) RecordCheckIn(ctx context.Context, id types.NodeID) error {
	key, node, err := k.liveNode(ctx, id)
	if err != nil {
		return err
	}
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	if err := k.CheckIns.Set(ctx, key, now); err != nil {
		return err
	}
	if node.Status == types.NODE_STATUS_UNRESPONSIVE {
		if node, err = k.recoverNode(ctx, key, node); err != nil {
			return err
		}
	}
	return k.countCheckIn(ctx, key, node)
}

func (k *Keeper) recoverNode(ctx context.Context, key types.NodeKey, node types.Node) (types.Node, error) {
	node.Status = types.NODE_STATUS_ACTIVE
	if err := k.Nodes.Set(ctx, key, node); err != nil {
		return node, err
	}
	_, silentAt, err := k.silentAt(ctx, key)
	if err != nil {
		return node, err
	}
	if err := k.setDeadline(ctx, key, silentAt); err != nil {
		return node, err
	}
	if err := emit(ctx, &types.EventNodeRecovered{Operator: node.ID.Operator, Number: node.ID.Number}); err != nil {
		return node, err
	}
	return node, k.hooks.AfterNodeChanged(ctx, node.ID)
}

// countCheckIn does what the first check-in of an epoch does.
func (k *Keeper) countCheckIn(ctx context.Context, key types.NodeKey, node types.Node) error {
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	reward, err := k.reward(ctx, key)
	if err != nil || reward.Epoch == epoch.Number {
		return err
	}
	weight, err := k.weight(ctx, node, epoch)
	if err != nil {
		return err
	}
	pending, err := k.settle(ctx, &reward, epoch)
	if err != nil {
		return err
	}
	reward.Epoch, reward.Weight, pending.Weight = epoch.Number, weight, weight
	if err := k.Rewards.Set(ctx, key, reward); err != nil {
		return err
	}
	if err := k.addPending(ctx, key, pending); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventNodeCheckedIn{
		Operator: node.ID.Operator, Number: node.ID.Number, Epoch: epoch.Number, Weight: weight,
	}); err != nil {
		return err
	}
	return k.hooks.AfterNodeCheckedIn(ctx, node, epoch.Number)
}

// weight is what a node counts for in an epoch: nothing in the one it registered in, so that nobody registers for the last
// minute of an epoch, and nothing above the ask that the reward is for.
func (k *Keeper) weight(ctx context.Context, node types.Node, epoch types.Epoch) (uint64, error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return 0, err
	}
	if node.RegisteredEpoch >= epoch.Number || node.AskPrice > params.MaxRewardedAsk || !node.Watched() {
		return 0, nil
	}
	return types.RewardWeight(node.MilliSuns, node.Bond, params.BondPerSuns), nil
}

// addPending leaves something for the block's end to count, beside what the node left earlier in the block.
func (k *Keeper) addPending(ctx context.Context, key types.NodeKey, more types.PendingCheckIn) error {
	if more.Weight == 0 && more.SettledEpoch == 0 {
		return nil
	}
	pending, err := orZero(k.PendingCheckIns.Get(ctx, key))
	if err != nil {
		return err
	}
	if pending.SettledEpoch > 0 && more.SettledEpoch > 0 {
		// Epochs close at the end of blocks, so within one block a node has at most one to settle.
		return types.ErrSettledTwice.Wrapf("epochs %d and %d", pending.SettledEpoch, more.SettledEpoch)
	}
	if more.SettledEpoch > 0 {
		pending.SettledEpoch, pending.SettledAmount = more.SettledEpoch, more.SettledAmount
	}
	if pending.SettledAmount.IsNil() {
		pending.SettledAmount = math.ZeroInt()
	}
	pending.Weight += more.Weight
	return k.PendingCheckIns.Set(ctx, key, pending)
}

// endCheckIns counts the block's check-ins and settlements into their epochs. There are at most as many as the block has
// transactions.
func (k *Keeper) endCheckIns(ctx context.Context) error {
	pending, err := k.takePending(ctx)
	if err != nil || len(pending) == 0 {
		return err
	}
	failure := duequeue.Isolated(ctx, func(ctx context.Context) error { return k.countPending(ctx, pending) })
	if failure == nil {
		return nil
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	return k.quarantine(ctx, duequeue.QuarantinedItem{
		Queue: checkInsQueue, Item: fmt.Sprintf("check-ins of block %d", height), Error: failure.Error(), Height: height,
	})
}

func (k *Keeper) countPending(ctx context.Context, pending []types.PendingCheckIn) error {
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	for _, p := range pending {
		if p.Weight > 0 {
			epoch.TotalWeight = epoch.TotalWeight.Add(math.NewIntFromUint64(p.Weight))
			epoch.Nodes++
		}
		if p.SettledEpoch > 0 {
			if err := k.claim(ctx, p.SettledEpoch, p.SettledAmount); err != nil {
				return err
			}
		}
	}
	return k.Epoch.Set(ctx, epoch)
}

func (k *Keeper) takePending(ctx context.Context) (pending []types.PendingCheckIn, err error) {
	var keys []types.NodeKey
	err = k.PendingCheckIns.Walk(ctx, nil, func(key types.NodeKey, p types.PendingCheckIn) (bool, error) {
		keys, pending = append(keys, key), append(pending, p)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if err := k.PendingCheckIns.Remove(ctx, key); err != nil {
			return nil, err
		}
	}
	return pending, nil
}
