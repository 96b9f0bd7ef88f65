package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// A placement stands in PlacementDueQueue at the times its state asks for and at no other, so that whoever starts, ends and
// drains placements without end cannot fill the queue with entries that ask for nothing.

// dueTimes lists the times at which a live placement is looked at.
func (k *Keeper) dueTimes(ctx context.Context, key types.PlacementKey, p types.Placement) ([]uint64, error) {
	if p.Status == types.PLACEMENT_STATUS_ASSIGNED {
		return []uint64{p.StartDeadlineMs}, nil
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return nil, err
	}
	billing, err := k.Billings.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	billing.Begin(p)
	var times []uint64
	for i, span := range billing.Spans {
		if i == len(billing.Spans)-1 {
			times = append(times, span.EndMs)
		} else {
			times = append(times, span.EndMs+settleGrace(params, p))
		}
	}
	if p.DrainDeadlineMs != 0 {
		times = append(times, p.DrainDeadlineMs)
	}
	return times, nil
}

// leaveDueQueue takes a live placement out of the queue, before its state changes.
func (k *Keeper) leaveDueQueue(ctx context.Context, key types.PlacementKey, p types.Placement) error {
	times, err := k.dueTimes(ctx, key, p)
	if err != nil {
		return err
	}
	for _, due := range times {
		if err := k.PlacementDueQueue.Remove(ctx, due, key); err != nil {
			return err
		}
	}
	return nil
}

// joinDueQueue puts a live placement into the queue, after its state changed.
func (k *Keeper) joinDueQueue(ctx context.Context, key types.PlacementKey, p types.Placement) error {
	times, err := k.dueTimes(ctx, key, p)
	if err != nil {
		return err
	}
	for _, due := range times {
		if err := k.PlacementDueQueue.Push(ctx, due, key); err != nil {
			return err
		}
	}
	return nil
}
