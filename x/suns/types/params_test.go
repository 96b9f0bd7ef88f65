package types_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestDefaultParamsAreValid(t *testing.T) { require.NoError(t, types.DefaultParams().Validate()) }

func TestUnsetParamsAreInvalid(t *testing.T) {
	require.ErrorIs(t, types.Params{}.Validate(), types.ErrInvalidParams)
}

// Each param is valid at both of its bounds and invalid just beyond them.
func TestParamBounds(t *testing.T) {
	durations := map[string]struct {
		of        func(*types.Params) *time.Duration
		low, high time.Duration
	}{
		"max_gap":          {func(p *types.Params) *time.Duration { return &p.MaxGap }, types.MinMaxGap, types.MaxMaxGap},
		"epoch_duration":   {func(p *types.Params) *time.Duration { return &p.EpochDuration }, types.MinEpochDuration, types.MaxEpochDuration},
		"silence_limit":    {func(p *types.Params) *time.Duration { return &p.SilenceLimit }, types.MinSilenceLimit, types.MaxSilenceLimit},
		"unbonding_period": {func(p *types.Params) *time.Duration { return &p.UnbondingPeriod }, types.MinUnbondingPeriod, types.MaxUnbondingPeriod},
	}
	for name, c := range durations {
		check(t, name, map[time.Duration]bool{
			0: false, -time.Second: false, c.low - time.Millisecond: false, c.low: true, c.high: true,
			c.high + time.Millisecond: false, c.low + time.Microsecond: false,
		}, func(p *types.Params, v time.Duration) { *c.of(p) = v })
	}
	numbers := map[string]struct {
		of        func(*types.Params) *uint64
		low, high uint64
	}{
		"bundle.cpu_points":     {func(p *types.Params) *uint64 { return &p.Bundle.CpuPoints }, 1, types.MaxBundleUnits},
		"bundle.memory_mib":     {func(p *types.Params) *uint64 { return &p.Bundle.MemoryMiB }, 1, types.MaxBundleUnits},
		"bundle.storage_mib":    {func(p *types.Params) *uint64 { return &p.Bundle.StorageMiB }, 1, types.MaxBundleUnits},
		"bundle.bandwidth_mbps": {func(p *types.Params) *uint64 { return &p.Bundle.BandwidthMbps }, 1, types.MaxBundleUnits},
		"memory_kib":            {func(p *types.Params) *uint64 { return &p.AcceleratorBundle.MemoryKiB }, 1, types.MaxBundleUnits},
		"memory_bandwidth_mbs":  {func(p *types.Params) *uint64 { return &p.AcceleratorBundle.MemoryBandwidthMbs }, 1, types.MaxBundleUnits},
		"fp32_gflops":           {func(p *types.Params) *uint64 { return &p.AcceleratorBundle.Fp32Gflops }, 1, types.MaxBundleUnits},
		"min_ask":               {func(p *types.Params) *uint64 { return &p.MinAsk }, 1, types.DefaultParams().MaxRewardedAsk},
		"max_rewarded_ask":      {func(p *types.Params) *uint64 { return &p.MaxRewardedAsk }, types.DefaultParams().MinAsk, types.MaxAskPrice},
		"min_node_milli_suns":   {func(p *types.Params) *uint64 { return &p.MinNodeMilliSuns }, 1, types.MaxNodeMilliSuns},
		"claim_epochs":          {func(p *types.Params) *uint64 { return &p.ClaimEpochs }, types.MinClaimEpochs, types.MaxClaimEpochs},
	}
	for name, c := range numbers {
		check(t, name, map[uint64]bool{c.low - 1: false, c.low: true, c.high: true, c.high + 1: false},
			func(p *types.Params, v uint64) { *c.of(p) = v })
	}
	for name, of := range map[string]func(*types.Params) *uint32{
		"max_deadlines_per_block":  func(p *types.Params) *uint32 { return &p.MaxDeadlinesPerBlock },
		"max_payouts_per_block":    func(p *types.Params) *uint32 { return &p.MaxPayoutsPerBlock },
		"max_unbondings_per_block": func(p *types.Params) *uint32 { return &p.MaxUnbondingsPerBlock },
	} {
		check(t, name, map[uint32]bool{0: false, 1: true, types.MaxBlockBudget: true, types.MaxBlockBudget + 1: false},
			func(p *types.Params, v uint32) { *of(p) = v })
	}
	most := math.NewInt(1_000_000_000_000_000_000)
	for name, of := range map[string]func(*types.Params) *math.Int{
		"min_bond":      func(p *types.Params) *math.Int { return &p.MinBond },
		"bond_per_suns": func(p *types.Params) *math.Int { return &p.BondPerSuns },
	} {
		check(t, name, map[math.Int]bool{
			{}: false, math.NewInt(-1): false, math.ZeroInt(): false, math.OneInt(): true,
			most: true, most.AddRaw(1): false,
		}, func(p *types.Params, v math.Int) { *of(p) = v })
	}
}

func check[V comparable](t *testing.T, name string, values map[V]bool, set func(*types.Params, V)) {
	t.Helper()
	for value, valid := range values {
		params := types.DefaultParams()
		set(&params, value)
		if valid {
			require.NoError(t, params.Validate(), "%s = %v", name, value)
		} else {
			require.ErrorIs(t, params.Validate(), types.ErrInvalidParams, "%s = %v", name, value)
		}
	}
}

// A demonstration's hours pass in seconds.
func TestShortDurationsAreValid(t *testing.T) {
	params := types.DefaultParams()
	params.EpochDuration, params.SilenceLimit, params.UnbondingPeriod = 2*time.Second, 3*time.Second, 5*time.Second
	params.MaxGap = time.Second
	require.NoError(t, params.Validate())
}

func TestSilentAtMs(t *testing.T) {
	params := types.DefaultParams() // idle: 2 h, busy: 15 min
	const minute = 60_000
	for name, c := range map[string]struct {
		last uint64
		load types.NodeLoad
		want uint64
	}{
		"idle":                         {10 * minute, types.NodeLoad{}, 130 * minute},
		"idle again":                   {10 * minute, types.NodeLoad{BusySinceMs: 5 * minute}, 130 * minute},
		"heard from since it was busy": {10 * minute, types.NodeLoad{Placements: 1, BusySinceMs: 5 * minute}, 25 * minute},
		"at the same moment":           {10 * minute, types.NodeLoad{Placements: 1, BusySinceMs: 10 * minute}, 25 * minute},
		"busy after a long silence":    {10 * minute, types.NodeLoad{Placements: 1, BusySinceMs: 70 * minute}, 85 * minute},
		"busy at the end of it":        {10 * minute, types.NodeLoad{Placements: 1, BusySinceMs: 129 * minute}, 130 * minute},
	} {
		require.EqualValues(t, c.want, params.SilentAtMs(c.last, c.load), name)
	}
}
