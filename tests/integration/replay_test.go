package integration_test

import (
	"math/rand"
	"os"
	"strconv"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/baseapp"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
)

// replayBlocks is how many blocks are recorded; ISUN_REPLAY_BLOCKS asks for more.
func replayBlocks(t *testing.T) int64 {
	t.Helper()
	text, set := os.LookupEnv("ISUN_REPLAY_BLOCKS")
	if !set {
		return 2_000
	}
	blocks, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return blocks
}

// record lets a town live, with restarts of its node, a validator that signs twice, and blocks that are minutes apart.
func record(t *testing.T, blocks int64, opts ...chain.Option) *chain.Recording {
	t.Helper()
	recording := &chain.Recording{}
	opts = append(opts, chain.WithRecording(recording), chain.WithDisk(t, t.TempDir()))
	v := newTown(t, 3, opts...)
	t.Cleanup(func() { require.NoError(t, v.App.Close()) })
	for v.App.LastBlockHeight() < blocks {
		height := v.App.LastBlockHeight()
		if height == blocks/2 {
			v.DoubleSign(townValidators - 1)
		}
		if v.chance(400) {
			v.Restart()
		}
		v.day()
		if height%500 == 0 {
			v.CheckInvariants()
		}
	}
	v.CheckInvariants()
	t.Log(recording.Summary())
	return recording
}

// A fresh node that runs the recorded blocks comes to every app hash, result, event and validator again: with one executor in
// memory, and with the other on disk, pruned, stopped and started at any height.
func TestReplayGivesEveryAppHashAgain(t *testing.T) {
	recording := record(t, replayBlocks(t))
	t.Run("sequential", func(t *testing.T) { recording.Replay(t, nil) })
	t.Run("block-stm on disk", func(t *testing.T) {
		draw, restarts := rand.New(rand.NewSource(5)), map[int64]bool{}
		for range 10 {
			restarts[2+draw.Int63n(recording.Height()-2)] = true
		}
		recording.Replay(t, restarts, chain.WithExecutor("block-stm"), chain.WithDisk(t, t.TempDir()),
			chain.WithPreparation(func(a *app.App) {
				baseapp.SetPruning(pruningtypes.NewCustomPruningOptions(2, 10))(a.BaseApp)
			}))
	})
}

// A node that starts from another's snapshot, taken in the middle of a busy chain, has the app hash of that height and comes
// to the same ones from there on.
func TestSnapshotRestoresTheChain(t *testing.T) {
	const interval = 60
	recording := &chain.Recording{}
	v := newTown(t, 9, chain.WithRecording(recording), chain.WithPreparation(withSnapshots(t, interval)))
	for v.App.LastBlockHeight() < interval+40 {
		v.day()
	}
	var list []*abci.Snapshot
	require.Eventually(t, func() bool { // they are written beside the blocks
		response, err := v.App.ListSnapshots(&abci.RequestListSnapshots{})
		require.NoError(t, err)
		list = response.Snapshots
		return len(list) > 0
	}, time.Minute, 10*time.Millisecond)
	snapshot := list[0]
	require.EqualValues(t, interval, snapshot.Height)

	restored := chain.Blank(t, chain.WithPreparation(withSnapshots(t, interval)))
	offer, err := restored.App.OfferSnapshot(&abci.RequestOfferSnapshot{
		Snapshot: snapshot, AppHash: recording.AppHash(interval),
	})
	require.NoError(t, err)
	require.Equal(t, abci.ResponseOfferSnapshot_ACCEPT, offer.Result)
	for i := range snapshot.Chunks {
		chunk, err := v.App.LoadSnapshotChunk(&abci.RequestLoadSnapshotChunk{
			Height: snapshot.Height, Format: snapshot.Format, Chunk: i,
		})
		require.NoError(t, err)
		applied, err := restored.App.ApplySnapshotChunk(&abci.RequestApplySnapshotChunk{Index: i, Chunk: chunk.Chunk})
		require.NoError(t, err)
		require.Equal(t, abci.ResponseApplySnapshotChunk_ACCEPT, applied.Result)
	}
	require.EqualValues(t, interval, restored.App.LastBlockHeight())
	require.Equal(t, recording.AppHash(interval), restored.App.LastCommitID().Hash)
	recording.Continue(restored, nil)
	require.Equal(t, recording.AppHash(recording.Height()), restored.App.LastCommitID().Hash)
	restored.CheckInvariants()
}

// withSnapshots has a node take a snapshot every so many blocks.
func withSnapshots(t *testing.T, interval uint64) func(*app.App) {
	t.Helper()
	store, err := snapshots.NewStore(dbm.NewMemDB(), t.TempDir())
	require.NoError(t, err)
	return func(a *app.App) {
		baseapp.SetSnapshot(store, snapshottypes.NewSnapshotOptions(interval, 2))(a.BaseApp)
	}
}
