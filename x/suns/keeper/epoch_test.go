package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// An epoch ends in the block in which the clock reaches its end, not before. Missed ones are skipped.
func TestEpochsFollowTheClock(t *testing.T) {
	f := newFixture(t)
	f.NextBlock(time.Hour - time.Millisecond)
	f.NextBlock(time.Millisecond)
	require.EqualValues(t, 1, f.epoch().Number)
	f.hooks.take()
	f.NextBlock(0)
	require.Equal(t, types.Epoch{Number: 2, StartMs: 3_600_000, TotalWeight: math.ZeroInt()}, f.epoch())
	require.Equal(t, []string{"closed 1"}, f.hooks.take())

	res, err := f.query.Epoch(f.Ctx, &types.QueryEpochRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 7_200_000, res.EndsMs)
}

func TestMissedEpochsAreSkipped(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.EpochDuration = 10 * time.Minute })
	f.NextBlock(55 * time.Minute)
	f.NextBlock(time.Second)
	require.Equal(t, types.Epoch{Number: 2, StartMs: 55 * 60_000, TotalWeight: math.ZeroInt()}, f.epoch())
}

func TestEmptyEpochsMintNothing(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1)
	supply := f.Supply()
	for range 5 {
		f.hour()
	}
	require.Equal(t, supply, f.Supply())
	require.True(t, f.emission().Minted().IsZero())
}

// The hard cap counts what was minted and what x/mint is about to. With a cap of 2,300,000 and 1,000,000 an epoch: two whole
// epochs, then 300,000 (240,000 and 60,000), then nothing.
func TestHardCap(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.EmissionSchedule.HardCap = math.NewInt(2_300_000) })
	id := f.register("alice", 1)
	f.hour()
	f.NextBlock(time.Second)
	for _, want := range []int64{800_000, 1_600_000, 1_840_000, 1_840_000} {
		f.checkIn(id)
		f.hour()
		f.NextBlock(time.Second)
		require.Equal(t, want, f.emission().MintedToNodes.Int64())
	}
	require.EqualValues(t, 460_000, f.emission().DueToValidators.Int64())
	require.EqualValues(t, 2_300_000, f.emission().Minted().Int64())
	require.EqualValues(t, 1_840_000, f.withdraw(id))
}

func TestHalving(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.EmissionSchedule.HalvingIntervalMs = 2 * 3_600_000 })
	id := f.register("alice", 1)
	f.NextBlock(time.Hour)
	f.NextBlock(0)
	// Epoch 2 begins at 1 h: era 0. Epochs 3 and 4 begin at 2 h and 3 h: era 1. Epoch 5 at 4 h: era 2.
	for _, want := range []int64{800_000, 1_200_000, 1_600_000, 1_800_000} {
		f.checkIn(id)
		f.NextBlock(time.Hour)
		f.NextBlock(0)
		require.Equal(t, want, f.emission().MintedToNodes.Int64())
	}
}

func TestValidatorsPartIsTakenOnce(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.NextBlock(time.Second)
	due, err := f.keeper.TakeValidatorEmission(f.Ctx)
	require.NoError(t, err)
	require.True(t, due.IsZero())
	f.checkIn(id)
	f.hour()
	f.NextBlock(time.Second)

	due, err = f.keeper.TakeValidatorEmission(f.Ctx)
	require.NoError(t, err)
	require.EqualValues(t, 200_000, due.Int64())
	require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant, "it is to be minted now")
	require.NoError(t, f.Bank.MintCoins(f.Ctx, minttypes.ModuleName, testkit.Coins(200_000)))
	require.NoError(t, f.keeper.AllInvariants(f.Ctx))
	due, err = f.keeper.TakeValidatorEmission(f.Ctx)
	require.NoError(t, err)
	require.True(t, due.IsZero())
	require.EqualValues(t, 200_000, f.emission().MintedToValidators.Int64())
	require.True(t, f.emission().DueToValidators.IsZero())

	res, err := f.query.Emission(f.Ctx, &types.QueryEmissionRequest{})
	require.NoError(t, err)
	require.Equal(t, f.emission(), res.State)
	require.EqualValues(t, 1_000_000, res.Schedule.InitialPerHour.Int64())
}

func TestBurnsAreRecorded(t *testing.T) {
	f := newFixture(t)
	f.FundModule("gov", 500)
	require.NoError(t, f.Bank.BurnCoins(f.Ctx, "gov", testkit.Coins(300)))
	require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant)
	require.NoError(t, f.keeper.RecordBurn(f.Ctx, math.NewInt(300)))
	require.NoError(t, f.keeper.RecordBurn(f.Ctx, math.ZeroInt()))
	require.NoError(t, f.keeper.AllInvariants(f.Ctx))
	require.ErrorIs(t, f.keeper.RecordBurn(f.Ctx, math.NewInt(-1)), types.ErrInvalidAmount)
	require.ErrorIs(t, f.keeper.RecordBurn(f.Ctx, math.Int{}), types.ErrInvalidAmount)
	require.EqualValues(t, 300, f.emission().Burned.Int64())
}

// An epoch that cannot close gives nothing and undoes what it began; the next one begins all the same.
func TestFailingEpochIsQuarantined(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.NextBlock(time.Second)
	f.checkIn(id)
	supply := f.Supply()
	f.hooks.fail = map[string]error{"closed": errors.New("audit cannot divide")}
	f.hour()
	f.NextBlock(time.Second)
	require.Equal(t, []string{"epochs: epoch 2: audit cannot divide"}, f.quarantine())
	require.EqualValues(t, 3, f.epoch().Number)
	require.Equal(t, supply, f.Supply())
	require.Zero(t, f.rewards(id))

	f.hooks.fail = nil
	f.checkIn(id)
	f.hour()
	f.NextBlock(time.Second)
	require.EqualValues(t, 800_000, f.rewards(id))
}

func TestFailingUnbondingIsQuarantined(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = time.Minute })
	alice, bob := f.register("alice", 1), f.register("bob", 1)
	f.retire(alice)
	f.retire(bob)
	f.hooks.panic = "removed"
	f.NextBlock(time.Minute)
	f.NextBlock(time.Second)
	require.Len(t, f.quarantine(), 2)
	require.Equal(t, types.NODE_STATUS_RETIRED, f.node(alice).Status, "the bond was not paid, and the node is still there")
	require.EqualValues(t, 8_000_000, f.ModuleBalance(types.ModuleName))
}

// Coins that somebody sends to the module's accounts are not owed to anybody. Both accounts are blocked for sends, so this is
// how a fault in a keeper would look.
func TestInvariantsSeeWrongAccounts(t *testing.T) {
	for _, name := range []string{types.ModuleName, types.RewardPoolName} {
		f := newFixture(t)
		f.register("alice", 1)
		f.NextBlock(time.Second)
		f.FundModule(name, 1)
		require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant)
		require.NoError(t, f.Bank.SendCoins(f.Ctx, authtypes.NewModuleAddress(name), testkit.Addr("x"), testkit.Coins(1)))
		require.NoError(t, f.keeper.AllInvariants(f.Ctx))
	}
}
