package types

import (
	"fmt"

	"cosmossdk.io/math"
)

const (
	// msPerHour: emissions are stated by the hour.
	msPerHour = 3_600_000
	// BasisPoints make a whole: validator shares are in hundredths of a percent.
	BasisPoints = 10_000
	// DefaultHalvingIntervalMs is four years of 365 days.
	DefaultHalvingIntervalMs = 4 * 365 * 24 * msPerHour
	// MinHalvingIntervalMs: an era shorter than an hour would be over before an emission stated by the hour.
	MinHalvingIntervalMs = msPerHour
	// maxEras: an emission of at most 10^18 is 0 after 60 halvings.
	maxEras = 60
)

// rewardScale is the fixed point of reward per weight. Rounding down loses less than 10^-18 uisc a unit of weight, so a
// node of the largest weight, 10^12, loses less than a millionth of a uisc an epoch by it.
var rewardScale = math.NewInt(1_000_000_000_000_000_000)

// DefaultEmissionSchedule is 10,000 ISC an hour, halved every four years, at most 1,000 million ISC, a fifth to validators.
func DefaultEmissionSchedule() EmissionSchedule {
	return EmissionSchedule{
		InitialPerHour:    math.NewInt(10_000_000_000),
		HalvingIntervalMs: DefaultHalvingIntervalMs,
		HardCap:           math.NewInt(1_000_000_000_000_000),
		ValidatorShareBps: 2_000,
	}
}

// Validate says whether a schedule can be followed. It is fixed at genesis.
func (s EmissionSchedule) Validate() error {
	for _, amount := range []struct {
		name  string
		value math.Int
	}{{"initial_per_hour", s.InitialPerHour}, {"hard_cap", s.HardCap}} {
		if amount.value.IsNil() || amount.value.IsNegative() || amount.value.GT(maxParamUisc) {
			return ErrInvalidGenesis.Wrapf("emission_schedule.%s is not between 0 and %s uisc", amount.name, maxParamUisc)
		}
	}
	if s.HalvingIntervalMs < MinHalvingIntervalMs {
		return ErrInvalidGenesis.Wrapf("emission_schedule.halving_interval_ms %d is below an hour, %d",
			s.HalvingIntervalMs, MinHalvingIntervalMs)
	}
	if s.ValidatorShareBps > BasisPoints {
		return ErrInvalidGenesis.Wrapf("emission_schedule.validator_share_bps %d is above %d", s.ValidatorShareBps, BasisPoints)
	}
	return nil
}

// Emission is what one epoch gives.
type Emission struct{ ToNodes, ToValidators math.Int }

// ForEpoch is the emission of an epoch that began at a time of the chain clock and lasted as long as an epoch does:
// floor((initial_per_hour >> era) · duration ÷ 1 h) with era = start ÷ halving_interval, at most remaining. The validators'
// part is rounded down and the nodes get the rest.
func (s EmissionSchedule) ForEpoch(startMs, durationMs uint64, remaining math.Int) Emission {
	rate := math.ZeroInt()
	if era := startMs / s.HalvingIntervalMs; era < maxEras {
		rate = s.InitialPerHour.Quo(math.NewIntFromUint64(1 << era))
	}
	total := rate.Mul(math.NewIntFromUint64(durationMs)).QuoRaw(msPerHour)
	total = math.MaxInt(math.ZeroInt(), math.MinInt(total, remaining))
	validators := total.MulRaw(int64(s.ValidatorShareBps)).QuoRaw(BasisPoints)
	return Emission{ToNodes: total.Sub(validators), ToValidators: validators}
}

// NewEmissionState counts from nothing.
func NewEmissionState() EmissionState {
	return EmissionState{
		InitialSupply:      math.ZeroInt(),
		MintedToNodes:      math.ZeroInt(),
		MintedToValidators: math.ZeroInt(),
		DueToValidators:    math.ZeroInt(),
		Burned:             math.ZeroInt(),
		Unclaimed:          math.ZeroInt(),
	}
}

// Minted is what counts toward the hard cap: all that was minted, and what x/mint is about to.
func (s EmissionState) Minted() math.Int {
	return s.MintedToNodes.Add(s.MintedToValidators).Add(s.DueToValidators)
}

// Supply is what the supply must be.
func (s EmissionState) Supply() math.Int {
	return s.InitialSupply.Add(s.MintedToNodes).Add(s.MintedToValidators).Sub(s.Burned)
}

// Validate says whether every counter is set and not negative.
func (s EmissionState) Validate() error {
	for _, amount := range []struct {
		name  string
		value math.Int
	}{
		{"initial_supply", s.InitialSupply},
		{"minted_to_nodes", s.MintedToNodes},
		{"minted_to_validators", s.MintedToValidators},
		{"due_to_validators", s.DueToValidators},
		{"burned", s.Burned},
		{"unclaimed", s.Unclaimed},
	} {
		if err := checkUisc(amount.value); err != nil {
			return fmt.Errorf("emission.%s: %w", amount.name, err)
		}
	}
	return nil
}

// RewardWeight is a node's weight in the maintenance reward: min(milli-SUNS, floor(1000 · bond ÷ bond_per_suns)). Until SUNS
// are proved, weight costs capital.
func RewardWeight(milliSuns uint64, bond, bondPerSuns math.Int) uint64 {
	if bond.IsNil() || bondPerSuns.IsNil() || !bond.IsPositive() || !bondPerSuns.IsPositive() {
		return 0
	}
	bonded := bond.MulRaw(MilliPerSuns).Quo(bondPerSuns)
	if bonded.LT(math.NewIntFromUint64(milliSuns)) {
		return bonded.Uint64()
	}
	return milliSuns
}

// RewardPerWeight is amount ÷ total weight in fixed point 10^18, rounded down. What the rounding leaves stays in the pool and
// is recycled when the epoch's time to claim is over.
func RewardPerWeight(amount, totalWeight math.Int) math.Int {
	if !totalWeight.IsPositive() {
		return math.ZeroInt()
	}
	return amount.Mul(rewardScale).Quo(totalWeight)
}

// RewardOf is a weight's part of an epoch's reward, in uisc, rounded down.
func RewardOf(weight uint64, rewardPerWeight math.Int) math.Int {
	return math.NewIntFromUint64(weight).Mul(rewardPerWeight).Quo(rewardScale)
}
