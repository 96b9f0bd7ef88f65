package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// Hours at their edges: blocks that cross one, periods that are not an hour, drains that end in one.

// A block that crosses the end of an hour may hold an attestation from before the next hour is reserved. What it says of the
// next hour is not lost.
func TestServiceAcrossTheEndOfAnHourIsWhole(t *testing.T) {
	for _, tc := range []struct {
		name string
		step time.Duration
	}{
		{"blocks that end with the hour", 5 * time.Second},
		{"blocks that cross it", 7 * time.Second},
		{"long blocks", 9 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			id := f.run()
			for range int(4*time.Minute/tc.step) + 1 {
				f.NextBlock(tc.step)
				_, err := f.attest(f.placement(id), tc.step)
				require.NoError(t, err)
			}
			totals := f.get(id).Lease.Money.Totals
			require.EqualValues(t, 3, totals.Periods)
			require.EqualValues(t, 3*60, totals.BilledSeconds)
		})
	}
}

// Half a SUNS at 1,001 uisc is 500.5 uisc an hour: above a cap of 500, though both are 500 when rounded. Ten hours of it cost
// 5,005, five more than ten hours at the cap.
func TestCapHoldsOverLongPeriods(t *testing.T) {
	for _, tc := range []struct {
		name    string
		cap     uint64
		matched bool
	}{
		{"a fraction of an uisc below", 500, false},
		{"above", 501, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, func(p *types.Params) { p.BillingPeriod = 10 * time.Hour })
			f.addNode(nodeSpec{operator: "op", ask: 1_001})
			f.image = f.publish("half", 0, sunstypes.Demand{GeneralMilliSuns: 500})
			id := f.lease(func(m *types.MsgCreateLease) {
				m.MaxPrice, m.Deposit = tc.cap, testkit.Coin(int64(tc.cap)*10)
			})
			f.NextBlock(time.Second)
			require.Equal(t, tc.matched, len(f.live(id)) == 1)
			require.False(t, f.get(id).Lease.Money.Balance.IsNegative())
		})
	}
}

// A placement keeps its period when the params get a longer one, and a grace made for that must not keep many hours open.
func TestGraceIsAtMostThePlacementsOwnPeriod(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.setParams(func(p *types.Params) { p.BillingPeriod, p.SettleGrace = time.Hour, 30*time.Minute })
	for range 60 {
		f.serve(id, 5*time.Second)
		require.LessOrEqual(t, len(f.known(f.placement(id).ID).Billing.Spans), 2)
	}
	// After five hours of a minute the first three have settled; the fourth is within its grace.
	require.EqualValues(t, 3*60, f.get(id).Lease.Money.Totals.BilledSeconds)
	f.close(id)
	f.Advance(70*time.Second, 5*time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	require.EqualValues(t, 300*9/10, f.earned("op", 1))
}

// An hour and a drain end between two blocks: the seconds of the next hour until the drain's end are reserved and paid.
func TestDrainThatEndsJustAfterAnHourIsPaid(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.serve(id, 20*time.Second)
	f.serve(id, 2*time.Second)
	f.drain(node) // until 62 s
	f.serve(id, 33*time.Second)
	p := f.placement(id)
	f.NextBlock(10 * time.Second) // from 55 s to 65 s
	_, err := f.attest(p, 10*time.Second)
	require.NoError(t, err)
	f.NextBlock(5 * time.Second)
	require.Empty(t, f.live(id))
	require.EqualValues(t, 62_000, f.known(p.ID).Placement.EndedMs-p.StartedMs)
	_, err = f.attest(p, 5*time.Second) // the worker ran it until it saw the end
	require.NoError(t, err)
	f.Advance(10*time.Second, 5*time.Second)
	require.EqualValues(t, 62, f.known(p.ID).Billing.BilledSeconds)
	require.EqualValues(t, 54+1, f.earned("op", 1)) // floor(0.9 · 60) + floor(0.9 · 2)
}

// A node that went on after its drain was called off is not left because a replacement, already assigned, failed.
func TestReplacementThatFailsAfterTheDrainWasCalledOff(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	f.drain(node)
	f.NextBlock(time.Second)
	live := f.live(id)
	require.Len(t, live, 2)
	f.resume(node)
	f.NextBlock(time.Second)
	f.reject(live[1])
	f.NextBlock(time.Second)
	require.Equal(t, live[0].ID, f.placement(id).ID)
	require.Empty(t, f.get(id).Requests)
	f.serve(id, 70*time.Second)
	require.Equal(t, live[0].ID, f.placement(id).ID)
}

// A node falls silent and comes back before all its placements were moved: what it was given since stays.
func TestPlacementsMatchedAfterASilenceStay(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 100})
	many := f.run(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 80, testkit.Coin(100_000_000) })
	require.Len(t, f.live(many), 80)
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	f.NextBlock(time.Second) // silent for more than 30 s: found at the end of the block that this one ends
	f.checkIn(node)
	f.update(many, func(m *types.MsgUpdateLease) { m.Replicas = 1 })
	id := f.lease()
	f.NextBlock(time.Second)
	p := f.placement(id)
	require.Equal(t, node, p.Node)
	f.Advance(5*time.Second, time.Second)
	require.Equal(t, p.ID, f.placement(id).ID)
	require.Empty(t, f.get(id).Lease.Lease.FailedNodes)
}
