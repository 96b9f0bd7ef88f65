package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func requireCode(t *testing.T, code codes.Code, err error) {
	t.Helper()
	require.Equal(t, code, status.Code(err), "%v", err)
}

func TestQueryNode(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	byAgent, err := f.query.NodeByAgent(f.Ctx, &types.QueryNodeByAgentRequest{Agent: f.node(id).Agent})
	require.NoError(t, err)
	require.Equal(t, f.info(id), byAgent.Node)

	_, err = f.query.Node(f.Ctx, &types.QueryNodeRequest{Operator: id.Operator, Number: 2})
	requireCode(t, codes.NotFound, err)
	_, err = f.query.Node(f.Ctx, &types.QueryNodeRequest{Operator: "x", Number: 1})
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.NodeByAgent(f.Ctx, &types.QueryNodeByAgentRequest{Agent: id.Operator})
	requireCode(t, codes.NotFound, err)
	_, err = f.query.NodeByAgent(f.Ctx, &types.QueryNodeByAgentRequest{Agent: "x"})
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Rewards(f.Ctx, &types.QueryRewardsRequest{Operator: id.Operator, Number: 2})
	requireCode(t, codes.NotFound, err)
}

func TestQueryNodesInPages(t *testing.T) {
	f := newFixture(t)
	for number := uint64(1); number <= 3; number++ {
		f.register("alice", number)
		f.register("bob", number)
	}
	seen := map[types.NodeID]bool{}
	page := &query.PageRequest{Limit: 4}
	for range 2 {
		res, err := f.query.Nodes(f.Ctx, &types.QueryNodesRequest{Pagination: page})
		require.NoError(t, err)
		for _, node := range res.Nodes {
			seen[node.Node.ID] = true
		}
		page = &query.PageRequest{Limit: 4, Key: res.Pagination.NextKey}
	}
	require.Len(t, seen, 6)
	require.Nil(t, page.Key)

	res, err := f.query.Nodes(f.Ctx, &types.QueryNodesRequest{Operator: testkit.Addr("bob").String()})
	require.NoError(t, err)
	require.Len(t, res.Nodes, 3)
	for i, node := range res.Nodes {
		require.Equal(t, types.NewNodeID(testkit.Addr("bob"), uint64(i+1)), node.Node.ID)
		require.EqualValues(t, 4_000, node.FreeGeneralMilliSuns)
	}
	_, err = f.query.Nodes(f.Ctx, &types.QueryNodesRequest{Operator: "x"})
	requireCode(t, codes.InvalidArgument, err)
}

func TestQueriesAreBounded(t *testing.T) {
	f := newFixture(t)
	for _, page := range []*query.PageRequest{{Limit: 1_001}, {CountTotal: true}, {Offset: 1_001}} {
		_, err := f.query.Nodes(f.Ctx, &types.QueryNodesRequest{Pagination: page})
		requireCode(t, codes.InvalidArgument, err)
		_, err = f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{Pagination: page})
		requireCode(t, codes.InvalidArgument, err)
	}
	_, err := f.query.Nodes(f.Ctx, &types.QueryNodesRequest{Pagination: &query.PageRequest{Limit: 1_000, Offset: 1_000}})
	require.NoError(t, err)
}

func TestQueriesSurviveEmptyRequests(t *testing.T) {
	f := newFixture(t)
	_, err := f.query.Node(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.NodeByAgent(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Nodes(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Rewards(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Convert(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Quarantine(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
}

// A machine of 8 cores, 16 GiB, 1 TiB and 100 Mbit/s is bound by bandwidth: 5 SUNS. An application that needs that much must
// ask for 64 SUNS, since storage dominates.
func TestQueryConvert(t *testing.T) {
	f := newFixture(t)
	res, err := f.query.Convert(f.Ctx, &types.QueryConvertRequest{
		Capacity:     types.Capacity{CpuPoints: 8_000, MemoryMiB: 16_384, StorageMiB: 1_048_576, BandwidthMbps: 100},
		Accelerators: []types.Accelerator{rtx4090("GPU-0")},
		MilliSuns:    2_500,
	})
	require.NoError(t, err)
	require.Equal(t, &types.QueryConvertResponse{
		CapacityMilliSuns: 5_000, Bottleneck: "bandwidth", AcceleratorMilliSuns: []uint64{30_000},
		TotalMilliSuns: 35_000, DemandMilliSuns: 64_000,
		Ratios: []types.ResourceSuns{
			{Resource: "cpu", MilliSuns: 8_000},
			{Resource: "memory", MilliSuns: 8_000},
			{Resource: "storage", MilliSuns: 64_000},
			{Resource: "bandwidth", MilliSuns: 5_000},
		},
		Accelerators: []types.AcceleratorSuns{{MilliSuns: 30_000, Bottleneck: "memory", Ratios: []types.ResourceSuns{
			{Resource: "memory", MilliSuns: 30_000},
			{Resource: "memory_bandwidth", MilliSuns: 30_000},
			{Resource: "fp32", MilliSuns: 413_000},
		}}},
		Resources:            &types.Capacity{CpuPoints: 2_500, MemoryMiB: 5_120, StorageMiB: 40_960, BandwidthMbps: 50},
		AcceleratorResources: &types.AcceleratorBundle{MemoryKiB: 2_097_150, MemoryBandwidthMbs: 84_000, Fp32Gflops: 500},
	}, res)

	// Asked nothing, it gives nothing.
	res, err = f.query.Convert(f.Ctx, &types.QueryConvertRequest{})
	require.NoError(t, err)
	require.Zero(t, res.TotalMilliSuns+res.DemandMilliSuns)
	require.Nil(t, res.Resources)
	require.Nil(t, res.AcceleratorResources)
}

func TestQueryConvertIsBounded(t *testing.T) {
	f := newFixture(t)
	for name, req := range map[string]*types.QueryConvertRequest{
		"capacity":     {Capacity: types.Capacity{CpuPoints: ^uint64(0)}},
		"accelerators": {Accelerators: make([]types.Accelerator, 17)},
		"accelerator":  {Accelerators: []types.Accelerator{{MemoryMiB: ^uint64(0)}}},
		"SUNS":         {MilliSuns: types.MaxNodeMilliSuns + 1},
	} {
		_, err := f.query.Convert(f.Ctx, req)
		require.Error(t, err, name)
		requireCode(t, codes.InvalidArgument, err)
	}
	_, err := f.query.Convert(f.Ctx, &types.QueryConvertRequest{MilliSuns: types.MaxNodeMilliSuns})
	require.NoError(t, err)
}

// What the query says of a machine is what the chain makes of its report.
func TestQueryConvertIsTheChainsArithmetic(t *testing.T) {
	f := newFixture(t)
	r := withCards(report(3), "GPU-0")
	r.Capacity.MemoryMiB, r.Accelerators[0].MemoryBandwidthMbs = 5_001, 700_001
	res, err := f.query.Convert(f.Ctx, &types.QueryConvertRequest{Capacity: r.Capacity, Accelerators: r.Accelerators})
	require.NoError(t, err)
	r.MilliSuns = res.TotalMilliSuns
	node := f.node(f.register("alice", 1, withReport(r)))
	require.Equal(t, res.CapacityMilliSuns, node.GeneralMilliSuns)
	require.Equal(t, res.AcceleratorMilliSuns[0], node.Accelerators[0].MilliSuns)
	require.Equal(t, res.TotalMilliSuns, node.MilliSuns)
}

func TestUpdateParams(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.MinAsk = 5_000
	_, err := deliver(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: testkit.Addr("alice").String(), Params: params})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	_, err = deliver(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String()})
	require.ErrorIs(t, err, types.ErrInvalidParams)
	misfit := errors.New("does not go with the params above")
	f.hooks.fail = map[string]error{"params": misfit}
	_, err = deliver(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.ErrorIs(t, err, misfit)
	f.hooks.fail = nil
	_, events, err := deliverEvents(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	require.Equal(t, []types.EventParamsUpdated{{Authority: f.Authority.String()}},
		testkit.EventsOf[types.EventParamsUpdated](t, events))
	res, err := f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.NoError(t, err)
	require.Equal(t, params, res.Params)
}

// Params that were never set are an error, not defaults that nobody chose.
func TestUnsetParamsAreAnError(t *testing.T) {
	f := newEmptyFixture(t)
	_, err := f.keeper.GetParams(f.Ctx)
	require.Error(t, err)
	_, err = f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.Error(t, err)
	require.Error(t, f.keeper.BeginBlock(f.Ctx))
	require.Error(t, f.keeper.EndBlock(f.Ctx))
}

func TestHooksAreSetOnce(t *testing.T) {
	f := newFixture(t)
	require.Panics(t, func() { f.keeper.SetHooks(types.MultiHooks{}) })
}

func TestIterateNodesStops(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1)
	f.register("bob", 1)
	f.NextBlock(time.Second)
	visited := 0
	require.NoError(t, f.keeper.IterateNodes(f.Ctx, func(types.Node, types.NodeLoad) bool { visited++; return true }))
	require.Equal(t, 1, visited)
	require.NoError(t, f.keeper.IterateNodes(f.Ctx, func(types.Node, types.NodeLoad) bool { visited++; return false }))
	require.Equal(t, 3, visited)
}
