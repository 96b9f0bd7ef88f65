package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
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

// Blocks full of transactions that touch each other give the same state in order and in parallel.
func TestExecutorsAgree(t *testing.T) {
	run := func(t *testing.T, opts ...chain.Option) (hashes [][]byte, results [][]*abci.ExecTxResult) {
		// Keys come from the names, so both chains are the same.
		r := rent(t, append(opts, chain.WithFixedKeys())...)
		r.start("agent")
		for round := range 5 {
			block := r.NextBlock(
				r.Tx("tenant", send(r.Chain, "tenant", "tenant2", int64(1+round))),
				r.Tx("tenant2", send(r.Chain, "tenant2", "tenant", 7)),
				r.Tx("tenant", []sdk.Msg{&leasetypes.MsgFundLease{
					Funder: r.Address("tenant").String(), Tenant: r.lease.Tenant, Number: 1, Amount: chain.Coins(10)[0],
				}}),
				r.Tx("publisher", []sdk.Msg{&leasetypes.MsgFundLease{
					Funder: r.Address("publisher").String(), Tenant: r.lease.Tenant, Number: 1, Amount: chain.Coins(3)[0],
				}}),
				r.attestation("agent", time.Duration(round+1)*time.Second),
				r.Tx("operator", send(r.Chain, "operator", "tenant", 2*chain.Funds)),
				r.Tx("operator2", []sdk.Msg{registration(r.Chain, "operator2", "agent2", uint64(round+1), 2, exampleAsk)}),
			)
			hashes, results = append(hashes, block.AppHash), append(results, block.Results)
		}
		return hashes, results
	}
	wantHashes, wantResults := run(t, chain.WithExecutor("sequential"))
	for name, opts := range map[string][]chain.Option{
		"parallel":                {chain.WithExecutor("block-stm")},
		"parallel with estimates": {chain.WithExecutor("block-stm"), chain.WithEstimates()},
	} {
		t.Run(name, func(t *testing.T) {
			gotHashes, gotResults := run(t, opts...)
			require.Equal(t, wantResults, gotResults)
			require.Equal(t, wantHashes, gotHashes)
		})
	}
}

// Forty accounts that pay each other in a ring, all of them the same collector and some of them through one granter, block
// after block: nothing may be lost, doubled or depend on the order in which threads ran.
func TestExecutorsAgreeOnCrowdedBlocks(t *testing.T) {
	const accounts, blocks = 40, 4
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprintf("account%d", i)
	}
	run := func(t *testing.T, executor string) (hashes [][]byte, balances []int64) {
		c := chain.New(t, chain.WithExecutor(executor), chain.WithFixedKeys(), chain.WithAccounts(names...))
		for i := range accounts / 4 {
			grant, err := feegrant.NewMsgGrantAllowance(
				&feegrant.BasicAllowance{}, c.Address("operator"), c.Address(names[4*i]))
			require.NoError(t, err)
			c.Do("operator", grant)
		}
		supply := c.Supply()
		for range blocks {
			var txs [][]byte
			for i, name := range names {
				var opts []chain.TxOption
				if i%4 == 0 {
					opts = append(opts, chain.WithFeeGranter(c.Address("operator")))
				}
				txs = append(txs, c.Tx(name, send(c, name, names[(i+1)%accounts], int64(i+1)), opts...))
			}
			block := c.NextBlock(txs...)
			for _, result := range block.Results {
				require.Zero(t, result.Code, result.Log)
			}
			require.EqualValues(t, accounts*chain.TxFee, c.ModuleBalance(authtypes.FeeCollectorName))
			hashes = append(hashes, block.AppHash)
		}
		require.Equal(t, supply, c.Supply())
		for _, name := range append(names, "operator") {
			balances = append(balances, c.Balance(c.Address(name)))
		}
		return hashes, balances
	}
	wantHashes, wantBalances := run(t, "sequential")
	gotHashes, gotBalances := run(t, "block-stm")
	require.Equal(t, wantBalances, gotBalances)
	require.Equal(t, wantHashes, gotHashes)

	// The first account got what the last sent, and somebody else paid its fees.
	require.EqualValues(t, chain.Funds+blocks*(accounts-1), gotBalances[0])
	require.EqualValues(t, chain.Funds-blocks*(1+chain.TxFee), gotBalances[1])
}
