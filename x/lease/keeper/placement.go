package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// GetPlacement finds an unsettled placement: ErrPlacementSettled when it is history, ErrPlacementNotFound when unknown.
func (k *Keeper) GetPlacement(ctx context.Context, id types.PlacementID) (types.PlacementKey, types.Placement, error) {
	key, err := id.Key()
	if err != nil {
		return key, types.Placement{}, err
	}
	placement, err := k.Placements.Get(ctx, key)
	if !errors.Is(err, collections.ErrNotFound) {
		return key, placement, err
	}
	settled, err := k.History.Has(ctx, key)
	if err != nil {
		return key, placement, err
	}
	if settled {
		return key, placement, types.ErrPlacementSettled.Wrapf("placement %s", id)
	}
	return key, placement, types.ErrPlacementNotFound.Wrapf("placement %s", id)
}

// leasePlacements lists a lease's unsettled placements, by replica and generation.
func (k *Keeper) leasePlacements(ctx context.Context, key types.LeaseKey) ([]types.Placement, error) {
	it, err := k.Placements.Iterate(ctx,
		collections.NewSuperPrefixedQuadRange[sdk.AccAddress, uint64, uint32, uint64](key.K1(), key.K2()))
	if err != nil {
		return nil, err
	}
	return it.Values()
}

// placementsOf lists the unsettled placements of one replica, by generation.
func (k *Keeper) placementsOf(ctx context.Context, key types.LeaseKey, replica uint32) ([]types.Placement, error) {
	it, err := k.Placements.Iterate(ctx,
		collections.NewSuperPrefixedQuadRange3[sdk.AccAddress, uint64, uint32, uint64](key.K1(), key.K2(), replica))
	if err != nil {
		return nil, err
	}
	return it.Values()
}

// openPlacements lists a lease's unsettled placements, without opening an iterator for one that has none.
func (k *Keeper) openPlacements(ctx context.Context, b *book) ([]types.Placement, error) {
	if b.lease.OpenPlacements == 0 {
		return nil, nil
	}
	return k.leasePlacements(ctx, b.key)
}

// replicaPlacement finds the placement of a replica that holds its node and is not draining, or ErrNothingToMigrate.
func (k *Keeper) replicaPlacement(ctx context.Context, id types.LeaseID, replica uint32) (types.PlacementKey, types.Placement, error) {
	key, err := id.Key()
	if err != nil {
		return types.PlacementKey{}, types.Placement{}, err
	}
	placements, err := k.placementsOf(ctx, key, replica)
	if err != nil {
		return types.PlacementKey{}, types.Placement{}, err
	}
	for _, p := range placements {
		if p.Live() && p.DrainDeadlineMs == 0 && !p.Ending() {
			key, err := p.ID.Key()
			return key, p, err
		}
	}
	return types.PlacementKey{}, types.Placement{}, types.ErrNothingToMigrate.Wrapf("lease %s replica %d", id, replica)
}

// placeReplica reserves a node and the first hour for a request. End blocker only.
func (k *Keeper) placeReplica(ctx context.Context, b *book, request types.Request, found fit, params types.Params) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	image, err := k.images.GetImage(ctx, b.lease.Image)
	if err != nil {
		return err
	}
	p := types.Placement{
		ID: types.PlacementID{
			Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number, Replica: request.Replica, Generation: b.lease.NextGeneration,
		},
		Node: found.node.ID, Status: types.PLACEMENT_STATUS_ASSIGNED, Image: b.lease.Image, Digest: image.Digest,
		Price: found.node.AskPrice, Royalty: image.Royalty,
		GeneralMilliSuns: b.lease.Demand.GeneralMilliSuns, Devices: found.devices, MilliSuns: found.milliSuns,
		PeriodMs: types.Ms(params.BillingPeriod), MatchedMs: now, StartDeadlineMs: now + types.Ms(params.StartDeadline),
		Replaces: request.Replaces, SpecRevision: b.lease.SpecRevision,
	}
	b.lease.NextGeneration++
	b.lease.LivePlacements++
	b.lease.OpenPlacements++
	b.lease.WaitingReplicas--
	if err := k.stopWaiting(ctx, b); err != nil {
		return err
	}
	first := p.Rate().Reserve(0, p.PeriodMs)
	first.EndMs = 0 // its hour begins at the start
	b.money.Balance = b.money.Balance.Sub(first.Total())
	key, err := p.ID.Key()
	if err != nil {
		return err
	}
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.Billings.Set(ctx, key, types.NewBilling(first)); err != nil {
		return err
	}
	if err := k.Requests.Remove(ctx, requestKey(b.key, request.Replica)); err != nil {
		return err
	}
	if err := k.PlacementDueQueue.Push(ctx, p.StartDeadlineMs, key); err != nil {
		return err
	}
	if err := k.suns.Reserve(ctx, p.Node, p.GeneralMilliSuns, p.DeviceIDs()); err != nil {
		return err
	}
	if err := k.reindexNodeID(ctx, p.Node); err != nil {
		return err
	}
	return emit(ctx, &types.EventPlacementMatched{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		Operator: p.Node.Operator, Node: p.Node.Number, Price: p.Price, MilliSuns: p.MilliSuns,
	})
}

func (k *Keeper) reindexNodeID(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	return k.reindexNode(ctx, key)
}

// startPlacement begins a placement's first hour, or changes the endpoints of one that runs. It runs in a transaction of
// the node's agent and writes only records of the placement and the node.
func (k *Keeper) startPlacement(ctx context.Context, key types.PlacementKey, p types.Placement, endpoints []types.Endpoint) error {
	if !p.Live() || p.Ending() {
		return types.ErrPlacementEnded.Wrapf("placement %s", p.ID)
	}
	p.Endpoints = endpoints
	if p.Status == types.PLACEMENT_STATUS_RUNNING {
		if err := k.Placements.Set(ctx, key, p); err != nil {
			return err
		}
		return emit(ctx, &types.EventEndpointsChanged{
			Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		})
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	if now > p.StartDeadlineMs {
		return types.ErrStartTooLate.Wrapf("placement %s had until %d ms, it is %d ms", p.ID, p.StartDeadlineMs, now)
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	if err := k.leaveDueQueue(ctx, key, p); err != nil {
		return err
	}
	p.Status = types.PLACEMENT_STATUS_RUNNING
	p.StartedMs = now
	p.TrialEndMs = now + types.Ms(params.TrialPeriod)
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.PlacementDueQueue.Push(ctx, now+p.PeriodMs, key); err != nil {
		return err
	}
	if err := k.afterStart(ctx, key, p, now); err != nil {
		return err
	}
	return emit(ctx, &types.EventPlacementStarted{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		Operator: p.Node.Operator, Node: p.Node.Number,
	})
}

// afterStart leaves to the end blocker that the draining placement it replaces ends, and forgives the node.
func (k *Keeper) afterStart(ctx context.Context, key types.PlacementKey, p types.Placement, now uint64) error {
	if p.Replaces != 0 {
		if err := k.requestReplaced(ctx, collections.Join4(key.K1(), key.K2(), key.K3(), p.Replaces)); err != nil {
			return err
		}
	}
	return k.forgiveNode(ctx, p.Node)
}

// requestEnd marks a live placement to be ended by the end blocker, which alone may release its node.
func (k *Keeper) requestEnd(ctx context.Context, key types.PlacementKey, p types.Placement, reason types.EndReason, detail string) error {
	if !p.Live() || p.Ending() {
		return types.ErrPlacementEnded.Wrapf("placement %s", p.ID)
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	p.EndReason, p.EndDetail, p.EndedMs = reason, detail, now
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	return k.EndingQueue.Push(ctx, now, key)
}

// requestReplaced ends a draining placement whose replacement has started, unless it ended before.
func (k *Keeper) requestReplaced(ctx context.Context, key types.PlacementKey) error {
	p, err := k.Placements.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil || !p.Live() || p.Ending() {
		return err
	}
	return k.requestEnd(ctx, key, p, types.END_REASON_NODE_DRAINED, "")
}

// endingDue ends a placement that a transaction ended: rejected, migrated, or replaced by one that started. It ended when
// the transaction ran, however long the queue was.
func (k *Keeper) endingDue(ctx context.Context, key types.PlacementKey, _ uint64) error {
	p, err := k.Placements.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !p.Ending() {
		return nil
	}
	b, err := k.openBook(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return err
	}
	if err := k.endPlacement(ctx, b, p, p.EndReason, p.EndedMs); err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// endPlacement ends a live placement at a time that has come: it gives back the node and what was reserved for the seconds
// after the end, and queues a replacement where the order still wants one. End blocker only; the caller saves the book.
func (k *Keeper) endPlacement(ctx context.Context, b *book, p types.Placement, reason types.EndReason, atMs uint64) error {
	key, err := p.ID.Key()
	if err != nil {
		return err
	}
	if err := k.leaveDueQueue(ctx, key, p); err != nil {
		return err
	}
	b.work++
	started := p.Status == types.PLACEMENT_STATUS_RUNNING
	noteStarts(&b.lease, []types.Placement{p})
	p.Status = types.PLACEMENT_STATUS_ENDED
	p.EndReason = reason
	p.EndedMs = max(atMs, p.StartedMs, p.MatchedMs)
	b.lease.LivePlacements--
	if err := k.suns.Release(ctx, p.Node, p.GeneralMilliSuns, p.DeviceIDs()); err != nil {
		return err
	}
	if err := k.reindexNodeID(ctx, p.Node); err != nil {
		return err
	}
	billing, err := k.loadBilling(ctx, key, p)
	if err != nil {
		return err
	}
	if err := k.cutSpans(ctx, b, p, &billing); err != nil {
		return err
	}
	event := &types.EventPlacementEnded{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		Reason: reason, EndedMs: p.EndedMs,
	}
	if err := emit(ctx, event); err != nil {
		return err
	}
	if err := k.settleLater(ctx, b, key, p, billing); err != nil {
		return err
	}
	if err := k.noteFailure(ctx, b, p, reason, started); err != nil {
		return err
	}
	return k.replace(ctx, b, p, reason)
}

// settleLater keeps an ended placement until its last hour is settled, or makes it history at once when nothing is open.
func (k *Keeper) settleLater(
	ctx context.Context, b *book, key types.PlacementKey, p types.Placement, billing types.PlacementBilling,
) error {
	if len(billing.Spans) == 0 {
		return k.finalize(ctx, b, key, p, billing)
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	if err := k.Placements.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.saveBilling(ctx, key, p, billing); err != nil {
		return err
	}
	return k.PlacementDueQueue.Push(ctx, billing.Spans[0].EndMs+settleGrace(params, p), key)
}

// replace queues a request for the replica of a placement that ended, unless the tenant no longer wants it or one waits or
// runs already.
func (k *Keeper) replace(ctx context.Context, b *book, p types.Placement, reason types.EndReason) error {
	if reason == types.END_REASON_MIGRATED {
		b.lease.FailedNodes = appendNode(b.lease.FailedNodes, p.Node)
	}
	if !b.lease.Open() || p.ID.Replica >= b.lease.Replicas || reason == types.END_REASON_SCALED_DOWN {
		return nil
	}
	placements, err := k.placementsOf(ctx, b.key, p.ID.Replica)
	if err != nil {
		return err
	}
	var replaces uint64
	for _, other := range placements {
		if !other.Live() || other.ID.Generation == p.ID.Generation {
			continue
		}
		if other.ID.Generation != p.Replaces || other.DrainDeadlineMs == 0 {
			return nil // the replacement is on its way, or the drain was called off
		}
		replaces = p.Replaces // p was to replace a draining one, which still runs
	}
	request, err := k.Requests.Get(ctx, requestKey(b.key, p.ID.Replica))
	switch {
	case errors.Is(err, collections.ErrNotFound):
		if err := k.queueRequest(ctx, b, p.ID.Replica, replaces); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		request.Replaces = replaces
		if err := k.Requests.Set(ctx, requestKey(b.key, p.ID.Replica), request); err != nil {
			return err
		}
		if err := k.startWaiting(ctx, b); err != nil {
			return err
		}
	}
	if reason == types.END_REASON_UNFUNDED {
		return k.markUnfunded(ctx, b)
	}
	return nil
}

// appendNode adds a node to a bounded list without repeats; the oldest is forgotten.
func appendNode(nodes []sunstypes.NodeID, node sunstypes.NodeID) []sunstypes.NodeID {
	for _, known := range nodes {
		if known.Equal(node) {
			return nodes
		}
	}
	nodes = append(nodes, node)
	if len(nodes) > types.MaxFailedNodes {
		nodes = nodes[len(nodes)-types.MaxFailedNodes:]
	}
	return nodes
}

// finalize makes a settled placement history and, when it was the last of a closing lease, refunds the tenant.
func (k *Keeper) finalize(
	ctx context.Context, b *book, key types.PlacementKey, p types.Placement, billing types.PlacementBilling,
) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	p.Status = types.PLACEMENT_STATUS_SETTLED
	p.PruneMs = now + types.Ms(params.Retention)
	if err := k.Placements.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.History.Set(ctx, key, p); err != nil {
		return err
	}
	if err := k.dropService(ctx, key, p); err != nil {
		return err
	}
	if err := k.Billings.Set(ctx, key, billing); err != nil {
		return err
	}
	if err := k.PlacementPruneQueue.Push(ctx, p.PruneMs, key); err != nil {
		return err
	}
	b.lease.OpenPlacements--
	if b.lease.Status == types.LEASE_STATUS_CLOSING && b.lease.OpenPlacements == 0 {
		if err := k.LeaseUpdateQueue.Push(ctx, now, b.key); err != nil {
			return err
		}
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterPlacementSettled(ctx, key, p.Node)
}

// prunePlacement forgets a settled placement.
func (k *Keeper) prunePlacement(ctx context.Context, key types.PlacementKey) error {
	if err := k.History.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.Billings.Remove(ctx, key); err != nil {
		return err
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterPlacementPruned(ctx, types.PlacementIDFromKey(key))
}
