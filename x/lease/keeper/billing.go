package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// placementDue does what a placement's times ask for: fail it when it was not started, end it when its drain is over,
// reserve its next hour, settle the hour before. It follows the placement's state alone, so an entry of the queue that no
// longer applies is harmless.
func (k *Keeper) placementDue(ctx context.Context, key types.PlacementKey) error {
	p, err := k.Placements.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := k.openBook(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	reason, endMs, err := k.queuedEnd(ctx, b, p)
	if err != nil {
		return err
	}
	switch {
	case reason != types.END_REASON_UNSPECIFIED:
		err = k.endPlacement(ctx, b, p, reason, endMs)
	case p.Status == types.PLACEMENT_STATUS_ASSIGNED && now >= p.StartDeadlineMs:
		err = k.endPlacement(ctx, b, p, types.END_REASON_NOT_STARTED, now)
	case p.Status == types.PLACEMENT_STATUS_RUNNING:
		err = k.billRunning(ctx, b, key, p, now)
	case p.Status == types.PLACEMENT_STATUS_ENDED:
		err = k.billEnded(ctx, b, key, p, now)
	}
	if err != nil {
		return err
	}
	return k.saveBook(ctx, b)
}

// queuedEnd gives the end of a live placement that has come and waits for its turn in another queue: asked for by a
// transaction, by the close of its lease, or because its node is lost. No reason means none. An hour that is over is not
// settled past such an end: what is paid must not depend on how long the queues are.
func (k *Keeper) queuedEnd(ctx context.Context, b *book, p types.Placement) (types.EndReason, uint64, error) {
	switch {
	case !p.Live():
		return types.END_REASON_UNSPECIFIED, 0, nil
	case p.Ending():
		return p.EndReason, p.EndedMs, nil
	case b.lease.Status == types.LEASE_STATUS_CLOSING:
		return types.END_REASON_CLOSED, b.lease.ClosingMs, nil
	}
	node, err := p.Node.Key()
	if err != nil {
		return types.END_REASON_UNSPECIFIED, 0, err
	}
	eviction, err := k.Evictions.Get(ctx, node)
	switch {
	case errors.Is(err, collections.ErrNotFound):
		return types.END_REASON_UNSPECIFIED, 0, nil
	case err != nil || p.MatchedMs > eviction.SinceMs:
		return types.END_REASON_UNSPECIFIED, 0, err
	case eviction.Reason == types.END_REASON_NODE_SILENT || eviction.Reason == types.END_REASON_NODE_RETIRED:
		return eviction.Reason, eviction.SinceMs, nil
	default: // it drains, or stays
		return types.END_REASON_UNSPECIFIED, 0, nil
	}
}

// settleGrace is how long an hour of a placement waits for the last attestation. A placement keeps its own period, which may
// be shorter than what the params' grace is made for; with a grace of at most a period no more than two hours are open.
func settleGrace(params types.Params, p types.Placement) uint64 {
	return min(types.Ms(params.SettleGrace), p.PeriodMs)
}

// billRunning reserves the next hour when one ends, and settles the one before when its grace is over. A drain that is over
// ends the placement, but not before the hour it ended in was reserved: its seconds are to be paid.
func (k *Keeper) billRunning(ctx context.Context, b *book, key types.PlacementKey, p types.Placement, now uint64) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	billing, err := k.loadBilling(ctx, key, p)
	if err != nil {
		return err
	}
	last := billing.Spans[len(billing.Spans)-1]
	if p.DrainDeadlineMs != 0 && now >= p.DrainDeadlineMs && p.DrainDeadlineMs <= last.EndMs {
		return k.endPlacement(ctx, b, p, types.END_REASON_NODE_DRAINED, p.DrainDeadlineMs)
	}
	if now >= last.EndMs {
		next := p.Rate().Reserve(last.EndMs, last.EndMs+p.PeriodMs)
		if b.money.Balance.LT(next.Total()) {
			return k.endPlacement(ctx, b, p, types.END_REASON_UNFUNDED, last.EndMs)
		}
		if err := k.reserveNext(ctx, b, key, p, &billing, next, params); err != nil {
			return err
		}
	}
	served := true
	if grace := settleGrace(params, p); len(billing.Spans) > 1 && now >= billing.Spans[0].EndMs+grace {
		if served, err = k.settleFirst(ctx, b, p, &billing, params); err != nil {
			return err
		}
	}
	if err := k.saveBilling(ctx, key, p, billing); err != nil {
		return err
	}
	if !served {
		return k.endPlacement(ctx, b, p, types.END_REASON_NOT_SERVED, now)
	}
	return nil
}

func (k *Keeper) reserveNext(
	ctx context.Context, b *book, key types.PlacementKey, p types.Placement, billing *types.PlacementBilling,
	next types.Span, params types.Params,
) error {
	b.money.Balance = b.money.Balance.Sub(next.Total())
	settleAt := next.StartMs + settleGrace(params, p)
	billing.Spans = append(billing.Spans, next)
	for _, due := range []uint64{settleAt, next.EndMs} {
		if err := k.PlacementDueQueue.Push(ctx, due, key); err != nil {
			return err
		}
	}
	return emit(ctx, &types.EventPeriodReserved{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		Amount: next.Total().String(),
	})
}

// billEnded settles the hours of an ended placement one by one, then makes it history.
func (k *Keeper) billEnded(ctx context.Context, b *book, key types.PlacementKey, p types.Placement, now uint64) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	billing, err := k.loadBilling(ctx, key, p)
	if err != nil {
		return err
	}
	grace := settleGrace(params, p)
	for len(billing.Spans) > 0 && now >= billing.Spans[0].EndMs+grace {
		if _, err := k.settleFirst(ctx, b, p, &billing, params); err != nil {
			return err
		}
	}
	if len(billing.Spans) == 0 {
		return k.finalize(ctx, b, key, p, billing)
	}
	if err := k.PlacementDueQueue.Push(ctx, billing.Spans[0].EndMs+grace, key); err != nil {
		return err
	}
	return k.saveBilling(ctx, key, p, billing)
}

// settleFirst pays out the oldest span. served is false when nothing at all of it was attested.
func (k *Keeper) settleFirst(
	ctx context.Context, b *book, p types.Placement, billing *types.PlacementBilling, params types.Params,
) (served bool, err error) {
	span := billing.Spans[0]
	s := p.Rate().Settle(span, params.ProviderShareBps)
	if err := k.payAccount(ctx, p.Node.Operator, s.Operator); err != nil {
		return false, err
	}
	if err := k.payAudit(ctx, s.Audit); err != nil {
		return false, err
	}
	paid := k.payRoyalty(ctx, p.Image, s.Royalty)
	s.Returned = s.Returned.Add(s.Royalty.Sub(paid))
	s.Royalty = paid

	billing.Spans = billing.Spans[1:]
	billing.Periods++
	billing.BilledSeconds += s.Seconds
	billing.PaidOperator = billing.PaidOperator.Add(s.Operator)
	billing.PaidAudit = billing.PaidAudit.Add(s.Audit)
	billing.PaidRoyalty = billing.PaidRoyalty.Add(s.Royalty)
	totals := &b.money.Totals
	totals.Periods++
	totals.BilledSeconds += s.Seconds
	totals.PaidOperators = totals.PaidOperators.Add(s.Operator)
	totals.PaidAudit = totals.PaidAudit.Add(s.Audit)
	totals.PaidRoyalty = totals.PaidRoyalty.Add(s.Royalty)
	if err := k.returnToBalance(ctx, b, s.Returned); err != nil {
		return false, err
	}
	return span.AttestedMs > 0, emit(ctx, &types.EventPeriodSettled{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation,
		Seconds: s.Seconds, Operator: s.Operator.String(), Audit: s.Audit.String(),
		Royalty: s.Royalty.String(), Returned: s.Returned.String(),
	})
}

// returnToBalance gives reserved coins back to the lease, and wakes one that waits for money: what comes back may be enough.
func (k *Keeper) returnToBalance(ctx context.Context, b *book, amount math.Int) error {
	b.money.Balance = b.money.Balance.Add(amount)
	if b.lease.Status != types.LEASE_STATUS_UNFUNDED || !amount.IsPositive() {
		return nil
	}
	return k.wake(ctx, b.key)
}

// cutSpans takes what was reserved for the time after a placement's end out of its open hours: back to the balance or, when
// the tenant ended it after its trial, to the audit pool. Hours that had not begun return whole.
func (k *Keeper) cutSpans(ctx context.Context, b *book, p types.Placement, billing *types.PlacementBilling) error {
	forfeit := p.EndReason.ByTenant() && p.EndedMs > p.TrialEndMs
	var left []types.Span
	for _, span := range billing.Spans {
		switch {
		case p.StartedMs == 0, span.StartMs >= p.EndedMs:
			if err := k.returnToBalance(ctx, b, span.Total()); err != nil {
				return err
			}
		case span.EndMs > p.EndedMs:
			cut, toAudit, toBalance := p.Rate().Cut(span, p.EndedMs, forfeit)
			if err := k.payAudit(ctx, toAudit); err != nil {
				return err
			}
			billing.PaidAudit = billing.PaidAudit.Add(toAudit)
			b.money.Totals.PaidAudit = b.money.Totals.PaidAudit.Add(toAudit)
			if err := k.returnToBalance(ctx, b, toBalance); err != nil {
				return err
			}
			left = append(left, cut)
		default:
			left = append(left, span)
		}
	}
	billing.Spans = left
	return nil
}
