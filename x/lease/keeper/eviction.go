package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/indexes"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// evictionBatch is how many placements of one node are moved at a time: a node that is lost or drains is an entry of a
// queue, handled in batches over as many blocks as it takes.
const evictionBatch = 32

// lostFirst is before every time of the chain's clock at which something drains.
const lostFirst = 0

// evictedPlacements names single placements of a batch in the quarantine.
const evictedPlacements = "evicted_placements"

// queueEviction has a node's placements leave, or stay after all when the reason is unspecified. A later reason replaces an
// earlier one: a draining node that falls silent is silent.
func (k *Keeper) queueEviction(ctx context.Context, id sunstypes.NodeID, reason types.EndReason) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	earlier, err := k.Evictions.Get(ctx, key)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default: // a node stands in the queue once, however often its operator changes his mind
		if err := k.EvictionQueue.Remove(ctx, evictionDueMs(earlier), key); err != nil {
			return err
		}
	}
	eviction := types.NodeEviction{Node: id, Reason: reason, SinceMs: now}
	if err := k.Evictions.Set(ctx, key, eviction); err != nil {
		return err
	}
	return k.EvictionQueue.Push(ctx, evictionDueMs(eviction), key)
}

// evictionDueMs is a node's place in the queue. Nodes that are lost come before all that drain or resume: their tenants have
// nothing, and an operator who drains and resumes many nodes block after block must not keep them waiting.
func evictionDueMs(eviction types.NodeEviction) uint64 {
	switch eviction.Reason {
	case types.END_REASON_NODE_SILENT, types.END_REASON_NODE_RETIRED:
		return lostFirst
	default:
		return eviction.SinceMs
	}
}

// moveEvicted works off the queue of evictions. The budget counts placements, so a node with few does not cost a batch.
func (k *Keeper) moveEvicted(ctx context.Context, now uint64, budget uint32) error {
	moved := uint32(0)
	return processCosts(ctx, k, k.EvictionQueue, now, budget, nodeName, &moved,
		func(ctx context.Context, node sunstypes.NodeKey, _ uint64) error {
			return k.evictionDue(ctx, node, &moved)
		})
}

// evictionDue moves a batch of a node's placements and says how many.
func (k *Keeper) evictionDue(ctx context.Context, node sunstypes.NodeKey, moved *uint32) error {
	eviction, err := k.Evictions.Get(ctx, node)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	batch, err := k.nodePlacements(ctx, node, eviction.Cursor, evictionBatch)
	if err != nil {
		return err
	}
	*moved = uint32(len(batch))
	for _, key := range batch {
		failure := duequeue.Isolated(ctx, func(ctx context.Context) error { return k.evict(ctx, key, eviction) })
		if failure == nil {
			continue
		}
		if err := k.quarantineEviction(ctx, key, eviction, failure); err != nil {
			return err
		}
	}
	if len(batch) < evictionBatch {
		return k.Evictions.Remove(ctx, node)
	}
	last := types.PlacementIDFromKey(batch[len(batch)-1])
	eviction.Cursor = &last
	if err := k.Evictions.Set(ctx, node, eviction); err != nil {
		return err
	}
	return k.EvictionQueue.Push(ctx, evictionDueMs(eviction), node)
}

// quarantineEviction keeps a placement that could not be moved, so that it does not hold the node's others.
func (k *Keeper) quarantineEviction(
	ctx context.Context, key types.PlacementKey, eviction types.NodeEviction, failure error,
) error {
	encoded, err := collections.EncodeKeyWithPrefix(nil, types.PlacementKeyCodec, key)
	if err != nil {
		return err
	}
	item, err := k.Quarantine.Add(ctx, duequeue.QuarantinedItem{
		Queue: evictedPlacements, Item: placementName(key), Key: encoded, Error: failure.Error(),
		Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), DueMs: eviction.SinceMs,
	})
	if err != nil {
		return err
	}
	return emitQuarantined(ctx, item)
}

// nodePlacements lists a node's unsettled placements behind a cursor, at most limit.
func (k *Keeper) nodePlacements(
	ctx context.Context, node sunstypes.NodeKey, cursor *types.PlacementID, limit int,
) ([]types.PlacementKey, error) {
	rng := collections.NewPrefixedPairRange[sunstypes.NodeKey, types.PlacementKey](node)
	if cursor != nil {
		key, err := cursor.Key()
		if err != nil {
			return nil, err
		}
		rng = rng.StartExclusive(key)
	}
	it, err := k.Placements.Indexes.ByNode.Iterate(ctx, rng)
	if err != nil {
		return nil, err
	}
	return firstKeys(it, limit)
}

func firstKeys(
	it indexes.MultiIterator[sunstypes.NodeKey, types.PlacementKey], limit int,
) (keys []types.PlacementKey, err error) {
	defer it.Close()
	for ; it.Valid() && len(keys) < limit; it.Next() {
		key, err := it.PrimaryKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// evict moves one placement.
func (k *Keeper) evict(ctx context.Context, key types.PlacementKey, eviction types.NodeEviction) error {
	p, err := k.Placements.Get(ctx, key)
	if err != nil {
		return err
	}
	// A node that came back meanwhile may have been matched again while batches were left.
	if !p.Live() || p.Ending() || p.MatchedMs > eviction.SinceMs {
		return nil
	}
	b, err := k.openBook(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return err
	}
	switch {
	case eviction.Reason == types.END_REASON_UNSPECIFIED:
		err = k.stopDraining(ctx, b, key, p)
	case eviction.Reason == types.END_REASON_NODE_DRAINED && p.Status == types.PLACEMENT_STATUS_RUNNING:
		err = k.startDraining(ctx, b, key, p, eviction.SinceMs)
	default:
		err = k.endPlacement(ctx, b, p, eviction.Reason, eviction.SinceMs)
	}
	if err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// startDraining lets a placement run until its replacement starts or the grace is over.
func (k *Keeper) startDraining(ctx context.Context, b *book, key types.PlacementKey, p types.Placement, since uint64) error {
	if p.DrainDeadlineMs != 0 {
		return nil
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	p.DrainDeadlineMs = since + types.Ms(params.DrainGrace)
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.PlacementDueQueue.Push(ctx, p.DrainDeadlineMs, key); err != nil {
		return err
	}
	if b.lease.Open() && p.ID.Replica < b.lease.Replicas {
		if err := k.queueRequest(ctx, b, p.ID.Replica, p.ID.Generation); err != nil {
			return err
		}
	}
	return emit(ctx, &types.EventPlacementDraining{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		DeadlineMs: p.DrainDeadlineMs,
	})
}

// stopDraining keeps a placement where it is. A replacement that is already assigned may still start and take over.
func (k *Keeper) stopDraining(ctx context.Context, b *book, key types.PlacementKey, p types.Placement) error {
	if p.DrainDeadlineMs == 0 {
		return nil
	}
	if err := k.leaveDueQueue(ctx, key, p); err != nil {
		return err
	}
	p.DrainDeadlineMs = 0
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.joinDueQueue(ctx, key, p); err != nil {
		return err
	}
	request, err := k.Requests.Get(ctx, requestKey(b.key, p.ID.Replica))
	if errors.Is(err, collections.ErrNotFound) || err == nil && request.Replaces != p.ID.Generation {
		return nil
	}
	if err != nil {
		return err
	}
	return k.removeRequest(ctx, b, request)
}
