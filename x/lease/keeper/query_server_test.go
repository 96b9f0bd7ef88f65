package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// pages walks a paginated query with pages of two and gives how many there were.
func pages(t *testing.T, get func(*query.PageRequest) (*query.PageResponse, error)) int {
	t.Helper()
	request := &query.PageRequest{Limit: 2}
	for count := 1; ; count++ {
		response, err := get(request)
		require.NoError(t, err)
		if len(response.NextKey) == 0 {
			return count
		}
		request = &query.PageRequest{Key: response.NextKey, Limit: 2}
	}
}

func TestQueryParams(t *testing.T) {
	f := newFixture(t)
	response, err := f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.NoError(t, err)
	require.Equal(t, testParams(), response.Params)
}

func TestQueryLeases(t *testing.T) {
	f := newFixture(t)
	other := testkit.Addr("other")
	f.Fund(other, tenantFunds)
	f.leases(5)
	f.lease(func(m *types.MsgCreateLease) { m.Tenant = other.String() })
	for _, tc := range []struct {
		tenant string
		leases int
		pages  int
	}{{"", 6, 3}, {f.tenant.String(), 5, 3}, {other.String(), 1, 1}, {testkit.Addr("nobody").String(), 0, 1}} {
		var seen []types.LeaseInfo
		count := pages(t, func(page *query.PageRequest) (*query.PageResponse, error) {
			response, err := f.query.Leases(f.Ctx, &types.QueryLeasesRequest{Tenant: tc.tenant, Pagination: page})
			require.LessOrEqual(t, len(response.Leases), 2)
			seen = append(seen, response.Leases...)
			return response.Pagination, err
		})
		require.Len(t, seen, tc.leases)
		require.Equal(t, tc.pages, count)
		for i, lease := range seen {
			requireInt(t, 100_000, lease.Money.Balance)
			if tc.tenant != "" {
				require.Equal(t, types.LeaseID{Tenant: tc.tenant, Number: uint64(i + 1)}, lease.Lease.ID)
			}
		}
	}
}

func TestQueryPlacements(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 9})
	f.addNode(nodeSpec{operator: "spare", suns: 9, ask: ask + 1})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 5 })
	first := f.live(id)
	f.serve(id, 5*time.Second)
	for _, p := range first {
		f.reject(p)
	}
	f.Advance(20*time.Second, 5*time.Second)
	for _, p := range first {
		require.Equal(t, types.PLACEMENT_STATUS_SETTLED, f.known(p.ID).Placement.Status)
		requireInt(t, 4, f.known(p.ID).Billing.PaidOperator)
	}
	var seen []types.PlacementID
	require.Equal(t, 3, pages(t, func(page *query.PageRequest) (*query.PageResponse, error) {
		response, err := f.query.Placements(f.Ctx, &types.QueryPlacementsRequest{Tenant: id.Tenant, Number: id.Number, Pagination: page})
		for _, p := range response.Placements {
			seen = append(seen, p.Placement.ID)
		}
		return response.Pagination, err
	}))
	var want []types.PlacementID
	for _, p := range append(f.live(id), first...) { // first what is open, then page by page the history
		want = append(want, p.ID)
	}
	require.ElementsMatch(t, want, seen, "each once")
	require.Equal(t, want[:5], seen[:5])
}

func TestQueryNodePlacements(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 9})
	f.addNode(nodeSpec{operator: "spare", suns: 9, ask: ask + 1})
	id := f.run(func(m *types.MsgCreateLease) {
		m.Replicas, m.Args, m.Env = 5, []string{"serve"}, []types.EnvVar{{Name: "A", Value: "b"}}
	})
	f.serve(id, 5*time.Second)
	moved := f.live(id)[0]
	f.reject(moved)
	f.NextBlock(time.Second)

	var seen []types.NodePlacement
	require.Equal(t, 3, pages(t, func(page *query.PageRequest) (*query.PageResponse, error) {
		response, err := f.query.NodePlacements(f.Ctx, &types.QueryNodePlacementsRequest{
			Operator: node.Operator, Node: node.Number, Pagination: page,
		})
		require.Equal(t, f.now(), response.NowMs)
		seen = append(seen, response.Placements...)
		return response.Pagination, err
	}))
	require.Len(t, seen, 5, "what ended is listed until it is settled")
	for _, p := range seen {
		require.Equal(t, []string{"serve"}, p.Args)
		require.Equal(t, []types.EnvVar{{Name: "A", Value: "b"}}, p.Env)
		require.Len(t, p.Billing.Spans, 1)
		require.Equal(t, p.Placement.ID != moved.ID, p.Placement.Live())
	}
	none, err := f.query.NodePlacements(f.Ctx, &types.QueryNodePlacementsRequest{Operator: node.Operator, Node: 2})
	require.NoError(t, err)
	require.Empty(t, none.Placements)
}

func TestQuoteNamesAsManyAsAreAskedFor(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.MaxCandidates = 5 })
	for i := range 12 {
		f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), ask: ask + uint64(i)})
	}
	f.NextBlock(time.Second)
	for limit, want := range map[uint32]int{0: 10, 3: 3, 12: 12, 1_000: 12} {
		response, err := f.query.Quote(f.Ctx, &types.QueryQuoteRequest{Image: f.image, Limit: limit})
		require.NoError(t, err)
		require.Len(t, response.Offers, want)
		for i, offer := range response.Offers {
			require.EqualValues(t, ask+i, offer.AskPrice)
			require.EqualValues(t, ask+i, offer.HourPrice)
			require.EqualValues(t, 1_000, offer.MilliSuns)
			require.Equal(t, "TW", offer.Country)
			require.Equal(t, "amd64", offer.Architecture)
		}
	}
}

func TestQuoteFollowsTheRules(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a"})
	f.addNode(nodeSpec{operator: "a", number: 2})
	f.addNode(nodeSpec{operator: "b", ask: 2 * ask, country: "JP"})
	f.addNode(nodeSpec{operator: "gpu", ask: 3 * ask, devices: []sunstypes.Accelerator{gpu("g", 10)}})
	f.NextBlock(time.Second)
	first := sunstypes.NewNodeID(testkit.Addr("a"), 1)
	device := &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 1}}
	for _, tc := range []struct {
		name string
		req  types.QueryQuoteRequest
		want []string
	}{
		{"by demand alone", types.QueryQuoteRequest{Demand: &sunstypes.Demand{GeneralMilliSuns: 4_000}}, []string{"a", "a", "b", "gpu"}},
		{"spread", types.QueryQuoteRequest{Image: f.image, Rules: types.PlacementRules{SpreadOperators: true}}, []string{"a", "b", "gpu"}},
		{"avoiding", types.QueryQuoteRequest{Image: f.image, Rules: types.PlacementRules{Avoid: []sunstypes.NodeID{first}}}, []string{"a", "b", "gpu"}},
		{"countries in order", types.QueryQuoteRequest{Image: f.image, Rules: types.PlacementRules{Countries: []string{"JP", "TW"}}}, []string{"b", "a", "a", "gpu"}},
		{"a node", types.QueryQuoteRequest{Image: f.image, Rules: types.PlacementRules{Node: &first}}, []string{"a"}},
		{"a device", types.QueryQuoteRequest{Demand: device}, []string{"gpu"}},
		{"under a cap", types.QueryQuoteRequest{Image: f.image, MaxPrice: 2 * ask}, []string{"a", "a", "b"}},
		{"too much", types.QueryQuoteRequest{Demand: &sunstypes.Demand{GeneralMilliSuns: 4_001}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response, err := f.query.Quote(f.Ctx, &tc.req)
			require.NoError(t, err)
			var names []string
			for _, offer := range response.Offers {
				for _, name := range []string{"a", "b", "gpu"} {
					if testkit.Addr(name).String() == offer.Node.Operator {
						names = append(names, name)
					}
				}
			}
			require.Equal(t, tc.want, names)
		})
	}
}

func TestQueryErrors(t *testing.T) {
	f := newFixture(t)
	tenant := f.tenant.String()
	for _, tc := range []struct {
		name string
		ask  func() error
		code codes.Code
	}{
		{"unknown lease", func() error {
			_, err := f.query.Lease(f.Ctx, &types.QueryLeaseRequest{Tenant: tenant, Number: 1})
			return err
		}, codes.NotFound},
		{"lease without number", func() error {
			_, err := f.query.Lease(f.Ctx, &types.QueryLeaseRequest{Tenant: tenant})
			return err
		}, codes.InvalidArgument},
		{"no lease", func() error { _, err := f.query.Lease(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"leases of nobody", func() error {
			_, err := f.query.Leases(f.Ctx, &types.QueryLeasesRequest{Tenant: foreign})
			return err
		}, codes.InvalidArgument},
		{"no leases", func() error { _, err := f.query.Leases(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"unknown placement", func() error {
			_, err := f.query.Placement(f.Ctx, &types.QueryPlacementRequest{Tenant: tenant, Number: 1, Generation: 1})
			return err
		}, codes.NotFound},
		{"placement without generation", func() error {
			_, err := f.query.Placement(f.Ctx, &types.QueryPlacementRequest{Tenant: tenant, Number: 1})
			return err
		}, codes.InvalidArgument},
		{"no placement", func() error { _, err := f.query.Placement(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"placements of nobody", func() error {
			_, err := f.query.Placements(f.Ctx, &types.QueryPlacementsRequest{Tenant: "x", Number: 1})
			return err
		}, codes.InvalidArgument},
		{"no placements", func() error { _, err := f.query.Placements(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"placements of no node", func() error {
			_, err := f.query.NodePlacements(f.Ctx, &types.QueryNodePlacementsRequest{Operator: "x", Node: 1})
			return err
		}, codes.InvalidArgument},
		{"no node", func() error { _, err := f.query.NodePlacements(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"quote for an unknown image", func() error {
			_, err := f.query.Quote(f.Ctx, &types.QueryQuoteRequest{Image: testkit.Addr("publisher").String() + "/no:1"})
			return err
		}, codes.InvalidArgument},
		{"quote for nothing", func() error { _, err := f.query.Quote(f.Ctx, &types.QueryQuoteRequest{}); return err }, codes.InvalidArgument},
		{"quote with bad rules", func() error {
			_, err := f.query.Quote(f.Ctx, &types.QueryQuoteRequest{Image: f.image, Rules: types.PlacementRules{Zones: []string{""}}})
			return err
		}, codes.InvalidArgument},
		{"no quote", func() error { _, err := f.query.Quote(f.Ctx, nil); return err }, codes.InvalidArgument},
		{"no quarantine", func() error { _, err := f.query.Quarantine(f.Ctx, nil); return err }, codes.InvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.code, status.Code(tc.ask())) })
	}
}
