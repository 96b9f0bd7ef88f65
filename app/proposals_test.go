package app

import (
	"errors"
	"math"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/stretchr/testify/require"
	protov2 "google.golang.org/protobuf/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// gasTx is a transaction of which only the gas is known.
type gasTx uint64

func (gasTx) GetMsgs() []sdk.Msg                    { return nil }
func (gasTx) GetMsgsV2() ([]protov2.Message, error) { return nil, nil }
func (t gasTx) GetGas() uint64                      { return uint64(t) }

// gasDecoder reads the bytes as an index into its list; what lies outside cannot be read.
type gasDecoder []uint64

func (d gasDecoder) TxDecode(bytes []byte) (sdk.Tx, error) {
	if i := int(bytes[0]); i < len(d) {
		return gasTx(d[i]), nil
	}
	return nil, errors.New("not a transaction")
}

func (d gasDecoder) txs() [][]byte {
	txs := make([][]byte, len(d))
	for i := range d {
		txs[i] = []byte{byte(i)}
	}
	return txs
}

func contextWithMaxGas(maxGas int64) sdk.Context {
	return sdk.Context{}.WithConsensusParams(cmtproto.ConsensusParams{Block: &cmtproto.BlockParams{MaxGas: maxGas}})
}

func TestProcessProposal(t *testing.T) {
	unreadable := []byte{255}
	for name, c := range map[string]struct {
		maxGas int64
		gas    gasDecoder
		more   [][]byte
		accept bool
	}{
		"empty":                      {maxGas: 100, accept: true},
		"exactly the limit":          {maxGas: 100, gas: gasDecoder{60, 40}, accept: true},
		"one above the limit":        {maxGas: 100, gas: gasDecoder{60, 41}},
		"one transaction above":      {maxGas: 100, gas: gasDecoder{101}},
		"sum wraps around":           {maxGas: 100, gas: gasDecoder{1, math.MaxUint64}},
		"unreadable":                 {maxGas: 100, gas: gasDecoder{1}, more: [][]byte{unreadable}},
		"no limit":                   {maxGas: -1, gas: gasDecoder{math.MaxUint64, 1}, accept: true},
		"a limit of 0 is none":       {maxGas: 0, gas: gasDecoder{5}, accept: true},
		"unreadable without a limit": {maxGas: -1, more: [][]byte{unreadable}},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := processProposal(c.gas)(contextWithMaxGas(c.maxGas), &abci.RequestProcessProposal{
				Txs: append(c.gas.txs(), c.more...),
			})
			require.NoError(t, err)
			require.Equal(t, c.accept, res.IsAccepted())
		})
	}
}

func TestProcessProposalWithoutConsensusParams(t *testing.T) {
	res, err := processProposal(gasDecoder{1})(sdk.Context{}, &abci.RequestProcessProposal{Txs: [][]byte{{0}}})
	require.NoError(t, err)
	require.True(t, res.IsAccepted())
}

func TestPrepareProposal(t *testing.T) {
	const roomy = 1 << 20
	for name, c := range map[string]struct {
		maxGas   int64
		maxBytes int64
		gas      gasDecoder
		want     []byte
	}{
		"all fit":                         {maxGas: 100, maxBytes: roomy, gas: gasDecoder{60, 40}, want: []byte{0, 1}},
		"stops at the first too many":     {maxGas: 100, maxBytes: roomy, gas: gasDecoder{60, 41, 1}, want: []byte{0}},
		"leaves out what can never fit":   {maxGas: 100, maxBytes: roomy, gas: gasDecoder{101, 100}, want: []byte{1}},
		"no limit on gas":                 {maxGas: -1, maxBytes: roomy, gas: gasDecoder{math.MaxUint64, 1}, want: []byte{0, 1}},
		"bytes for two of three (3 each)": {maxGas: -1, maxBytes: 6, gas: gasDecoder{1, 1, 1}, want: []byte{0, 1}},
		"one byte too few":                {maxGas: -1, maxBytes: 5, gas: gasDecoder{1, 1, 1}, want: []byte{0}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := contextWithMaxGas(c.maxGas)
			res, err := prepareProposal(c.gas)(ctx, &abci.RequestPrepareProposal{MaxTxBytes: c.maxBytes, Txs: c.gas.txs()})
			require.NoError(t, err)
			var got []byte
			for _, tx := range res.Txs {
				got = append(got, tx...)
			}
			require.Equal(t, c.want, got)

			// What is proposed is accepted.
			processed, err := processProposal(c.gas)(ctx, &abci.RequestProcessProposal{Txs: res.Txs})
			require.NoError(t, err)
			require.True(t, processed.IsAccepted())
		})
	}
}

func TestPrepareProposalLeavesOutWhatCannotBeRead(t *testing.T) {
	res, err := prepareProposal(gasDecoder{1})(contextWithMaxGas(10), &abci.RequestPrepareProposal{
		MaxTxBytes: 100, Txs: [][]byte{{255}, {0}},
	})
	require.NoError(t, err)
	require.Equal(t, [][]byte{{0}}, res.Txs)
}
