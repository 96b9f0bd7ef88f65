package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func gpu(id string, suns uint64) sunstypes.Accelerator {
	return sunstypes.Accelerator{
		DeviceID: id, Kind: sunstypes.KindGPU, Vendor: "nvidia", Model: fmt.Sprintf("GPU %d", suns),
		MemoryMiB: suns * 820, MemoryBandwidthMbs: suns * 33_600, Fp32Gflops: suns * 200,
	}
}

func TestMatchTakesTheCheapestThatFits(t *testing.T) {
	tw, jp := []string{"TW"}, []string{"JP", "TW"}
	for _, tc := range []struct {
		name  string
		nodes []nodeSpec
		order func(*types.MsgCreateLease)
		want  string // operator, or empty when nothing fits
	}{
		{
			"the cheapest",
			[]nodeSpec{{operator: "dear", ask: 2 * ask}, {operator: "cheap"}, {operator: "mid", ask: ask + 1}},
			func(*types.MsgCreateLease) {}, "cheap",
		},
		{
			"of the right size",
			[]nodeSpec{{operator: "small", suns: 1}, {operator: "large", suns: 9, ask: 2 * ask}},
			func(m *types.MsgCreateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_001} }, "large",
		},
		{
			"exactly full",
			[]nodeSpec{{operator: "small", suns: 1}},
			func(m *types.MsgCreateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000} }, "small",
		},
		{
			"the preferred country before price",
			[]nodeSpec{{operator: "tw"}, {operator: "jp", country: "JP", ask: 2 * ask}},
			func(m *types.MsgCreateLease) { m.Rules.Countries = jp }, "jp",
		},
		{
			"the second country when the first has none",
			[]nodeSpec{{operator: "tw"}, {operator: "us", country: "US"}},
			func(m *types.MsgCreateLease) { m.Rules.Countries = jp }, "tw",
		},
		{
			"no other country",
			[]nodeSpec{{operator: "us", country: "US"}},
			func(m *types.MsgCreateLease) { m.Rules.Countries = tw }, "",
		},
		{
			"the zone",
			[]nodeSpec{{operator: "a", zone: "a"}, {operator: "b", zone: "b", ask: 2 * ask}},
			func(m *types.MsgCreateLease) { m.Rules.Zones = []string{"b"} }, "b",
		},
		{
			"not an avoided node",
			[]nodeSpec{{operator: "a"}, {operator: "b", ask: 2 * ask}},
			func(m *types.MsgCreateLease) {
				m.Rules.Avoid = []sunstypes.NodeID{sunstypes.NewNodeID(testkit.Addr("a"), 1)}
			}, "b",
		},
		{
			"the named node",
			[]nodeSpec{{operator: "a"}, {operator: "b", ask: 2 * ask}},
			func(m *types.MsgCreateLease) {
				id := sunstypes.NewNodeID(testkit.Addr("b"), 1)
				m.Rules.Node = &id
			}, "b",
		},
		{
			"another architecture",
			[]nodeSpec{{operator: "a"}},
			func(m *types.MsgCreateLease) { m.Rules.Architectures = []string{"amd64"} }, "a",
		},
		{
			"at the cap",
			[]nodeSpec{{operator: "a"}},
			func(m *types.MsgCreateLease) { m.MaxPrice = ask }, "a",
		},
		{
			"not above the cap",
			[]nodeSpec{{operator: "a", ask: ask + 1}},
			func(m *types.MsgCreateLease) { m.MaxPrice = ask }, "",
		},
		{
			"a device",
			[]nodeSpec{{operator: "a"}, {operator: "b", ask: 2 * ask, devices: []sunstypes.Accelerator{gpu("g", 10)}}},
			func(m *types.MsgCreateLease) {
				m.MaxPrice = 1_000_000
				m.Deposit = testkit.Coin(100_000_000)
				m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 5_000}}
			}, "b",
		},
		{
			// The small card costs 12 SUNS at 2·ask an hour, the big one 32 at ask.
			"the cheapest by what is really taken",
			[]nodeSpec{
				{operator: "big", devices: []sunstypes.Accelerator{gpu("g", 30)}},
				{operator: "small", ask: 2 * ask, devices: []sunstypes.Accelerator{gpu("g", 10)}},
			},
			func(m *types.MsgCreateLease) {
				m.MaxPrice = 1_000_000
				m.Deposit = testkit.Coin(100_000_000)
				m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 5_000}}
			}, "small",
		},
		{
			// Its device is cheaper by the hour, but with 4 SUNS of general resources the other is cheaper in all.
			"general resources count too",
			[]nodeSpec{
				{operator: "small", suns: 8, ask: 3 * ask, devices: []sunstypes.Accelerator{gpu("g", 5)}},
				{operator: "large", suns: 8, ask: ask, devices: []sunstypes.Accelerator{gpu("g", 16)}},
			},
			func(m *types.MsgCreateLease) {
				m.MaxPrice = 1_000_000
				m.Deposit = testkit.Coin(100_000_000)
				m.Demand = &sunstypes.Demand{GeneralMilliSuns: 8_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 5_000}}
			}, "large",
		},
		{
			"the model",
			[]nodeSpec{
				{operator: "other", devices: []sunstypes.Accelerator{gpu("g", 10)}},
				{operator: "right", ask: 2 * ask, devices: []sunstypes.Accelerator{gpu("g", 12)}},
			},
			func(m *types.MsgCreateLease) {
				m.MaxPrice = 1_000_000
				m.Deposit = testkit.Coin(100_000_000)
				m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{
					Kind: "gpu", Model: "GPU 12", Count: 1, MilliSuns: 5_000,
				}}
			}, "right",
		},
		{
			"not one device for two",
			[]nodeSpec{{operator: "a", devices: []sunstypes.Accelerator{gpu("g", 10)}}},
			func(m *types.MsgCreateLease) {
				m.MaxPrice = 1_000_000
				m.Deposit = testkit.Coin(100_000_000)
				m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 2, MilliSuns: 5_000}}
			}, "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			for _, node := range tc.nodes {
				f.addNode(node)
			}
			id := f.lease(tc.order)
			f.NextBlock(time.Second)
			live := f.live(id)
			if tc.want == "" {
				require.Empty(t, live)
				require.Len(t, f.get(id).Requests, 1)
				return
			}
			require.Len(t, live, 1)
			require.Equal(t, testkit.Addr(tc.want).String(), live[0].Node.Operator)
		})
	}
}

func TestWholeDevicesAreLeased(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a", devices: []sunstypes.Accelerator{gpu("g1", 10), gpu("g2", 10)}})
	order := func(m *types.MsgCreateLease) {
		m.Replicas, m.MaxPrice, m.Deposit = 3, 1_000_000, testkit.Coin(100_000_000)
		m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 1_000}}
	}
	id := f.lease(order)
	f.NextBlock(time.Second)
	live := f.live(id)
	require.Len(t, live, 2, "two devices, however small the demand")
	require.NotEqual(t, live[0].Devices[0].DeviceID, live[1].Devices[0].DeviceID)
	require.EqualValues(t, 11_000, live[0].MilliSuns)
}

func TestSpreadOverOperators(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a"})
	f.addNode(nodeSpec{operator: "a", number: 2})
	f.addNode(nodeSpec{operator: "b", ask: 2 * ask})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas, m.Rules.SpreadOperators = 3, true })
	f.NextBlock(time.Second)
	live := f.live(id)
	require.Len(t, live, 2)
	require.NotEqual(t, live[0].Node.Operator, live[1].Node.Operator)
}

func TestEqualPricesGoToTheLessLoaded(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a"})
	f.addNode(nodeSpec{operator: "b"})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	f.NextBlock(time.Second)
	live := f.live(id)
	require.Len(t, live, 2)
	require.NotEqual(t, live[0].Node.Operator, live[1].Node.Operator)
}

func TestNodeIsNeverOversold(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a", suns: 3})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = 5 })
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 3)
	require.Len(t, f.get(id).Requests, 2)
}

func TestOneOperatorCannotFillABucket(t *testing.T) {
	f := newFixture(t)
	params := testParams()
	params.MaxCandidates = keeper.MaxOperatorEntries + 1
	require.NoError(t, f.k.Params.Set(f.Ctx, params))
	for i := range uint64(3 * keeper.MaxOperatorEntries) {
		f.addNode(nodeSpec{operator: "many", number: i + 1, zone: "wrong"})
	}
	f.addNode(nodeSpec{operator: "one", zone: "right", ask: 2 * ask})
	id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Zones = []string{"right"} })
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1, "the operator's nodes beyond the first few are no candidates")

	// All of an operator's nodes are used in the end: as one fills, the next takes its place.
	all := f.lease(func(m *types.MsgCreateLease) {
		m.Rules.Zones = []string{"wrong"}
		m.Demand = &sunstypes.Demand{GeneralMilliSuns: 4_000}
		m.Replicas, m.MaxPrice, m.Deposit = 3*keeper.MaxOperatorEntries, 10*ask, testkit.Coin(100_000_000)
	})
	f.NextBlock(time.Second)
	require.Len(t, f.live(all), 3*keeper.MaxOperatorEntries)
}

func TestMatchGoesOnWhereItStopped(t *testing.T) {
	f := newFixture(t)
	params := testParams()
	params.MaxCandidates = 2
	require.NoError(t, f.k.Params.Set(f.Ctx, params))
	for i := range 5 {
		f.addNode(nodeSpec{operator: fmt.Sprintf("wrong-%d", i), zone: "wrong", ask: ask + uint64(i)})
	}
	f.addNode(nodeSpec{operator: "right", zone: "right", ask: 2 * ask})
	id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Zones = []string{"right"} })
	f.NextBlock(time.Second)
	require.Empty(t, f.live(id))
	require.NotNil(t, f.get(id).Requests[0].Cursor)
	f.Advance(6*time.Second, 2*time.Second)
	require.Len(t, f.live(id), 1)
	requireInt(t, 14, f.get(id).Lease.Money.Totals.RetryFees) // two retries at 7
	require.EqualValues(t, 14, f.pool())
}

func TestWaitingCostsAFeeAndEndsWithARefund(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	f.NextBlock(time.Second)
	require.Len(t, f.get(id).Requests, 1)
	f.Advance(5*time.Minute+10*time.Second, 2*time.Second)

	lease := f.get(id).Lease
	require.Equal(t, types.LEASE_STATUS_CLOSED, lease.Lease.Status)
	fees := lease.Money.Totals.RetryFees
	require.True(t, fees.IsPositive())
	require.EqualValues(t, tenantFunds-fees.Int64(), f.Balance(f.tenant))
	require.EqualValues(t, fees.Int64(), f.pool())
}

func TestNewNodeServesWhoWaits(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	f.NextBlock(time.Second)
	f.addNode(nodeSpec{operator: "op"})
	f.Advance(10*time.Second, time.Second)
	require.Len(t, f.live(id), 1)
	require.Zero(t, f.get(id).Lease.Lease.WaitDeadlineMs)
}

func TestQuoteNamesWhatAMatchWouldTake(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "b", ask: 2 * ask})
	f.addNode(nodeSpec{operator: "a"})
	f.NextBlock(time.Second)
	response, err := keeper.NewQueryServer(f.k).Quote(f.Ctx, &types.QueryQuoteRequest{Image: f.image})
	require.NoError(t, err)
	require.Len(t, response.Offers, 2)
	require.EqualValues(t, ask, response.Offers[0].HourPrice)
	require.Equal(t, testkit.Addr("b").String(), response.Offers[1].Node.Operator)

	response, err = keeper.NewQueryServer(f.k).Quote(f.Ctx, &types.QueryQuoteRequest{Image: f.image, MaxPrice: ask})
	require.NoError(t, err)
	require.Len(t, response.Offers, 1)
}
