package chain

import (
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Block is a block that ran.
type Block struct {
	Height  int64
	Results []*abci.ExecTxResult
	Events  []abci.Event
	// AppHash names the state after it.
	AppHash []byte
	// CPU is the processor time, of all threads, that running and committing the block took.
	CPU time.Duration
	// Elapsed is how long that took.
	Elapsed time.Duration
}

// NextBlock runs the next block, a second after the last, with the given transactions, and checks the invariants.
func (c *Chain) NextBlock(txs ...[]byte) Block {
	c.T.Helper()
	return c.BlockAfter(blockTime, txs...)
}

// BlockAfter is NextBlock after another time.
func (c *Chain) BlockAfter(pause time.Duration, txs ...[]byte) Block {
	c.T.Helper()
	block := c.execute(pause, txs)
	began, cpu := time.Now(), processTime(c.T)
	_, err := c.App.Commit()
	require.NoError(c.T, err)
	block.CPU += processTime(c.T) - cpu
	block.Elapsed += time.Since(began)
	c.sequences = map[string]uint64{}
	if !c.options.unchecked {
		c.CheckInvariants()
	}
	return block
}

// CheckInvariants checks what must hold after every block.
func (c *Chain) CheckInvariants() {
	c.T.Helper()
	require.NoError(c.T, c.App.CheckInvariants(c.Ctx()), "after block %d", c.App.LastBlockHeight())
}

// Check has the mempool look at transactions, as every node does once for each, and gives the processor time it took.
func (c *Chain) Check(txs ...[]byte) time.Duration {
	c.T.Helper()
	cpu := processTime(c.T)
	for _, tx := range txs {
		response, err := c.App.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
		require.NoError(c.T, err)
		require.Zero(c.T, response.Code, response.Log)
	}
	return processTime(c.T) - cpu
}

// Uncommitted runs a block and leaves it at that, as a node does that crashes before its commit.
func (c *Chain) Uncommitted(txs ...[]byte) Block {
	c.T.Helper()
	block := c.execute(blockTime, txs)
	c.Time = c.Time.Add(-blockTime)
	return block
}

// execute checks and runs a block as validators do, without committing it.
func (c *Chain) execute(pause time.Duration, txs [][]byte) Block {
	c.T.Helper()
	c.Time = c.Time.Add(pause)
	height := max(c.App.LastBlockHeight()+1, c.initialHeight)
	verdict, err := c.App.ProcessProposal(&abci.RequestProcessProposal{
		Height: height, Time: c.Time, Txs: txs, ProposerAddress: c.proposer(),
	})
	require.NoError(c.T, err)
	require.True(c.T, verdict.IsAccepted(), "the block is refused")
	request := c.blockRequest(height, txs)
	began, cpu := time.Now(), processTime(c.T)
	response, err := c.App.FinalizeBlock(request)
	require.NoError(c.T, err)
	c.options.recording.note(request, response)
	c.misbehaviour, c.unsigned = nil, false
	return Block{
		Height: height, Results: response.TxResults, Events: response.Events, AppHash: response.AppHash,
		CPU: processTime(c.T) - cpu, Elapsed: time.Since(began),
	}
}

// processTime is the processor time that this process has used.
func processTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BlockError tries to run the next block and gives the error that stops the chain, if any.
func (c *Chain) BlockError() error {
	c.T.Helper()
	c.Time = c.Time.Add(blockTime)
	_, err := c.App.FinalizeBlock(c.blockRequest(c.App.LastBlockHeight()+1, nil))
	c.Time = c.Time.Add(-blockTime)
	return err
}

func (c *Chain) blockRequest(height int64, txs [][]byte) *abci.RequestFinalizeBlock {
	return &abci.RequestFinalizeBlock{
		Height: height, Time: c.Time, Txs: txs, ProposerAddress: c.proposer(), Hash: blockHash(c.Time),
		DecidedLastCommit: c.lastCommit(), Misbehavior: c.misbehaviour,
	}
}

// Run runs empty blocks, a second apart, until the given time has passed.
func (c *Chain) Run(duration time.Duration) {
	c.T.Helper()
	for end := c.Time.Add(duration); c.Time.Before(end); {
		c.NextBlock()
	}
}

// DoubleSign reports in the next block that a validator signed two blocks of the last height.
func (c *Chain) DoubleSign(validator int) {
	c.misbehaviour = append(c.misbehaviour, abci.Misbehavior{
		Type:             abci.MisbehaviorType_DUPLICATE_VOTE,
		Validator:        abci.Validator{Address: consensusKey(validator).PubKey().Address(), Power: 1},
		Height:           c.App.LastBlockHeight(),
		Time:             c.Time,
		TotalVotingPower: int64(c.options.validators),
	})
}

// Unsigned has the next block name nobody who signed the last one, as the first block of a chain does: so a chain can be
// compared with one that begins from its export.
func (c *Chain) Unsigned() { c.unsigned = true }

// Ctx reads the state of the last block.
func (c *Chain) Ctx() sdk.Context {
	return c.App.NewContextLegacy(true, cmtproto.Header{
		ChainID: ID, Height: c.App.LastBlockHeight(), Time: c.Time,
	})
}

// Uncached writes to committed state between two blocks, as no transaction can.
func (c *Chain) Uncached() sdk.Context {
	header := cmtproto.Header{ChainID: ID, Height: c.App.LastBlockHeight(), Time: c.Time}
	return sdk.NewContext(c.App.CommitMultiStore(), header, false, c.App.Logger())
}

func (c *Chain) proposer() []byte { return consensusKey(0).PubKey().Address() }

// lastCommit says that every validator signed the last block.
func (c *Chain) lastCommit() abci.CommitInfo {
	var info abci.CommitInfo
	if c.App.LastBlockHeight() == 0 || c.unsigned {
		return info
	}
	for i := range c.options.validators {
		info.Votes = append(info.Votes, abci.VoteInfo{
			Validator:   abci.Validator{Address: consensusKey(i).PubKey().Address(), Power: 1},
			BlockIdFlag: cmtproto.BlockIDFlagCommit,
		})
	}
	return info
}

// blockHash differs from block to block, and is the same in every run and in chains that count their heights differently.
func blockHash(at time.Time) []byte {
	return cmttypes.Tx(sdk.Uint64ToBigEndian(uint64(at.UnixNano()))).Hash()
}
