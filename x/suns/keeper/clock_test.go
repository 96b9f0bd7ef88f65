package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestClockAdvancesByBlockTimeUpToMaxGap(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.MaxGap = 10 * time.Second })
	require.Zero(t, f.now(), "the first block only sets where the clock starts from")

	for _, step := range []struct {
		gap  time.Duration
		want uint64
	}{
		{time.Second, 1_000},
		{0, 1_000},
		{10 * time.Second, 11_000},
		{10*time.Second + time.Millisecond, 21_000},
		{72 * time.Hour, 31_000},
		{-5 * time.Second, 31_000},
		{time.Second, 32_000},
	} {
		f.NextBlock(step.gap)
		require.Equal(t, step.want, f.now(), step.gap)
	}
}

// A third of a second is no whole number of milliseconds, yet three of them are a second.
func TestClockLosesNoFractions(t *testing.T) {
	f := newFixture(t)
	for range 3000 {
		f.Commit(time.Second / 3)
		f.BeginBlock()
	}
	require.InDelta(t, 1_000_000, f.now(), 1)
}

func TestClockQuery(t *testing.T) {
	f := newFixture(t)
	f.NextBlock(1500 * time.Millisecond)
	res, err := f.query.Clock(f.Ctx, &types.QueryClockRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 1500, res.Clock.NowMs)
	require.True(t, res.Clock.LastBlockTime.Equal(f.Ctx.BlockTime()))
}
