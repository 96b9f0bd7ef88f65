package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// With a replica of 1 SUNS at 3,600 uisc per SUNS-hour a second costs 1 uisc and a period of a minute 60 uisc; the provider
// gets 90 %.

func TestFirstHourIsReservedAtTheMatch(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.lease()
	f.NextBlock(time.Second)

	got := f.get(id)
	requireInt(t, 100_000-60, got.Lease.Money.Balance)
	requireInt(t, 60, got.Reserved)
	require.EqualValues(t, 100_000, f.ModuleBalance(types.ModuleName))
	p := f.placement(id)
	require.Equal(t, types.PLACEMENT_STATUS_ASSIGNED, p.Status)
	require.EqualValues(t, ask, p.Price)
	require.EqualValues(t, 1_000, p.MilliSuns)
}

func TestServedHourIsSplit(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.serve(id, 75*time.Second) // the first hour ends at 60 s and settles at 70 s

	totals := f.get(id).Lease.Money.Totals
	require.EqualValues(t, 1, totals.Periods)
	require.EqualValues(t, 60, totals.BilledSeconds)
	requireInt(t, 54, totals.PaidOperators)
	requireInt(t, 6, totals.PaidAudit)
	require.EqualValues(t, 54, f.earned("op", 1))
	require.EqualValues(t, 6, f.pool())
	// the second hour is reserved
	requireInt(t, 100_000-120, f.get(id).Lease.Money.Balance)
}

func TestUnservedSecondsReturn(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	// served for 25 of the first 30 seconds, then for the other 30: 55 of 60
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	credited, err := f.attest(p, 25*time.Second)
	require.NoError(t, err)
	require.EqualValues(t, 25_000, credited)
	f.serve(id, 45*time.Second)

	totals := f.get(id).Lease.Money.Totals
	// Agent and chain may drift 2 s apart: service of the first seconds of the second hour counts for the end of the first.
	// Over both hours no more is credited than was claimed.
	require.EqualValues(t, 57, totals.BilledSeconds)
	requireInt(t, 51, totals.PaidOperators) // floor(0.9 · 57) = 51
	requireInt(t, 6, totals.PaidAudit)
	requireInt(t, 100_000-120+3, f.get(id).Lease.Money.Balance)
	f.serve(id, 60*time.Second)
	require.EqualValues(t, 57+60, f.get(id).Lease.Money.Totals.BilledSeconds)
}

func TestClaimsBeyondElapsedTimeGainNothing(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	f.NextBlock(10 * time.Second)

	credited, err := f.attest(p, time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 10_000, credited, "an hour claimed after ten seconds")
	credited, err = f.attest(p, time.Hour)
	require.NoError(t, err)
	require.Zero(t, credited, "claimed again in the same block")
	f.NextBlock(time.Second)
	f.served[p.ID] = 0
	credited, err = f.attest(p, 0)
	require.NoError(t, err)
	require.Zero(t, credited, "claimed less than before")
}

func TestServiceOfSettledHoursIsLost(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	f.serve(id, 5*time.Second)
	for range 14 { // the node is alive but attests nothing until 75 s, when the first hour has settled
		f.NextBlock(5 * time.Second)
		_, err := f.Deliver(func(ctx sdk.Context) error { return f.suns.RecordCheckIn(ctx, p.Node) })
		require.NoError(t, err)
	}
	require.EqualValues(t, 5, f.get(id).Lease.Money.Totals.BilledSeconds)

	credited, err := f.attest(p, 70*time.Second)
	require.NoError(t, err)
	require.EqualValues(t, 70_000, credited)
	f.serve(id, 60*time.Second)
	// Of the 70 s only the 15 s of the open hour count.
	require.EqualValues(t, 5+60, f.get(id).Lease.Money.Totals.BilledSeconds)
}

func TestRoyaltyIsReservedOnTopAndPaidForServedSeconds(t *testing.T) {
	f := newFixture(t)
	f.image = f.publish("paid", 600, sunstypes.Demand{GeneralMilliSuns: 1_000}) // 10 uisc a minute
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	requireInt(t, 70, f.get(id).Reserved)
	p := f.placement(id)
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	_, err := f.attest(p, 30*time.Second)
	require.NoError(t, err)
	f.serve(id, 20*time.Second)
	for range 5 { // 10 s unserved in the first hour: the image's owner earns floor(600 · 50 ÷ 3600) = 8
		f.NextBlock(5 * time.Second)
	}
	require.EqualValues(t, 8, f.Balance(testkit.Addr("publisher")))
	totals := f.get(id).Lease.Money.Totals
	requireInt(t, 8, totals.PaidRoyalty)
	requireInt(t, 45, totals.PaidOperators)
	requireInt(t, 5, totals.PaidAudit)
}

func TestCapIncludesTheRoyalty(t *testing.T) {
	for _, tc := range []struct {
		name     string
		maxPrice uint64
		matched  bool
	}{
		{"at the cap", ask + 600, true},
		{"one below", ask + 599, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.image = f.publish("paid", 600, sunstypes.Demand{GeneralMilliSuns: 1_000})
			f.addNode(nodeSpec{operator: "op"})
			id := f.lease(func(m *types.MsgCreateLease) { m.MaxPrice = tc.maxPrice })
			f.NextBlock(time.Second)
			require.Equal(t, tc.matched, len(f.live(id)) == 1)
		})
	}
}

func TestCloseAfterTheTrialForfeitsTheRestOfTheHour(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.serve(id, 20*time.Second)
	f.close(id)
	f.NextBlock(time.Second)
	// 40 s after the end go to the audit pool at once
	require.EqualValues(t, 40, f.pool())
	f.Advance(15*time.Second, 5*time.Second)

	lease := f.get(id).Lease
	require.Equal(t, types.LEASE_STATUS_CLOSED, lease.Lease.Status)
	require.EqualValues(t, 18, f.earned("op", 1)) // floor(0.9 · 20)
	require.EqualValues(t, 42, f.pool())
	requireInt(t, 100_000-60, lease.Money.Totals.Refunded)
	require.EqualValues(t, tenantFunds-60, f.Balance(f.tenant))
	require.Zero(t, f.ModuleBalance(types.ModuleName))
}

func TestCloseWithinTheTrialPaysOnlyWhatWasServed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ran     time.Duration
		spent   int64
		toPool  int64
		toOwner int64
	}{
		{"at the end of the trial", 5 * time.Second, 5, 1, 4},
		{"just after it", 6 * time.Second, 60, 55, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			id := f.run()
			f.NextBlock(tc.ran)
			_, err := f.attest(f.placement(id), tc.ran)
			require.NoError(t, err)
			f.close(id)
			f.Advance(20*time.Second, 5*time.Second)
			require.EqualValues(t, tenantFunds-tc.spent, f.Balance(f.tenant))
			require.EqualValues(t, tc.toPool, f.pool())
			require.EqualValues(t, tc.toOwner, f.earned("op", 1))
		})
	}
}

func TestAttestationsCountUpToTheEnd(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	f.serve(id, 10*time.Second)
	f.NextBlock(10 * time.Second)
	f.close(id) // at 20 s; attested until 10 s
	f.NextBlock(5 * time.Second)
	credited, err := f.attest(p, 15*time.Second)
	require.NoError(t, err)
	require.EqualValues(t, 10_000, credited, "five seconds after the end do not count")
	f.Advance(10*time.Second, 5*time.Second)
	require.EqualValues(t, 18, f.earned("op", 1))

	_, err = f.attest(p, time.Second)
	require.ErrorIs(t, err, types.ErrPlacementSettled)
}

func TestSpentBalanceEndsAtTheHour(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	// One period at the cap of 3,600 is 60: enough for one hour, and 59 left.
	id := f.run(func(m *types.MsgCreateLease) { m.MaxPrice, m.Deposit = ask, testkit.Coin(119) })
	f.serve(id, 75*time.Second)

	got := f.get(id)
	require.Equal(t, types.LEASE_STATUS_UNFUNDED, got.Lease.Lease.Status)
	require.Empty(t, f.live(id))
	require.Len(t, got.Requests, 1)
	requireInt(t, 59, got.Lease.Money.Balance)
	require.EqualValues(t, 54, f.earned("op", 1))

	t.Run("funding queues it again", func(t *testing.T) {
		require.NoError(t, deliver(f, f.msgs.FundLease, &types.MsgFundLease{
			Funder: testkit.Addr("op").String(), Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(1),
		}))
		f.NextBlock(time.Second)
		require.Len(t, f.live(id), 1)
		requireInt(t, 0, f.get(id).Lease.Money.Balance)
	})
}

func TestUnstartedPlacementCostsNothing(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.lease()
	f.NextBlock(time.Second)
	f.close(id)
	f.NextBlock(time.Second)
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	require.EqualValues(t, tenantFunds, f.Balance(f.tenant))
	require.Zero(t, f.pool())
}

func TestPlacementKeepsItsPrice(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.changeAsk(node, 10*ask)
	f.serve(id, 75*time.Second)
	requireInt(t, 54, f.get(id).Lease.Money.Totals.PaidOperators)
}

func TestCreditRefusesOthersPlacements(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	other := f.addNode(nodeSpec{operator: "other", ask: 2 * ask})
	id := f.lease()
	f.NextBlock(time.Second)
	p := f.placement(id)

	_, err := f.credit(f.Ctx, p.Node, p.ID, 1)
	require.ErrorIs(t, err, types.ErrPlacementNotStarted)
	f.start(p)
	_, err = f.credit(f.Ctx, other, p.ID, 1)
	require.ErrorIs(t, err, types.ErrNotThisNode)
	unknown := p.ID
	unknown.Generation = 99
	_, err = f.credit(f.Ctx, p.Node, unknown, 1)
	require.ErrorIs(t, err, types.ErrPlacementNotFound)

	f.close(id)
	f.Advance(15*time.Second, 5*time.Second)
	_, err = f.credit(f.Ctx, p.Node, p.ID, 1)
	require.ErrorIs(t, err, types.ErrPlacementSettled)
	_, err = f.credit(f.Ctx, other, p.ID, 1)
	require.ErrorIs(t, err, types.ErrNotThisNode)
}
