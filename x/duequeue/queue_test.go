package duequeue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/testkit"
)

type key = collections.Pair[string, uint64]

var keyCodec codec.KeyCodec[key] = collections.PairKeyCodec(collections.StringKey, collections.Uint64Key)

// fixture is a store with one queue, its quarantine and a record that handlers write.
type fixture struct {
	*testkit.Fixture
	queue      duequeue.Queue[key]
	quarantine duequeue.Quarantine
	done       collections.Map[uint64, string]
	noted      []duequeue.QuarantinedItem
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: testkit.New(t, testkit.Options{StoreKeys: []string{"queues"}})}
	sb := collections.NewSchemaBuilder(f.Store("queues"))
	f.queue = duequeue.NewQueue(sb, collections.NewPrefix(0), "work", keyCodec)
	f.quarantine = duequeue.NewQuarantine(sb, collections.NewPrefix(1), collections.NewPrefix(2), f.Codec)
	f.done = collections.NewMap(sb, collections.NewPrefix(3), "done", collections.Uint64Key, collections.StringValue)
	_, err := sb.Build()
	require.NoError(t, err)
	return f
}

func (f *fixture) push(dueMs uint64, name string, number uint64) {
	f.T.Helper()
	require.NoError(f.T, f.queue.Push(f.Ctx, dueMs, collections.Join(name, number)))
}

func describe(item key) string { return fmt.Sprintf("%s %d", item.K1(), item.K2()) }

// process runs the queue and gives how many items it took.
func (f *fixture) process(now uint64, budget uint32, handle func(context.Context, key, uint64) error) int {
	f.T.Helper()
	taken, err := f.queue.Process(f.Ctx, now, duequeue.Run[key]{
		Budget: budget, Describe: describe, Handle: handle, Quarantine: f.quarantine,
		Quarantined: func(_ context.Context, item duequeue.QuarantinedItem) error {
			f.noted = append(f.noted, item)
			return nil
		},
	})
	require.NoError(f.T, err)
	return taken
}

// left are the items that are still in the queue, by when they are due.
func (f *fixture) left() []string {
	f.T.Helper()
	var left []string
	require.NoError(f.T, f.queue.Entries.Walk(f.Ctx, nil, func(entry collections.Pair[uint64, key]) (bool, error) {
		left = append(left, fmt.Sprintf("%d: %s", entry.K1(), describe(entry.K2())))
		return false, nil
	}))
	return left
}

func (f *fixture) quarantined() []duequeue.QuarantinedItem {
	f.T.Helper()
	items, _, err := f.quarantine.Export(f.Ctx)
	require.NoError(f.T, err)
	return items
}

func TestItemsAreTakenByTimeThenKey(t *testing.T) {
	f := newFixture(t)
	f.push(20, "a", 1)
	f.push(10, "b", 2)
	f.push(10, "b", 1)
	f.push(10, "a", 300)
	f.push(256, "a", 1)

	var order []string
	note := func(_ context.Context, item key, due uint64) error {
		order = append(order, fmt.Sprintf("%d: %s", due, describe(item)))
		return nil
	}
	require.Equal(t, 4, f.process(20, 10, note))
	require.Equal(t, []string{"10: a 300", "10: b 1", "10: b 2", "20: a 1"}, order)
	require.Equal(t, []string{"256: a 1"}, f.left())
}

func TestDueAtItsTime(t *testing.T) {
	for _, tc := range []struct {
		name string
		now  uint64
		want int
	}{
		{"a millisecond before", 99, 0},
		{"at it", 100, 1},
		{"after it", 101, 1},
		{"at the end of time", ^uint64(0), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.push(100, "a", 1)
			due, err := f.queue.Due(f.Ctx, tc.now, 10)
			require.NoError(t, err)
			require.Len(t, due, tc.want)
		})
	}
	t.Run("what is due at the end of time", func(t *testing.T) {
		f := newFixture(t)
		f.push(^uint64(0), "a", 1)
		due, err := f.queue.Due(f.Ctx, ^uint64(0), 10)
		require.NoError(t, err)
		require.Len(t, due, 1)
		due, err = f.queue.Due(f.Ctx, ^uint64(0)-1, 10)
		require.NoError(t, err)
		require.Empty(t, due)
	})
}

func TestBudgetHoldsAndNothingIsLost(t *testing.T) {
	f := newFixture(t)
	for i := range uint64(7) {
		f.push(1, "a", i)
	}
	handled := 0
	count := func(context.Context, key, uint64) error { handled++; return nil }
	require.Zero(t, f.process(1, 0, count))
	require.Equal(t, 3, f.process(1, 3, count))
	require.Len(t, f.left(), 4)
	require.Equal(t, 3, f.process(1, 3, count))
	require.Equal(t, 1, f.process(1, 3, count))
	require.Zero(t, f.process(1, 3, count))
	require.Equal(t, 7, handled)
}

func TestHandlerMayPushAgain(t *testing.T) {
	f := newFixture(t)
	f.push(1, "a", 1)
	handled := 0
	again := func(ctx context.Context, item key, _ uint64) error {
		handled++
		return f.queue.Push(ctx, 1, item)
	}
	// What was pushed while the queue is handled waits for the next time, or a block would never end.
	require.Equal(t, 1, f.process(1, 10, again))
	require.Equal(t, []string{"1: a 1"}, f.left())
	require.Equal(t, 1, f.process(1, 10, again))
	require.Equal(t, 2, handled)
}

func TestHandlerMayTakeOutALaterItem(t *testing.T) {
	f := newFixture(t)
	f.push(1, "a", 1)
	f.push(5, "a", 2)
	f.process(1, 10, func(ctx context.Context, _ key, _ uint64) error {
		return f.queue.Remove(ctx, 5, collections.Join("a", uint64(2)))
	})
	require.Empty(t, f.left())
	require.NoError(t, f.queue.Remove(f.Ctx, 5, collections.Join("a", uint64(2))), "taking out what is not there")
}

func TestFailedItemIsUndoneAndSetAside(t *testing.T) {
	f := newFixture(t)
	for i := range uint64(3) {
		f.push(7, "a", i)
	}
	f.Ctx = f.Ctx.WithEventManager(sdk.NewEventManager())
	failure := errors.New("its record is gone")
	f.process(9, 10, func(ctx context.Context, item key, _ uint64) error {
		sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent("handled", sdk.NewAttribute("item", describe(item))))
		if err := f.done.Set(ctx, item.K2(), "done"); err != nil {
			return err
		}
		if item.K2() == 1 {
			return failure
		}
		return nil
	})
	require.Len(t, f.Ctx.EventManager().Events(), 2, "the events of what failed are dropped")

	for i, want := range []bool{true, false, true} {
		has, err := f.done.Has(f.Ctx, uint64(i))
		require.NoError(t, err)
		require.Equal(t, want, has, i)
	}
	require.Empty(t, f.left())
	item, err := keyBytes(collections.Join("a", uint64(1)))
	require.NoError(t, err)
	want := duequeue.QuarantinedItem{
		Number: 1, Queue: "work", Item: "a 1", Key: item, Error: "its record is gone", Height: f.Ctx.BlockHeight(), DueMs: 7,
	}
	require.Equal(t, []duequeue.QuarantinedItem{want}, f.quarantined())
	require.Equal(t, []duequeue.QuarantinedItem{want}, f.noted)
	// The key is the one of the queue: by it the module can put the item back.
	_, back, err := keyCodec.Decode(f.quarantined()[0].Key)
	require.NoError(t, err)
	require.Equal(t, collections.Join("a", uint64(1)), back)
}

func keyBytes(item key) ([]byte, error) { return collections.EncodeKeyWithPrefix(nil, keyCodec, item) }

type strange struct{ words string }

// runtimeError is a type alone, without the addresses and lengths that such errors tell.
const runtimeError = `^panic: \*?runtime\.[A-Za-z]+$`

// The text of a panic goes into state: it must be the same on every machine and with every version of Go.
func TestPanicsAreQuarantinedInWordsThatAreEqualEverywhere(t *testing.T) {
	for _, tc := range []struct {
		name  string
		panic func()
		want  string
	}{
		{"a string", func() { panic("out of beans") }, `^panic: out of beans$`},
		{"an error", func() { panic(errors.New("out of beans")) }, `^panic: out of beans$`},
		{"a nil map", func() { var m map[string]int; m["a"] = 1 }, runtimeError}, //nolint:staticcheck // the panic is the case
		{"an index", func() { var s []int; _ = s[len(s)] }, runtimeError},
		{"a nil pointer", func() { var s *strange; s.words = "x" }, runtimeError},
		{"another value", func() { panic(&strange{"secret"}) }, `^panic: \*duequeue_test\.strange$`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.push(1, "a", 1)
			f.push(1, "a", 2)
			f.process(1, 10, func(ctx context.Context, item key, _ uint64) error {
				if err := f.done.Set(ctx, item.K2(), "done"); err != nil {
					return err
				}
				if item.K2() == 1 {
					tc.panic()
				}
				return nil
			})
			items := f.quarantined()
			require.Len(t, items, 1)
			require.Regexp(t, tc.want, items[0].Error)
			has, err := f.done.Has(f.Ctx, 1)
			require.NoError(t, err)
			require.False(t, has, "its writes are undone")
			has, err = f.done.Has(f.Ctx, 2)
			require.NoError(t, err)
			require.True(t, has, "the others go on")
		})
	}
}

func TestErrorsInStateAreShortAndText(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"long", strings.Repeat("x", 10_000)},
		{"cut within a letter", strings.Repeat("x", 511) + "é"},
		{"not UTF-8", "image \xff\xfe is not there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.push(1, "a", 1)
			f.process(1, 1, func(context.Context, key, uint64) error { return errors.New(tc.text) })
			text := f.quarantined()[0].Error
			require.NotEmpty(t, text)
			require.LessOrEqual(t, len(text), 512)
			require.True(t, utf8.ValidString(text))
		})
	}
}

func TestIsolatedKeepsAllOrNothing(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, duequeue.Isolated(f.Ctx, func(ctx context.Context) error { return f.done.Set(ctx, 1, "done") }))
	failure := errors.New("no")
	require.ErrorIs(t, duequeue.Isolated(f.Ctx, func(ctx context.Context) error {
		require.NoError(t, f.done.Set(ctx, 2, "done"))
		return failure
	}), failure)
	for number, want := range map[uint64]bool{1: true, 2: false} {
		has, err := f.done.Has(f.Ctx, number)
		require.NoError(t, err)
		require.Equal(t, want, has)
	}
}
