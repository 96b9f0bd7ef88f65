package testkit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	coreheader "cosmossdk.io/core/header"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

type blockTime = time.Time

// genesisTime is the time of every fixture's first block.
var genesisTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Blocker is a module's begin or end blocker.
type Blocker func(context.Context) error

type blockers struct{ begin, end, check []Blocker }

// OnBeginBlock adds begin blockers; they run in the order they were added.
func (f *Fixture) OnBeginBlock(more ...Blocker) { f.blockers.begin = append(f.blockers.begin, more...) }

// OnEndBlock adds end blockers. They run after bank's, in the order they were added: add lease's, audit's, then suns's.
func (f *Fixture) OnEndBlock(more ...Blocker) { f.blockers.end = append(f.blockers.end, more...) }

// OnBlockDone adds checks, such as invariants, that must hold at the end of every block.
func (f *Fixture) OnBlockDone(more ...Blocker) { f.blockers.check = append(f.blockers.check, more...) }

// BeginBlock runs the begin blockers of the running block. NextBlock does so for every block but the first.
func (f *Fixture) BeginBlock() {
	f.T.Helper()
	for _, blocker := range f.blockers.begin {
		require.NoError(f.T, blocker(f.Ctx))
	}
}

// EndBlock runs bank's end blocker, then the modules', then the checks, and gives the events they emitted. The block is
// still open for reading; NextBlock ends it for good.
func (f *Fixture) EndBlock() sdk.Events {
	f.T.Helper()
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager())
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(ctx))
	for _, blocker := range f.blockers.end {
		require.NoError(f.T, blocker(ctx))
	}
	for _, check := range f.blockers.check {
		require.NoError(f.T, check(ctx), "at the end of block %d", f.Ctx.BlockHeight())
	}
	return ctx.EventManager().Events()
}

// Commit writes the running block and opens the next one, d later, without running its begin blockers. It empties the
// object store, so it must follow EndBlock: bank would credit the same virtual sends twice.
func (f *Fixture) Commit(d time.Duration) {
	f.T.Helper()
	f.stores.Commit()
	f.txs = 0
	f.Ctx = f.newContext(f.Ctx.BlockHeight()+1, f.Ctx.BlockTime().Add(d))
}

// NextBlock ends the running block, commits it and begins the next one, d later. It gives the end blockers' events.
func (f *Fixture) NextBlock(d time.Duration) sdk.Events {
	f.T.Helper()
	events := f.EndBlock()
	f.Commit(d)
	f.BeginBlock()
	return events
}

// Advance passes time in blocks of at most step.
func (f *Fixture) Advance(total, step time.Duration) {
	f.T.Helper()
	require.Positive(f.T, step)
	for total > 0 {
		d := min(step, total)
		f.NextBlock(d)
		total -= d
	}
}

// Deliver runs work as one transaction: in a cache context with its own transaction index and events, written only if work
// succeeds. It gives the transaction's events.
func (f *Fixture) Deliver(work func(ctx sdk.Context) error) (sdk.Events, error) {
	cache := f.Ctx.MultiStore().CacheMultiStore()
	ctx := f.Ctx.WithMultiStore(cache).
		WithEventManager(sdk.NewEventManager()).
		WithGasMeter(storetypes.NewInfiniteGasMeter()).
		WithTxIndex(f.txs)
	f.txs++
	if err := work(ctx); err != nil {
		return nil, err
	}
	cache.Write()
	return ctx.EventManager().Events(), nil
}

// HeaderHash is the hash of a fixture's block: equal for equal heights, and otherwise random enough to break ties.
func HeaderHash(height int64) []byte {
	hash := sha256.Sum256([]byte(fmt.Sprintf("%s block %d", ChainID, height)))
	return hash[:]
}

func headerInfo(height int64, at time.Time) coreheader.Info {
	return coreheader.Info{ChainID: ChainID, Height: height, Time: at, Hash: HeaderHash(height)}
}
