package keeper

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// book is a lease with its money while block work changes them; save writes both.
type book struct {
	key   types.LeaseKey
	lease types.Lease
	money types.LeaseMoney
	// work counts the placements that were ended and the replicas that were queued.
	work uint32
}

// GetLease finds a lease, or ErrLeaseNotFound.
func (k *Keeper) GetLease(ctx context.Context, id types.LeaseID) (types.Lease, error) {
	key, err := id.Key()
	if err != nil {
		return types.Lease{}, err
	}
	lease, err := k.Leases.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return lease, types.ErrLeaseNotFound.Wrapf("lease %s", id)
	}
	return lease, err
}

func (k *Keeper) openBook(ctx context.Context, key types.LeaseKey) (*book, error) {
	lease, err := k.Leases.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	money, err := k.Money.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return &book{key: key, lease: lease, money: money}, nil
}

func (k *Keeper) saveBook(ctx context.Context, b *book) error {
	if err := k.Leases.Set(ctx, b.key, b.lease); err != nil {
		return err
	}
	return k.Money.Set(ctx, b.key, b.money)
}

// order is a new lease as its tenant asked for it.
type order struct {
	tenant   sdk.AccAddress
	image    uaitypes.Image
	demand   sunstypes.Demand
	replicas uint32
	rules    types.PlacementRules
	maxPrice uint64
	args     []string
	env      []types.EnvVar
	deposit  math.Int

	snapshotEverySeconds, snapshotKeep uint32
}

// createLease writes a new lease, takes its deposit and queues its replicas.
func (k *Keeper) createLease(ctx context.Context, o order) (types.LeaseID, error) {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return types.LeaseID{}, err
	}
	number, err := k.Sequences.Get(ctx, o.tenant)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return types.LeaseID{}, err
	}
	number++
	if err := k.Sequences.Set(ctx, o.tenant, number); err != nil {
		return types.LeaseID{}, err
	}
	if err := k.deposit(ctx, o.tenant, o.deposit); err != nil {
		return types.LeaseID{}, err
	}
	id := types.NewLeaseID(o.tenant, number)
	b := &book{
		key: collections.Join(o.tenant, number),
		lease: types.Lease{
			ID: id, Image: o.image.Ref(), Demand: o.demand, Replicas: o.replicas, Rules: o.rules, MaxPrice: o.maxPrice,
			Args: o.args, Env: o.env, Status: types.LEASE_STATUS_ACTIVE, CreatedMs: now,
			NextGeneration: 1, Revision: 1, SpecRevision: 1,
			SnapshotEverySeconds: o.snapshotEverySeconds, SnapshotKeep: o.snapshotKeep,
		},
		money: types.NewMoney(o.deposit),
	}
	// The transaction queues its replicas itself: it pays for each in gas, and waits behind nobody's updates.
	if err := k.queueRequests(ctx, b, numbers(o.replicas)); err != nil {
		return id, err
	}
	b.lease.ReconciledReplicas = o.replicas
	if err := k.saveBook(ctx, b); err != nil {
		return id, err
	}
	return id, emit(ctx, &types.EventLeaseCreated{
		Tenant: id.Tenant, Number: number, Image: b.lease.Image, Replicas: o.replicas, MaxPrice: o.maxPrice,
		Deposit: o.deposit.String(),
	})
}

// fundLease adds to a balance and wakes a lease that waits for money or was suspended. It writes the money alone, since
// anybody may fund while the tenant's own transactions change the order.
func (k *Keeper) fundLease(ctx context.Context, funder sdk.AccAddress, id types.LeaseID, amount math.Int) (math.Int, error) {
	lease, err := k.GetLease(ctx, id)
	if err != nil {
		return math.Int{}, err
	}
	if !lease.Open() {
		return math.Int{}, types.ErrLeaseEnded.Wrapf("lease %s", id)
	}
	key, err := id.Key()
	if err != nil {
		return math.Int{}, err
	}
	money, err := k.Money.Get(ctx, key)
	if err != nil {
		return math.Int{}, err
	}
	if err := k.deposit(ctx, funder, amount); err != nil {
		return math.Int{}, err
	}
	money.Balance = money.Balance.Add(amount)
	money.Totals.Deposited = money.Totals.Deposited.Add(amount)
	if err := k.Money.Set(ctx, key, money); err != nil {
		return math.Int{}, err
	}
	if lease.Status != types.LEASE_STATUS_ACTIVE {
		if err := k.wake(ctx, key); err != nil {
			return math.Int{}, err
		}
	}
	return money.Balance, emit(ctx, &types.EventLeaseFunded{
		Tenant: id.Tenant, Number: id.Number, Funder: funder.String(), Amount: amount.String(),
	})
}

// wake has the end blocker look at a lease again.
func (k *Keeper) wake(ctx context.Context, key types.LeaseKey) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	return k.LeaseUpdateQueue.Push(ctx, now, key)
}

// updateLease changes an order; the end blocker fits the placements to it. Replicas that wait are matched anew at once, since
// a higher cap or a smaller demand may fit now.
func (k *Keeper) updateLease(ctx context.Context, key types.LeaseKey, lease *types.Lease, msg *types.MsgUpdateLease) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	image, err := k.images.GetImage(ctx, lease.Image)
	if msg.Image != "" && msg.Image != lease.Image {
		image, err = k.orderableImage(ctx, msg.Image, key.K1())
	}
	if err != nil {
		return err
	}
	if err := types.ValidateSnapshotPolicy(msg.SnapshotEverySeconds, msg.SnapshotKeep); err != nil {
		return err
	}
	before := *lease
	lease.Revision++
	if image.Ref() != lease.Image || msg.Demand != nil && !msg.Demand.Equal(&lease.Demand) {
		lease.SpecRevision = lease.Revision
	}
	lease.Image = image.Ref()
	if msg.Demand != nil {
		lease.Demand = *msg.Demand
	}
	if msg.Replicas != 0 {
		lease.Replicas = msg.Replicas
		lease.ReconciledReplicas = min(lease.ReconciledReplicas, msg.Replicas) // what is too much may end before it is fitted
	}
	if msg.MaxPrice != 0 {
		lease.MaxPrice = msg.MaxPrice
	}
	if msg.SnapshotEverySeconds != 0 || msg.ClearSnapshotSchedule {
		lease.SnapshotEverySeconds = msg.SnapshotEverySeconds
	}
	if msg.SnapshotKeep != 0 {
		lease.SnapshotKeep = msg.SnapshotKeep
	}
	if lease.Replicas <= before.Replicas {
		// Governance may have raised the least demand or lowered the most replicas since: the tenant of an older order must
		// still be able to scale it down or reprice it.
		params.MinDemandMilliSuns = min(params.MinDemandMilliSuns, before.Demand.GeneralMilliSuns)
		params.MaxReplicas = max(params.MaxReplicas, before.Replicas)
	}
	if err := validateOrder(params, image, lease.Demand, lease.Replicas, lease.MaxPrice); err != nil {
		return err
	}
	if len(architectures(image, lease.Rules)) == 0 {
		return types.ErrInvalidRules.Wrapf("image %s runs on none of %v", image.Ref(), lease.Rules.Architectures)
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(types.ReplicaGas*changedReplicas(before, *lease), "replicas to change")
	if err := k.Leases.Set(ctx, key, *lease); err != nil {
		return err
	}
	if err := k.requeue(ctx, key); err != nil {
		return err
	}
	if err := k.wake(ctx, key); err != nil {
		return err
	}
	return emit(ctx, &types.EventLeaseUpdated{Tenant: lease.ID.Tenant, Number: lease.ID.Number, Revision: lease.Revision})
}

// changedReplicas counts the replicas that an update ends, replaces or adds.
func changedReplicas(before, after types.Lease) uint64 {
	most, least := max(before.Replicas, after.Replicas), min(before.Replicas, after.Replicas)
	if before.SpecRevision != after.SpecRevision {
		return uint64(most)
	}
	return uint64(most - least)
}

// requestClose marks a lease as closing; the end blocker ends its placements and refunds it.
func (k *Keeper) requestClose(ctx context.Context, key types.LeaseKey, lease *types.Lease, reason string) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	lease.Status = types.LEASE_STATUS_CLOSING
	lease.ClosingMs = now
	lease.CloseReason = reason
	if err := k.Leases.Set(ctx, key, *lease); err != nil {
		return err
	}
	if err := k.LeaseUpdateQueue.Push(ctx, now, key); err != nil {
		return err
	}
	return emit(ctx, &types.EventLeaseClosing{Tenant: lease.ID.Tenant, Number: lease.ID.Number, Reason: reason})
}

// listedPerUnit is how many placements are read for what ending or queueing one costs.
const listedPerUnit = 10

// reconcileLeases works off the queue of leases to fit to their orders. The budget counts replicas that are ended or queued,
// and a tenth of what is read, so that a lease which changes all of its many costs more than one that changes none.
func (k *Keeper) reconcileLeases(ctx context.Context, now uint64, budget uint32) error {
	changed := uint32(0)
	return processCosts(ctx, k, k.LeaseUpdateQueue, now, budget, leaseName, &changed,
		func(ctx context.Context, key types.LeaseKey, _ uint64) error {
			return k.reconcileLease(ctx, key, &changed)
		})
}

// reconcileLease makes a lease's placements and requests what its tenant ordered, and says how many it changed: at most
// max_replicas are ended and as many queued.
func (k *Keeper) reconcileLease(ctx context.Context, key types.LeaseKey, changed *uint32) error {
	b, err := k.openBook(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	placements, err := k.openPlacements(ctx, b)
	if err != nil {
		return err
	}
	b.work = uint32(len(placements)) / listedPerUnit
	noteStarts(&b.lease, placements)
	switch b.lease.Status {
	case types.LEASE_STATUS_CLOSED:
		return nil
	case types.LEASE_STATUS_CLOSING:
		err = k.windDown(ctx, b, placements)
	default:
		err = k.fitReplicas(ctx, b, placements)
	}
	*changed = b.work
	if err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// noteStarts notes that a lease has started somewhere: it runs, so the nodes that failed it before were at fault. A start
// writes its own placement alone, so the lease learns of it when it is next looked at.
func noteStarts(lease *types.Lease, placements []types.Placement) {
	for _, p := range placements {
		lease.Started = lease.Started || p.StartedMs != 0
	}
	if lease.Started {
		lease.EarlyPauses = nil
	}
}

// windDown ends everything of a closing lease; when nothing is left to settle it pays the refund.
func (k *Keeper) windDown(ctx context.Context, b *book, placements []types.Placement) error {
	if err := k.dropRequests(ctx, b, 0); err != nil {
		return err
	}
	for _, p := range placements {
		if p.Live() && !p.Ending() {
			if err := k.endPlacement(ctx, b, p, types.END_REASON_CLOSED, b.lease.ClosingMs); err != nil {
				return err
			}
		}
	}
	if b.lease.OpenPlacements > 0 {
		return nil
	}
	return k.finishClose(ctx, b)
}

// fitReplicas ends what is too many or of an old image or demand, and queues what is missing.
func (k *Keeper) fitReplicas(ctx context.Context, b *book, placements []types.Placement) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	if err := k.dropRequests(ctx, b, b.lease.Replicas); err != nil {
		return err
	}
	for _, p := range placements {
		if !p.Live() || p.Ending() {
			continue
		}
		var reason types.EndReason
		switch {
		case p.ID.Replica >= b.lease.Replicas:
			reason = types.END_REASON_SCALED_DOWN
		case p.SpecRevision < b.lease.SpecRevision:
			reason = types.END_REASON_UPDATED
		default:
			continue
		}
		if err := k.endPlacement(ctx, b, p, reason, now); err != nil {
			return err
		}
	}
	if err := k.queueMissing(ctx, b); err != nil {
		return err
	}
	b.lease.ReconciledReplicas = b.lease.Replicas
	if b.lease.Status != types.LEASE_STATUS_ACTIVE {
		if err := k.resumeLease(ctx, b); err != nil {
			return err
		}
	}
	return k.startWaiting(ctx, b) // what ran may have been scaled down while the rest waits
}

// queueMissing queues every replica that has neither a placement nor a request. It looks at what is there rather than at what
// was there before, since an order may have shrunk and grown again since.
func (k *Keeper) queueMissing(ctx context.Context, b *book) error {
	placements, err := k.openPlacements(ctx, b)
	if err != nil {
		return err
	}
	var requests []types.Request
	if b.lease.WaitingReplicas > 0 {
		if requests, err = k.leaseRequests(ctx, b.key); err != nil {
			return err
		}
	}
	covered := make(map[uint32]bool, b.lease.Replicas)
	for _, p := range placements {
		covered[p.ID.Replica] = covered[p.ID.Replica] || p.Live()
	}
	for _, request := range requests {
		covered[request.Replica] = true
	}
	missing := slices.DeleteFunc(numbers(b.lease.Replicas), func(replica uint32) bool { return covered[replica] })
	return k.queueRequests(ctx, b, missing)
}

// numbers are the numbers of a lease's replicas.
func numbers(replicas uint32) []uint32 {
	all := make([]uint32, replicas)
	for i := range all {
		all[i] = uint32(i)
	}
	return all
}

// resumeLease queues the requests of a lease that waited for money or was suspended.
func (k *Keeper) resumeLease(ctx context.Context, b *book) error {
	b.lease.Status = types.LEASE_STATUS_ACTIVE
	b.lease.EarlyFailures, b.lease.EarlyPauses = 0, nil
	requests, err := k.leaseRequests(ctx, b.key)
	if err != nil {
		return err
	}
	for _, request := range requests {
		if err := k.removeRequest(ctx, b, request); err != nil {
			return err
		}
		if err := k.queueRequest(ctx, b, request.Replica, request.Replaces); err != nil {
			return err
		}
	}
	return emit(ctx, &types.EventLeaseResumed{Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number})
}

// markUnfunded stops the matching of a lease until it is funded.
func (k *Keeper) markUnfunded(ctx context.Context, b *book) error {
	if b.lease.Status != types.LEASE_STATUS_ACTIVE {
		return nil
	}
	b.lease.Status = types.LEASE_STATUS_UNFUNDED
	return emit(ctx, &types.EventLeaseUnfunded{Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number})
}

// startWaiting sets the time by which a lease with nothing running closes.
func (k *Keeper) startWaiting(ctx context.Context, b *book) error {
	if b.lease.LivePlacements > 0 || b.lease.WaitDeadlineMs != 0 || !b.lease.Open() {
		return nil
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	b.lease.WaitDeadlineMs = now + types.Ms(params.MaxWait)
	return k.LeaseDueQueue.Push(ctx, b.lease.WaitDeadlineMs, b.key)
}

// stopWaiting takes a lease out of the queue of those that wait too long.
func (k *Keeper) stopWaiting(ctx context.Context, b *book) error {
	due := b.lease.WaitDeadlineMs
	if due == 0 {
		return nil
	}
	b.lease.WaitDeadlineMs = 0
	return k.LeaseDueQueue.Remove(ctx, due, b.key)
}

// leaseDue closes a lease that has waited too long.
func (k *Keeper) leaseDue(ctx context.Context, key types.LeaseKey) error {
	lease, err := k.Leases.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	if !lease.Open() || lease.WaitDeadlineMs == 0 || lease.WaitDeadlineMs > now {
		return nil
	}
	return k.requestClose(ctx, key, &lease, "nothing ran for as long as a lease may wait")
}

// finishClose pays the refund of a lease that has nothing left to settle.
func (k *Keeper) finishClose(ctx context.Context, b *book) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	refund := b.money.Balance
	if err := k.payAccount(ctx, b.lease.ID.Tenant, refund); err != nil {
		return err
	}
	b.money.Balance = math.ZeroInt()
	b.money.Totals.Refunded = b.money.Totals.Refunded.Add(refund)
	b.lease.Status = types.LEASE_STATUS_CLOSED
	b.lease.ClosedMs = now
	if err := k.stopWaiting(ctx, b); err != nil {
		return err
	}
	b.lease.PruneMs = now + types.Ms(params.Retention)
	if err := k.LeasePruneQueue.Push(ctx, b.lease.PruneMs, b.key); err != nil {
		return err
	}
	return emit(ctx, &types.EventLeaseClosed{
		Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number, Refunded: refund.String(),
	})
}

// pruneLeases works off the queue of closed leases to forget. The budget counts their snapshots too.
func (k *Keeper) pruneLeases(ctx context.Context, now uint64, budget uint32) error {
	removed := uint32(0)
	return processCosts(ctx, k, k.LeasePruneQueue, now, budget, leaseName, &removed,
		func(ctx context.Context, key types.LeaseKey, dueMs uint64) error {
			return k.pruneLease(ctx, key, dueMs, &removed)
		})
}

// pruneLease forgets a closed lease with its snapshots; one with many is looked at again in the next block. Its placements
// were settled before it closed, so they are pruned before it or with it.
func (k *Keeper) pruneLease(ctx context.Context, key types.LeaseKey, dueMs uint64, removed *uint32) error {
	lease, err := k.Leases.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	snapshots, done, err := k.pruneSnapshots(ctx, key)
	if err != nil {
		return err
	}
	*removed = snapshots
	if !done {
		return k.LeasePruneQueue.Push(ctx, dueMs, key)
	}
	if err := k.Leases.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.Money.Remove(ctx, key); err != nil {
		return err
	}
	return emit(ctx, &types.EventLeasePruned{Tenant: lease.ID.Tenant, Number: lease.ID.Number})
}
