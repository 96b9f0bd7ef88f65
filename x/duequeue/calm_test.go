package duequeue_test

import (
	"context"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// calmFixture is a module with a queue and a line that wake it.
type calmFixture struct {
	*testkit.Fixture
	calm        duequeue.Calm
	queue, line duequeue.Queue[key]
	height      int64
}

func newCalmFixture(t *testing.T) *calmFixture {
	t.Helper()
	f := &calmFixture{Fixture: testkit.New(t, testkit.Options{StoreKeys: []string{"queues"}}), height: 1}
	sb := collections.NewSchemaBuilder(f.Store("queues"))
	f.calm = duequeue.NewCalm(sb, collections.NewPrefix(0), collections.NewPrefix(1))
	f.queue = duequeue.NewQueue(sb, collections.NewPrefix(2), "work", keyCodec).Waking(f.calm)
	f.line = duequeue.NewQueue(sb, collections.NewPrefix(3), "line", keyCodec).Waking(f.calm)
	_, err := sb.Build()
	require.NoError(t, err)
	f.Ctx = f.Ctx.WithBlockHeight(f.height)
	return f
}

func (f *calmFixture) nextBlock() {
	f.height++
	f.Ctx = f.Ctx.WithBlockHeight(f.height)
}

// work takes what is due, within a budget, unless the block is calm, and says whether it was.
func (f *calmFixture) work(now uint64, budget uint32) bool {
	f.T.Helper()
	calm, err := f.calm.Holds(f.Ctx, now)
	require.NoError(f.T, err)
	if calm {
		return true
	}
	run := duequeue.Run[key]{Budget: budget, Handle: func(context.Context, key, uint64) error { return nil }}
	_, err = f.queue.Process(f.Ctx, now, run)
	require.NoError(f.T, err)
	_, err = f.line.Process(f.Ctx, ^uint64(0), run)
	require.NoError(f.T, err)
	require.NoError(f.T, f.calm.Note(f.Ctx, f.queue, duequeue.Line[key]{Queue: f.line}))
	return false
}

// A block is calm from the second after a push until the item is due.
func TestCalmLastsUntilTheNextItemIsDue(t *testing.T) {
	f := newCalmFixture(t)
	require.False(t, f.work(1, 5), "a new chain knows nothing yet")
	f.nextBlock()
	require.True(t, f.work(1, 5))
	require.NoError(t, f.queue.Push(f.Ctx, 10, collections.Join("a", uint64(1))))
	for range 2 {
		require.False(t, f.work(2, 5))
		f.nextBlock()
	}
	require.True(t, f.work(9, 5))
	require.False(t, f.work(10, 5))
	next, found, err := f.queue.Next(f.Ctx)
	require.NoError(t, err)
	require.False(t, found, next)
}

// Whatever is pushed, before or after the block's work: a calm block has nothing to do.
func TestCalmBlocksHaveNothingDue(t *testing.T) {
	for seed := range int64(20) {
		f, calm := newCalmFixture(t), 0
		random := rand.New(rand.NewSource(seed))
		push := func(now uint64) {
			if random.Intn(6) > 0 {
				return
			}
			queue, due := f.queue, uint64(random.Intn(int(now)+20))
			if random.Intn(3) == 0 {
				queue = f.line
			}
			require.NoError(t, queue.Push(f.Ctx, due, collections.Join("a", uint64(random.Intn(5)))))
		}
		for now := uint64(1); now < 300; now++ {
			push(now)
			if f.work(now, 1) {
				calm++
				due, err := f.queue.Due(f.Ctx, now, 1)
				require.NoError(t, err)
				require.Empty(t, due)
				waiting, err := f.line.Due(f.Ctx, ^uint64(0), 1)
				require.NoError(t, err)
				require.Empty(t, waiting)
			}
			push(now)
			f.nextBlock()
		}
		require.Positive(t, calm)
	}
}

// All transactions of a block wake the same record, so none may read it, and none pays for it.
func TestWakingIsFree(t *testing.T) {
	gas := func(queue duequeue.Queue[key], f *calmFixture) uint64 {
		ctx := f.Ctx.WithGasMeter(storetypes.NewInfiniteGasMeter())
		require.NoError(t, queue.Push(ctx, 1, collections.Join("a", uint64(1))))
		return ctx.GasMeter().GasConsumed()
	}
	f := newCalmFixture(t)
	sb := collections.NewSchemaBuilder(f.Store("queues"))
	plain := duequeue.NewQueue(sb, collections.NewPrefix(9), "plain", keyCodec)
	require.Equal(t, gas(plain, f), gas(f.queue, f))
}
