package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

const hourMs = 3_600_000

// 10,000 ISC an hour; a fifth to validators; half of it in each era of four years.
func TestEmissionForEpoch(t *testing.T) {
	schedule := types.DefaultEmissionSchedule()
	era := uint64(types.DefaultHalvingIntervalMs)
	plenty := math.NewInt(1_000_000_000_000_000)
	for name, c := range map[string]struct {
		startMs, durationMs uint64
		remaining           math.Int
		nodes, validators   int64
	}{
		"first hour":             {0, hourMs, plenty, 8_000_000_000, 2_000_000_000},
		"last moment of era 0":   {era - 1, hourMs, plenty, 8_000_000_000, 2_000_000_000},
		"first moment of era 1":  {era, hourMs, plenty, 4_000_000_000, 1_000_000_000},
		"era 2":                  {2 * era, hourMs, plenty, 2_000_000_000, 500_000_000},
		"era 33: 1 uisc an hour": {33 * era, hourMs, plenty, 1, 0},
		"era 34: nothing":        {34 * era, hourMs, plenty, 0, 0},
		"era 64":                 {64 * era, hourMs, plenty, 0, 0},
		"era without end":        {types.MaxClockMs, hourMs, plenty, 0, 0},
		"a second":               {0, 1_000, plenty, 2_222_222, 555_555}, // floor(10^10 / 3600) = 2777777
		"a week":                 {0, 168 * hourMs, plenty, 168 * 8_000_000_000, 168 * 2_000_000_000},
		"almost at the cap":      {0, hourMs, math.NewInt(11), 9, 2},
		"at the cap":             {0, hourMs, math.ZeroInt(), 0, 0},
		"beyond the cap":         {0, hourMs, math.NewInt(-1), 0, 0},
	} {
		got := schedule.ForEpoch(c.startMs, c.durationMs, c.remaining)
		require.Equal(t, c.nodes, got.ToNodes.Int64(), name)
		require.Equal(t, c.validators, got.ToValidators.Int64(), name)
	}
}

func TestEmissionShares(t *testing.T) {
	schedule := types.DefaultEmissionSchedule()
	for share, want := range map[uint32]int64{0: 0, 1: 1_000_000, 10_000: 10_000_000_000} {
		schedule.ValidatorShareBps = share
		got := schedule.ForEpoch(0, hourMs, math.NewInt(1_000_000_000_000))
		require.Equal(t, want, got.ToValidators.Int64())
		require.EqualValues(t, 10_000_000_000, got.ToNodes.Add(got.ToValidators).Int64())
	}
}

func TestRewardWeight(t *testing.T) {
	bondPerSuns := math.NewInt(1_000_000)
	for name, c := range map[string]struct {
		milliSuns uint64
		bond      math.Int
		want      uint64
	}{
		"bond for all of it":      {4_000, math.NewInt(4_000_000), 4_000},
		"more bond than SUNS":     {4_000, math.NewInt(400_000_000), 4_000},
		"one uisc short":          {4_000, math.NewInt(3_999_999), 3_999},
		"bond for 3":              {4_000, math.NewInt(3_000_000), 3_000},
		"bond below a milli-SUNS": {4_000, math.NewInt(999), 0},
		"just a milli-SUNS":       {4_000, math.NewInt(1_000), 1},
		"no bond":                 {4_000, math.ZeroInt(), 0},
		"unset bond":              {4_000, math.Int{}, 0},
		"the most there may be":   {types.MaxNodeMilliSuns, math.NewIntWithDecimal(1, 24), types.MaxNodeMilliSuns},
	} {
		require.Equal(t, c.want, types.RewardWeight(c.milliSuns, c.bond, bondPerSuns), name)
	}
	require.Zero(t, types.RewardWeight(1, math.OneInt(), math.ZeroInt()))
}

// Whatever the weights, the parts never add up to more than there is, and what is left over is below one uisc a node and one
// more for the rate's own rounding.
func TestRewardsNeverExceedTheAmount(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		amount := math.NewInt(rapid.Int64Range(0, 1_000_000_000_000_000).Draw(r, "amount"))
		weights := rapid.SliceOfN(rapid.Uint64Range(1, types.MaxNodeMilliSuns), 1, 50).Draw(r, "weights")
		total := math.ZeroInt()
		for _, weight := range weights {
			total = total.Add(math.NewIntFromUint64(weight))
		}
		rate := types.RewardPerWeight(amount, total)
		paid := math.ZeroInt()
		for _, weight := range weights {
			paid = paid.Add(types.RewardOf(weight, rate))
		}
		left := amount.Sub(paid)
		require.False(r, left.IsNegative())
		require.LessOrEqual(r, left.Int64(), int64(len(weights)+1))
	})
	require.True(t, types.RewardPerWeight(math.NewInt(5), math.ZeroInt()).IsZero())
}

func TestSupplyOf(t *testing.T) {
	state := types.NewEmissionState()
	state.InitialSupply, state.MintedToNodes, state.MintedToValidators = math.NewInt(1_000), math.NewInt(100), math.NewInt(20)
	state.DueToValidators, state.Burned, state.Unclaimed = math.NewInt(5), math.NewInt(7), math.NewInt(90)
	require.EqualValues(t, 1_113, state.Supply().Int64())
	require.EqualValues(t, 125, state.Minted().Int64())
}
