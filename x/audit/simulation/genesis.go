// Package simulation makes random state and messages of x/audit.
package simulation

import (
	"math/rand"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/isuncoin/isuncoin/x/audit/types"
)

// RandomizedGenState makes a genesis with random params and nothing attested: that comes from messages.
func RandomizedGenState(simState *module.SimulationState) {
	genesis := types.DefaultGenesis()
	genesis.Params = randomParams(simState.Rand)
	simState.GenState[types.ModuleName] = simState.Cdc.MustMarshalJSON(genesis)
}

// randomParams keeps the interval at its least, which every silence limit allows, and what a node needs within what
// simulated nodes have.
func randomParams(r *rand.Rand) types.Params {
	return types.Params{
		AttestInterval:     types.MinAttestInterval,
		AuditBond:          math.NewInt(1 + r.Int63n(2_000_000)),
		MinNodeMilliSuns:   1 + uint64(r.Int63n(2000)),
		ClaimEpochs:        types.MinClaimEpochs + uint64(r.Int63n(10)),
		MaxPayoutsPerBlock: types.MinPayoutsPerBlock + uint32(r.Int31n(100)),
	}
}
