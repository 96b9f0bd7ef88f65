package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// An idle node is lost two epochs after it was last heard from, and not a millisecond before.
func TestIdleNodeBecomesUnresponsive(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hooks.take()
	f.hour()
	f.NextBlock(time.Hour - time.Millisecond)
	f.NextBlock(time.Millisecond)
	require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)

	f.hooks.take()
	events := f.NextBlock(time.Second)
	require.Equal(t, []types.EventNodeUnresponsive{{Operator: id.Operator, Number: 1}},
		testkit.EventsOf[types.EventNodeUnresponsive](t, events))
	require.Equal(t, []string{"changed 1", "lost 1 0", "closed 2"}, f.hooks.take())
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	require.Zero(t, f.info(id).DeadlineMs)
}

func TestCheckInMovesTheDeadlineLazily(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.checkIn(id)
	require.EqualValues(t, 2*3_600_000, f.info(id).DeadlineMs, "a check-in does not touch the queue")
	f.hour()
	f.NextBlock(time.Second)
	require.EqualValues(t, 3*3_600_000, f.info(id).DeadlineMs)
	f.NextBlock(time.Hour - time.Second)
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
}

func TestUnresponsiveNodeRecovers(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.hour()
	f.NextBlock(time.Second)
	f.hooks.take()

	_, events, err := deliverEvents(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: f.node(id).Agent})
	require.NoError(t, err)
	require.Equal(t, []types.EventNodeRecovered{{Operator: id.Operator, Number: 1}},
		testkit.EventsOf[types.EventNodeRecovered](t, events))
	require.Equal(t, []string{"changed 1", "checked in 1 3"}, f.hooks.take())
	info := f.info(id)
	require.Equal(t, types.NODE_STATUS_ACTIVE, info.Node.Status)
	require.Equal(t, f.now()+2*3_600_000, info.DeadlineMs)

	f.checkIn(id)
	require.Empty(t, f.hooks.take(), "a second check-in in an epoch says nothing")
}

// A busy node is lost after the silence limit of 15 minutes.
func TestBusyNodeBecomesUnresponsiveSooner(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.NextBlock(10 * time.Minute)
	f.checkIn(id)
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
	require.EqualValues(t, 25*60_000, f.info(id).DeadlineMs, "brought forward from two hours")

	f.NextBlock(5 * time.Minute)
	f.checkIn(id)
	f.NextBlock(10 * time.Minute)
	f.NextBlock(time.Millisecond)
	require.EqualValues(t, 30*60_000, f.info(id).DeadlineMs, "it was heard from at 15 minutes")
	f.NextBlock(5*time.Minute - 2*time.Millisecond)
	f.NextBlock(time.Millisecond)
	require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil))
}

// An idle node may be silent for most of two epochs. One that is matched then has the silence limit to say that it is there.
func TestNodeMatchedAfterLongSilenceHasTime(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
	f.NextBlock(15*time.Minute - time.Millisecond)
	f.NextBlock(time.Millisecond)
	require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil))
}

// Being matched again and again does not keep a dead node in the market for longer than it would have been as an idle one.
func TestMatchesDoNotKeepADeadNodeAlive(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	for range 12 {
		f.NextBlock(10 * time.Minute)
		if f.node(id).Status != types.NODE_STATUS_ACTIVE {
			break
		}
		require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
		require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil))
	}
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, nil))
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, nil))
}

func TestDeadlineBudget(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxDeadlinesPerBlock = 2 })
	for number := uint64(1); number <= 5; number++ {
		f.register("alice", number)
	}
	f.hour()
	f.hour()
	for _, want := range []int{2, 2, 1, 0} {
		events := f.NextBlock(time.Second)
		require.Len(t, testkit.EventsOf[types.EventNodeUnresponsive](t, events), want)
	}
}

// A hook that fails or panics sends its node to the quarantine, undone, and stops no other node.
func TestFailingDeadlineIsQuarantined(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*hooks)
		want   string
	}{
		"fails":  {func(h *hooks) { h.fail = map[string]error{"lost": errors.New("no room")} }, "no room"},
		"panics": {func(h *hooks) { h.panic = "lost" }, "panic: hook lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			f.hour()
			f.hour()
			c.damage(f.hooks)
			events := f.NextBlock(time.Second)
			require.Equal(t, []string{"deadline_queue: " + id.String() + ": " + c.want}, f.quarantine())
			require.Equal(t, []types.EventItemQuarantined{{
				Number: 1, Queue: "deadline_queue", Item: id.String(), Error: c.want,
			}}, testkit.EventsOf[types.EventItemQuarantined](t, events))
			require.Empty(t, testkit.EventsOf[types.EventNodeUnresponsive](t, events))
			require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)
		})
	}
}
