package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/paging"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

type queryServer struct{ keeper Keeper }

// NewQueryServer gives the Query service.
func NewQueryServer(k Keeper) types.QueryServer { return queryServer{keeper: k} }

// Params implements types.QueryServer.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	params, err := q.keeper.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	return &types.QueryParamsResponse{Params: params}, nil
}

// Pool implements types.QueryServer.
func (q queryServer) Pool(ctx context.Context, _ *types.QueryPoolRequest) (*types.QueryPoolResponse, error) {
	pool, err := q.keeper.Pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	return &types.QueryPoolResponse{State: pool, Balance: q.keeper.Balance(ctx)}, nil
}

// Usage implements types.QueryServer.
func (q queryServer) Usage(ctx context.Context, req *types.QueryUsageRequest) (*types.QueryUsageResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	id := leasetypes.PlacementID{Tenant: req.Tenant, Number: req.Number, Replica: req.Replica, Generation: req.Generation}
	if _, err := id.Key(); err != nil {
		return nil, types.ErrInvalidRequest.Wrap(err.Error())
	}
	usage, err := q.keeper.Usage(ctx, id)
	if err != nil {
		return nil, err
	}
	return &types.QueryUsageResponse{Usage: usage}, nil
}

// Attestation implements types.QueryServer.
func (q queryServer) Attestation(ctx context.Context, req *types.QueryAttestationRequest) (*types.QueryAttestationResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	key, err := q.nodeKey(ctx, req.Operator, req.Node)
	if err != nil {
		return nil, err
	}
	attestation, err := q.keeper.attestation(ctx, key)
	if err != nil {
		return nil, err
	}
	return &types.QueryAttestationResponse{Attestation: attestation}, nil
}

// Rewards implements types.QueryServer.
func (q queryServer) Rewards(ctx context.Context, req *types.QueryRewardsRequest) (*types.QueryRewardsResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	key, err := q.nodeKey(ctx, req.Operator, req.Node)
	if err != nil {
		return nil, err
	}
	epoch, err := q.keeper.suns.CurrentEpoch(ctx)
	if err != nil {
		return nil, err
	}
	reward, err := q.keeper.reward(ctx, key)
	if err != nil {
		return nil, err
	}
	if _, err := q.keeper.settle(ctx, &reward, epoch.Number); err != nil {
		return nil, err
	}
	return &types.QueryRewardsResponse{Audit: reward.Accrued}, nil
}

// Quarantine implements types.QueryServer.
func (q queryServer) Quarantine(ctx context.Context, req *types.QueryQuarantineRequest) (*types.QueryQuarantineResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	items, page, err := q.keeper.Quarantine.Page(ctx, asked)
	if err != nil {
		return nil, err
	}
	return &types.QueryQuarantineResponse{Items: items, Pagination: page}, nil
}

// nodeKey gives the key of a node that exists, so that a mistyped node is not taken for one that never attested.
func (q queryServer) nodeKey(ctx context.Context, operator string, number uint64) (sunstypes.NodeKey, error) {
	id := sunstypes.NodeID{Operator: operator, Number: number}
	key, err := id.Key()
	if err != nil {
		return key, types.ErrInvalidRequest.Wrap(err.Error())
	}
	_, err = q.keeper.suns.GetNode(ctx, id)
	return key, err
}
