package types

import (
	"time"

	"cosmossdk.io/math"
)

// Bounds of the params. Short durations are allowed down to a second: demonstrations and tests run hours in seconds.
const (
	// MaxBundleUnits: with bundles beyond it every machine there is would be 0 SUNS.
	MaxBundleUnits = 1_000_000_000
	// MinMaxGap: a clock that may advance less than a second a block falls behind blocks of a second.
	MinMaxGap = time.Second
	// MaxMaxGap: beyond an hour a single late block expires whatever waited.
	MaxMaxGap = time.Hour
	// MinEpochDuration: an epoch shorter than a block cannot hold a check-in.
	MinEpochDuration = time.Second
	// MaxEpochDuration: beyond a week an idle node that died stays in the market for two.
	MaxEpochDuration = 7 * 24 * time.Hour
	// MinSilenceLimit: below a second a node is lost between two blocks.
	MinSilenceLimit = time.Second
	// MaxSilenceLimit: beyond a day tenants wait that long for a dead node's placements to move.
	MaxSilenceLimit = 24 * time.Hour
	// MinUnbondingPeriod: a bond must outlast the blocks in which its node's work settles.
	MinUnbondingPeriod = time.Second
	// MaxUnbondingPeriod: beyond a year the queue would hold bonds longer than operators plan.
	MaxUnbondingPeriod = 365 * 24 * time.Hour
	// MinMinNodeMilliSuns: a node of 0 SUNS could be registered without end at no cost in hardware.
	MinMinNodeMilliSuns = 1
	// MinClaimEpochs: a reward must wait at least until the check-in of the next epoch.
	MinClaimEpochs = 2
	// MaxClaimEpochs bounds the closed epochs in state.
	MaxClaimEpochs = 10_000
	// MinBlockBudget: a queue with no budget never moves.
	MinBlockBudget = 1
	// MaxBlockBudget: beyond it one block's work takes longer than a block.
	MaxBlockBudget = 10_000
)

// maxParamUisc, 10^18 uisc, is a thousand times the default cap of all coins: nobody could pay a bond beyond it.
var maxParamUisc = math.NewInt(1_000_000_000_000_000_000)

// maxUisc, 10^24, bounds amounts in state: sums and products of such amounts stay far from the 256 bits at which math.Int
// panics.
var maxUisc = maxParamUisc.MulRaw(1_000_000)

// DefaultParams are those of design: one SUNS is 1,000 CPU points, 2 GiB, 16 GiB and 20 Mbit/s; one SUNS of an accelerator
// is 0.8 GiB (in whole KiB, rounded down, so that a card of 24 GiB is 30), 33.6 GB/s and 200 GFLOP/s.
func DefaultParams() Params {
	return Params{
		Bundle:                Capacity{CpuPoints: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20},
		AcceleratorBundle:     AcceleratorBundle{MemoryKiB: 838_860, MemoryBandwidthMbs: 33_600, Fp32Gflops: 200},
		MaxGap:                10 * time.Second,
		EpochDuration:         time.Hour,
		SilenceLimit:          15 * time.Minute,
		UnbondingPeriod:       21 * 24 * time.Hour,
		MinAsk:                1_000,
		MaxRewardedAsk:        10_000_000,
		MinBond:               math.NewInt(1_000_000),
		BondPerSuns:           math.NewInt(1_000_000),
		MinNodeMilliSuns:      100,
		ClaimEpochs:           168,
		MaxDeadlinesPerBlock:  200,
		MaxPayoutsPerBlock:    200,
		MaxUnbondingsPerBlock: 50,
	}
}

// Validate says whether every param is within its bounds. An unset param is an error.
func (p Params) Validate() error {
	for _, check := range []func() error{p.validateBundles, p.validateDurations, p.validatePrices, p.validateCounts} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Params) validateBundles() error {
	return checkRanges(
		valueRange{"bundle.cpu_points", p.Bundle.CpuPoints, 1, MaxBundleUnits},
		valueRange{"bundle.memory_mib", p.Bundle.MemoryMiB, 1, MaxBundleUnits},
		valueRange{"bundle.storage_mib", p.Bundle.StorageMiB, 1, MaxBundleUnits},
		valueRange{"bundle.bandwidth_mbps", p.Bundle.BandwidthMbps, 1, MaxBundleUnits},
		valueRange{"accelerator_bundle.memory_kib", p.AcceleratorBundle.MemoryKiB, 1, MaxBundleUnits},
		valueRange{"accelerator_bundle.memory_bandwidth_mbs", p.AcceleratorBundle.MemoryBandwidthMbs, 1, MaxBundleUnits},
		valueRange{"accelerator_bundle.fp32_gflops", p.AcceleratorBundle.Fp32Gflops, 1, MaxBundleUnits},
	)
}

func (p Params) validateDurations() error {
	for _, d := range []struct {
		name             string
		value, low, high time.Duration
	}{
		{"max_gap", p.MaxGap, MinMaxGap, MaxMaxGap},
		{"epoch_duration", p.EpochDuration, MinEpochDuration, MaxEpochDuration},
		{"silence_limit", p.SilenceLimit, MinSilenceLimit, MaxSilenceLimit},
		{"unbonding_period", p.UnbondingPeriod, MinUnbondingPeriod, MaxUnbondingPeriod},
	} {
		if d.value < d.low || d.value > d.high {
			return ErrInvalidParams.Wrapf("%s %s is not between %s and %s", d.name, d.value, d.low, d.high)
		}
		if d.value%time.Millisecond != 0 {
			return ErrInvalidParams.Wrapf("%s %s is not in whole milliseconds, which is all the chain clock counts", d.name, d.value)
		}
	}
	return nil
}

func (p Params) validatePrices() error {
	if err := checkRanges(
		valueRange{"min_ask", p.MinAsk, 1, MaxAskPrice},
		valueRange{"max_rewarded_ask", p.MaxRewardedAsk, p.MinAsk, MaxAskPrice},
	); err != nil {
		return err
	}
	for _, amount := range []struct {
		name  string
		value math.Int
	}{{"min_bond", p.MinBond}, {"bond_per_suns", p.BondPerSuns}} {
		if amount.value.IsNil() || !amount.value.IsPositive() || amount.value.GT(maxParamUisc) {
			return ErrInvalidParams.Wrapf("%s is not between 1 and %s uisc", amount.name, maxParamUisc)
		}
	}
	return nil
}

func (p Params) validateCounts() error {
	return checkRanges(
		valueRange{"min_node_milli_suns", p.MinNodeMilliSuns, MinMinNodeMilliSuns, MaxNodeMilliSuns},
		valueRange{"claim_epochs", p.ClaimEpochs, MinClaimEpochs, MaxClaimEpochs},
		valueRange{"max_deadlines_per_block", uint64(p.MaxDeadlinesPerBlock), MinBlockBudget, MaxBlockBudget},
		valueRange{"max_payouts_per_block", uint64(p.MaxPayoutsPerBlock), MinBlockBudget, MaxBlockBudget},
		valueRange{"max_unbondings_per_block", uint64(p.MaxUnbondingsPerBlock), MinBlockBudget, MaxBlockBudget},
	)
}

type valueRange struct {
	name             string
	value, low, high uint64
}

func checkRanges(ranges ...valueRange) error {
	for _, r := range ranges {
		if r.value < r.low || r.value > r.high {
			return ErrInvalidParams.Wrapf("%s %d is not between %d and %d", r.name, r.value, r.low, r.high)
		}
	}
	return nil
}

// Ms is a duration in the chain clock's milliseconds. Params hold no negative durations.
func Ms(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

// SilentAtMs is when a node counts as silent, in chain-clock milliseconds: an idle node two epochs after it was last heard
// from, a busy one after the silence limit. A node that became busy after its last check-in has the silence limit from then
// on, but never longer than it had as an idle node: being matched must not keep a dead node alive.
func (p Params) SilentAtMs(lastCheckInMs uint64, load NodeLoad) uint64 {
	idle := lastCheckInMs + 2*Ms(p.EpochDuration)
	switch silence := Ms(p.SilenceLimit); {
	case load.Placements == 0:
		return idle
	case lastCheckInMs >= load.BusySinceMs:
		return lastCheckInMs + silence
	default:
		return min(load.BusySinceMs+silence, max(idle, lastCheckInMs+silence))
	}
}
