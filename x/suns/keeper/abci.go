package keeper

import (
	"context"
	"fmt"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

// BeginBlock advances the chain clock.
func (k *Keeper) BeginBlock(ctx context.Context) error { return k.advanceClock(ctx) }

// EndBlock does the block's work in order. It runs after the end blockers of bank, lease and audit.
func (k *Keeper) EndBlock(ctx context.Context) error {
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"deadlines", k.endDeadlines},
		{"check-ins", k.endCheckIns},
		{"payouts", k.endPayouts},
		{"unbondings", k.endUnbondings},
		{"epoch", k.endEpoch},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("x/suns %s: %w", step.name, err)
		}
	}
	return k.noteCalm(ctx)
}

// noteCalm spares the blocks until something is due a look into the queues.
func (k *Keeper) noteCalm(ctx context.Context) error {
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	if calm, err := k.Calm.Holds(ctx, now); err != nil || calm {
		return err
	}
	return k.Calm.Note(ctx, k.CalmQueues()...)
}

// CalmQueues are the queues that a calm block passes over: all there are.
func (k *Keeper) CalmQueues() []duequeue.Next {
	return []duequeue.Next{k.DeadlineQueue, k.PayoutQueue, k.UnbondingQueue}
}

func (k *Keeper) endDeadlines(ctx context.Context) error {
	return k.process(ctx, k.DeadlineQueue, func(p types.Params) uint32 { return p.MaxDeadlinesPerBlock }, k.lookAt)
}

func (k *Keeper) endPayouts(ctx context.Context) error {
	return k.process(ctx, k.PayoutQueue, func(p types.Params) uint32 { return p.MaxPayoutsPerBlock },
		func(ctx context.Context, key types.NodeKey, _ uint64) error { return k.pay(ctx, key) })
}

func (k *Keeper) endUnbondings(ctx context.Context) error {
	return k.process(ctx, k.UnbondingQueue, func(p types.Params) uint32 { return p.MaxUnbondingsPerBlock },
		func(ctx context.Context, key types.NodeKey, _ uint64) error { return k.removeNode(ctx, key) })
}

func (k *Keeper) process(
	ctx context.Context, queue duequeue.Queue[types.NodeKey], budget func(types.Params) uint32,
	handle func(ctx context.Context, key types.NodeKey, dueMs uint64) error,
) error {
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	if calm, err := k.Calm.Holds(ctx, now); err != nil || calm {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	_, err = queue.Process(ctx, now, duequeue.Run[types.NodeKey]{
		Budget:      budget(params),
		Describe:    func(key types.NodeKey) string { return types.NodeIDFromKey(key).String() },
		Handle:      handle,
		Quarantine:  k.Quarantine,
		Quarantined: emitQuarantined,
	})
	return err
}

// quarantine keeps block work that failed outside of a queue.
func (k *Keeper) quarantine(ctx context.Context, item duequeue.QuarantinedItem) error {
	item, err := k.Quarantine.Add(ctx, item)
	if err != nil {
		return err
	}
	return emitQuarantined(ctx, item)
}

func emitQuarantined(ctx context.Context, item duequeue.QuarantinedItem) error {
	return emit(ctx, &types.EventItemQuarantined{
		Number: item.Number, Queue: item.Queue, Item: item.Item, Error: item.Error,
	})
}
