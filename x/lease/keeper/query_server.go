package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/paging"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

type queryServer struct{ k *Keeper }

var _ types.QueryServer = queryServer{}

// NewQueryServer serves the queries of x/lease.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// statusOf turns the module's errors into those of gRPC.
func statusOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, types.ErrLeaseNotFound), errors.Is(err, types.ErrPlacementNotFound),
		errors.Is(err, collections.ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, types.ErrInvalidID), errors.Is(err, types.ErrInvalidDemand), errors.Is(err, types.ErrInvalidRules):
		return status.Error(codes.InvalidArgument, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

// Params gives the params.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	params, err := q.k.Params.Get(ctx)
	return &types.QueryParamsResponse{Params: params}, statusOf(err)
}

// Lease gives one lease.
func (q queryServer) Lease(ctx context.Context, req *types.QueryLeaseRequest) (*types.QueryLeaseResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	id := types.LeaseID{Tenant: req.Tenant, Number: req.Number}
	lease, err := q.k.GetLease(ctx, id)
	if err != nil {
		return nil, statusOf(err)
	}
	response, err := q.lease(ctx, lease)
	return response, statusOf(err)
}

func (q queryServer) lease(ctx context.Context, lease types.Lease) (*types.QueryLeaseResponse, error) {
	key, err := lease.ID.Key()
	if err != nil {
		return nil, err
	}
	money, err := q.k.Money.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	placements, err := q.k.leasePlacements(ctx, key)
	if err != nil {
		return nil, err
	}
	noteStarts(&lease, placements)
	response := &types.QueryLeaseResponse{Lease: types.LeaseInfo{Lease: lease, Money: money}, Reserved: math.ZeroInt()}
	for _, p := range placements {
		info, err := q.placement(ctx, p)
		if err != nil {
			return nil, err
		}
		response.Placements = append(response.Placements, info)
		response.Reserved = response.Reserved.Add(info.Billing.Reserved())
	}
	response.Requests, err = q.k.leaseRequests(ctx, key)
	return response, err
}

func (q queryServer) placement(ctx context.Context, p types.Placement) (types.PlacementInfo, error) {
	key, err := p.ID.Key()
	if err != nil {
		return types.PlacementInfo{}, err
	}
	billing, err := q.k.loadBilling(ctx, key, p)
	return types.PlacementInfo{Placement: p, Billing: billing}, err
}

// Leases lists leases.
func (q queryServer) Leases(ctx context.Context, req *types.QueryLeasesRequest) (*types.QueryLeasesResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	var opts []func(*query.CollectionsPaginateOptions[types.LeaseKey])
	if req.Tenant != "" {
		tenant, err := sdk.AccAddressFromBech32(req.Tenant)
		if err != nil {
			return nil, statusOf(types.ErrInvalidID.Wrapf("tenant: %s", err))
		}
		opts = append(opts, query.WithCollectionPaginationPairPrefix[sdk.AccAddress, uint64](tenant))
	}
	leases, page, err := query.CollectionPaginate(ctx, q.k.Leases, asked,
		func(key types.LeaseKey, lease types.Lease) (types.LeaseInfo, error) {
			money, err := q.k.Money.Get(ctx, key)
			return types.LeaseInfo{Lease: lease, Money: money}, err
		}, opts...)
	return &types.QueryLeasesResponse{Leases: leases, Pagination: page}, statusOf(err)
}

// Placement gives one placement, settled or not.
func (q queryServer) Placement(ctx context.Context, req *types.QueryPlacementRequest) (*types.QueryPlacementResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	key, p, err := q.k.GetPlacement(ctx, types.PlacementID{
		Tenant: req.Tenant, Number: req.Number, Replica: req.Replica, Generation: req.Generation,
	})
	if errors.Is(err, types.ErrPlacementSettled) {
		p, err = q.k.History.Get(ctx, key)
	}
	if err != nil {
		return nil, statusOf(err)
	}
	info, err := q.placement(ctx, p)
	return &types.QueryPlacementResponse{Placement: info}, statusOf(err)
}

// Placements lists a lease's placements: first the unsettled ones, then page by page its history.
func (q queryServer) Placements(ctx context.Context, req *types.QueryPlacementsRequest) (*types.QueryPlacementsResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	lease, err := types.LeaseID{Tenant: req.Tenant, Number: req.Number}.Key()
	if err != nil {
		return nil, statusOf(err)
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	response := &types.QueryPlacementsResponse{}
	if len(asked.Key) == 0 && asked.Offset == 0 {
		open, err := q.k.leasePlacements(ctx, lease)
		if err != nil {
			return nil, statusOf(err)
		}
		for _, p := range open {
			info, err := q.placement(ctx, p)
			if err != nil {
				return nil, statusOf(err)
			}
			response.Placements = append(response.Placements, info)
		}
	}
	prefix := collections.QuadSuperPrefix[sdk.AccAddress, uint64, uint32, uint64](lease.K1(), lease.K2())
	settled, page, err := query.CollectionPaginate(ctx, q.k.History, asked,
		func(_ types.PlacementKey, p types.Placement) (types.PlacementInfo, error) { return q.placement(ctx, p) },
		func(o *query.CollectionsPaginateOptions[types.PlacementKey]) { o.Prefix = &prefix })
	response.Placements = append(response.Placements, settled...)
	response.Pagination = page
	return response, statusOf(err)
}

// NodePlacements lists what a node's worker must run, and what just ended there.
func (q queryServer) NodePlacements(
	ctx context.Context, req *types.QueryNodePlacementsRequest,
) (*types.QueryNodePlacementsResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	node, err := sunstypes.NodeID{Operator: req.Operator, Number: req.Node}.Key()
	if err != nil {
		return nil, statusOf(types.ErrInvalidID.Wrap(err.Error()))
	}
	now, err := q.k.suns.NowMs(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	placements, page, err := query.CollectionPaginate(ctx, q.k.Placements.Indexes.ByNode, asked,
		func(key collections.Pair[sunstypes.NodeKey, types.PlacementKey], _ collections.NoValue) (types.NodePlacement, error) {
			return q.nodePlacement(ctx, key.K2())
		}, query.WithCollectionPaginationPairPrefix[sunstypes.NodeKey, types.PlacementKey](node))
	return &types.QueryNodePlacementsResponse{Placements: placements, Pagination: page, NowMs: now}, statusOf(err)
}

func (q queryServer) nodePlacement(ctx context.Context, key types.PlacementKey) (types.NodePlacement, error) {
	p, err := q.k.Placements.Get(ctx, key)
	if err != nil {
		return types.NodePlacement{}, err
	}
	billing, err := q.k.loadBilling(ctx, key, p)
	if err != nil {
		return types.NodePlacement{}, err
	}
	lease, err := q.k.Leases.Get(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return types.NodePlacement{}, err
	}
	restore, err := q.k.restoreOf(ctx, key)
	return types.NodePlacement{
		Placement: p, Billing: billing, Args: lease.Args, Env: lease.Env, Restore: restore,
		SnapshotEverySeconds: lease.SnapshotEverySeconds, SnapshotRequestMs: lease.SnapshotRequestMs,
	}, err
}

// Snapshots lists a lease's snapshots.
func (q queryServer) Snapshots(ctx context.Context, req *types.QuerySnapshotsRequest) (*types.QuerySnapshotsResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	lease, err := types.LeaseID{Tenant: req.Tenant, Number: req.Number}.Key()
	if err != nil {
		return nil, statusOf(err)
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	prefix := collections.QuadSuperPrefix[sdk.AccAddress, uint64, uint32, uint64](lease.K1(), lease.K2())
	if req.OfReplica {
		prefix = collections.QuadSuperPrefix3[sdk.AccAddress, uint64, uint32, uint64](lease.K1(), lease.K2(), req.Replica)
	}
	snapshots, page, err := query.CollectionPaginate(ctx, q.k.Snapshots, asked,
		func(_ types.SnapshotKey, s types.Snapshot) (types.Snapshot, error) { return s, nil },
		func(o *query.CollectionsPaginateOptions[types.SnapshotKey]) { o.Prefix = &prefix })
	return &types.QuerySnapshotsResponse{Snapshots: snapshots, Pagination: page}, statusOf(err)
}

// Quarantine lists the items of block queues that failed.
func (q queryServer) Quarantine(ctx context.Context, req *types.QueryQuarantineRequest) (*types.QueryQuarantineResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	items, page, err := q.k.Quarantine.Page(ctx, asked)
	return &types.QueryQuarantineResponse{Items: items, Pagination: page}, statusOf(err)
}
