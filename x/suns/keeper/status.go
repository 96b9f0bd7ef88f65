package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// DrainNode begins to move an active node's placements away.
func (k *Keeper) DrainNode(ctx context.Context, id types.NodeID) error {
	node, err := k.move(ctx, id, types.NODE_STATUS_ACTIVE, types.NODE_STATUS_DRAINING)
	if err != nil {
		return err
	}
	if err := emit(ctx, &types.EventNodeDraining{Operator: node.ID.Operator, Number: node.ID.Number}); err != nil {
		return err
	}
	if err := k.hooks.AfterNodeChanged(ctx, node.ID); err != nil {
		return err
	}
	return k.hooks.AfterNodeDraining(ctx, node.ID)
}

// ResumeNode ends a drain.
func (k *Keeper) ResumeNode(ctx context.Context, id types.NodeID) error {
	node, err := k.move(ctx, id, types.NODE_STATUS_DRAINING, types.NODE_STATUS_ACTIVE)
	if err != nil {
		return err
	}
	if err := emit(ctx, &types.EventNodeResumed{Operator: node.ID.Operator, Number: node.ID.Number}); err != nil {
		return err
	}
	if err := k.hooks.AfterNodeChanged(ctx, node.ID); err != nil {
		return err
	}
	return k.hooks.AfterNodeResumed(ctx, node.ID)
}

func (k *Keeper) move(ctx context.Context, id types.NodeID, from, to types.NodeStatus) (types.Node, error) {
	key, node, err := k.node(ctx, id)
	if err != nil {
		return node, err
	}
	if node.Status != from {
		return node, types.ErrNodeStatus.Wrapf("node %s is %s, not %s", id, node.Status, from)
	}
	node.Status = to
	return node, k.Nodes.Set(ctx, key, node)
}

// RetireNode takes a node off the market for good: its placements leave, its reward is paid and its bond returns after the
// unbonding period. It gives when that is, in chain-clock milliseconds. The agent of a node without placements is free at
// once; otherwise it stays, to attest what was served up to the end, until the node is removed or the operator registers
// another node with it.
func (k *Keeper) RetireNode(ctx context.Context, id types.NodeID) (uint64, error) {
	key, node, err := k.liveNode(ctx, id)
	if err != nil {
		return 0, err
	}
	now, err := k.NowMs(ctx)
	if err != nil {
		return 0, err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return 0, err
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return 0, err
	}
	node.Status, node.RetiredMs = types.NODE_STATUS_RETIRED, now
	if load.Placements == 0 {
		node.Agent = ""
	}
	if err := k.Nodes.Set(ctx, key, node); err != nil {
		return 0, err
	}
	if err := k.clearDeadline(ctx, key); err != nil {
		return 0, err
	}
	returnsMs := now + types.Ms(params.UnbondingPeriod)
	if err := k.UnbondingQueue.Push(ctx, returnsMs, key); err != nil {
		return 0, err
	}
	if err := emit(ctx, &types.EventNodeRetired{
		Operator: node.ID.Operator, Number: node.ID.Number, BondReturnsMs: returnsMs,
	}); err != nil {
		return 0, err
	}
	if err := k.hooks.AfterNodeChanged(ctx, node.ID); err != nil {
		return 0, err
	}
	if err := k.hooks.AfterNodeLost(ctx, node.ID, types.LossRetired); err != nil {
		return 0, err
	}
	_, err = k.WithdrawRewards(ctx, node.ID)
	return returnsMs, err
}
