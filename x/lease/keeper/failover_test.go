package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// The cheapest node fails in each of these; the lease goes on at "spare".
func failoverFixture(t *testing.T) (*fixture, sunstypes.NodeID) {
	t.Helper()
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	f.addNode(nodeSpec{operator: "spare", ask: ask + 1})
	return f, node
}

func (f *fixture) requireMoved(id types.LeaseID, to string) types.Placement {
	f.T.Helper()
	p := f.placement(id)
	require.Equal(f.T, testkit.Addr(to).String(), p.Node.Operator)
	return p
}

func TestNotStartedInTimeMovesOn(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.lease()
	f.Advance(20*time.Second, 5*time.Second)
	require.Equal(t, node, f.placement(id).Node, "until the deadline it may start")
	f.NextBlock(time.Second)
	p := f.requireMoved(id, "spare")
	require.EqualValues(t, 2, p.ID.Generation)
	requireInt(t, 100_000-60, f.get(id).Lease.Money.Balance)
	require.Equal(t, []sunstypes.NodeID{node}, f.get(id).Lease.Lease.FailedNodes)

	old := types.PlacementID{Tenant: id.Tenant, Number: id.Number, Replica: 0, Generation: 1}
	require.Equal(t, types.END_REASON_NOT_STARTED, f.known(old).Placement.EndReason)
	err := deliver(f, f.msgs.StartPlacement, &types.MsgStartPlacement{Agent: f.agentOf(node), ID: old})
	require.ErrorIs(t, err, types.ErrPlacementSettled)

	// The node that failed pauses: another lease does not get it, although it is cheaper.
	other := f.lease()
	f.NextBlock(time.Second)
	f.requireMoved(other, "spare")
	f.checkIn(node)
	f.Advance(31*time.Second, 10*time.Second)
}

func TestStartAtTheDeadline(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration
		err   error
	}{
		{"at it", 20 * time.Second, nil},
		{"past it", 21 * time.Second, types.ErrStartTooLate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			node := f.addNode(nodeSpec{operator: "op"})
			id := f.lease()
			f.EndBlock()
			f.Commit(0)
			// The clock advances by at most 10 s a block; the queue is not run in between.
			for left := tc.after; left > 0; left -= min(left, 10*time.Second) {
				f.Commit(min(left, 10*time.Second))
				f.BeginBlock()
			}
			err := deliver(f, f.msgs.StartPlacement, &types.MsgStartPlacement{Agent: f.agentOf(node), ID: f.placement(id).ID})
			require.ErrorIs(t, err, tc.err)
		})
	}
}

func TestRejectionMovesOnAtOnce(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.lease()
	f.NextBlock(time.Second)
	require.NoError(t, deliver(f, f.msgs.RejectPlacement, &types.MsgRejectPlacement{
		Agent: f.agentOf(node), ID: f.placement(id).ID, Reason: "no room for the image",
	}))
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
	old := f.known(types.PlacementID{Tenant: id.Tenant, Number: id.Number, Generation: 1})
	require.Equal(t, types.END_REASON_REJECTED, old.Placement.EndReason)
	require.Equal(t, "no room for the image", old.Placement.EndDetail)
}

func TestRunningPlacementRejected(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	f.serve(id, 20*time.Second)
	p := f.placement(id)
	reject := &types.MsgRejectPlacement{Agent: f.agentOf(node), ID: p.ID, Reason: "it crashes"}
	require.NoError(t, deliver(f, f.msgs.RejectPlacement, reject))
	require.ErrorIs(t, deliver(f, f.msgs.RejectPlacement, reject), types.ErrPlacementEnded)
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
	// 40 s of the first hour came back before the second node's hour was reserved.
	requireInt(t, 100_000-20-60, f.get(id).Lease.Money.Balance)
	f.Advance(15*time.Second, 5*time.Second)
	require.EqualValues(t, 18, f.earned("op", 1))
	require.EqualValues(t, 2, f.pool())
}

func TestSilentNodeCostsTheTenantNothing(t *testing.T) {
	f, _ := failoverFixture(t)
	id := f.run()
	f.serve(id, 20*time.Second)
	// Silent from 20 s on, for its limit of 30 s; the node is found at 50 s and its placement moves in the next block.
	for range 40 {
		f.NextBlock(time.Second)
	}
	f.requireMoved(id, "spare")
	f.Advance(15*time.Second, 5*time.Second)
	totals := f.get(id).Lease.Money.Totals
	require.EqualValues(t, 20, totals.BilledSeconds)
	requireInt(t, 18, totals.PaidOperators)
	requireInt(t, 2, totals.PaidAudit)
}

func TestServedNothingOfAnHourMovesOn(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	for range 15 {
		f.NextBlock(5 * time.Second)
		f.checkIn(node) // alive, but serves nothing
	}
	p := f.requireMoved(id, "spare")
	require.EqualValues(t, 2, p.ID.Generation)
	require.Zero(t, f.get(id).Lease.Money.Totals.BilledSeconds)
	require.Equal(t, types.END_REASON_NOT_SERVED, f.known(types.PlacementID{Tenant: id.Tenant, Number: 1, Generation: 1}).Placement.EndReason)
}

func TestDrainedPlacementRunsUntilItsReplacementStarts(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	f.serve(id, 20*time.Second)
	f.drain(node)
	f.NextBlock(time.Second)
	live := f.live(id)
	require.Len(t, live, 2)
	old, replacement := live[0], live[1]
	require.NotZero(t, old.DrainDeadlineMs)
	require.Equal(t, old.ID.Generation, replacement.Replaces)
	_, err := f.attest(old, time.Second)
	require.NoError(t, err)
	f.start(replacement)
	f.NextBlock(time.Second)
	require.Equal(t, replacement.ID, f.placement(id).ID)

	ended := f.known(old.ID).Placement
	require.Equal(t, types.END_REASON_NODE_DRAINED, ended.EndReason)
	require.Equal(t, f.placement(id).StartedMs, ended.EndedMs, "never both")
	f.Advance(15*time.Second, 5*time.Second)
	require.EqualValues(t, 18, f.earned("op", 1)) // floor(0.9 · 21)
	require.Empty(t, f.get(id).Lease.Lease.FailedNodes, "a drain is no fault")
}

func TestDrainEndsAtItsGraceWithoutReplacement(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.drain(node)
	f.serve(id, 40*time.Second)
	require.Len(t, f.live(id), 1)
	f.NextBlock(time.Second)
	require.Empty(t, f.live(id))
	require.Len(t, f.get(id).Requests, 1)
}

func TestResumedNodeKeepsItsPlacements(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.drain(node)
	f.NextBlock(time.Second)
	require.Len(t, f.get(id).Requests, 1)
	f.resume(node)
	f.NextBlock(time.Second)
	require.Empty(t, f.get(id).Requests)
	f.serve(id, 50*time.Second)
	require.EqualValues(t, 1, f.placement(id).ID.Generation)
	require.Zero(t, f.placement(id).DrainDeadlineMs)
}

func TestAssignedPlacementLeavesADrainingNodeAtOnce(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.lease()
	f.NextBlock(time.Second)
	f.drain(node)
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
}

func TestRetiredNodeLosesItsPlacements(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	f.serve(id, 20*time.Second)
	f.retire(node)
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
	f.Advance(15*time.Second, 5*time.Second)
	require.EqualValues(t, 18, f.earned("op", 1))
}

func TestLeaseThatFailsEverywhereIsSuspended(t *testing.T) {
	f := newFixture(t)
	var nodes []sunstypes.NodeID
	for _, name := range []string{"a", "b", "c", "d"} {
		nodes = append(nodes, f.addNode(nodeSpec{operator: name}))
	}
	id := f.lease()
	for range 3 {
		f.NextBlock(time.Second)
		p := f.placement(id)
		require.NoError(t, deliver(f, f.msgs.RejectPlacement, &types.MsgRejectPlacement{
			Agent: f.agentOf(p.Node), ID: p.ID, Reason: "it does not start",
		}))
	}
	f.NextBlock(time.Second)
	lease := f.get(id)
	require.Equal(t, types.LEASE_STATUS_SUSPENDED, lease.Lease.Lease.Status)
	require.Empty(t, lease.Placements)
	requireInt(t, 100_000, lease.Lease.Money.Balance)
	for _, node := range nodes { // nobody is blamed
		key, err := node.Key()
		require.NoError(t, err)
		_, err = f.k.IndexedNodes.Get(f.Ctx, key)
		require.NoError(t, err)
	}

	require.NoError(t, deliver(f, f.msgs.UpdateLease, &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number, MaxPrice: 20_000}))
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_ACTIVE, f.get(id).Lease.Lease.Status)
	require.Len(t, f.live(id), 1)
}

func TestFirstStartEndsTheDoubt(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.addNode(nodeSpec{operator: name})
	}
	id := f.run()
	for range 4 {
		f.NextBlock(time.Second)
		p := f.placement(id)
		require.NoError(t, deliver(f, f.msgs.RejectPlacement, &types.MsgRejectPlacement{
			Agent: f.agentOf(p.Node), ID: p.ID, Reason: "no",
		}))
	}
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_ACTIVE, f.get(id).Lease.Lease.Status)
	require.Len(t, f.get(id).Lease.Lease.FailedNodes, 4)
}

func TestEvictionOfManyPlacementsTakesSeveralBatches(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 100})
	id := f.run(func(m *types.MsgCreateLease) {
		m.Replicas, m.Deposit = 80, testkit.Coin(100_000_000)
	})
	require.Len(t, f.live(id), 80)
	f.addNode(nodeSpec{operator: "spare", suns: 100})
	f.retire(node)
	for range 4 {
		f.NextBlock(time.Second)
	}
	live := f.live(id)
	require.Len(t, live, 80)
	for _, p := range live {
		require.Equal(t, testkit.Addr("spare").String(), p.Node.Operator)
	}
}
