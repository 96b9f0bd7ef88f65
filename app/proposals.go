package app

import (
	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/mempool"
)

// The block gas meter is off, because under parallel execution it would count in an order of its own. So the limit on a
// block's gas is kept here: a block whose transactions ask for more than the consensus limit together is refused before it
// runs, and a proposer fills its blocks by the same count.

// setProposalHandlers installs the proposal handlers. CometBFT's own mempool is the default; with an application mempool
// (mempool.max-txs in app.toml) the SDK's handler picks from it, by the same limits.
func (app *App) setProposalHandlers() {
	app.SetProcessProposal(processProposal(app))
	if _, none := app.Mempool().(mempool.NoOpMempool); none || app.Mempool() == nil {
		app.SetPrepareProposal(prepareProposal(app))
		return
	}
	app.SetPrepareProposal(baseapp.NewDefaultProposalHandler(app.Mempool(), app).PrepareProposalHandler())
}

// txDecoder reads a transaction's bytes.
type txDecoder interface {
	TxDecode(bytes []byte) (sdk.Tx, error)
}

// gasBudget is what is left of a block's gas.
type gasBudget struct {
	limited bool
	left    uint64
}

// newGasBudget reads the consensus limit; -1, as CometBFT has it, and 0 mean no limit.
func newGasBudget(ctx sdk.Context) gasBudget {
	block := ctx.ConsensusParams().Block
	if block == nil || block.MaxGas <= 0 {
		return gasBudget{}
	}
	return gasBudget{limited: true, left: uint64(block.MaxGas)}
}

// take uses up a transaction's gas, or says that it does not fit. Comparing before subtracting keeps a huge limit from
// wrapping around.
func (b *gasBudget) take(gas uint64) bool {
	if !b.limited {
		return true
	}
	if gas > b.left {
		return false
	}
	b.left -= gas
	return true
}

// txGas is the most a transaction may use; the gas meter holds it to that.
func txGas(tx sdk.Tx) uint64 {
	if limited, ok := tx.(baseapp.GasTx); ok {
		return limited.GetGas()
	}
	return 0
}

// prepareProposal takes transactions in the mempool's order while they fit. It stops at the first that does not: picking
// later ones could put a sender's transactions out of sequence. What cannot be read, or could never fit, is left out.
func prepareProposal(decoder txDecoder) sdk.PrepareProposalHandler {
	return func(ctx sdk.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
		budget := newGasBudget(ctx)
		whole := budget
		var size int64
		var chosen [][]byte
		for _, bytes := range req.Txs {
			tx, err := decoder.TxDecode(bytes)
			if err != nil {
				continue
			}
			alone := whole
			if !alone.take(txGas(tx)) {
				continue
			}
			size += cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{bytes})
			if size > req.MaxTxBytes || !budget.take(txGas(tx)) {
				break
			}
			chosen = append(chosen, bytes)
		}
		return &abci.ResponsePrepareProposal{Txs: chosen}, nil
	}
}

// processProposal refuses a block with a transaction that cannot be read, or whose transactions ask for more gas together
// than the consensus limit. It looks at nothing else: it must give the same answer on every validator, and a transaction
// that fails is answered with an error when the block runs.
func processProposal(decoder txDecoder) sdk.ProcessProposalHandler {
	return func(ctx sdk.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
		budget := newGasBudget(ctx)
		for _, bytes := range req.Txs {
			tx, err := decoder.TxDecode(bytes)
			if err != nil || !budget.take(txGas(tx)) {
				return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
			}
		}
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
	}
}
