package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// maxOpenPerReplica bounds a lease's unsettled placements, which block work lists: one that runs, one that drains and one
// that ended for each of as many replicas as there may be. A tenant who ends placements faster than that waits.
const maxOpenPerReplica = 3

// newRequestKey orders the requests of one place in the line: (tie, request).
type newRequestKey = collections.Pair[uint64, types.RequestKey]

var newRequestKeyCodec codec.KeyCodec[newRequestKey] = collections.PairKeyCodec(collections.Uint64Key, types.RequestKeyCodec)

// leaseRequests lists a lease's requests; there is at most one per replica.
func (k *Keeper) leaseRequests(ctx context.Context, key types.LeaseKey) ([]types.Request, error) {
	it, err := k.Requests.Iterate(ctx, collections.NewSuperPrefixedTripleRange[sdk.AccAddress, uint64, uint32](key.K1(), key.K2()))
	if err != nil {
		return nil, err
	}
	return it.Values()
}

// dropRequests forgets the requests of replicas from a number on.
func (k *Keeper) dropRequests(ctx context.Context, b *book, from uint32) error {
	if b.lease.WaitingReplicas == 0 {
		return nil
	}
	requests, err := k.leaseRequests(ctx, b.key)
	if err != nil {
		return err
	}
	for _, request := range requests {
		if request.Replica >= from {
			if err := k.removeRequest(ctx, b, request); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeRequest forgets a request and its place in a queue.
func (k *Keeper) removeRequest(ctx context.Context, b *book, request types.Request) error {
	key := requestKey(b.key, request.Replica)
	b.lease.WaitingReplicas--
	if err := k.unqueue(ctx, key, request); err != nil {
		return err
	}
	return k.Requests.Remove(ctx, key)
}

// unqueue takes a request out of the queue it stands in, so that no queue ever holds more entries than there are requests.
func (k *Keeper) unqueue(ctx context.Context, key types.RequestKey, request types.Request) error {
	if request.Attempts > 0 {
		return k.RetryQueue.Remove(ctx, request.RetryMs, key)
	}
	return k.NewRequestQueue.Remove(ctx, request.Place, collections.Join(request.Tie, key))
}

func requestKey(key types.LeaseKey, replica uint32) types.RequestKey {
	return collections.Join3(key.K1(), key.K2(), replica)
}

// takePlaces gives a tenant its next places in the line of new requests, and returns the first. Each stands behind the
// tenant's own earlier ones, and the first nowhere before what was served last: so a tenant with many requests waits behind
// itself and delays everybody else by one request each time round, and one that was idle has nothing saved up.
func (k *Keeper) takePlaces(ctx context.Context, tenant sdk.AccAddress, count uint64) (uint64, error) {
	served, err := orZero(k.Served.Get(ctx))
	if err != nil {
		return 0, err
	}
	last, err := orZero(k.Places.Get(ctx, tenant))
	if err != nil {
		return 0, err
	}
	first := max(served, last+1)
	return first, k.Places.Set(ctx, tenant, first+count-1)
}

func orZero(number uint64, err error) (uint64, error) {
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return number, err
}

// queueRequests puts new replicas in the line for a node.
func (k *Keeper) queueRequests(ctx context.Context, b *book, replicas []uint32) error {
	if len(replicas) == 0 {
		return nil
	}
	place, err := k.takePlaces(ctx, b.key.K1(), uint64(len(replicas)))
	if err != nil {
		return err
	}
	for i, replica := range replicas {
		if err := k.putRequest(ctx, b, replica, 0, place+uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// queueRequest puts a replica in the line for a node; replaces is the generation it is to take over from, or 0.
func (k *Keeper) queueRequest(ctx context.Context, b *book, replica uint32, replaces uint64) error {
	place, err := k.takePlaces(ctx, b.key.K1(), 1)
	if err != nil {
		return err
	}
	return k.putRequest(ctx, b, replica, replaces, place)
}

// putRequest writes a request at a place of the line. Among requests of one place the order comes from the block's hash,
// which a tenant cannot choose.
func (k *Keeper) putRequest(ctx context.Context, b *book, replica uint32, replaces, place uint64) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	request := types.Request{
		Lease: b.lease.ID, Replica: replica, QueuedHeight: sdkCtx.BlockHeight(), QueuedMs: now, Replaces: replaces,
		Tie: requestTie(sdkCtx.HeaderHash(), b.lease.ID, replica), Place: place,
	}
	key := requestKey(b.key, replica)
	if err := k.Requests.Set(ctx, key, request); err != nil {
		return err
	}
	if err := k.NewRequestQueue.Push(ctx, place, collections.Join(request.Tie, key)); err != nil {
		return err
	}
	b.work++
	b.lease.WaitingReplicas++
	if err := k.startWaiting(ctx, b); err != nil {
		return err
	}
	return emit(ctx, &types.EventRequestQueued{Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number, Replica: replica})
}

// requeue puts the waiting replicas of a lease in the line again, to be matched without a fee. The tenant's own records alone
// are written.
func (k *Keeper) requeue(ctx context.Context, key types.LeaseKey) error {
	requests, err := k.leaseRequests(ctx, key)
	if err != nil || len(requests) == 0 {
		return err
	}
	place, err := k.takePlaces(ctx, key.K1(), uint64(len(requests)))
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	for i, request := range requests {
		own := requestKey(key, request.Replica)
		if err := k.unqueue(ctx, own, request); err != nil {
			return err
		}
		request.Place = place + uint64(i)
		request.QueuedHeight = sdkCtx.BlockHeight()
		request.Tie = requestTie(sdkCtx.HeaderHash(), request.Lease, request.Replica)
		request.Attempts, request.RetryMs, request.Cursor, request.Reason = 0, 0, nil, ""
		if err := k.Requests.Set(ctx, own, request); err != nil {
			return err
		}
		if err := k.NewRequestQueue.Push(ctx, request.Place, collections.Join(request.Tie, own)); err != nil {
			return err
		}
	}
	return nil
}

func requestTie(headerHash []byte, lease types.LeaseID, replica uint32) uint64 {
	h := sha256.New()
	h.Write(headerHash)
	h.Write([]byte(lease.String()))
	h.Write(binary.BigEndian.AppendUint32(nil, replica))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// serveLine tries requests for the first time, in the order of the line, and notes how far it came.
func (k *Keeper) serveLine(ctx context.Context, budget uint32) error {
	served, err := orZero(k.Served.Get(ctx))
	if err != nil {
		return err
	}
	last := served
	err = process(ctx, k, k.NewRequestQueue, always, budget, newRequestName,
		func(ctx context.Context, key newRequestKey, place uint64) error {
			last = max(last, place)
			return k.matchNew(ctx, key)
		})
	if err != nil || last == served {
		return err
	}
	return k.Served.Set(ctx, last)
}

// matchNew tries a request for the first time.
func (k *Keeper) matchNew(ctx context.Context, key newRequestKey) error {
	b, request, err := k.openRequest(ctx, key.K2())
	if err != nil || b == nil {
		return err
	}
	if request.Tie != key.K1() || request.Attempts > 0 {
		return nil // queued anew since
	}
	if err := k.match(ctx, b, request); err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// matchAgain tries a request again, for a fee.
func (k *Keeper) matchAgain(ctx context.Context, key types.RequestKey, dueMs uint64) error {
	b, request, err := k.openRequest(ctx, key)
	if err != nil || b == nil {
		return err
	}
	if request.RetryMs != dueMs {
		return nil // queued anew since
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	fee := math.NewIntFromUint64(params.RetryFee)
	if b.money.Balance.LT(fee.Add(types.PeriodAtCap(b.lease.MaxPrice, types.Ms(params.BillingPeriod)))) {
		if err := k.markUnfunded(ctx, b); err != nil {
			return err
		}
		return k.saveBook(ctx, b)
	}
	if err := k.payAudit(ctx, fee); err != nil {
		return err
	}
	b.money.Balance = b.money.Balance.Sub(fee)
	b.money.Totals.RetryFees = b.money.Totals.RetryFees.Add(fee)
	if fee.IsPositive() {
		event := &types.EventRetryFeePaid{Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number, Amount: fee.String()}
		if err := emit(ctx, event); err != nil {
			return err
		}
	}
	if err := k.match(ctx, b, request); err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// openRequest loads a request with its lease; the book is nil when there is nothing to match any more.
func (k *Keeper) openRequest(ctx context.Context, key types.RequestKey) (*book, types.Request, error) {
	request, err := k.Requests.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil, request, nil
	}
	if err != nil {
		return nil, request, err
	}
	b, err := k.openBook(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return nil, request, err
	}
	if b.lease.Status != types.LEASE_STATUS_ACTIVE {
		return nil, request, nil
	}
	if request.Replica >= b.lease.Replicas {
		// Scaled down since, and the queue of orders has not come to it yet.
		if err := k.removeRequest(ctx, b, request); err != nil {
			return nil, request, err
		}
		return nil, request, k.saveBook(ctx, b)
	}
	return b, request, nil
}

// match gives a request the best node there is, or postpones it.
func (k *Keeper) match(ctx context.Context, b *book, request types.Request) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	if b.money.Balance.LT(types.PeriodAtCap(b.lease.MaxPrice, types.Ms(params.BillingPeriod))) {
		return k.markUnfunded(ctx, b)
	}
	if b.lease.OpenPlacements >= maxOpenPerReplica*params.MaxReplicas {
		return k.postpone(ctx, b, request, params, "too many of the lease's ended placements are not settled yet")
	}
	search, err := k.newSearch(ctx, b, request, params)
	if err != nil {
		return err
	}
	found, err := search.run(ctx)
	if err != nil {
		return err
	}
	if err := search.forgetEmpty(ctx); err != nil {
		return err
	}
	if found == nil {
		request.Cursor = search.stoppedAt
		return k.postpone(ctx, b, request, params, search.reason())
	}
	return k.placeReplica(ctx, b, request, *found, params)
}

// postpone queues a request for a retry after its backoff.
func (k *Keeper) postpone(ctx context.Context, b *book, request types.Request, params types.Params, reason string) error {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	request.RetryMs = now + types.Backoff(params.RetryBackoffMin, params.RetryBackoffMax, request.Attempts)
	if request.Cursor != nil {
		// There are candidates left to examine: more of the same attempt, so it does not wait longer.
		request.RetryMs = now + types.Ms(params.RetryBackoffMin)
	}
	request.Attempts++
	request.Reason = reason
	key := requestKey(b.key, request.Replica)
	if err := k.Requests.Set(ctx, key, request); err != nil {
		return err
	}
	if err := k.RetryQueue.Push(ctx, request.RetryMs, key); err != nil {
		return err
	}
	return emit(ctx, &types.EventRequestPostponed{
		Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number, Replica: request.Replica,
		Attempts: request.Attempts, RetryMs: request.RetryMs, Reason: reason,
	})
}
