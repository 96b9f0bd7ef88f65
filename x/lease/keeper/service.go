package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// CreditServices counts what an agent attests of placements of its node, and says what came of each claim. It runs in
// transactions and reads and writes one record of the node. A placement enters the record with its first attestation, so
// that a start need not write it. Errors: ErrPlacementNotFound, ErrNotThisNode, ErrPlacementNotStarted.
func (k *Keeper) CreditServices(ctx context.Context, node sunstypes.NodeID, claims []types.Claim) ([]types.Credit, error) {
	credits := make([]types.Credit, len(claims))
	if len(claims) == 0 {
		return credits, nil
	}
	nodeKey, err := node.Key()
	if err != nil {
		return nil, err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return nil, err
	}
	record, err := k.services(ctx, nodeKey)
	if err != nil {
		return nil, err
	}
	for i, claim := range claims {
		at, found := record.Find(types.NewPlacementRef(claim.Placement))
		switch {
		case found:
			credits[i].Ms = record.Services[at].Credit(claim.ServedMs, now)
		case len(record.Services) >= types.MaxNodeServices:
			credits[i], err = k.creditAlone(ctx, node, claim, now)
		default:
			var service types.Service
			service, _, credits[i], err = k.creditFirst(ctx, node, claim, now)
			if err == nil && !credits[i].Settled {
				record.Services = slices.Insert(record.Services, at, service)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return credits, k.Services.Set(ctx, nodeKey, record)
}

// creditFirst counts a claim about a placement that is not in its node's record.
func (k *Keeper) creditFirst(
	ctx context.Context, node sunstypes.NodeID, claim types.Claim, now uint64,
) (service types.Service, billing types.PlacementBilling, credit types.Credit, err error) {
	p, err := k.attestable(ctx, node, claim.Placement)
	if errors.Is(err, types.ErrPlacementSettled) {
		return service, billing, types.Credit{Settled: true}, nil
	}
	if err != nil {
		return service, billing, credit, err
	}
	if billing, err = k.Billings.Get(ctx, claim.Placement); err != nil {
		return service, billing, credit, err
	}
	billing.Begin(p)
	service = types.ServiceOf(claim.Placement, p, billing)
	credit.Ms = service.Credit(claim.ServedMs, now)
	return service, billing, credit, nil
}

// creditAlone counts a claim about a placement for which its node's record has no room, in the placement's own billing.
func (k *Keeper) creditAlone(ctx context.Context, node sunstypes.NodeID, claim types.Claim, now uint64) (types.Credit, error) {
	service, billing, credit, err := k.creditFirst(ctx, node, claim, now)
	if err != nil || credit.Settled {
		return credit, err
	}
	service.FillIn(&billing)
	return credit, k.Billings.Set(ctx, claim.Placement, billing)
}

// attestable finds a placement that a node may attest: its own, started and not settled.
func (k *Keeper) attestable(ctx context.Context, node sunstypes.NodeID, key types.PlacementKey) (types.Placement, error) {
	_, p, err := k.GetPlacement(ctx, types.PlacementIDFromKey(key))
	settled := errors.Is(err, types.ErrPlacementSettled)
	if settled {
		// An agent neither learns of, nor passes over, a settled placement of another node.
		var failed error
		if p, failed = k.History.Get(ctx, key); failed != nil {
			return p, failed
		}
	}
	switch {
	case err != nil && !settled:
		return p, err
	case !p.Node.Equal(node):
		return p, types.ErrNotThisNode.Wrapf("placement %s is on node %s", p.ID, p.Node)
	case settled:
		return p, err
	case p.StartedMs == 0:
		return p, types.ErrPlacementNotStarted.Wrapf("placement %s", p.ID)
	}
	return p, nil
}

// services is a node's record, empty when it has none.
func (k *Keeper) services(ctx context.Context, key sunstypes.NodeKey) (types.NodeServices, error) {
	record, err := k.Services.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.NodeServices{}, nil
	}
	return record, err
}

// recorded is a placement's place in its node's record.
type recorded struct {
	node   sunstypes.NodeKey
	record types.NodeServices
	at     int
	found  bool
}

// findService finds a placement in its node's record.
func (k *Keeper) findService(ctx context.Context, key types.PlacementKey, p types.Placement) (r recorded, err error) {
	if p.StartedMs == 0 {
		return r, nil
	}
	if r.node, err = p.Node.Key(); err != nil {
		return r, err
	}
	if r.record, err = k.services(ctx, r.node); err != nil {
		return r, err
	}
	r.at, r.found = r.record.Find(types.NewPlacementRef(key))
	return r, nil
}

// loadBilling reads a placement's money, with what its node attested.
func (k *Keeper) loadBilling(ctx context.Context, key types.PlacementKey, p types.Placement) (types.PlacementBilling, error) {
	billing, err := k.Billings.Get(ctx, key)
	if err != nil || p.Status == types.PLACEMENT_STATUS_SETTLED {
		return billing, err
	}
	billing.Begin(p)
	r, err := k.findService(ctx, key, p)
	if err != nil || !r.found {
		return billing, err
	}
	service := r.record.Services[r.at]
	if !service.Matches(billing) {
		return billing, fmt.Errorf("placement %s: its open hours differ from those its node attests", p.ID)
	}
	service.FillIn(&billing)
	return billing, nil
}

// saveBilling writes a placement's money, and its open hours and its end to the node's record where it stands there.
func (k *Keeper) saveBilling(
	ctx context.Context, key types.PlacementKey, p types.Placement, billing types.PlacementBilling,
) error {
	r, err := k.findService(ctx, key, p)
	if err != nil {
		return err
	}
	if r.found {
		r.record.Services[r.at] = types.ServiceOf(key, p, billing)
		if err := k.Services.Set(ctx, r.node, r.record); err != nil {
			return err
		}
	}
	return k.Billings.Set(ctx, key, billing)
}

// dropService takes a placement that is settled out of its node's record.
func (k *Keeper) dropService(ctx context.Context, key types.PlacementKey, p types.Placement) error {
	r, err := k.findService(ctx, key, p)
	if err != nil || !r.found {
		return err
	}
	r.record.Services = slices.Delete(r.record.Services, r.at, r.at+1)
	if len(r.record.Services) == 0 {
		return k.Services.Remove(ctx, r.node)
	}
	return k.Services.Set(ctx, r.node, r.record)
}
