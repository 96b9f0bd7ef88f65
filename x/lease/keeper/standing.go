package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func (k *Keeper) standing(ctx context.Context, key sunstypes.NodeKey) (types.NodeStanding, error) {
	standing, err := k.Standings.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.NodeStanding{}, nil
	}
	return standing, err
}

// forgiveNode forgets a node's failed starts once it has started something. It runs in a transaction of the node's agent.
func (k *Keeper) forgiveNode(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	standing, err := k.standing(ctx, key)
	if err != nil || standing.FailedStarts == 0 {
		return err
	}
	standing.FailedStarts = 0
	return k.Standings.Set(ctx, key, standing)
}

// noteFailure remembers a node that failed a lease. A failed start pauses the node, longer each time. When several nodes
// fail a lease before its first start, the lease is at fault: it is suspended and the nodes are not blamed. A node fails a
// lease once, however many of its replicas it held: else one node could have every lease of several replicas suspended.
func (k *Keeper) noteFailure(ctx context.Context, b *book, p types.Placement, reason types.EndReason, started bool) error {
	if !reason.ByNodeFault() {
		return nil
	}
	again := b.lease.FailedOn(p.Node)
	b.lease.FailedNodes = appendNode(b.lease.FailedNodes, p.Node)
	// A silent node is off the market until it checks in again, and says nothing about the lease.
	if started || again || reason == types.END_REASON_NODE_SILENT {
		return nil
	}
	placements, err := k.openPlacements(ctx, b)
	if err != nil {
		return err
	}
	noteStarts(&b.lease, placements)
	until, err := k.backOffNode(ctx, p.Node)
	if err != nil || b.lease.Started || b.lease.Status != types.LEASE_STATUS_ACTIVE {
		return err
	}
	b.lease.EarlyPauses = append(b.lease.EarlyPauses, types.EarlyPause{Node: p.Node, UntilMs: until})
	params, err := k.Params.Get(ctx)
	if err != nil {
		return err
	}
	b.lease.EarlyFailures++
	if b.lease.EarlyFailures < params.SuspendAfter {
		return nil
	}
	return k.suspend(ctx, b)
}

// suspend stops the matching of a lease that nodes fail, and takes back the pauses it brought them. A pause that another
// lease brought since stands: else a tenant could clear the record of any node that his lease failed on, or that he moved
// away from.
func (k *Keeper) suspend(ctx context.Context, b *book) error {
	b.lease.Status = types.LEASE_STATUS_SUSPENDED
	for _, pause := range b.lease.EarlyPauses {
		key, err := pause.Node.Key()
		if err != nil {
			return err
		}
		standing, err := k.standing(ctx, key)
		if err != nil {
			return err
		}
		if standing.FailedStarts == 0 || standing.BackoffUntilMs != pause.UntilMs {
			continue
		}
		if err := k.NodeBackoffQueue.Remove(ctx, standing.BackoffUntilMs, key); err != nil {
			return err
		}
		standing.FailedStarts--
		standing.BackoffUntilMs = 0
		if err := k.Standings.Set(ctx, key, standing); err != nil {
			return err
		}
		if err := k.reindexNode(ctx, key); err != nil {
			return err
		}
	}
	b.lease.EarlyPauses = nil
	b.lease.FailedNodes = nil
	return emit(ctx, &types.EventLeaseSuspended{Tenant: b.lease.ID.Tenant, Number: b.lease.ID.Number})
}

// backOffNode takes a node off the market for a while, and gives until when.
func (k *Keeper) backOffNode(ctx context.Context, id sunstypes.NodeID) (uint64, error) {
	key, err := id.Key()
	if err != nil {
		return 0, err
	}
	params, err := k.Params.Get(ctx)
	if err != nil {
		return 0, err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return 0, err
	}
	standing, err := k.standing(ctx, key)
	if err != nil {
		return 0, err
	}
	if standing.BackoffUntilMs != 0 { // a node stands in the queue once
		if err := k.NodeBackoffQueue.Remove(ctx, standing.BackoffUntilMs, key); err != nil {
			return 0, err
		}
	}
	standing.BackoffUntilMs = now + types.Backoff(params.NodeBackoffMin, params.NodeBackoffMax, standing.FailedStarts)
	standing.FailedStarts++
	if err := k.Standings.Set(ctx, key, standing); err != nil {
		return 0, err
	}
	if err := k.NodeBackoffQueue.Push(ctx, standing.BackoffUntilMs, key); err != nil {
		return 0, err
	}
	if err := k.reindexNode(ctx, key); err != nil {
		return 0, err
	}
	return standing.BackoffUntilMs, emit(ctx, &types.EventNodeBackedOff{Operator: id.Operator, Node: id.Number, UntilMs: standing.BackoffUntilMs})
}
