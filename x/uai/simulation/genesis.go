// Package simulation makes random state and messages of x/uai.
package simulation

import (
	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// RandomizedGenState makes a genesis with params anywhere in their bounds and no images: those come from messages.
func RandomizedGenState(simState *module.SimulationState) {
	genesis := types.GenesisState{Params: randomParams(simState.Rand)}
	simState.GenState[types.ModuleName] = simState.Cdc.MustMarshalJSON(&genesis)
}

// randomParams draws params; owners have few objects, so that a simulation meets the limit.
func randomParams(random interface{ Int63n(n int64) int64 }) types.Params {
	return types.Params{
		MaxImageBytes:      between(random, types.LowestMaxImageBytes, types.HighestMaxImageBytes),
		MaxRoyalty:         between(random, types.LowestMaxRoyalty, types.HighestMaxRoyalty),
		Replicas:           uint32(between(random, uint64(types.LowestReplicas), uint64(types.HighestReplicas))),
		MaxHoldingsPerNode: between(random, types.LowestMaxHoldingsPerNode, types.HighestMaxHoldingsPerNode),
		MaxObjectsPerOwner: between(random, types.LowestMaxObjectsPerOwner, 10),
	}
}

// between draws a number in low..high.
func between(random interface{ Int63n(n int64) int64 }, low, high uint64) uint64 {
	return low + uint64(random.Int63n(int64(high-low)+1))
}
