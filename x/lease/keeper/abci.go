package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// always is later than every time of a queue whose items are due as soon as they are queued.
const always = ^uint64(0)

// EndBlocker does the block's shared work. What frees nodes and money comes before what matches, so a replica that lost its
// node is placed again in the same block; what settles comes before leases are looked at, so a lease closes in the block that
// settles its last placement.
func (k *Keeper) EndBlocker(ctx context.Context) error {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	if calm, err := k.Calm.Holds(ctx, now); err != nil || calm {
		return err
	}
	budgets := params.Budgets
	steps := []func() error{
		func() error {
			return k.reindexNodes(ctx, k.ReindexQueue, always, budgets.Reindexes)
		},
		func() error { return process(ctx, k, k.EndingQueue, now, budgets.Endings, placementName, k.endingDue) },
		func() error {
			return k.moveEvicted(ctx, now, budgets.Evictions)
		},
		func() error {
			return process(ctx, k, k.PlacementDueQueue, now, budgets.DuePlacements, placementName, plain(k.placementDue))
		},
		func() error {
			return process(ctx, k, k.LeaseDueQueue, now, budgets.DueLeases, leaseName, plain(k.leaseDue))
		},
		func() error {
			return k.reconcileLeases(ctx, now, budgets.LeaseUpdates)
		},
		func() error {
			return k.reindexNodes(ctx, k.NodeBackoffQueue, now, budgets.NodeBackoffs)
		},
		func() error {
			return k.serveLine(ctx, budgets.Matches)
		},
		func() error { return process(ctx, k, k.RetryQueue, now, budgets.Retries, requestName, k.matchAgain) },
		func() error {
			return process(ctx, k, k.PlacementPruneQueue, now, budgets.Prunes, placementName, plain(k.prunePlacement))
		},
		func() error {
			return k.pruneLeases(ctx, now, budgets.Prunes)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return k.Calm.Note(ctx, k.CalmQueues()...)
}

// CalmQueues are the queues that a calm block passes over: all there are.
func (k *Keeper) CalmQueues() []duequeue.Next {
	return []duequeue.Next{
		duequeue.Line[sunstypes.NodeKey]{Queue: k.ReindexQueue},
		k.EndingQueue, k.EvictionQueue, k.PlacementDueQueue,
		k.LeaseDueQueue, k.LeaseUpdateQueue, k.NodeBackoffQueue,
		duequeue.Line[newRequestKey]{Queue: k.NewRequestQueue},
		k.RetryQueue, k.PlacementPruneQueue, k.LeasePruneQueue,
	}
}

// process handles a queue's due items within a budget; what fails goes to the module's quarantine, with an event.
func process[K any](
	ctx context.Context, k *Keeper, queue duequeue.Queue[K], now uint64, budget uint32,
	describe func(K) string, handle func(context.Context, K, uint64) error,
) error {
	return processCosts(ctx, k, queue, now, budget, describe, new(uint32), handle)
}

// processCosts is process for items of different sizes: each handler leaves in cost what its item took of the budget.
func processCosts[K any](
	ctx context.Context, k *Keeper, queue duequeue.Queue[K], now uint64, budget uint32,
	describe func(K) string, cost *uint32, handle func(context.Context, K, uint64) error,
) error {
	_, err := queue.Process(ctx, now, duequeue.Run[K]{
		Budget: budget, Describe: describe,
		Handle: func(ctx context.Context, item K, dueMs uint64) error {
			*cost = 0
			return handle(ctx, item, dueMs)
		},
		Cost:       func() uint32 { return *cost },
		Quarantine: k.Quarantine, Quarantined: emitQuarantined,
	})
	return err
}

func emitQuarantined(ctx context.Context, item duequeue.QuarantinedItem) error {
	return emit(ctx, &types.EventItemQuarantined{
		Number: item.Number, Queue: item.Queue, Item: item.Item, Error: item.Error,
	})
}

// plain is a handler that needs no due time.
func plain[K any](handle func(context.Context, K) error) func(context.Context, K, uint64) error {
	return func(ctx context.Context, item K, _ uint64) error { return handle(ctx, item) }
}

func leaseName(key types.LeaseKey) string         { return types.LeaseIDFromKey(key).String() }
func placementName(key types.PlacementKey) string { return types.PlacementIDFromKey(key).String() }
func nodeName(key sunstypes.NodeKey) string       { return sunstypes.NodeIDFromKey(key).String() }
func newRequestName(key newRequestKey) string     { return requestName(key.K2()) }
func requestName(key types.RequestKey) string {
	return types.PlacementID{Tenant: key.K1().String(), Number: key.K2(), Replica: key.K3()}.String()
}
