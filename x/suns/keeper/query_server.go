package keeper

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/paging"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer answers the queries of x/suns.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

// Params implements types.QueryServer.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	params, err := q.k.GetParams(ctx)
	return &types.QueryParamsResponse{Params: params}, err
}

// Clock implements types.QueryServer.
func (q queryServer) Clock(ctx context.Context, _ *types.QueryClockRequest) (*types.QueryClockResponse, error) {
	clock, err := q.k.Clock.Get(ctx)
	return &types.QueryClockResponse{Clock: clock}, err
}

// Node implements types.QueryServer.
func (q queryServer) Node(ctx context.Context, req *types.QueryNodeRequest) (*types.QueryNodeResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	node, err := q.k.GetNode(ctx, types.NodeID{Operator: req.Operator, Number: req.Number})
	if err != nil {
		return nil, queryError(err)
	}
	return q.nodeResponse(ctx, node)
}

// NodeByAgent implements types.QueryServer.
func (q queryServer) NodeByAgent(ctx context.Context, req *types.QueryNodeByAgentRequest) (*types.QueryNodeResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	agent, err := sdk.AccAddressFromBech32(req.Agent)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "agent: %s", err)
	}
	node, err := q.k.NodeOfAgent(ctx, agent)
	if err != nil {
		return nil, queryError(err)
	}
	return q.nodeResponse(ctx, node)
}

func (q queryServer) nodeResponse(ctx context.Context, node types.Node) (*types.QueryNodeResponse, error) {
	key, err := node.ID.Key()
	if err != nil {
		return nil, err
	}
	info, err := q.info(ctx, key, node)
	return &types.QueryNodeResponse{Node: info}, err
}

func (q queryServer) info(ctx context.Context, key types.NodeKey, node types.Node) (types.NodeInfo, error) {
	load, err := q.k.load(ctx, key)
	if err != nil {
		return types.NodeInfo{}, err
	}
	last, err := orZero(q.k.CheckIns.Get(ctx, key))
	if err != nil {
		return types.NodeInfo{}, err
	}
	deadline, err := orZero(q.k.Deadlines.Get(ctx, key))
	return types.NodeInfo{
		Node: node, Load: load, LastCheckInMs: last, DeadlineMs: deadline,
		FreeGeneralMilliSuns: node.FreeGeneralMilliSuns(load),
	}, err
}

// Nodes implements types.QueryServer.
func (q queryServer) Nodes(ctx context.Context, req *types.QueryNodesRequest) (*types.QueryNodesResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	page, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	var options []func(*query.CollectionsPaginateOptions[types.NodeKey])
	if req.Operator != "" {
		operator, err := sdk.AccAddressFromBech32(req.Operator)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "operator: %s", err)
		}
		options = append(options, query.WithCollectionPaginationPairPrefix[sdk.AccAddress, uint64](operator))
	}
	nodes, next, err := query.CollectionPaginate(ctx, q.k.Nodes, page,
		func(key types.NodeKey, node types.Node) (types.NodeInfo, error) { return q.info(ctx, key, node) }, options...)
	return &types.QueryNodesResponse{Nodes: nodes, Pagination: next}, err
}

// Contact implements types.QueryServer.
func (q queryServer) Contact(ctx context.Context, req *types.QueryContactRequest) (*types.QueryContactResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	contact, err := q.k.GetContact(ctx, types.NodeID{Operator: req.Operator, Number: req.Number})
	return &types.QueryContactResponse{Contact: contact}, queryError(err)
}

// Contacts implements types.QueryServer.
func (q queryServer) Contacts(ctx context.Context, req *types.QueryContactsRequest) (*types.QueryContactsResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	page, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	contacts, next, err := query.CollectionPaginate(ctx, q.k.Contacts, page,
		func(_ types.NodeKey, contact types.Contact) (types.Contact, error) { return contact, nil })
	return &types.QueryContactsResponse{Contacts: contacts, Pagination: next}, err
}

// Epoch implements types.QueryServer.
func (q queryServer) Epoch(ctx context.Context, _ *types.QueryEpochRequest) (*types.QueryEpochResponse, error) {
	epoch, err := q.k.CurrentEpoch(ctx)
	if err != nil {
		return nil, err
	}
	params, err := q.k.GetParams(ctx)
	return &types.QueryEpochResponse{Epoch: epoch, EndsMs: epoch.StartMs + types.Ms(params.EpochDuration)}, err
}

// Emission implements types.QueryServer.
func (q queryServer) Emission(ctx context.Context, _ *types.QueryEmissionRequest) (*types.QueryEmissionResponse, error) {
	schedule, err := q.k.EmissionSchedule.Get(ctx)
	if err != nil {
		return nil, err
	}
	state, err := q.k.Emission.Get(ctx)
	return &types.QueryEmissionResponse{Schedule: schedule, State: state}, err
}

// Rewards implements types.QueryServer.
func (q queryServer) Rewards(ctx context.Context, req *types.QueryRewardsRequest) (*types.QueryRewardsResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	key, _, err := q.k.node(ctx, types.NodeID{Operator: req.Operator, Number: req.Number})
	if err != nil {
		return nil, queryError(err)
	}
	epoch, err := q.k.CurrentEpoch(ctx)
	if err != nil {
		return nil, err
	}
	reward, err := q.k.reward(ctx, key)
	if err != nil {
		return nil, err
	}
	settled := reward
	_, err = q.k.settle(ctx, &settled, epoch)
	return &types.QueryRewardsResponse{Maintenance: settled.Accrued, Reward: reward}, err
}

// Convert implements types.QueryServer.
func (q queryServer) Convert(ctx context.Context, req *types.QueryConvertRequest) (*types.QueryConvertResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	if err := validateConvert(req); err != nil {
		return nil, err
	}
	params, err := q.k.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	milli, bottleneck := types.CapacityMilliSuns(params.Bundle, req.Capacity)
	res := &types.QueryConvertResponse{
		CapacityMilliSuns: milli, Bottleneck: bottleneck, TotalMilliSuns: milli,
		DemandMilliSuns: types.DemandMilliSuns(params.Bundle, req.Capacity),
		Ratios:          types.CapacityRatios(params.Bundle, req.Capacity),
	}
	for _, a := range req.Accelerators {
		device := types.ConvertAccelerator(params.AcceleratorBundle, a)
		res.Accelerators = append(res.Accelerators, device)
		res.AcceleratorMilliSuns = append(res.AcceleratorMilliSuns, device.MilliSuns)
		res.TotalMilliSuns += device.MilliSuns
	}
	if req.MilliSuns > 0 {
		general := types.ResourcesOf(params.Bundle, req.MilliSuns)
		device := types.AcceleratorResourcesOf(params.AcceleratorBundle, req.MilliSuns)
		res.Resources, res.AcceleratorResources = &general, &device
	}
	return res, nil
}

// validateConvert holds a question to the bounds of a node.
func validateConvert(req *types.QueryConvertRequest) error {
	if len(req.Accelerators) > types.MaxAccelerators {
		return status.Errorf(codes.InvalidArgument, "at most %d accelerators", types.MaxAccelerators)
	}
	if req.MilliSuns > types.MaxNodeMilliSuns {
		return status.Errorf(codes.InvalidArgument, "%d milli-SUNS is above %d", req.MilliSuns, types.MaxNodeMilliSuns)
	}
	if err := req.Capacity.Validate(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for _, a := range req.Accelerators {
		if err := a.ValidateSize(); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	return nil
}

// Quarantine implements types.QueryServer.
func (q queryServer) Quarantine(ctx context.Context, req *types.QueryQuarantineRequest) (*types.QueryQuarantineResponse, error) {
	if req == nil {
		return nil, errEmptyRequest
	}
	page, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	items, next, err := q.k.Quarantine.Page(ctx, page)
	return &types.QueryQuarantineResponse{Items: items, Pagination: next}, err
}

var errEmptyRequest = status.Error(codes.InvalidArgument, "empty request")

// queryError gives an error of the module its gRPC code.
func queryError(err error) error {
	switch {
	case errors.Is(err, types.ErrNodeNotFound), errors.Is(err, types.ErrAgentUnknown), errors.Is(err, types.ErrContactNotFound),
		errors.Is(err, collections.ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, types.ErrInvalidNodeID):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return err
}
