package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// returners are what takes quarantined items back: every queue, and the evictions for single placements of a batch.
func (k *Keeper) returners() []duequeue.Returner {
	return []duequeue.Returner{
		k.LeaseUpdateQueue, k.NewRequestQueue, k.RetryQueue, k.EndingQueue, k.EvictionQueue, k.PlacementDueQueue,
		k.LeaseDueQueue, k.NodeBackoffQueue, k.PlacementPruneQueue, k.LeasePruneQueue, k.ReindexQueue,
		evictedReturner{k},
	}
}

// evictedReturner takes back single placements that could not be moved with the others of their node.
type evictedReturner struct{ k *Keeper }

// Name implements duequeue.Returner.
func (evictedReturner) Name() string { return evictedPlacements }

// Return has the placement's node looked through again: moving what has been moved does nothing. The node may have come
// back, or left for good, since, so the reason is what it is now; the time is when it was to be moved first, so that the
// tenant is not billed for the wait. A placement that has ended meanwhile needs nothing.
func (r evictedReturner) Return(ctx context.Context, item duequeue.QuarantinedItem) error {
	id, err := decodePlacement(item)
	if err != nil {
		return err
	}
	p, err := r.k.Placements.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	node, err := p.Node.Key()
	if err != nil {
		return err
	}
	eviction, err := r.k.Evictions.Get(ctx, node)
	if errors.Is(err, collections.ErrNotFound) {
		reason, failure := r.reason(ctx, p.Node)
		eviction, err = types.NodeEviction{Node: p.Node, Reason: reason, SinceMs: item.DueMs}, failure
	}
	if err != nil {
		return err
	}
	eviction.Cursor = nil
	if err := r.k.Evictions.Set(ctx, node, eviction); err != nil {
		return err
	}
	return r.k.EvictionQueue.Push(ctx, eviction.SinceMs, node)
}

func decodePlacement(item duequeue.QuarantinedItem) (types.PlacementKey, error) {
	read, key, err := types.PlacementKeyCodec.Decode(item.Key)
	if err != nil || read != len(item.Key) {
		return key, duequeue.ErrInvalidKey.Wrapf("item %d of %s: %x", item.Number, item.Queue, item.Key)
	}
	return key, nil
}

// reason is why a node's placements must leave now; unspecified if they may stay.
func (r evictedReturner) reason(ctx context.Context, id sunstypes.NodeID) (types.EndReason, error) {
	node, err := r.k.suns.GetNode(ctx, id)
	if err != nil {
		return types.END_REASON_UNSPECIFIED, err
	}
	switch node.Status {
	case sunstypes.NODE_STATUS_ACTIVE:
		return types.END_REASON_UNSPECIFIED, nil
	case sunstypes.NODE_STATUS_DRAINING:
		return types.END_REASON_NODE_DRAINED, nil
	case sunstypes.NODE_STATUS_RETIRED:
		return types.END_REASON_NODE_RETIRED, nil
	default:
		return types.END_REASON_NODE_SILENT, nil
	}
}
