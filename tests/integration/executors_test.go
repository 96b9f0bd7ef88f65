package integration_test

import (
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
