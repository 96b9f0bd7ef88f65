package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// setDeadline moves a node to one place in the deadline queue. Both records belong to the node, so a transaction may do it.
func (k *Keeper) setDeadline(ctx context.Context, key types.NodeKey, dueMs uint64) error {
	if err := k.clearDeadline(ctx, key); err != nil {
		return err
	}
	if err := k.Deadlines.Set(ctx, key, dueMs); err != nil {
		return err
	}
	return k.DeadlineQueue.Push(ctx, dueMs, key)
}

// clearDeadline takes a node out of the deadline queue.
func (k *Keeper) clearDeadline(ctx context.Context, key types.NodeKey) error {
	due, err := orZero(k.Deadlines.Get(ctx, key))
	if err != nil || due == 0 {
		return err
	}
	if err := k.Deadlines.Remove(ctx, key); err != nil {
		return err
	}
	return k.DeadlineQueue.Remove(ctx, due, key)
}

// lookAt looks at a node whose deadline is due. One that was heard from in time gets a later deadline: check-ins never touch
// the queue, so the queue is behind. One that was not is unresponsive and loses its placements.
func (k *Keeper) lookAt(ctx context.Context, key types.NodeKey, dueMs uint64) error {
	if deadline, err := orZero(k.Deadlines.Get(ctx, key)); err != nil || deadline != dueMs {
		return err
	}
	node, err := k.Nodes.Get(ctx, key)
	if err != nil {
		return err
	}
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	last, silentAt, err := k.silentAt(ctx, key)
	if err != nil {
		return err
	}
	if silentAt > now {
		return k.setDeadline(ctx, key, silentAt)
	}
	if err := k.clearDeadline(ctx, key); err != nil {
		return err
	}
	node.Status = types.NODE_STATUS_UNRESPONSIVE
	if err := k.Nodes.Set(ctx, key, node); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventNodeUnresponsive{
		Operator: node.ID.Operator, Number: node.ID.Number, LastCheckInMs: last,
	}); err != nil {
		return err
	}
	if err := k.hooks.AfterNodeChanged(ctx, node.ID); err != nil {
		return err
	}
	return k.hooks.AfterNodeLost(ctx, node.ID, types.LossSilent)
}

// silentAt gives when a node was last heard from and when it counts as silent.
func (k *Keeper) silentAt(ctx context.Context, key types.NodeKey) (last, silentAt uint64, err error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return 0, 0, err
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return 0, 0, err
	}
	last, err = orZero(k.CheckIns.Get(ctx, key))
	return last, params.SilentAtMs(last, load), err
}
