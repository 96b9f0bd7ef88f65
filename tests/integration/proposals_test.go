package integration_test

import (
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
)

// A block may ask for the consensus limit's gas, not for a unit more.
func TestBlocksOverTheGasLimitAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		gas    []uint64
		accept bool
	}{
		"at the limit":  {gas: []uint64{app.DefaultMaxBlockGas - 1_000_000, 1_000_000}, accept: true},
		"one above":     {gas: []uint64{app.DefaultMaxBlockGas - 1_000_000, 1_000_001}},
		"alone too big": {gas: []uint64{app.DefaultMaxBlockGas + 1}},
	} {
		t.Run(name, func(t *testing.T) {
			running := chain.New(t)
			var txs [][]byte
			for _, gas := range c.gas {
				txs = append(txs, running.Tx("tenant", send(running, "tenant", "tenant2", 1), chain.WithGas(gas)))
			}
			response, err := running.App.ProcessProposal(&abci.RequestProcessProposal{Height: 2, Txs: txs})
			require.NoError(t, err)
			require.Equal(t, c.accept, response.IsAccepted())
		})
	}
}

func TestBlocksThatCannotBeReadAreRefused(t *testing.T) {
	c := chain.New(t)
	response, err := c.App.ProcessProposal(&abci.RequestProcessProposal{Height: 2, Txs: [][]byte{[]byte("no transaction")}})
	require.NoError(t, err)
	require.False(t, response.IsAccepted())
}

// What a proposer puts together is what validators accept.
func TestProposersKeepToTheGasLimit(t *testing.T) {
	c := chain.New(t)
	var txs [][]byte
	for range 3 {
		txs = append(txs, c.Tx("tenant", send(c, "tenant", "tenant2", 1), chain.WithGas(80_000_000)))
	}
	proposal, err := c.App.PrepareProposal(&abci.RequestPrepareProposal{Height: 2, MaxTxBytes: 1 << 20, Txs: txs})
	require.NoError(t, err)
	require.Equal(t, txs[:2], proposal.Txs)
	block := c.NextBlock(proposal.Txs...)
	for _, result := range block.Results {
		require.Zero(t, result.Code, result.Log)
	}
}
