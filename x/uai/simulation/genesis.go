// Package simulation makes random state and messages of x/uai.
package simulation

import (
	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// RandomizedGenState makes a genesis with params anywhere in their bounds and no images: those come from messages.
func RandomizedGenState(simState *module.SimulationState) {
	genesis := types.GenesisState{Params: types.Params{
		MaxImageBytes: between(simState.Rand, types.LowestMaxImageBytes, types.HighestMaxImageBytes),
		MaxRoyalty:    between(simState.Rand, types.LowestMaxRoyalty, types.HighestMaxRoyalty),
	}}
	simState.GenState[types.ModuleName] = simState.Cdc.MustMarshalJSON(&genesis)
}

// between draws a number in low..high.
func between(random interface{ Int63n(n int64) int64 }, low, high uint64) uint64 {
	return low + uint64(random.Int63n(int64(high-low)+1))
}
