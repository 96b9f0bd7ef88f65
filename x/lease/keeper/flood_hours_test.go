package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// operationsPerPlacement bounds what an hour's end, a settlement or a failed start takes: the placement with its index,
// billing and lease, up to four balances, the node and the queues.
const operationsPerPlacement = 100

// The hours of all placements end in the same block, later they settle in the same block: each block takes its budget, all
// are done after as many blocks as that takes, none has lost a coin, and meanwhile a new lease is matched at once.
func TestHoursOfManyPlacementsEndTogether(t *testing.T) {
	const budget = 100
	f := newFixture(t, func(p *types.Params) {
		p.Budgets.DuePlacements, p.Budgets.Matches, p.Budgets.Retries = budget, 90, 10
		p.MaxPlacementsPerNode = types.MaxPlacementsPerNodeBound
	})
	count := floodSize(t, 400) / 100 * 100
	var nodes []sunstypes.NodeID
	for i := range count/500 + 2 {
		nodes = append(nodes, f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), suns: 510}))
	}
	var ids []types.LeaseID
	for range count / 100 {
		ids = append(ids, f.lease(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 100, testkit.Coin(1_000_000) }))
	}
	for f.countLive(ids) < count {
		f.floodBlock(time.Millisecond)
	}
	for _, id := range ids {
		for _, p := range f.live(id) {
			f.start(p)
		}
	}
	alive := func(d time.Duration) worked {
		for _, node := range nodes {
			f.checkIn(node)
		}
		return f.floodBlock(d)
	}
	alive(10 * time.Second) // the leases learn of their first start
	for range 5 {
		require.LessOrEqual(t, alive(10*time.Second).operations, uint64(100))
	}
	drained := func(event func(worked) int) {
		for left := count; left > 0; left -= budget {
			honest := f.lease(func(m *types.MsgCreateLease) { m.Deposit = testkit.Coin(10_000) })
			w := alive(time.Millisecond)
			require.Equal(t, budget, event(w))
			require.Len(t, f.live(honest), 1)
			require.LessOrEqual(t, w.operations, uint64(budget*operationsPerPlacement))
			f.close(honest)
		}
	}
	drained(func(w worked) int { return len(testkit.EventsOf[types.EventPeriodReserved](t, w.events)) })
	alive(10 * time.Second) // the grace: nothing was attested, so they settle for nothing and end
	drained(func(w worked) int { return len(testkit.EventsOf[types.EventPeriodSettled](t, w.events)) })
	f.NextBlock(time.Millisecond)
}

// A lease that lists every country it may, with nodes of every size in each, none of them cheap enough or free for it: a
// match looks into so many buckets and no more, goes on where it stopped, and finds the one that fits at the end.
func TestMatchOverManyCountriesIsBounded(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.MaxCandidates, p.RetryFee = 10, 0 })
	countries := []string{
		"AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "CZ", "DE", "DK", "ES", "FI", "FR", "GB",
		"GR", "HU", "ID", "IE", "IL", "IN", "IT", "JP", "KR", "MX", "MY", "NL", "NO", "NZ", "PE", "PL",
	}
	require.Len(t, countries, types.MaxListed)
	for i, country := range countries {
		for size := range 4 {
			f.addNode(nodeSpec{
				operator: fmt.Sprintf("op-%d-%d", i, size), country: country, suns: 1 << size, ask: 10 * ask,
			})
		}
	}
	f.NextBlock(time.Millisecond)
	fits := f.addNode(nodeSpec{operator: "fits", country: countries[len(countries)-1]})
	id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Countries = countries })
	attempts := 0
	for ; len(f.live(id)) == 0; attempts++ {
		require.Less(t, attempts, types.MaxListed)
		w := f.floodBlock(2 * time.Second)
		require.LessOrEqual(t, w.operations, uint64(300))
		f.checkIn(fits)
	}
	require.Equal(t, fits, f.placement(id).Node)
	require.Greater(t, attempts, 5)
}

// A tenant with a node of his own starts and ends placements as fast as he can. What is not settled yet stays bounded, since
// every reconciliation lists it: he waits until enough has settled.
func TestUnsettledPlacementsOfALeaseAreBounded(t *testing.T) {
	f := newFixture(t, func(p *types.Params) {
		p.MaxReplicas, p.SettleGrace, p.RetryBackoffMin = 2, 50*time.Second, time.Second
	})
	for i := range 40 {
		f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i)})
	}
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	waited := false
	for range 15 {
		f.NextBlock(100 * time.Millisecond)
		for _, p := range f.live(id) {
			f.start(p)
		}
		f.NextBlock(100 * time.Millisecond)
		for _, p := range f.live(id) {
			if p.StartedMs != 0 {
				f.migrate(id, p.ID.Replica)
			}
		}
		open := int(f.get(id).Lease.Lease.OpenPlacements)
		require.LessOrEqual(t, open, 7)
		for _, request := range f.get(id).Requests {
			waited = waited || request.Attempts > 0
		}
	}
	require.True(t, waited)
}
