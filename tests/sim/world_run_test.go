//go:build sims

package sim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
)

// mustHappen are events without which a simulation proves little.
var mustHappen = []string{
	"isun.suns.v1.EventNodeRegistered", "isun.suns.v1.EventNodeCheckedIn", "isun.suns.v1.EventNodeDraining",
	"isun.suns.v1.EventNodeRetired", "isun.suns.v1.EventEpochClosed", "isun.uai.v1.EventImagePublished",
	"isun.lease.v1.EventLeaseCreated", "isun.lease.v1.EventPlacementMatched", "isun.lease.v1.EventPlacementStarted",
	"isun.lease.v1.EventPlacementRejected", "isun.lease.v1.EventPlacementDraining", "isun.lease.v1.EventPlacementEnded",
	"isun.audit.v1.EventUsageAttested", "isun.lease.v1.EventPeriodReserved", "isun.lease.v1.EventPeriodSettled",
	"isun.lease.v1.EventLeaseClosed",
}

// enoughBlocks are so many, over all seeds, that everything must have happened in them.
const enoughBlocks = 120

// Random blocks, signed and in the order of a real chain, give the same results, events and state in order, in parallel and
// in parallel with estimates, and every invariant holds after each. In the middle the chain is exported and imported: the
// copy exports the same bytes, goes on with the same results, and ends in the same state.
func TestRandomChainsAgree(t *testing.T) {
	all := tally{}
	for _, seed := range seeds(t) {
		t.Run("seed "+strconv.FormatInt(seed, 10), func(t *testing.T) {
			w := newWorld(t, seed)
			blocks, size := setting(t, "SIM_BLOCKS", 30), setting(t, "SIM_BLOCK_SIZE", 20)
			for i := range blocks {
				if i == blocks/2 {
					w.copy(fmt.Sprintf("imported at %d", w.height))
				}
				w.run(w.block(size))
				if len(w.validators.current) == 0 {
					break // all were jailed: a real chain would stand still
				}
			}
			w.requireSameGenesis()
			all.add(w.seen)
		})
	}
	if t.Failed() {
		return
	}
	t.Logf("in all:\n%s", all)
	for _, name := range mustHappen {
		if all["blocks"] < enoughBlocks {
			break
		}
		require.Positive(t, all[name], name)
	}
}

// copy exports the first chain and lets an imported one run beside it from now on.
func (w *world) copy(name string) {
	w.t.Helper()
	exported, err := w.chains[0].Export(false, nil, nil)
	require.NoError(w.t, err)
	workers := 8 * w.r.Intn(2) // in order or in parallel
	copied := newTwin(w.t, name, workers, false)
	copied.imported = true
	_, err = copied.InitChain(&abci.RequestInitChain{
		ChainId: simsx.SimAppChainID, Time: w.time, InitialHeight: exported.Height,
		ConsensusParams: &exported.ConsensusParams, AppStateBytes: exported.AppState,
	})
	require.NoError(w.t, err)
	again, err := copied.ExportModules(copied.GetContextForFinalizeBlock(nil), ourModules)
	require.NoError(w.t, err)
	var state map[string]json.RawMessage
	require.NoError(w.t, json.Unmarshal(exported.AppState, &state))
	for _, module := range ourModules {
		require.Equal(w.t, compact(w.t, state[module]), compact(w.t, again[module]), "genesis of x/%s", module)
	}
	w.chains = append(w.chains, copied)
}

// requireSameGenesis says that every chain ended in the same state of our modules.
func (w *world) requireSameGenesis() {
	w.t.Helper()
	var want map[string]json.RawMessage
	for _, chain := range w.chains {
		exported, err := chain.Export(false, nil, nil)
		require.NoError(w.t, err)
		var state map[string]json.RawMessage
		require.NoError(w.t, json.Unmarshal(exported.AppState, &state))
		if want == nil {
			want = state
		}
		for _, module := range ourModules {
			require.Equal(w.t, string(want[module]), string(state[module]), "genesis of x/%s, %s", module, chain.name)
		}
	}
}
