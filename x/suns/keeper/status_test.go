package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func (f *fixture) drain(id types.NodeID) error {
	_, err := deliver(f, f.msgs.DrainNode, &types.MsgDrainNode{Operator: id.Operator, Number: id.Number})
	return err
}

func (f *fixture) resume(id types.NodeID) error {
	_, err := deliver(f, f.msgs.ResumeNode, &types.MsgResumeNode{Operator: id.Operator, Number: id.Number})
	return err
}

func TestDrainAndResume(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hooks.take()
	require.ErrorIs(t, f.resume(id), types.ErrNodeStatus)

	_, events, err := deliverEvents(f, f.msgs.DrainNode, &types.MsgDrainNode{Operator: id.Operator, Number: 1})
	require.NoError(t, err)
	require.Equal(t, []types.EventNodeDraining{{Operator: id.Operator, Number: 1}},
		testkit.EventsOf[types.EventNodeDraining](t, events))
	require.Equal(t, types.NODE_STATUS_DRAINING, f.node(id).Status)
	require.Equal(t, []string{"changed 1", "draining 1"}, f.hooks.take())
	require.ErrorIs(t, f.drain(id), types.ErrNodeStatus)
	require.ErrorIs(t, f.keeper.Reserve(f.Ctx, id, 1, nil), types.ErrNodeStatus, "a draining node takes nothing new")

	_, events, err = deliverEvents(f, f.msgs.ResumeNode, &types.MsgResumeNode{Operator: id.Operator, Number: 1})
	require.NoError(t, err)
	require.Equal(t, []types.EventNodeResumed{{Operator: id.Operator, Number: 1}},
		testkit.EventsOf[types.EventNodeResumed](t, events))
	require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)
	require.Equal(t, []string{"changed 1", "resumed 1"}, f.hooks.take())
	require.ErrorIs(t, f.resume(id), types.ErrNodeStatus)

	stranger := types.NewNodeID(testkit.Addr("bob"), 1)
	require.ErrorIs(t, f.drain(stranger), types.ErrNodeNotFound)
	require.ErrorIs(t, f.resume(stranger), types.ErrNodeNotFound)
}

func TestDrainRefusesAnUnresponsiveNode(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.hour()
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	require.ErrorIs(t, f.drain(id), types.ErrNodeStatus)
	require.ErrorIs(t, f.resume(id), types.ErrNodeStatus)
}

func TestRetireReturnsTheBondAfterUnbonding(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = 3 * time.Hour })
	id := f.register("alice", 1)
	f.hour()
	f.hooks.take()

	res, events, err := deliverEvents(f, f.msgs.RetireNode, &types.MsgRetireNode{Operator: id.Operator, Number: 1})
	require.NoError(t, err)
	require.EqualValues(t, 4*3_600_000, res.BondReturnsMs)
	require.Equal(t, []types.EventNodeRetired{{Operator: id.Operator, Number: 1, BondReturnsMs: 4 * 3_600_000}},
		testkit.EventsOf[types.EventNodeRetired](t, events))
	require.Equal(t, []string{"changed 1", "lost 1 1", "withdrawn 1"}, f.hooks.take())
	node := f.node(id)
	require.Equal(t, types.NODE_STATUS_RETIRED, node.Status)
	require.Empty(t, node.Agent)
	require.EqualValues(t, 3_600_000, node.RetiredMs)
	require.Zero(t, f.info(id).DeadlineMs)

	f.hour()
	f.hour()
	f.NextBlock(time.Hour - time.Millisecond)
	f.NextBlock(time.Millisecond)
	require.Zero(t, f.Balance(testkit.Addr("alice")), "not a millisecond early")
	f.hooks.take()
	events = f.NextBlock(time.Second)
	require.Equal(t, []types.EventBondReturned{{Operator: id.Operator, Number: 1, Amount: "4000000"}},
		testkit.EventsOf[types.EventBondReturned](t, events))
	require.Equal(t, []string{"removed 1", "closed 4"}, f.hooks.take())
	require.EqualValues(t, 4_000_000, f.Balance(testkit.Addr("alice")))
	_, err = f.keeper.GetNode(f.Ctx, id)
	require.ErrorIs(t, err, types.ErrNodeNotFound)
	f.register("alice", 2)
}

func TestRetiredNodeIsOutOfReach(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.retire(id)
	require.ErrorIs(t, f.update(id, func(*types.MsgUpdateNode) {}), types.ErrNodeStatus)
	require.ErrorIs(t, f.drain(id), types.ErrNodeStatus)
	require.ErrorIs(t, f.resume(id), types.ErrNodeStatus)
	require.ErrorIs(t, f.keeper.RecordCheckIn(f.Ctx, id), types.ErrNodeStatus)
	require.ErrorIs(t, f.keeper.Reserve(f.Ctx, id, 1, nil), types.ErrNodeStatus)
	_, err := deliver(f, f.msgs.RetireNode, &types.MsgRetireNode{Operator: id.Operator, Number: 1})
	require.ErrorIs(t, err, types.ErrNodeStatus)
	_, err = deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: testkit.Addr(agentName("alice", 1)).String()})
	require.ErrorIs(t, err, types.ErrAgentUnknown)

	// Its agent may serve another node.
	f.Fund(testkit.Addr("alice"), 4_000_000)
	msg := registration("alice", 2)
	signWith(msg, agentName("alice", 1))
	_, err = deliver(f, f.msgs.RegisterNode, msg)
	require.NoError(t, err)
}

func TestRetireFromEveryStatus(t *testing.T) {
	for name, prepare := range map[string]func(*fixture, types.NodeID){
		"active":   func(*fixture, types.NodeID) {},
		"draining": func(f *fixture, id types.NodeID) { require.NoError(f.T, f.drain(id)) },
		"unresponsive": func(f *fixture, id types.NodeID) {
			f.hour()
			f.hour()
			f.NextBlock(time.Second)
			require.Equal(f.T, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			prepare(f, id)
			f.retire(id)
			require.Equal(t, types.NODE_STATUS_RETIRED, f.node(id).Status)
		})
	}
}

func TestBondWaitsForPlacements(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = time.Hour })
	id := f.register("alice", 1)
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
	f.retire(id)
	f.hour()
	f.NextBlock(time.Minute - time.Millisecond)
	require.Equal(t, types.NODE_STATUS_RETIRED, f.node(id).Status)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil), "a retired node still gives back")
	f.NextBlock(time.Millisecond)
	require.Zero(t, f.Balance(testkit.Addr("alice")), "it is looked at again after a minute")
	f.NextBlock(time.Second)
	require.EqualValues(t, 4_000_000, f.Balance(testkit.Addr("alice")))
}

func TestUnbondingBudget(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) {
		g.Params.UnbondingPeriod, g.Params.MaxUnbondingsPerBlock = time.Second, 2
	})
	for number := uint64(1); number <= 5; number++ {
		f.retire(f.register("alice", number))
	}
	f.NextBlock(time.Second)
	for _, want := range []int64{8_000_000, 16_000_000, 20_000_000, 20_000_000} {
		f.NextBlock(time.Second)
		require.Equal(t, want, f.Balance(testkit.Addr("alice")))
	}
}

// A node that retires under a placement keeps its agent, so that what it served up to its end can be attested; a check-in is
// still refused. The operator may enter the machine anew with the same agent, nobody else.
func TestRetiredNodeKeepsItsAgentForItsPlacements(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
	f.retire(id)
	agent := testkit.Addr(agentName("alice", 1))
	node, err := f.keeper.NodeOfAgent(f.Ctx, agent)
	require.NoError(t, err)
	require.Equal(t, id, node.ID)
	_, err = deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: agent.String()})
	require.ErrorIs(t, err, types.ErrNodeStatus)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil))

	f.Fund(testkit.Addr("mallory"), 4_000_000)
	stolen := registration("mallory", 1)
	signWith(stolen, agentName("alice", 1))
	_, err = deliver(f, f.msgs.RegisterNode, stolen)
	require.ErrorIs(t, err, types.ErrAgentTaken)

	f.Fund(testkit.Addr("alice"), 4_000_000)
	again := registration("alice", 2)
	signWith(again, agentName("alice", 1))
	_, err = deliver(f, f.msgs.RegisterNode, again)
	require.NoError(t, err)
	node, err = f.keeper.NodeOfAgent(f.Ctx, agent)
	require.NoError(t, err)
	require.EqualValues(t, 2, node.ID.Number)
}
