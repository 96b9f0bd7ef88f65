package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func (f *fixture) rewards(id types.NodeID) int64 {
	f.T.Helper()
	res, err := f.query.Rewards(f.Ctx, &types.QueryRewardsRequest{Operator: id.Operator, Number: id.Number})
	require.NoError(f.T, err)
	return res.Maintenance.Int64()
}

func (f *fixture) epochReward(epoch uint64) types.EpochReward {
	f.T.Helper()
	reward, err := f.keeper.EpochRewards.Get(f.Ctx, epoch)
	require.NoError(f.T, err)
	return reward
}

// Two nodes: alice has 4 SUNS and a bond for 4 (weight 4000), bob 4 SUNS and a bond for 3 (weight 3000). An hour gives
// 1,000,000 uisc: 200,000 to validators, 800,000 to nodes. A unit of weight gets 800000 / 7000 = 114.285714285714285714 uisc;
// alice floor(457142.857…) = 457142, bob floor(342857.142…) = 342857, and 1 uisc is left over.
func TestRewardIsDividedByWeight(t *testing.T) {
	f := newFixture(t)
	alice := f.register("alice", 1)
	bob := f.register("bob", 1, withBond(3_000_000))
	f.checkIn(alice)
	f.hour()
	require.Equal(t, types.Epoch{Number: 1, TotalWeight: math.ZeroInt()}, f.epoch())
	events := f.NextBlock(time.Second)
	require.Equal(t, []types.EventEpochClosed{{
		Epoch: 1, TotalWeight: "0", MintedToNodes: "0", DueToValidators: "0", Recycled: "0",
	}}, testkit.EventsOf[types.EventEpochClosed](t, events), "nobody counts in the epoch of registration, so nothing is minted")

	supply := f.Supply()
	_, events, err := deliverEvents(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: f.node(alice).Agent})
	require.NoError(t, err)
	require.Equal(t, []types.EventNodeCheckedIn{{Operator: alice.Operator, Number: 1, Epoch: 2, Weight: 4_000}},
		testkit.EventsOf[types.EventNodeCheckedIn](t, events))
	f.checkIn(bob)
	f.checkIn(alice)
	require.Zero(t, f.epoch().Nodes, "check-ins are counted at the end of the block")
	f.NextBlock(time.Hour - time.Second)
	require.Equal(t, types.Epoch{Number: 2, StartMs: 3_600_000, TotalWeight: math.NewInt(7_000), Nodes: 2}, f.epoch())

	events = f.NextBlock(time.Second)
	require.Equal(t, []types.EventEpochClosed{{
		Epoch: 2, Nodes: 2, TotalWeight: "7000", MintedToNodes: "800000", DueToValidators: "200000", Recycled: "0",
	}}, testkit.EventsOf[types.EventEpochClosed](t, events))
	rate, _ := math.NewIntFromString("114285714285714285714")
	require.Equal(t, types.EpochReward{
		Epoch: 2, Amount: math.NewInt(800_000), RewardPerWeight: rate, Claimed: math.ZeroInt(),
	}, f.epochReward(2))
	require.Equal(t, supply+800_000, f.Supply(), "the validators' part is minted by x/mint")
	require.EqualValues(t, 800_000, f.ModuleBalance(types.RewardPoolName))
	require.EqualValues(t, 457_142, f.rewards(alice))
	require.EqualValues(t, 342_857, f.rewards(bob))

	f.checkIn(alice)
	require.EqualValues(t, 342_857, f.withdraw(bob))
	require.True(t, f.epochReward(2).Claimed.IsZero(), "settlements are counted at the end of the block")
	events = f.NextBlock(time.Second)
	require.Equal(t, []types.EventRewardsPaid{{Operator: bob.Operator, Number: 1, Amount: "342857"}},
		testkit.EventsOf[types.EventRewardsPaid](t, events))
	require.EqualValues(t, 799_999, f.epochReward(2).Claimed.Int64())
	require.EqualValues(t, 342_857, f.Balance(testkit.Addr("bob")))
	require.EqualValues(t, 457_143, f.ModuleBalance(types.RewardPoolName))

	require.EqualValues(t, 457_142, f.withdraw(alice), "settled by the check-in before")
	f.NextBlock(time.Second)
	require.EqualValues(t, 457_142, f.Balance(testkit.Addr("alice")))
	require.EqualValues(t, 1, f.ModuleBalance(types.RewardPoolName))
}

// Withdrawing and then checking in, or the other way round, within one block counts each exactly once.
func TestWithdrawAndCheckInInOneBlock(t *testing.T) {
	for name, do := range map[string]func(*fixture, types.NodeID) int64{
		"withdraw first": func(f *fixture, id types.NodeID) int64 { paid := f.withdraw(id); f.checkIn(id); return paid },
		"check in first": func(f *fixture, id types.NodeID) int64 { f.checkIn(id); return f.withdraw(id) },
		"twice": func(f *fixture, id types.NodeID) int64 {
			paid := f.withdraw(id)
			f.checkIn(id)
			f.checkIn(id)
			f.withdraw(id)
			return paid
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			f.hour()
			f.NextBlock(time.Second)
			f.checkIn(id)
			f.hour()
			f.NextBlock(time.Second)
			require.EqualValues(t, 800_000, do(f, id))
			f.NextBlock(time.Second)
			require.EqualValues(t, 800_000, f.Balance(testkit.Addr("alice")))
			require.Equal(t, math.NewInt(4_000), f.epoch().TotalWeight)
			require.EqualValues(t, 1, f.epoch().Nodes)
			require.EqualValues(t, 800_000, f.epochReward(2).Claimed.Int64())
			require.Zero(t, f.withdraw(id))
		})
	}
}

func TestWithdrawOfNothing(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hooks.take()
	require.Zero(t, f.withdraw(id))
	require.Equal(t, []string{"withdrawn 1"}, f.hooks.take(), "there may be an audit reward all the same")
	events := f.NextBlock(time.Second)
	require.Empty(t, testkit.EventsOf[types.EventRewardsPaid](t, events))
	_, err := deliver(f, f.msgs.WithdrawRewards, &types.MsgWithdrawRewards{Operator: id.Operator, Number: 2})
	require.ErrorIs(t, err, types.ErrNodeNotFound)
}

func TestWeightIsFrozenAtTheFirstCheckIn(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withBond(3_000_000))
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(id)
	f.Fund(testkit.Addr("alice"), 1_000_000)
	more := testkit.Coin(1_000_000)
	require.NoError(t, f.update(id, func(m *types.MsgUpdateNode) { m.AddBond, m.AskPrice = &more, types.MaxAskPrice }))
	f.checkIn(id)
	f.NextBlock(time.Second)
	require.Equal(t, math.NewInt(3_000), f.epoch().TotalWeight)
}

func TestWhoCountsInAnEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*fixture, types.NodeID)
		want    int64
	}{
		"active":   {func(*fixture, types.NodeID) {}, 4_000},
		"draining": {func(f *fixture, id types.NodeID) { require.NoError(f.T, f.drain(id)) }, 4_000},
		"at the highest rewarded ask": {func(f *fixture, id types.NodeID) {
			require.NoError(f.T, f.update(id, func(m *types.MsgUpdateNode) { m.AskPrice = 10_000_000 }))
		}, 4_000},
		"above it": {func(f *fixture, id types.NodeID) {
			require.NoError(f.T, f.update(id, func(m *types.MsgUpdateNode) { m.AskPrice = 10_000_001 }))
		}, 0},
		"back from silence": {func(f *fixture, id types.NodeID) { f.hour(); f.NextBlock(time.Second) }, 4_000},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			f.hour()
			f.NextBlock(time.Second)
			c.prepare(f, id)
			f.checkIn(id)
			f.NextBlock(time.Second)
			require.Equal(t, c.want, f.epoch().TotalWeight.Int64())
			require.Equal(t, c.want > 0, f.epoch().Nodes == 1)
		})
	}
}

// What nobody claims in time stays in the pool and reduces the next mint. With claim_epochs 2, epoch 2's reward can be
// claimed in epochs 3 and 4; at the close of 4 it is forgotten, and the close of 5 mints that much less.
func TestUnclaimedIsRecycled(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.ClaimEpochs = 2 })
	alice, bob := f.register("alice", 1), f.register("bob", 1)
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(alice)
	f.checkIn(bob)
	for epoch := uint64(2); epoch < 5; epoch++ {
		require.Equal(t, epoch, f.epoch().Number)
		if epoch > 2 {
			f.checkIn(bob)
		}
		f.hour()
		if epoch == 4 {
			require.EqualValues(t, 400_000, f.rewards(alice), "the last moment to claim")
		}
		f.NextBlock(time.Second)
	}
	require.Zero(t, f.rewards(alice), "too late")
	require.EqualValues(t, 400_000, f.emission().Unclaimed.Int64())

	supply := f.Supply()
	f.checkIn(bob)
	f.hour()
	events := f.NextBlock(time.Second)
	require.Equal(t, []types.EventEpochClosed{{
		Epoch: 5, Nodes: 1, TotalWeight: "4000", MintedToNodes: "400000", DueToValidators: "200000", Recycled: "400000",
	}}, testkit.EventsOf[types.EventEpochClosed](t, events))
	require.Equal(t, supply+400_000, f.Supply())
	require.Zero(t, f.emission().Unclaimed.Int64())
	require.EqualValues(t, 800_000, f.epochReward(5).Amount.Int64())
	// bob: 400,000 of epoch 2, which he settled in time, and 800,000 each of 3, 4 and 5.
	require.EqualValues(t, 400_000+3*800_000, f.rewards(bob))

	f.checkIn(alice)
	require.Zero(t, f.withdraw(alice))
}

// More may be unclaimed than an epoch gives: then nothing is minted for nodes, and the rest waits.
func TestRecyclingNeverMintsLessThanNothing(t *testing.T) {
	f := newFixture(t)
	f.FundModule(types.RewardPoolName, 1_000_000)
	state := f.emission()
	state.Unclaimed = math.NewInt(1_000_000)
	require.NoError(t, f.keeper.Emission.Set(f.Ctx, state))
	id := f.register("alice", 1)
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(id)
	f.hour()
	f.NextBlock(time.Second)
	require.EqualValues(t, 200_000, f.emission().Unclaimed.Int64())
	require.Zero(t, f.emission().MintedToNodes.Int64())
	require.EqualValues(t, 800_000, f.withdraw(id))
}

// A node that retires in the middle of an epoch has its part of it: the bond waits for the epoch's end and brings it along.
func TestRetiredNodeGetsItsLastEpoch(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = time.Minute })
	id := f.register("alice", 1)
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(id)
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(id)
	f.retire(id)
	f.NextBlock(time.Minute)
	require.EqualValues(t, 800_000, f.Balance(testkit.Addr("alice")), "epoch 2 at once")
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_RETIRED, f.node(id).Status, "epoch 3 is not over")
	f.hour()
	f.NextBlock(time.Second)
	events := f.NextBlock(time.Second)
	require.Len(t, testkit.EventsOf[types.EventRewardsPaid](t, events), 1)
	require.Len(t, testkit.EventsOf[types.EventBondReturned](t, events), 1)
	require.EqualValues(t, 800_000+800_000+4_000_000, f.Balance(testkit.Addr("alice")))
}

func TestPayoutBudgetAndOrder(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxPayoutsPerBlock = 2 })
	var ids []types.NodeID
	for number := uint64(1); number <= 5; number++ {
		ids = append(ids, f.register("alice", number))
	}
	f.hour()
	f.NextBlock(time.Second)
	for _, id := range ids {
		f.checkIn(id)
	}
	f.hour()
	f.NextBlock(time.Second)
	for _, id := range ids {
		require.EqualValues(t, 160_000, f.withdraw(id))
	}
	for _, want := range []int64{320_000, 640_000, 800_000, 800_000} {
		f.NextBlock(time.Second)
		require.Equal(t, want, f.Balance(testkit.Addr("alice")))
	}
}

func TestFailingCheckInHookFailsTheMessage(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hooks.fail = map[string]error{"checked in": errors.New("no")}
	_, err := deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: f.node(id).Agent})
	require.EqualError(t, err, "no")
	f.hooks.fail = nil
	f.hooks.take()
	f.checkIn(id)
	require.Equal(t, []string{"checked in 1 1"}, f.hooks.take(), "still the first one")
}

func TestCheckInOfStrangers(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1)
	for _, agent := range []string{"", "alice", testkit.Addr("alice").String(), "cosmos1xyz"} {
		_, err := deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: agent})
		require.ErrorIs(t, err, types.ErrAgentUnknown, agent)
	}
	require.ErrorIs(t, f.keeper.RecordCheckIn(f.Ctx, types.NewNodeID(testkit.Addr("bob"), 1)), types.ErrNodeNotFound)
}
