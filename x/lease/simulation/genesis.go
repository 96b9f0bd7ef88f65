// Package simulation makes random state and messages of x/lease.
package simulation

import (
	"math/rand"
	"time"

	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// RandomizedGenState makes a genesis with random params and no leases: those come from messages.
func RandomizedGenState(simState *module.SimulationState) {
	genesis := types.GenesisState{Params: RandomParams(simState.Rand)}
	simState.GenState[types.ModuleName] = simState.Cdc.MustMarshalJSON(&genesis)
}

// RandomParams draws params within their bounds, with times short enough that hours, waits and retention end within a
// simulation of some hundred blocks, which are seconds to days apart.
func RandomParams(r *rand.Rand) types.Params {
	params := types.DefaultParams()
	params.BillingPeriod = seconds(r, 60, 1_800)
	params.SettleGrace = time.Duration(r.Int63n(int64(params.BillingPeriod)))
	params.StartDeadline = seconds(r, 60, 1_200)
	params.DrainGrace = seconds(r, 0, 600)
	params.TrialPeriod = seconds(r, 0, 600)
	params.MaxWait = seconds(r, 60, 86_400)
	params.Retention = seconds(r, 60, 86_400)
	params.RetryBackoffMin = seconds(r, 1, 60)
	params.RetryBackoffMax = params.RetryBackoffMin + seconds(r, 0, 600)
	params.NodeBackoffMin = seconds(r, 1, 60)
	params.NodeBackoffMax = params.NodeBackoffMin + seconds(r, 0, 600)
	params.RetryFee = uint64(r.Int63n(1_000))
	params.MinDemandMilliSuns = 1 + uint64(r.Int63n(200))
	params.ProviderShareBps = uint32(r.Int31n(10_001))
	params.MaxReplicas = 1 + uint32(r.Int31n(8))
	params.MaxPlacementsPerNode = 1 + uint32(r.Int31n(32))
	params.MaxCandidates = 1 + uint32(r.Int31n(20))
	params.SuspendAfter = 1 + uint32(r.Int31n(types.MaxSuspendAfter))
	small := func() uint32 { return 1 + uint32(r.Int31n(20)) }
	b := types.BlockBudgets{
		LeaseUpdates: small(), Matches: small(), Retries: small(), Endings: small(), Evictions: small(),
		DueLeases: small(), NodeBackoffs: small(), Reindexes: small(),
	}
	// What a block makes, blocks must be able to look after and to forget.
	b.DuePlacements = b.Matches + b.Retries + uint32(r.Int31n(20))
	b.Prunes = max(b.Matches+b.Retries, b.LeaseUpdates) + uint32(r.Int31n(20))
	params.Budgets = b
	return params
}

// seconds draws a whole number of seconds in low..high.
func seconds(r *rand.Rand, low, high int64) time.Duration {
	return time.Duration(low+r.Int63n(high-low+1)) * time.Second
}
