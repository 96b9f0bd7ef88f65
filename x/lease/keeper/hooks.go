package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// SunsHooks follow what happens to nodes.
type SunsHooks struct{ k *Keeper }

var _ sunstypes.Hooks = SunsHooks{}

// SunsHooks are the keeper's hooks for x/suns.
func (k *Keeper) SunsHooks() SunsHooks { return SunsHooks{k} }

// BeforeParamsChanged does nothing.
func (h SunsHooks) BeforeParamsChanged(context.Context, sunstypes.Params) error { return nil }

// AfterNodeChanged has the end blocker index the node anew.
func (h SunsHooks) AfterNodeChanged(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	now, err := h.k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	return h.k.ReindexQueue.Push(ctx, now, key)
}

// AfterNodeLost moves the node's placements at once.
func (h SunsHooks) AfterNodeLost(ctx context.Context, id sunstypes.NodeID, reason sunstypes.LossReason) error {
	if reason == sunstypes.LossRetired {
		return h.k.queueEviction(ctx, id, types.END_REASON_NODE_RETIRED)
	}
	return h.k.queueEviction(ctx, id, types.END_REASON_NODE_SILENT)
}

// AfterNodeDraining moves the node's placements as their replacements start.
func (h SunsHooks) AfterNodeDraining(ctx context.Context, id sunstypes.NodeID) error {
	return h.k.queueEviction(ctx, id, types.END_REASON_NODE_DRAINED)
}

// AfterNodeResumed keeps the node's placements.
func (h SunsHooks) AfterNodeResumed(ctx context.Context, id sunstypes.NodeID) error {
	return h.k.queueEviction(ctx, id, types.END_REASON_UNSPECIFIED)
}

// AfterNodeCheckedIn does nothing.
func (h SunsHooks) AfterNodeCheckedIn(context.Context, sunstypes.Node, uint64) error { return nil }

// AfterRewardsWithdrawn does nothing.
func (h SunsHooks) AfterRewardsWithdrawn(context.Context, sunstypes.NodeID) error { return nil }

// AfterEpochClosed does nothing.
func (h SunsHooks) AfterEpochClosed(context.Context, uint64) error { return nil }

// AfterNodeRemoved forgets the node.
func (h SunsHooks) AfterNodeRemoved(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	if err := h.k.Standings.Remove(ctx, key); err != nil {
		return err
	}
	if err := h.k.Evictions.Remove(ctx, key); err != nil {
		return err
	}
	return h.k.reindexNode(ctx, key)
}
