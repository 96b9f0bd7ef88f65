package keeper_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// Three nodes share 1,003: 334 each, and 1 waits for the next epoch.
func TestEpochIsSharedEqually(t *testing.T) {
	f := newFixture(t)
	a, b, c := f.addNode("a"), f.addNode("b"), f.addNode("c")
	f.FundModule(types.ModuleName, 1_003)
	for _, node := range []sunstypes.Node{a, b, c} {
		f.checkIn(node)
	}
	events := f.closeEpoch()
	require.Equal(t, []types.EventPoolShared{{Epoch: 5, Nodes: 3, PerNode: "334"}}, testkit.EventsOf[types.EventPoolShared](t, events))
	require.EqualValues(t, 1_002, f.owed())
	require.Zero(t, f.pool().SharingNodes)
	for _, node := range []sunstypes.Node{a, b, c} {
		require.EqualValues(t, 334, f.rewards(node))
	}

	// Epoch 6: only a and b come back, and 201 more comes in: (1 + 201) / 2 = 101 each.
	f.FundModule(types.ModuleName, 201)
	f.checkIn(a)
	f.checkIn(b)
	f.endBlock()
	settled, err := f.keeper.EpochPools.Get(f.Ctx, 5)
	require.NoError(t, err)
	require.Equal(t, types.EpochPool{Epoch: 5, Nodes: 3, PerNode: math.NewInt(334), Claimed: math.NewInt(668)}, settled)
	f.closeEpoch()
	require.EqualValues(t, 435, f.rewards(a))
	require.EqualValues(t, 435, f.rewards(b))
	require.EqualValues(t, 334, f.rewards(c))
	require.EqualValues(t, 1_204, f.owed())
}

// Who qualifies: each case changes one thing of a node that does.
func TestQualifies(t *testing.T) {
	cases := []struct {
		name   string
		change func(*sunstypes.Node)
		counts bool
	}{
		{"as it is", func(*sunstypes.Node) {}, true},
		{"registered in the epoch before", func(n *sunstypes.Node) { n.RegisteredEpoch = 4 }, true},
		{"registered in this epoch", func(n *sunstypes.Node) { n.RegisteredEpoch = 5 }, false},
		{"one milli-SUNS short", func(n *sunstypes.Node) { n.MilliSuns = 999 }, false},
		{"bigger", func(n *sunstypes.Node) { n.MilliSuns = 1001 }, true},
		{"bond one uisc short", func(n *sunstypes.Node) { n.Bond = math.NewInt(9_999_999) }, false},
		{"bond unset", func(n *sunstypes.Node) { n.Bond = math.Int{} }, false},
		{"draining", func(n *sunstypes.Node) { n.Status = sunstypes.NODE_STATUS_DRAINING }, true},
		{"unresponsive", func(n *sunstypes.Node) { n.Status = sunstypes.NODE_STATUS_UNRESPONSIVE }, false},
		{"retired", func(n *sunstypes.Node) { n.Status = sunstypes.NODE_STATUS_RETIRED }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			node := f.addNode("operator")
			c.change(&node)
			f.checkIn(node)
			f.endBlock()
			want := uint64(0)
			if c.counts {
				want = 1
			}
			require.Equal(t, want, f.pool().SharingNodes)
		})
	}
}

// A node counts once an epoch, even if x/suns told of it twice, in one block or in two.
func TestNodeCountsOnce(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	f.checkIn(node)
	f.checkIn(node)
	f.endBlock()
	f.checkIn(node)
	f.endBlock()
	require.EqualValues(t, 1, f.pool().SharingNodes)
}

// A node that no longer qualifies settles what it earned and is not counted again.
func TestSettlesWithoutQualifying(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	f.FundModule(types.ModuleName, 100)
	f.checkIn(node)
	f.closeEpoch()
	node.MilliSuns = 1
	f.checkIn(node)
	f.endBlock()
	require.Zero(t, f.pool().SharingNodes)
	require.EqualValues(t, 100, f.rewards(node))
	reward, err := f.keeper.Rewards.Get(f.Ctx, mustKey(t, node))
	require.NoError(t, err)
	require.Equal(t, types.NodeAuditReward{Accrued: math.NewInt(100)}, reward)
}

// With nobody to share with, or less than 1 uisc for each, all of it waits.
func TestNothingToShare(t *testing.T) {
	f := newFixture(t)
	f.FundModule(types.ModuleName, 1)
	require.Empty(t, f.closeEpoch())
	require.Zero(t, f.owed())

	a, b := f.addNode("a"), f.addNode("b")
	f.checkIn(a)
	f.checkIn(b)
	require.Empty(t, f.closeEpoch())
	require.Zero(t, f.owed())
	_, err := f.keeper.EpochPools.Get(f.Ctx, 6)
	require.Error(t, err)

	f.checkIn(a)
	f.checkIn(b)
	f.FundModule(types.ModuleName, 1)
	f.closeEpoch()
	require.EqualValues(t, 2, f.owed())
	require.EqualValues(t, 1, f.rewards(a))
}

func TestWithdraw(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	f.FundModule(types.ModuleName, 1_000)
	f.withdraw(node)
	f.endBlock()
	require.Zero(t, f.operatorBalance(node), "nothing yet")

	f.checkIn(node)
	f.withdraw(node)
	f.endBlock()
	require.Zero(t, f.operatorBalance(node), "the running epoch is not divided yet")
	f.closeEpoch()

	f.withdraw(node)
	require.Zero(t, f.operatorBalance(node), "transactions do not debit the account")
	events := f.endBlock()
	require.Equal(t, []types.EventAuditRewardsPaid{{Operator: node.ID.Operator, Node: 1, Amount: "1000"}},
		testkit.EventsOf[types.EventAuditRewardsPaid](t, events))
	require.EqualValues(t, 1_000, f.operatorBalance(node))
	require.Zero(t, f.ModuleBalance(types.ModuleName))
	require.Zero(t, f.owed())
	require.EqualValues(t, 1_000, f.pool().Distributed.Int64())
	require.Zero(t, f.rewards(node))
	has, err := f.keeper.Rewards.Has(f.Ctx, mustKey(t, node))
	require.NoError(t, err)
	require.False(t, has, "an empty record is removed")
}

// A withdrawal and the first check-in of an epoch in one block settle one share once.
func TestWithdrawAndCheckInInOneBlock(t *testing.T) {
	for _, withdrawFirst := range []bool{true, false} {
		f := newFixture(t)
		node := f.addNode("operator")
		f.FundModule(types.ModuleName, 1_000)
		f.checkIn(node)
		f.closeEpoch()
		if withdrawFirst {
			f.withdraw(node)
			f.checkIn(node)
		} else {
			f.checkIn(node)
			f.withdraw(node)
		}
		f.withdraw(node)
		require.NoError(t, f.keeper.AllInvariants(f.Ctx), "between transactions")
		f.endBlock()
		require.EqualValues(t, 1_000, f.operatorBalance(node))
		require.EqualValues(t, 1, f.pool().SharingNodes)
	}
}

// Payouts wait for a block with room, in the order they were asked for.
func TestPayoutBudget(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.MaxPayoutsPerBlock = 2
	_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	nodes := []sunstypes.Node{f.addNode("a"), f.addNode("b"), f.addNode("c")}
	f.FundModule(types.ModuleName, 300)
	for _, node := range nodes {
		f.checkIn(node)
	}
	f.closeEpoch()
	for _, node := range nodes {
		f.withdraw(node)
		f.suns.now++
	}
	f.endBlock()
	require.EqualValues(t, 100, f.operatorBalance(nodes[0]))
	require.EqualValues(t, 100, f.operatorBalance(nodes[1]))
	require.Zero(t, f.operatorBalance(nodes[2]))
	f.endBlock()
	require.EqualValues(t, 100, f.operatorBalance(nodes[2]))
}

// What nobody claims in claim_epochs is divided again.
func TestUnclaimedReturns(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.ClaimEpochs = 2
	_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	a, b := f.addNode("a"), f.addNode("b")
	f.FundModule(types.ModuleName, 200)
	f.checkIn(a)
	f.checkIn(b)
	f.closeEpoch() // 5: 100 each
	f.checkIn(a)
	f.closeEpoch() // 6: nothing more to divide
	require.EqualValues(t, 200, f.owed())
	require.EqualValues(t, 100, f.rewards(b), "there is still time")

	f.checkIn(a)
	events := f.closeEpoch() // 7 forgets 5: b's 100 go to a
	require.Equal(t, []types.EventPoolShared{{Epoch: 7, Nodes: 1, PerNode: "100"}}, testkit.EventsOf[types.EventPoolShared](t, events))
	require.EqualValues(t, 200, f.rewards(a))
	require.Zero(t, f.rewards(b))
	f.checkIn(b)
	f.withdraw(b)
	f.endBlock()
	require.Zero(t, f.operatorBalance(b))
}

// When claim_epochs is lowered, each close forgets at most two epochs.
func TestPruningCatchesUp(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	for range 6 {
		f.FundModule(types.ModuleName, 10)
		f.checkIn(node)
		f.closeEpoch()
	}
	params := types.DefaultParams()
	params.ClaimEpochs = 2
	_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	epochs := func() (epochs []uint64) {
		require.NoError(t, f.keeper.EpochPools.Walk(f.Ctx, nil, func(epoch uint64, _ types.EpochPool) (bool, error) {
			epochs = append(epochs, epoch)
			return false, nil
		}))
		return epochs
	}
	require.Equal(t, []uint64{5, 6, 7, 8, 9, 10}, epochs())
	f.closeEpoch() // 11
	require.Equal(t, []uint64{7, 8, 9, 10}, epochs())
	f.closeEpoch() // 12
	require.Equal(t, []uint64{9, 10}, epochs())
	f.closeEpoch() // 13
	require.Equal(t, []uint64{}, append([]uint64{}, epochs()...))
}

// An epoch that x/suns failed to close leaves its nodes out of the next one's division.
func TestEpochThatFailedToClose(t *testing.T) {
	f := newFixture(t)
	a, b := f.addNode("a"), f.addNode("b")
	f.FundModule(types.ModuleName, 100)
	f.checkIn(a)
	f.endBlock()
	f.suns.epoch++ // no hook was called
	require.NoError(t, f.keeper.AllInvariants(f.Ctx))
	f.checkIn(b)
	f.endBlock()
	require.EqualValues(t, 1, f.pool().SharingNodes)
	f.closeEpoch()
	require.EqualValues(t, 100, f.rewards(b))
	require.Zero(t, f.rewards(a))
}

func TestNodeRemoved(t *testing.T) {
	cases := []struct {
		name string
		// prepare brings the node, one of two, to the state it is removed in.
		prepare func(f *fixture, node sunstypes.Node)
		paid    int64
		sharing uint64
	}{
		{"never checked in", func(*fixture, sunstypes.Node) {}, 0, 0},
		{"in the running epoch", func(f *fixture, node sunstypes.Node) { f.checkIn(node); f.endBlock() }, 0, 0},
		{"in the running epoch, in this block", func(f *fixture, node sunstypes.Node) { f.checkIn(node) }, 0, 0},
		{"with a share not settled", func(f *fixture, node sunstypes.Node) { f.checkIn(node); f.closeEpoch() }, 1_000, 0},
		{"with a share settled", func(f *fixture, node sunstypes.Node) {
			f.checkIn(node)
			f.closeEpoch()
			f.checkIn(node)
			f.endBlock()
		}, 1_000, 0},
		{"with a share settled in this block", func(f *fixture, node sunstypes.Node) {
			f.checkIn(node)
			f.closeEpoch()
			f.checkIn(node)
		}, 1_000, 0},
		{"with a payout waiting", func(f *fixture, node sunstypes.Node) {
			f.checkIn(node)
			f.closeEpoch()
			f.withdraw(node)
		}, 1_000, 0},
		{"beside another that stays", func(f *fixture, node sunstypes.Node) {
			f.checkIn(node)
			f.checkIn(f.addNode("other"))
			f.endBlock()
		}, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.FundModule(types.ModuleName, 1_000)
			node := f.addNode("operator")
			_, _, err := f.attest(attestMsg(node, 1))
			require.NoError(t, err)
			c.prepare(f, node)

			require.NoError(t, f.hooks.AfterNodeRemoved(f.Ctx, node.ID))
			require.NoError(t, f.keeper.AllInvariants(f.Ctx))
			require.Equal(t, c.paid, f.operatorBalance(node))
			require.Equal(t, c.sharing, f.pool().SharingNodes)
			f.endBlock()
			require.Equal(t, c.paid, f.operatorBalance(node), "paid once")
			genesis, err := f.keeper.ExportGenesis(f.Ctx)
			require.NoError(t, err)
			for _, left := range genesis.Nodes {
				require.NotEqual(t, node.ID, left.Node)
			}
		})
	}
}

// Block work that fails is set aside where a query shows it, and the rest goes on.
func TestQuarantine(t *testing.T) {
	f := newFixture(t)
	a, b := f.addNode("a"), f.addNode("b")
	f.FundModule(types.ModuleName, 200)
	f.checkIn(a)
	f.checkIn(b)
	f.closeEpoch()
	f.withdraw(a)
	f.suns.now++
	f.withdraw(b)
	// Behind the module's back: the first payout finds the account empty.
	require.NoError(t, f.Bank.SendCoins(f.Ctx, f.Accounts.GetModuleAddress(types.ModuleName), testkit.Addr("thief"), testkit.Coins(100)))
	require.NoError(t, f.keeper.Rewards.Set(f.Ctx, mustKey(t, a), types.NodeAuditReward{Accrued: math.NewInt(150)}))
	require.NoError(t, f.keeper.PendingShares.Set(f.Ctx, mustKey(t, a), types.PendingShare{
		SettledEpoch: 4, SettledAmount: math.NewInt(1),
	}))
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager())
	require.NoError(t, f.keeper.EndBlock(ctx))
	require.Zero(t, f.operatorBalance(a))
	require.EqualValues(t, 100, f.operatorBalance(b))
	require.Len(t, testkit.EventsOf[types.EventItemQuarantined](t, ctx.EventManager().Events()), 2)

	response, err := f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{})
	require.NoError(t, err)
	require.Len(t, response.Items, 2)
	require.Equal(t, types.PendingSharesName, response.Items[0].Queue)
	require.Equal(t, a.ID.String(), response.Items[0].Item)
	require.Equal(t, types.PayoutQueueName, response.Items[1].Queue)
	require.Contains(t, response.Items[1].Error, "insufficient funds")
	require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant)

	// Put right again, so that the fixture's last check holds.
	f.FundModule(types.ModuleName, 100)
	require.NoError(t, f.keeper.Rewards.Set(f.Ctx, mustKey(t, a), types.NodeAuditReward{Accrued: math.NewInt(100)}))
	require.NoError(t, f.keeper.EpochPools.Set(f.Ctx, 5, types.EpochPool{
		Epoch: 5, Nodes: 2, PerNode: math.NewInt(100), Claimed: math.NewInt(200),
	}))
}

// The account is credited by virtual sends in transactions: they count from the end of the block, before the division.
func TestVirtualCreditsAreShared(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	payer := testkit.Addr("payer")
	f.Fund(payer, 500)
	f.checkIn(node)
	_, err := f.Deliver(func(ctx sdk.Context) error {
		return f.Bank.SendCoinsFromAccountToModuleVirtual(ctx, payer, types.ModuleName, testkit.Coins(500))
	})
	require.NoError(t, err)
	f.closeEpoch()
	require.EqualValues(t, 500, f.rewards(node))
}

func TestOtherHooksDoNothing(t *testing.T) {
	f := newFixture(t)
	id := f.addNode("operator").ID
	before, err := f.keeper.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	for _, hook := range []func(context.Context, sunstypes.NodeID) error{
		f.hooks.AfterNodeChanged, f.hooks.AfterNodeDraining, f.hooks.AfterNodeResumed,
	} {
		require.NoError(t, hook(f.Ctx, id))
	}
	require.NoError(t, f.hooks.AfterNodeLost(f.Ctx, id, sunstypes.LossSilent))
	after, err := f.keeper.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.ErrorIs(t, f.hooks.AfterRewardsWithdrawn(f.Ctx, sunstypes.NodeID{}), sunstypes.ErrInvalidNodeID)
	require.ErrorIs(t, f.hooks.AfterNodeRemoved(f.Ctx, sunstypes.NodeID{}), sunstypes.ErrInvalidNodeID)
	require.ErrorIs(t, f.hooks.AfterNodeCheckedIn(f.Ctx, sunstypes.Node{}, 5), sunstypes.ErrInvalidNodeID)
}

func TestUpdateParams(t *testing.T) {
	f := newFixture(t)
	f.suns.params.SilenceLimit = 2 * time.Second
	params := types.DefaultParams()
	update := func(authority string, params types.Params) error {
		_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: authority, Params: params})
		return err
	}
	require.ErrorIs(t, update(f.Authority.String(), types.Params{}), types.ErrInvalidParams)
	params.AttestInterval = 2 * time.Second
	require.ErrorIs(t, update(f.Authority.String(), params), types.ErrInvalidParams, "a node in time would count as silent")
	params.AttestInterval = 2*time.Second - time.Millisecond
	require.ErrorIs(t, update(testkit.Addr("x").String(), params), types.ErrUnauthorized)
	require.NoError(t, update(f.Authority.String(), params))
	response, err := f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.NoError(t, err)
	require.Equal(t, params, response.Params)
}

// Params of x/suns must go with ours too, whichever changes.
func TestSilenceLimitStaysAboveTheInterval(t *testing.T) {
	f := newFixture(t)
	interval := types.DefaultParams().AttestInterval
	suns := sunstypes.DefaultParams()
	suns.SilenceLimit = interval
	require.ErrorIs(t, f.hooks.BeforeParamsChanged(f.Ctx, suns), types.ErrInvalidParams)
	suns.SilenceLimit = interval + time.Millisecond
	require.NoError(t, f.hooks.BeforeParamsChanged(f.Ctx, suns))
}

func mustKey(t *testing.T, node sunstypes.Node) sunstypes.NodeKey {
	t.Helper()
	key, err := node.ID.Key()
	require.NoError(t, err)
	return key
}
