package keeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func hex(bz []byte) string { return fmt.Sprintf("%x", bz) }

func endpoint(address string) []types.Endpoint {
	return []types.Endpoint{{Name: "web", Protocol: "http", Address: address, ContainerPort: 80}}
}

func TestStartPlacement(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.lease()
	f.NextBlock(3 * time.Second)
	p := f.placement(id)
	_, events, err := call(f, f.msgs.StartPlacement, &types.MsgStartPlacement{
		Agent: f.agentOf(node), ID: p.ID, Endpoints: endpoint("203.0.113.7:8080"),
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventPlacementStarted{{
		Tenant: id.Tenant, Number: 1, Generation: 1, Operator: node.Operator, Node: 1,
	}}, testkit.EventsOf[types.EventPlacementStarted](t, events))
	started := f.known(p.ID)
	require.Equal(t, types.PLACEMENT_STATUS_RUNNING, started.Placement.Status)
	require.Equal(t, f.now(), started.Placement.StartedMs)
	require.Equal(t, f.now()+5_000, started.Placement.TrialEndMs)
	require.Equal(t, endpoint("203.0.113.7:8080"), started.Placement.Endpoints)
	require.Equal(t, f.now(), started.Billing.Spans[0].StartMs)
	require.Equal(t, f.now()+60_000, started.Billing.Spans[0].EndMs)
	f.NextBlock(time.Second)
	require.True(t, f.get(id).Lease.Lease.Started)

	// Starting it again changes where it is reached, and not its hour.
	_, events, err = call(f, f.msgs.StartPlacement, &types.MsgStartPlacement{
		Agent: f.agentOf(node), ID: p.ID, Endpoints: endpoint("203.0.113.8:1"),
	})
	require.NoError(t, err)
	require.Len(t, testkit.EventsOf[types.EventEndpointsChanged](t, events), 1)
	require.Empty(t, testkit.EventsOf[types.EventPlacementStarted](t, events))
	again := f.known(p.ID)
	require.Equal(t, endpoint("203.0.113.8:1"), again.Placement.Endpoints)
	require.Equal(t, started.Billing, again.Billing)
	require.Equal(t, started.Placement.StartedMs, again.Placement.StartedMs)
}

func TestStartForgivesTheNode(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.lease()
	f.NextBlock(time.Second)
	f.reject(f.placement(id))
	events := f.NextBlock(time.Second)
	require.Len(t, testkit.EventsOf[types.EventNodeBackedOff](t, events), 1)
	key, err := node.Key()
	require.NoError(t, err)
	standing, err := f.k.Standings.Get(f.Ctx, key)
	require.NoError(t, err)
	require.EqualValues(t, 1, standing.FailedStarts)

	f.close(id)
	other := f.lease()
	for range 6 { // until the backoff of 30 s is over and the lease was tried again
		f.NextBlock(9 * time.Second)
		f.checkIn(node)
	}
	f.start(f.placement(other))
	standing, err = f.k.Standings.Get(f.Ctx, key)
	require.NoError(t, err)
	require.Zero(t, standing.FailedStarts)
}

func TestNodeThatFailsStartsBacksOffLongerEachTime(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.NodeBackoffMin, p.NodeBackoffMax = 2*time.Second, 6*time.Second })
	node := f.addNode(nodeSpec{operator: "op"})
	var pauses []uint64
	for range 4 {
		id := f.lease()
		for len(f.live(id)) == 0 {
			f.NextBlock(time.Second)
			f.checkIn(node)
		}
		f.reject(f.placement(id))
		now := f.now()
		backedOff := testkit.EventsOf[types.EventNodeBackedOff](t, f.NextBlock(time.Second))
		require.Len(t, backedOff, 1)
		pauses = append(pauses, backedOff[0].UntilMs-now)
		f.close(id)
	}
	require.Equal(t, []uint64{2_000, 4_000, 6_000, 6_000}, pauses)
}

func TestStartRefusals(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	other := f.addNode(nodeSpec{operator: "other", ask: 2 * ask})
	id := f.lease()
	f.NextBlock(time.Second)
	p := f.placement(id)
	agent := f.agentOf(p.Node)
	for _, tc := range []struct {
		name   string
		change func(*types.MsgStartPlacement)
		err    error
	}{
		{"another node's agent", func(m *types.MsgStartPlacement) { m.Agent = f.agentOf(other) }, types.ErrNotThisNode},
		{"the operator", func(m *types.MsgStartPlacement) { m.Agent = p.Node.Operator }, sunstypes.ErrAgentUnknown},
		{"the tenant", func(m *types.MsgStartPlacement) { m.Agent = id.Tenant }, sunstypes.ErrAgentUnknown},
		{"unknown generation", func(m *types.MsgStartPlacement) { m.ID.Generation = 2 }, types.ErrPlacementNotFound},
		{"unknown replica", func(m *types.MsgStartPlacement) { m.ID.Replica = ^uint32(0) }, types.ErrPlacementNotFound},
		{"unknown lease", func(m *types.MsgStartPlacement) { m.ID.Number = ^uint64(0) }, types.ErrPlacementNotFound},
		{"unknown tenant", func(m *types.MsgStartPlacement) { m.ID.Tenant = testkit.Addr("nobody").String() }, types.ErrPlacementNotFound},
		{"generation 0", func(m *types.MsgStartPlacement) { m.ID.Generation = 0 }, types.ErrInvalidID},
		{"no id", func(m *types.MsgStartPlacement) { m.ID = types.PlacementID{} }, types.ErrInvalidID},
		{"huge id", func(m *types.MsgStartPlacement) { m.ID.Tenant = strings.Repeat("q", 1<<16) }, types.ErrInvalidID},
		{"bad endpoint", func(m *types.MsgStartPlacement) { m.Endpoints = endpoint("nowhere") }, types.ErrInvalidEndpoints},
		{"too many endpoints", func(m *types.MsgStartPlacement) { m.Endpoints = make([]types.Endpoint, types.MaxEndpoints+1) }, types.ErrInvalidEndpoints},
		{"no agent", func(m *types.MsgStartPlacement) { m.Agent = "" }, types.ErrInvalidID},
		{"another chain's agent", func(m *types.MsgStartPlacement) { m.Agent = foreign }, types.ErrInvalidID},
	} {
		msg := &types.MsgStartPlacement{Agent: agent, ID: p.ID}
		tc.change(msg)
		require.ErrorIs(t, deliver(f, f.msgs.StartPlacement, msg), tc.err, tc.name)
	}
	require.Equal(t, p, f.placement(id))

	f.start(p)
	f.reject(p)
	require.ErrorIs(t, deliver(f, f.msgs.StartPlacement, &types.MsgStartPlacement{Agent: agent, ID: p.ID}),
		types.ErrPlacementEnded, "in the block that ends it")
	f.NextBlock(time.Second)
	require.ErrorIs(t, deliver(f, f.msgs.StartPlacement, &types.MsgStartPlacement{Agent: agent, ID: p.ID}),
		types.ErrPlacementSettled, "it ended in the moment it started")
}

func TestRejectPlacement(t *testing.T) {
	f, node := failoverFixture(t)
	id := f.run()
	p := f.placement(id)
	f.serve(id, 5*time.Second)
	_, events, err := call(f, f.msgs.RejectPlacement, &types.MsgRejectPlacement{
		Agent: f.agentOf(node), ID: p.ID, Reason: strings.Repeat("r", types.MaxReasonBytes),
	})
	require.NoError(t, err)
	require.Len(t, testkit.EventsOf[types.EventPlacementRejected](t, events), 1)
	require.Equal(t, types.END_REASON_REJECTED, f.known(p.ID).Placement.EndReason)
	require.True(t, f.known(p.ID).Placement.Live(), "the end blocker ends it")
	ended := testkit.EventsOf[types.EventPlacementEnded](t, f.NextBlock(time.Second))
	require.Len(t, ended, 1)
	require.Equal(t, types.END_REASON_REJECTED, ended[0].Reason)
	require.Equal(t, p.StartedMs+5_000, ended[0].EndedMs)
	f.requireMoved(id, "spare")
}

func TestRejectRefusals(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	other := f.addNode(nodeSpec{operator: "other", ask: 2 * ask})
	id := f.run()
	p := f.placement(id)
	for _, tc := range []struct {
		name   string
		change func(*types.MsgRejectPlacement)
		err    error
	}{
		{"another node's agent", func(m *types.MsgRejectPlacement) { m.Agent = f.agentOf(other) }, types.ErrNotThisNode},
		{"the tenant", func(m *types.MsgRejectPlacement) { m.Agent = id.Tenant }, sunstypes.ErrAgentUnknown},
		{"unknown placement", func(m *types.MsgRejectPlacement) { m.ID.Generation = 9 }, types.ErrPlacementNotFound},
		{"no id", func(m *types.MsgRejectPlacement) { m.ID = types.PlacementID{} }, types.ErrInvalidID},
		{"no reason", func(m *types.MsgRejectPlacement) { m.Reason = "" }, types.ErrInvalidReason},
		{"reason too long", func(m *types.MsgRejectPlacement) { m.Reason = strings.Repeat("r", types.MaxReasonBytes+1) }, types.ErrInvalidReason},
		{"reason that is not text", func(m *types.MsgRejectPlacement) { m.Reason = "\xff" }, types.ErrInvalidReason},
		{"no agent", func(m *types.MsgRejectPlacement) { m.Agent = "agent" }, types.ErrInvalidID},
	} {
		msg := &types.MsgRejectPlacement{Agent: f.agentOf(p.Node), ID: p.ID, Reason: "no"}
		tc.change(msg)
		require.ErrorIs(t, deliver(f, f.msgs.RejectPlacement, msg), tc.err, tc.name)
	}
	require.Equal(t, p, f.placement(id))
	f.close(id)
	f.Advance(20*time.Second, 5*time.Second)
	require.ErrorIs(t, deliver(f, f.msgs.RejectPlacement,
		&types.MsgRejectPlacement{Agent: f.agentOf(p.Node), ID: p.ID, Reason: "no"}), types.ErrPlacementSettled)
}

// The tenant closes and the node rejects in one block: it ends once, and the money adds up.
func TestCloseAndRejectInOneBlock(t *testing.T) {
	for _, rejectFirst := range []bool{true, false} {
		f := newFixture(t)
		f.addNode(nodeSpec{operator: "op"})
		id := f.run()
		p := f.placement(id)
		f.serve(id, 20*time.Second)
		if rejectFirst {
			f.reject(p)
			f.close(id)
		} else {
			f.close(id)
			f.reject(p)
		}
		f.Advance(20*time.Second, 5*time.Second)
		require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
		require.Equal(t, types.END_REASON_REJECTED, f.known(p.ID).Placement.EndReason)
		require.EqualValues(t, tenantFunds-20, f.Balance(f.tenant))
		require.EqualValues(t, 18, f.earned("op", 1))
		require.EqualValues(t, 2, f.pool())
	}
}

// The queue of endings is behind when the tenant closes what the node rejected a block before: the rejection still counts, and
// the tenant forfeits nothing.
func TestRejectionOutlivesABacklog(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(*fixture, types.LeaseID, types.Placement)
	}{
		{"closed", func(f *fixture, id types.LeaseID, _ types.Placement) { f.close(id) }},
		{"scaled down", func(f *fixture, id types.LeaseID, _ types.Placement) { f.update(id, replicas(1)) }},
		{"retired", func(f *fixture, _ types.LeaseID, p types.Placement) { f.retire(p.Node) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			first := f.run()
			id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
			rejected := f.live(id)[1]
			f.serve(id, 20*time.Second)
			f.setParams(func(p *types.Params) { p.Budgets.Endings = 1 })
			f.reject(f.placement(first)) // takes the block's budget
			f.reject(rejected)
			tc.then(f, id, rejected)
			f.NextBlock(time.Second)
			require.True(t, f.known(rejected.ID).Placement.Live())
			f.NextBlock(time.Second)
			ended := f.known(rejected.ID)
			require.Equal(t, types.END_REASON_REJECTED, ended.Placement.EndReason)
			require.Equal(t, rejected.StartedMs+20_000, ended.Placement.EndedMs, "when it was rejected")
			requireInt(t, 0, ended.Billing.PaidAudit)
			f.Advance(20*time.Second, 5*time.Second)
			require.EqualValues(t, 20, f.known(rejected.ID).Billing.BilledSeconds)
		})
	}
}
