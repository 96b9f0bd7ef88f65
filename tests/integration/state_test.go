package integration_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
)

// ourModules are the modules whose genesis must come back byte for byte.
var ourModules = []string{"suns", "uai", "lease", "audit"}

// A node that is stopped goes on from its database as if nothing had happened.
func TestRestartFromData(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		r := rent(t, chain.WithExecutor(executor), chain.WithDisk(t, t.TempDir()))
		r.start("agent")
		r.serve("agent", 0, 30*time.Second)
		before := r.Export(false)

		r.Restart()
		require.Equal(t, string(before.AppState), string(r.Export(false).AppState))

		r.serve("agent", 30*time.Second, 150*time.Second)
		r.settleAfterClose(t)
		require.EqualValues(t, 745, r.money().Totals.Refunded.Int64())
	})
}

// A block that was run but not committed is run again after a crash, with the same result.
func TestCrashBeforeCommit(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		r := rent(t, chain.WithExecutor(executor), chain.WithDisk(t, t.TempDir()))
		r.start("agent")
		tx := r.attestation("agent", time.Second)
		lost := r.Uncommitted(tx)
		r.Restart()
		again := r.NextBlock(tx)
		require.Equal(t, lost.AppHash, again.AppHash)
	})
}

// A lease that was exported half-way goes on in a chain that starts from the export, and comes to the same end there.
func TestExportStartsTheSameChain(t *testing.T) {
	r := rent(t)
	r.start("agent")
	r.serve("agent", 0, 90*time.Second)
	exported := r.Export(false)

	copied := &rented{
		Chain: chain.FromGenesis(t, r.Keys, exported), lease: r.lease, placement: r.placement, attests: r.attests,
	}
	// Its first block came a second after the old chain's last.
	copied.serve("agent", 91*time.Second, 150*time.Second)
	copied.settleAfterClose(t)
	totals := copied.money().Totals
	require.EqualValues(t, 135, totals.PaidOperators.Int64())
	require.EqualValues(t, 45, totals.PaidAudit.Int64())
	require.EqualValues(t, 745, totals.Refunded.Int64())
}

// A chain can begin at height 1 with the state of another, its leases running.
func TestExportForZeroHeight(t *testing.T) {
	r := rent(t, chain.WithValidators(2))
	r.start("agent")
	r.serve("agent", 0, 90*time.Second)
	operator := sdk.ValAddress(r.Address("validator0"))
	exported := r.Export(true, operator.String())
	require.EqualValues(t, 1, exported.InitialHeight)
	require.Len(t, exported.Consensus.Validators, 1, "who is not on the list is jailed")

	copied := &rented{
		Chain: chain.FromGenesis(t, r.Keys, exported), lease: r.lease, placement: r.placement, attests: r.attests,
	}
	require.EqualValues(t, 1, copied.App.LastBlockHeight())
	copied.serve("agent", 91*time.Second, 150*time.Second)
	copied.settleAfterClose(t)
	require.EqualValues(t, 745, copied.money().Totals.Refunded.Int64())
}

// Importing what was exported, without a block between, gives the same bytes again.
func TestGenesisRoundTrip(t *testing.T) {
	r := rent(t)
	r.start("agent")
	r.serve("agent", 0, 45*time.Second)
	exported := r.Export(false)
	imported := chain.Import(t, exported)
	wanted, gotten := chain.State(t, exported), chain.State(t, imported)
	for _, name := range ourModules {
		require.Equal(t, compact(t, wanted[name]), compact(t, gotten[name]), name)
	}
	for name := range wanted {
		require.Contains(t, gotten, name)
	}
}

// compact drops the spaces that a file has.
func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Compact(&out, raw))
	return out.String()
}

// Every kind of broken genesis is an error that names what is wrong.
func TestBrokenGenesisIsRefusedWithoutAPanic(t *testing.T) {
	c := chain.New(t)
	for name, spoil := range map[string]func(map[string]json.RawMessage){
		"not a genesis of a module": func(s map[string]json.RawMessage) { s["suns"] = json.RawMessage(`{"params":7}`) },
		"unset params":              func(s map[string]json.RawMessage) { s["lease"] = json.RawMessage(`{}`) },
		"no validator":              func(s map[string]json.RawMessage) { s["genutil"] = json.RawMessage(`{"gen_txs":[]}`) },
		"no auth":                   func(s map[string]json.RawMessage) { delete(s, "auth") },
		"money out of nowhere": func(s map[string]json.RawMessage) {
			s["bank"] = json.RawMessage(`{"params":{"default_send_enabled":true},"balances":[],"supply":[{"denom":"uisc","amount":"5"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := chain.State(t, c.Genesis)
			spoil(state)
			raw, err := json.Marshal(state)
			require.NoError(t, err)
			err = chain.InitError(t, raw)
			require.Error(t, err)
		})
	}
	require.Error(t, chain.InitError(t, []byte("not JSON")))
}
