package chain

import (
	"fmt"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
)

// Recording is what consensus asked of a chain and what the chain answered, from its genesis on.
type Recording struct {
	init   *abci.RequestInitChain
	begun  *abci.ResponseInitChain
	blocks []recordedBlock
}

type recordedBlock struct {
	request  *abci.RequestFinalizeBlock
	response *abci.ResponseFinalizeBlock
}

// WithRecording notes every block that the chain commits.
func WithRecording(r *Recording) Option { return func(o *options) { o.recording = r } }

func (r *Recording) begin(request *abci.RequestInitChain, response *abci.ResponseInitChain) {
	if r != nil {
		r.init, r.begun = request, response
	}
}

// note keeps a block that ran. One that was never committed is replaced by the one that was.
func (r *Recording) note(request *abci.RequestFinalizeBlock, response *abci.ResponseFinalizeBlock) {
	if r == nil {
		return
	}
	if last := len(r.blocks) - 1; last >= 0 && r.blocks[last].request.Height == request.Height {
		r.blocks = r.blocks[:last]
	}
	r.blocks = append(r.blocks, recordedBlock{request, response})
}

// Height is that of the last block.
func (r *Recording) Height() int64 { return r.blocks[len(r.blocks)-1].request.Height }

// AppHash is what names the state after a block.
func (r *Recording) AppHash(height int64) []byte { return r.at(height).response.AppHash }

func (r *Recording) at(height int64) recordedBlock {
	return r.blocks[height-r.blocks[0].request.Height]
}

// Replay runs all blocks on a fresh node. The first answer that differs from the recorded one, in app hash, results, events
// or validators, fails the test. Before each of the given heights the node is stopped and started again.
func (r *Recording) Replay(t testing.TB, restarts map[int64]bool, opts ...Option) *Chain {
	t.Helper()
	c := Blank(t, opts...)
	response, err := c.App.InitChain(r.init)
	require.NoError(t, err)
	require.Equal(t, marshal(t, r.begun), marshal(t, response), "genesis")
	r.Continue(c, restarts)
	return c
}

// Continue runs the blocks that a node has not seen yet, as Replay does.
func (r *Recording) Continue(c *Chain, restarts map[int64]bool) {
	c.T.Helper()
	for _, block := range r.blocks {
		height := block.request.Height
		if height <= c.App.LastBlockHeight() {
			continue
		}
		if restarts[height] {
			c.Restart()
		}
		response, err := c.App.FinalizeBlock(block.request)
		require.NoError(c.T, err)
		if string(marshal(c.T, block.response)) != string(marshal(c.T, response)) {
			requireSame(c.T, block.response, response, height)
		}
		_, err = c.App.Commit()
		require.NoError(c.T, err)
		c.Time = block.request.Time
	}
}

// requireSame says what differs, the smallest part first.
func requireSame(t testing.TB, want, got *abci.ResponseFinalizeBlock, height int64) {
	t.Helper()
	for i, result := range want.TxResults {
		require.Equal(t, result, got.TxResults[i], "transaction %d of block %d", i, height)
	}
	require.Equal(t, want.Events, got.Events, "events of block %d", height)
	require.Equal(t, want.ValidatorUpdates, got.ValidatorUpdates, "validators of block %d", height)
	require.Equal(t, want, got, "block %d", height)
	t.Fatalf("block %d differs", height)
}

func marshal(t testing.TB, message interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	bytes, err := message.Marshal()
	require.NoError(t, err)
	return bytes
}

// Blank is a node that has no state yet.
func Blank(t testing.TB, opts ...Option) *Chain {
	t.Helper()
	c := empty(t, opts...)
	t.Cleanup(func() { require.NoError(t, c.App.Close()) })
	return c
}

// Summary counts what was recorded, for people.
func (r *Recording) Summary() string {
	txs, failed, updates := 0, 0, 0
	for _, block := range r.blocks {
		txs += len(block.response.TxResults)
		updates += len(block.response.ValidatorUpdates)
		for _, result := range block.response.TxResults {
			if result.Code != 0 {
				failed++
			}
		}
	}
	return fmt.Sprintf("%d blocks, %d transactions of which %d failed, %d changes of validators", len(r.blocks), txs, failed, updates)
}
