package keeper_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

var updateGolden = flag.Bool("update", false, "rewrite golden files")

// lively is a chain in which everything that genesis holds is there: nodes of every status, loads, epochs with and without
// claims, accrued and queued rewards, deadlines, unbondings and a quarantine.
func lively(t *testing.T) *fixture {
	f := newFixture(t, func(g *types.GenesisState) {
		g.Params.MaxPayoutsPerBlock, g.Params.MaxUnbondingsPerBlock = 1, 1
		g.Params.UnbondingPeriod = 3 * time.Hour
	})
	alice, bob := f.register("alice", 1, withReport(withCards(report(4), "GPU-0"))), f.register("bob", 1)
	carol, dora := f.register("carol", 1), f.register("dora", 1)
	f.hour()
	f.NextBlock(time.Second)
	for _, id := range []types.NodeID{alice, bob, carol} {
		f.checkIn(id)
	}
	f.hour()
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(dora).Status)
	f.checkIn(alice)
	require.NoError(t, f.setContact(contactOf("alice", 1)))
	require.NoError(t, f.setContact(contactOf("dora", 1)))
	require.NoError(t, f.keeper.Reserve(f.Ctx, alice, 1_500, []string{"GPU-0"}))
	f.retire(carol)
	f.retire(f.register("carol", 2))
	require.NoError(t, f.drain(bob))
	f.withdraw(alice)
	f.withdraw(bob)
	f.NextBlock(time.Second)
	f.hooks.panic = "removed"
	f.retire(f.register("eve", 1))
	require.NoError(t, f.keeper.UnbondingQueue.Push(f.Ctx, 0, mustKey(t, types.NewNodeID(testkit.Addr("eve"), 1))))
	f.EndBlock()
	f.Commit(time.Second)
	f.hooks.panic = ""
	return f
}

func mustKey(t *testing.T, id types.NodeID) types.NodeKey {
	t.Helper()
	key, err := id.Key()
	require.NoError(t, err)
	return key
}

func (f *fixture) export() (*types.GenesisState, []byte) {
	f.T.Helper()
	genesis, err := f.keeper.ExportGenesis(f.Ctx)
	require.NoError(f.T, err)
	bz, err := f.Codec.MarshalJSON(genesis)
	require.NoError(f.T, err)
	return genesis, bz
}

// imported starts a new chain from a genesis: the accounts hold there what they held here.
func imported(t *testing.T, from *fixture, genesis *types.GenesisState) (*fixture, error) {
	f := newEmptyFixture(t)
	minted := from.Supply() - f.Supply()
	require.NoError(t, f.Bank.MintCoins(f.Ctx, "mint", testkit.Coins(minted)))
	require.NoError(t, f.Bank.SendCoins(f.Ctx, authtypes.NewModuleAddress("mint"), testkit.Addr("rest"), testkit.Coins(minted)))
	for _, name := range []string{types.ModuleName, types.RewardPoolName} {
		f.FundModule(name, from.ModuleBalance(name))
	}
	return f, f.keeper.InitGenesis(f.Ctx, genesis)
}

func TestGenesisRoundTrip(t *testing.T) {
	f := lively(t)
	genesis, first := f.export()
	before := f.Balance(testkit.Addr("carol"))
	require.NoError(t, genesis.Validate())
	require.Len(t, genesis.Quarantine, 1)
	unbondings := 0
	for _, node := range genesis.Nodes {
		if node.UnbondingMs > 0 {
			unbondings++
		}
	}
	require.NotEmpty(t, genesis.Payouts)
	require.Equal(t, 3, unbondings)

	var parsed types.GenesisState
	require.NoError(t, f.Codec.UnmarshalJSON(first, &parsed))
	g, err := imported(t, f, &parsed)
	require.NoError(t, err)
	_, second := g.export()
	require.Equal(t, string(first), string(second))

	// Both chains go on alike.
	f.BeginBlock()
	g.Ctx = g.Ctx.WithBlockTime(f.Ctx.BlockTime()).WithBlockHeight(f.Ctx.BlockHeight())
	g.BeginBlock()
	for range 6 {
		f.hour()
		g.hour()
		_, a := f.export()
		_, b := g.export()
		require.Equal(t, string(a), string(b))
	}
	require.Equal(t, f.Balance(testkit.Addr("carol"))-before, g.Balance(testkit.Addr("carol")))
	require.EqualValues(t, 8_000_000, g.Balance(testkit.Addr("carol")), "both bonds, after the export")
}

func TestGenesisGolden(t *testing.T) {
	_, bz := lively(t).export()
	var indented any
	require.NoError(t, json.Unmarshal(bz, &indented))
	got, err := json.MarshalIndent(indented, "", "  ")
	require.NoError(t, err)
	const golden = "testdata/genesis.json"
	if *updateGolden {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "run the test with -update to make it")
	require.Equal(t, string(want), string(got)+"\n")
}

func TestDefaultGenesisRecordsTheSupply(t *testing.T) {
	f := newEmptyFixture(t)
	require.NoError(t, f.keeper.InitGenesis(f.Ctx, types.DefaultGenesis()))
	require.Equal(t, f.Supply(), f.emission().InitialSupply.Int64())
	genesis, first := f.export()
	g := newEmptyFixture(t)
	require.NoError(t, g.keeper.InitGenesis(g.Ctx, genesis))
	_, second := g.export()
	require.Equal(t, string(first), string(second))
}

// A genesis that the accounts do not bear out is refused.
func TestGenesisMustAgreeWithTheAccounts(t *testing.T) {
	from := lively(t)
	for name, change := range map[string]func(*types.GenesisState){
		"bond":           func(g *types.GenesisState) { g.Nodes[0].Node.Bond = g.Nodes[0].Node.Bond.AddRaw(1) },
		"accrued":        func(g *types.GenesisState) { g.Nodes[0].Reward.Accrued = g.Nodes[0].Reward.Accrued.AddRaw(1) },
		"unclaimed":      func(g *types.GenesisState) { g.Emission.Unclaimed = math.OneInt() },
		"burned":         func(g *types.GenesisState) { g.Emission.Burned = math.OneInt() },
		"initial supply": func(g *types.GenesisState) { g.Emission.InitialSupply = math.OneInt() },
		"cap":            func(g *types.GenesisState) { g.EmissionSchedule.HardCap = math.OneInt() },
	} {
		genesis, _ := from.export()
		change(genesis)
		_, err := imported(t, from, genesis)
		require.ErrorIs(t, err, types.ErrBrokenInvariant, name)
	}
}

// However a genesis is malformed, it is refused with an error that says so, and nothing panics.
func TestGenesisRefusesHostileInput(t *testing.T) {
	from := lively(t)
	active := func(g *types.GenesisState) *types.GenesisNode {
		for i := range g.Nodes {
			if len(g.Nodes[i].Load.BusyDevices) > 0 {
				return &g.Nodes[i]
			}
		}
		panic("no busy node")
	}
	retired := func(g *types.GenesisState) *types.GenesisNode {
		for i := range g.Nodes {
			if !g.Nodes[i].Node.Live() {
				return &g.Nodes[i]
			}
		}
		panic("no retired node")
	}
	huge := math.NewIntWithDecimal(1, 60)
	for name, change := range map[string]func(*types.GenesisState){
		"nothing":                 func(g *types.GenesisState) { *g = types.GenesisState{} },
		"no params":               func(g *types.GenesisState) { g.Params = types.Params{} },
		"no schedule":             func(g *types.GenesisState) { g.EmissionSchedule = types.EmissionSchedule{} },
		"negative emission":       func(g *types.GenesisState) { g.EmissionSchedule.InitialPerHour = math.NewInt(-1) },
		"endless emission":        func(g *types.GenesisState) { g.EmissionSchedule.InitialPerHour = huge },
		"no halving":              func(g *types.GenesisState) { g.EmissionSchedule.HalvingIntervalMs = 0 },
		"share above all":         func(g *types.GenesisState) { g.EmissionSchedule.ValidatorShareBps = 10_001 },
		"no cap":                  func(g *types.GenesisState) { g.EmissionSchedule.HardCap = math.Int{} },
		"clock beyond time":       func(g *types.GenesisState) { g.Clock.NowMs = ^uint64(0) },
		"no emission":             func(g *types.GenesisState) { g.Emission = types.EmissionState{} },
		"negative unclaimed":      func(g *types.GenesisState) { g.Emission.Unclaimed = math.NewInt(-1) },
		"endless supply":          func(g *types.GenesisState) { g.Emission.InitialSupply = huge },
		"epoch 0":                 func(g *types.GenesisState) { g.Epoch.Number = 0 },
		"epoch in the future":     func(g *types.GenesisState) { g.Epoch.StartMs = g.Clock.NowMs + 1 },
		"epoch without weight":    func(g *types.GenesisState) { g.Epoch.TotalWeight = math.Int{} },
		"weight of nobody":        func(g *types.GenesisState) { g.Epoch.TotalWeight = g.Epoch.TotalWeight.AddRaw(1) },
		"nodes of no weight":      func(g *types.GenesisState) { g.Epoch.Nodes++ },
		"reward of open epoch":    func(g *types.GenesisState) { g.EpochRewards[0].Epoch = g.Epoch.Number },
		"reward of epoch 0":       func(g *types.GenesisState) { g.EpochRewards[0].Epoch = 0 },
		"reward twice":            func(g *types.GenesisState) { g.EpochRewards = append(g.EpochRewards, g.EpochRewards[0]) },
		"reward without amount":   func(g *types.GenesisState) { g.EpochRewards[0].Amount = math.Int{} },
		"claimed above amount":    func(g *types.GenesisState) { g.EpochRewards[0].Claimed = g.EpochRewards[0].Amount.AddRaw(1) },
		"rate not set":            func(g *types.GenesisState) { g.EpochRewards[0].RewardPerWeight = math.Int{} },
		"rate of plenty":          func(g *types.GenesisState) { g.EpochRewards[0].RewardPerWeight = huge },
		"operator twice":          func(g *types.GenesisState) { g.Operators = append(g.Operators, g.Operators[0]) },
		"operator of number 0":    func(g *types.GenesisState) { g.Operators[0].Number = 0 },
		"operator not an address": func(g *types.GenesisState) { g.Operators[0].Operator = "x" },
		"operator unknown":        func(g *types.GenesisState) { g.Operators = g.Operators[1:] },
		"node twice":              func(g *types.GenesisState) { g.Nodes = append(g.Nodes, g.Nodes[len(g.Nodes)-1]) },
		"nodes out of order":      func(g *types.GenesisState) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] },
		"node without id":         func(g *types.GenesisState) { g.Nodes[0].Node.ID = types.NodeID{} },
		"status unknown":          func(g *types.GenesisState) { active(g).Node.Status = 99 },
		"status unset":            func(g *types.GenesisState) { active(g).Node.Status = 0 },
		"agent not an address":    func(g *types.GenesisState) { active(g).Node.Agent = "x" },
		"agent twice": func(g *types.GenesisState) {
			for i := range g.Nodes {
				if g.Nodes[i].Node.Live() {
					g.Nodes[i].Node.Agent = testkit.Addr("one agent").String()
				}
			}
		},
		"agent of a retired node":  func(g *types.GenesisState) { retired(g).Node.Agent = retired(g).Node.ID.Operator },
		"moniker":                  func(g *types.GenesisState) { active(g).Node.Moniker = "\x00" },
		"country":                  func(g *types.GenesisState) { active(g).Node.Country = "" },
		"ask":                      func(g *types.GenesisState) { active(g).Node.AskPrice = 0 },
		"no bond":                  func(g *types.GenesisState) { active(g).Node.Bond = math.Int{} },
		"negative bond":            func(g *types.GenesisState) { active(g).Node.Bond = math.NewInt(-5) },
		"digest":                   func(g *types.GenesisState) { active(g).Node.ReportDigest = nil },
		"sum":                      func(g *types.GenesisState) { active(g).Node.MilliSuns++ },
		"sum that overflows":       func(g *types.GenesisState) { active(g).Node.GeneralMilliSuns = ^uint64(0) },
		"device of 0 SUNS":         func(g *types.GenesisState) { active(g).Node.Accelerators[0].MilliSuns = 0 },
		"registered in the future": func(g *types.GenesisState) { active(g).Node.RegisteredMs = g.Clock.NowMs + 1 },
		"epoch of the future":      func(g *types.GenesisState) { active(g).Node.RegisteredEpoch = g.Epoch.Number + 1 },
		"retired and live":         func(g *types.GenesisState) { active(g).Node.RetiredMs = 1 },
		"oversold":                 func(g *types.GenesisState) { active(g).Load.ReservedGeneralMilliSuns = 4_001 },
		"busy device unknown":      func(g *types.GenesisState) { active(g).Load.BusyDevices = []string{"x"} },
		"busy device twice":        func(g *types.GenesisState) { active(g).Load.BusyDevices = []string{"GPU-0", "GPU-0"} },
		"reserved for nobody":      func(g *types.GenesisState) { active(g).Load.Placements = 0 },
		"busy in the future":       func(g *types.GenesisState) { active(g).Load.BusySinceMs = g.Clock.NowMs + 1 },
		"heard in the future":      func(g *types.GenesisState) { active(g).LastCheckInMs = ^uint64(0) },
		"no deadline":              func(g *types.GenesisState) { active(g).DeadlineMs = 0 },
		"deadline beyond time":     func(g *types.GenesisState) { active(g).DeadlineMs = ^uint64(0) },
		"deadline of the retired":  func(g *types.GenesisState) { retired(g).DeadlineMs = 1 },
		"unbonding of the living":  func(g *types.GenesisState) { active(g).UnbondingMs = 1 },
		"accrued not set":          func(g *types.GenesisState) { active(g).Reward.Accrued = math.Int{} },
		"reward in the future":     func(g *types.GenesisState) { active(g).Reward.Epoch = g.Epoch.Number + 1 },
		"weight beyond any node":   func(g *types.GenesisState) { active(g).Reward.Weight = types.MaxNodeMilliSuns + 1 },
		"weight of no epoch":       func(g *types.GenesisState) { r := &retired(g).Reward; r.Epoch, r.Weight = 0, 1 },
		"more owed than left": func(g *types.GenesisState) {
			retired(g).Reward = types.NodeReward{Epoch: g.EpochRewards[0].Epoch, Weight: types.MaxNodeMilliSuns, Accrued: math.ZeroInt()}
		},
		"contact of no node":    func(g *types.GenesisState) { g.Contacts[0].Node.Number = 9 },
		"contact twice":         func(g *types.GenesisState) { g.Contacts[1] = g.Contacts[0] },
		"contacts out of order": func(g *types.GenesisState) { g.Contacts[0], g.Contacts[1] = g.Contacts[1], g.Contacts[0] },
		"contact in upper case": func(g *types.GenesisState) {
			g.Contacts[0].Node.Operator = strings.ToUpper(g.Contacts[0].Node.Operator)
		},
		"contact without a key":   func(g *types.GenesisState) { g.Contacts[0].EncryptionKey = nil },
		"contact of no address":   func(g *types.GenesisState) { g.Contacts[0].Addresses = []string{"x"} },
		"payout of no node":       func(g *types.GenesisState) { g.Payouts[0].Node.Number = 0 },
		"payout twice":            func(g *types.GenesisState) { g.Payouts = append(g.Payouts, g.Payouts[0]) },
		"payout beyond time":      func(g *types.GenesisState) { g.Payouts[0].DueMs = ^uint64(0) },
		"payout in upper case":    func(g *types.GenesisState) { g.Payouts[0].Node.Operator = strings.ToUpper(g.Payouts[0].Node.Operator) },
		"quarantine out of count": func(g *types.GenesisState) { g.Quarantined = 0 },
		"quarantine twice": func(g *types.GenesisState) {
			g.Quarantine = append(g.Quarantine, duequeue.QuarantinedItem{Number: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			genesis, _ := from.export()
			change(genesis)
			require.NotPanics(t, func() { require.Error(t, genesis.Validate()) })
			f := newEmptyFixture(t)
			require.Error(t, f.keeper.InitGenesis(f.Ctx, genesis))
		})
	}
}

// Exporting writes nothing.
func TestExportChangesNothing(t *testing.T) {
	f := lively(t)
	cached, _ := f.Ctx.CacheContext()
	_, before := f.export()
	_, err := f.keeper.ExportGenesis(sdk.UnwrapSDKContext(cached))
	require.NoError(t, err)
	_, after := f.export()
	require.Equal(t, string(before), string(after))
}

// Withdrawals that wait are paid in the order they were asked for, in the imported chain as in the old one; and a deadline
// that stands in quarantine is not looked at again because of an import.
func TestImportKeepsTheQueuesOrder(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxPayoutsPerBlock = 1 })
	ids := []types.NodeID{f.register("alice", 1), f.register("bob", 1), f.register("carol", 1)}
	silent := f.register("dora", 1)
	f.hour()
	f.NextBlock(time.Second)
	for _, id := range ids {
		f.checkIn(id)
	}
	f.hour()
	f.hooks.fail = map[string]error{"lost": errors.New("no room")}
	f.NextBlock(time.Second)
	f.hooks.fail = nil
	for _, id := range ids {
		f.checkIn(id)
	}
	slices.SortFunc(ids, func(a, b types.NodeID) int {
		return -bytes.Compare(mustKey(t, a).K1(), mustKey(t, b).K1())
	})
	for i, id := range ids {
		require.NoError(t, f.keeper.PayoutQueue.Push(f.Ctx, uint64(i), mustKey(t, id)))
	}
	f.NextBlock(time.Second)
	genesis, first := f.export()
	require.Len(t, genesis.Payouts, 2)
	require.Len(t, genesis.Quarantine, 1)

	g, err := imported(t, f, genesis)
	require.NoError(t, err)
	_, second := g.export()
	require.Equal(t, string(first), string(second))
	g.Ctx = g.Ctx.WithBlockTime(f.Ctx.BlockTime()).WithBlockHeight(f.Ctx.BlockHeight())
	g.BeginBlock()
	for _, paid := range ids[1:] {
		require.NotZero(t, g.rewards(paid))
		events := g.NextBlock(time.Second)
		require.Len(t, testkit.EventsOf[types.EventRewardsPaid](t, events), 1)
		require.Zero(t, g.rewards(paid))
		require.Empty(t, testkit.EventsOf[types.EventNodeUnresponsive](t, events))
	}
	require.Equal(t, types.NODE_STATUS_ACTIVE, g.node(silent).Status)
	require.NoError(t, g.retry(1))
	g.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, g.node(silent).Status)
}
