// Package simulation makes random state and messages of x/suns.
package simulation

import (
	"math/rand"
	"time"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// RandomizedGenState makes a genesis without nodes, which come from messages, in which epochs are short enough for a
// simulation to see many.
func RandomizedGenState(simState *module.SimulationState) {
	genesis := types.DefaultGenesis()
	genesis.Params = RandomParams(simState.Rand)
	genesis.EmissionSchedule.InitialPerHour = math.NewInt(1 + simState.Rand.Int63n(1_000_000_000))
	genesis.EmissionSchedule.HalvingIntervalMs = types.MinHalvingIntervalMs * uint64(1+simState.Rand.Intn(100))
	genesis.EmissionSchedule.ValidatorShareBps = uint32(simState.Rand.Intn(types.BasisPoints + 1))
	simState.GenState[types.ModuleName] = simState.Cdc.MustMarshalJSON(genesis)
}

// RandomParams draws params that let things happen within a simulation's few blocks, which are seconds to minutes apart.
func RandomParams(r *rand.Rand) types.Params {
	params := types.DefaultParams()
	params.MaxGap = between(r, 10*time.Second, 10*time.Minute)
	params.EpochDuration = between(r, time.Second, 30*time.Minute)
	params.SilenceLimit = between(r, time.Minute, 2*time.Hour)
	params.UnbondingPeriod = between(r, time.Second, 2*time.Hour)
	params.MinBond = math.NewInt(1 + r.Int63n(1000))
	params.BondPerSuns = math.NewInt(1 + r.Int63n(1000))
	params.ClaimEpochs = uint64(types.MinClaimEpochs + r.Intn(5))
	params.MaxDeadlinesPerBlock = uint32(1 + r.Intn(20))
	params.MaxPayoutsPerBlock = uint32(1 + r.Intn(20))
	params.MaxUnbondingsPerBlock = uint32(1 + r.Intn(20))
	return params
}

// between draws a duration in whole seconds.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int63n(int64((high-low)/time.Second)+1))*time.Second
}
