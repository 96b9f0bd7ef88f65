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

func replicas(count uint32) func(*types.MsgUpdateLease) {
	return func(m *types.MsgUpdateLease) { m.Replicas = count }
}

func TestScaleUp(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	first := f.placement(id)
	f.update(id, replicas(3))
	f.NextBlock(time.Second)

	live := f.live(id)
	require.Len(t, live, 3)
	require.Equal(t, first.ID, live[0].ID, "what runs is left alone")
	requireInt(t, 100_000-3*60, f.get(id).Lease.Money.Balance)
	require.EqualValues(t, 3, f.get(id).Lease.Lease.ReconciledReplicas)
}

func TestScaleDownPaysWhatWasServedAndForfeitsTheRestOfTheHour(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 3 })
	f.serve(id, 20*time.Second)
	f.update(id, replicas(1))
	f.NextBlock(5 * time.Second)

	// Of two hours of 60 uisc each, 40 s after the end are forfeited and 20 s served: 18 to the operator, 2 to the pool.
	live := f.live(id)
	require.Len(t, live, 1)
	require.Zero(t, live[0].ID.Replica)
	require.EqualValues(t, 2*40, f.pool())
	f.serve(id, 15*time.Second)
	require.EqualValues(t, 2*18, f.earned("op", 1))
	require.EqualValues(t, 2*40+2*2, f.pool())
	requireInt(t, 100_000-3*60, f.get(id).Lease.Money.Balance)
	for replica := range uint32(2) {
		ended := f.known(types.PlacementID{Tenant: id.Tenant, Number: id.Number, Replica: replica + 1, Generation: f.generation(id, replica+1)})
		require.Equal(t, types.END_REASON_SCALED_DOWN, ended.Placement.EndReason)
	}
}

// generation is the newest one of a replica.
func (f *fixture) generation(id types.LeaseID, replica uint32) uint64 {
	f.T.Helper()
	response, err := f.query.Placements(f.Ctx, &types.QueryPlacementsRequest{Tenant: id.Tenant, Number: id.Number})
	require.NoError(f.T, err)
	var newest uint64
	for _, p := range response.Placements {
		if p.Placement.ID.Replica == replica {
			newest = max(newest, p.Placement.ID.Generation)
		}
	}
	return newest
}

func TestScaleDownDropsWhatWaits(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 1})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = 4 })
	f.NextBlock(time.Second)
	require.Len(t, f.get(id).Requests, 3)
	running := f.placement(id).ID.Replica
	f.update(id, replicas(running+1))
	f.NextBlock(time.Second)
	require.Len(t, f.get(id).Requests, int(running))
	require.Len(t, f.live(id), 1)
}

func TestScaleDownAndUpWithinABlockChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	before := f.live(id)
	f.update(id, replicas(1))
	f.update(id, replicas(2))
	f.NextBlock(time.Second)
	require.Equal(t, before, f.live(id))
}

// An order may shrink and grow again before the end blocker comes to it; what failed meanwhile is not forgotten.
func TestReplicaThatFailedWhileScaledDownIsQueuedAgain(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a", suns: 1})
	f.addNode(nodeSpec{operator: "b", suns: 1})
	f.addNode(nodeSpec{operator: "c", suns: 1})
	first := f.run()
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	f.NextBlock(time.Second)
	f.setParams(func(p *types.Params) { p.Budgets.LeaseUpdates = 1 })
	f.update(first, func(m *types.MsgUpdateLease) { m.MaxPrice = 20_000 }) // takes this block's budget
	f.update(id, replicas(1))
	f.reject(f.live(id)[1])
	f.NextBlock(time.Second)
	f.update(id, replicas(2))
	f.NextBlock(time.Second)
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1)
	require.Len(t, f.get(id).Requests, 1)
	require.EqualValues(t, 1, f.get(id).Requests[0].Replica)
}

// A replica that is no longer wanted gets no node, however long the queue of orders is, and comes back when it is wanted again.
func TestRequestIsNotMatchedOnceScaledDown(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a", suns: 1})
	f.addNode(nodeSpec{operator: "b", suns: 1})
	first := f.run()
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	require.Len(t, f.get(id).Requests, 1)
	f.setParams(func(p *types.Params) { p.Budgets.LeaseUpdates = 1 })
	f.update(first, func(m *types.MsgUpdateLease) { m.MaxPrice = 20_000 }) // takes this block's budget
	f.update(id, replicas(1))
	f.addNode(nodeSpec{operator: "c", suns: 1})
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1)
	require.Empty(t, f.get(id).Requests)

	f.update(id, replicas(2))
	f.NextBlock(time.Second)
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 2)
}

func TestNewImageOrDemandReplacesWhatRuns(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*fixture, *types.MsgUpdateLease)
		check  func(*fixture, types.Placement)
	}{
		{
			"image", func(f *fixture, m *types.MsgUpdateLease) {
				m.Image = f.publish("web2", 0, sunstypes.Demand{GeneralMilliSuns: 500})
			},
			func(f *fixture, p types.Placement) {
				require.Contains(f.T, p.Image, "/web2:1")
				require.EqualValues(f.T, 1_000, p.MilliSuns)
			},
		},
		{
			"demand", func(_ *fixture, m *types.MsgUpdateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: 2_000} },
			func(f *fixture, p types.Placement) { require.EqualValues(f.T, 2_000, p.MilliSuns) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			id := f.run()
			f.serve(id, 20*time.Second)
			old := f.placement(id)
			f.update(id, func(m *types.MsgUpdateLease) { tc.change(f, m) })
			f.NextBlock(time.Second)
			p := f.placement(id)
			require.EqualValues(t, 2, p.ID.Generation)
			tc.check(f, p)
			require.Equal(t, types.END_REASON_UPDATED, f.known(old.ID).Placement.EndReason)
			require.EqualValues(t, 40, f.pool(), "the tenant ended it after its trial")
			lease := f.get(id).Lease.Lease
			require.EqualValues(t, 2, lease.Revision)
			require.EqualValues(t, 2, lease.SpecRevision)
			require.Empty(t, lease.FailedNodes)
		})
	}
}

func TestLowerCapLeavesWhatRuns(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.update(id, func(m *types.MsgUpdateLease) { m.MaxPrice = 1 })
	f.serve(id, 75*time.Second)
	require.EqualValues(t, ask, f.placement(id).Price)
	require.EqualValues(t, 54, f.earned("op", 1))
}

func TestHigherCapIsTriedAtOnceAndFree(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.lease(func(m *types.MsgCreateLease) { m.MaxPrice = ask - 1 })
	f.NextBlock(time.Second)
	request := f.get(id).Requests[0]
	require.EqualValues(t, 1, request.Attempts)
	require.NotEmpty(t, request.Reason)
	f.update(id, func(m *types.MsgUpdateLease) { m.MaxPrice = ask })
	request = f.get(id).Requests[0]
	require.Zero(t, request.Attempts)
	require.Equal(t, f.Ctx.BlockHeight(), request.QueuedHeight)
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1)
	requireInt(t, 0, f.get(id).Lease.Money.Totals.RetryFees)
	f.Advance(15*time.Second, time.Second) // what the queues still hold of it is passed over
	require.EqualValues(t, 1, f.placement(id).ID.Generation)
}

func TestMigrate(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	f.addNode(nodeSpec{operator: "spare", ask: ask + 1})
	id := f.run()
	f.serve(id, 20*time.Second)
	old := f.placement(id)
	f.migrate(id, 0)
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
	require.Equal(t, []sunstypes.NodeID{node}, f.get(id).Lease.Lease.FailedNodes, "it does not come back")
	require.Equal(t, types.END_REASON_MIGRATED, f.known(old.ID).Placement.EndReason)
	require.EqualValues(t, 40, f.pool())
	f.Advance(15*time.Second, 5*time.Second)
	require.EqualValues(t, 18, f.earned("op", 1))

	// The node that was left is not blamed: others get it.
	other := f.lease()
	f.NextBlock(time.Second)
	require.Equal(t, node, f.placement(other).Node)
}

func TestMigrateWithNowhereToGoWaits(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.migrate(id, 0)
	f.NextBlock(time.Second)
	require.Empty(t, f.live(id))
	require.Len(t, f.get(id).Requests, 1)
	require.NotZero(t, f.get(id).Lease.Lease.WaitDeadlineMs)
}

// A lease may close whatever state it is in, and gets back all that nobody earned.
func TestCloseInEveryState(t *testing.T) {
	for _, tc := range []struct {
		name   string
		set    func(*fixture) types.LeaseID
		status types.LeaseStatus
		spent  int64
	}{
		{"just created", func(f *fixture) types.LeaseID { return f.lease() }, types.LEASE_STATUS_ACTIVE, 0},
		{"waiting", func(f *fixture) types.LeaseID {
			id := f.lease()
			f.NextBlock(time.Second)
			require.Len(f.T, f.get(id).Requests, 1)
			return id
		}, types.LEASE_STATUS_ACTIVE, 0},
		{"waiting after a retry", func(f *fixture) types.LeaseID {
			id := f.lease()
			f.Advance(4*time.Second, time.Second)
			return id
		}, types.LEASE_STATUS_ACTIVE, 7},
		{"assigned", func(f *fixture) types.LeaseID {
			f.addNode(nodeSpec{operator: "op"})
			id := f.lease()
			f.NextBlock(time.Second)
			return id
		}, types.LEASE_STATUS_ACTIVE, 0},
		{"suspended", func(f *fixture) types.LeaseID {
			for _, name := range []string{"a", "b", "c"} {
				f.addNode(nodeSpec{operator: name})
			}
			id := f.lease()
			for range 3 {
				f.NextBlock(time.Second)
				f.reject(f.placement(id))
			}
			f.NextBlock(time.Second)
			return id
		}, types.LEASE_STATUS_SUSPENDED, 0},
		{"unfunded", func(f *fixture) types.LeaseID {
			f.addNode(nodeSpec{operator: "op"})
			id := f.run(func(m *types.MsgCreateLease) { m.MaxPrice, m.Deposit = ask, testkit.Coin(119) })
			f.serve(id, 75*time.Second)
			return id
		}, types.LEASE_STATUS_UNFUNDED, 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			id := tc.set(f)
			require.Equal(t, tc.status, f.get(id).Lease.Lease.Status)
			f.close(id)
			require.Equal(t, types.LEASE_STATUS_CLOSING, f.get(id).Lease.Lease.Status)
			f.NextBlock(time.Second)
			lease := f.get(id)
			require.Equal(t, types.LEASE_STATUS_CLOSED, lease.Lease.Lease.Status)
			require.Empty(t, lease.Requests)
			require.Empty(t, lease.Placements)
			require.EqualValues(t, tenantFunds-tc.spent, f.Balance(f.tenant))
			require.Zero(t, f.ModuleBalance(types.ModuleName))
			requireInt(t, tc.spent, lease.Lease.Money.Totals.Spent())
			f.Advance(6*time.Minute, 10*time.Second) // nothing of it is left in a queue that acts
			require.EqualValues(t, tenantFunds-tc.spent, f.Balance(f.tenant))
		})
	}
}

func TestFundingByAStranger(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	stranger := testkit.Addr("stranger")
	f.Fund(stranger, 500)
	id := f.lease()
	f.fund(id, stranger, 500)
	require.Zero(t, f.Balance(stranger))
	requireInt(t, 100_500, f.get(id).Lease.Money.Balance)
	requireInt(t, 100_500, f.get(id).Lease.Money.Totals.Deposited)
	f.NextBlock(time.Second)
	f.close(id)
	f.NextBlock(time.Second)
	require.Zero(t, f.Balance(stranger), "a gift is a gift")
	require.EqualValues(t, tenantFunds+500, f.Balance(f.tenant))
}

func TestEndedLeaseRefusesEverything(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.close(id)
	refused := func(state string) {
		t.Helper()
		require.ErrorIs(t, deliver(f, f.msgs.CloseLease,
			&types.MsgCloseLease{Tenant: id.Tenant, Number: id.Number}), types.ErrLeaseEnded, state)
		require.ErrorIs(t, deliver(f, f.msgs.UpdateLease,
			&types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number, Replicas: 2}), types.ErrLeaseEnded, state)
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number}), types.ErrLeaseEnded, state)
		require.ErrorIs(t, deliver(f, f.msgs.FundLease, &types.MsgFundLease{
			Funder: id.Tenant, Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(1),
		}), types.ErrLeaseEnded, state)
	}
	refused("closing")
	f.Advance(20*time.Second, 5*time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	refused("closed")
}

func TestHistoryIsForgottenAfterItsRetention(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Retention = time.Minute })
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	f.serve(id, 10*time.Second)
	f.close(id)
	f.Advance(15*time.Second, 5*time.Second)
	require.Equal(t, types.PLACEMENT_STATUS_SETTLED, f.known(p.ID).Placement.Status)
	pruneMs := f.get(id).Lease.Lease.PruneMs
	for f.now() < pruneMs {
		require.Empty(t, f.pruned)
		f.NextBlock(5 * time.Second)
	}
	events := f.NextBlock(time.Second)
	require.Len(t, testkit.EventsOf[types.EventLeasePruned](t, events), 1)
	require.Equal(t, []types.PlacementID{p.ID}, f.pruned, "the modules above are told")
	_, err := f.k.GetLease(f.Ctx, id)
	require.ErrorIs(t, err, types.ErrLeaseNotFound)
	_, _, err = f.k.GetPlacement(f.Ctx, p.ID)
	require.ErrorIs(t, err, types.ErrPlacementNotFound)
	has, err := f.k.Billings.Has(f.Ctx, f.placementKey(p.ID))
	require.NoError(t, err)
	require.False(t, has)
	require.EqualValues(t, 2, f.lease().Number, "a number is not given again")
}

// What is left after a scale-down may have nothing running: it must not wait for ever.
func TestReplicaLeftWaitingAfterAScaleDownHasADeadline(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "a", suns: 1})
	f.addNode(nodeSpec{operator: "b", suns: 1})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	live := f.live(id)
	waits, runs := live[0], live[1]
	f.reject(waits)
	f.NextBlock(time.Second)
	f.drain(runs.Node)
	f.update(id, replicas(1))
	f.NextBlock(time.Second)
	require.Empty(t, f.live(id))
	require.NotZero(t, f.get(id).Lease.Lease.WaitDeadlineMs)
	f.Advance(5*time.Minute+10*time.Second, 5*time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
}

// The account that governance acts for is blocked for sends, but its money must come home.
func TestGovernanceMayRent(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	f.Fund(f.Authority, 1_000)
	id := f.lease(func(m *types.MsgCreateLease) {
		m.Tenant, m.Deposit, m.MaxPrice = f.Authority.String(), testkit.Coin(1_000), ask
	})
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 1)
	f.close(id)
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	require.EqualValues(t, 1_000, f.Balance(f.Authority))
}

func TestTenantsOwnNumbers(t *testing.T) {
	f := newFixture(t)
	other := testkit.Addr("other")
	f.Fund(other, tenantFunds)
	require.EqualValues(t, 1, f.lease().Number)
	require.EqualValues(t, 2, f.lease().Number)
	require.EqualValues(t, 1, f.lease(func(m *types.MsgCreateLease) { m.Tenant = other.String() }).Number)
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msgs.CreateLease(ctx, f.order(func(m *types.MsgCreateLease) { m.Replicas = 0 }))
		return err
	})
	require.Error(t, err)
	require.EqualValues(t, 3, f.lease().Number, "what failed takes no number")
}
