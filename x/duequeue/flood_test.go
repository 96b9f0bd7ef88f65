package duequeue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/duequeue"
)

// Items of different sizes take different parts of the budget: the one that reaches it is the last, also when it fails.
func TestBudgetCountsWhatItemsCost(t *testing.T) {
	for name, c := range map[string]struct {
		costs []uint32
		taken int
	}{
		"one each":             {[]uint32{1, 1, 1, 1, 1, 1}, 5},
		"nothing is one unit":  {[]uint32{0, 0, 0, 0, 0, 0}, 5},
		"two and more":         {[]uint32{2, 2, 2, 2, 2, 2}, 3},
		"one beyond all":       {[]uint32{1 << 30, 1}, 1},
		"the largest there is": {[]uint32{^uint32(0), ^uint32(0)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, failing := range []bool{false, true} {
				f := newFixture(t)
				for i := range c.costs {
					f.push(1, "a", uint64(i))
				}
				next := 0
				taken, err := f.queue.Process(f.Ctx, 1, duequeue.Run[key]{
					Budget: 5, Describe: describe, Quarantine: f.quarantine,
					Handle: func(context.Context, key, uint64) error {
						next++
						if failing {
							return errors.New("it fails")
						}
						return nil
					},
					Cost: func() uint32 { return c.costs[next-1] },
				})
				require.NoError(t, err)
				require.Equal(t, c.taken, taken)
				require.Len(t, f.left(), len(c.costs)-c.taken)
			}
		})
	}
}

// Who asks again for what waits keeps his turn and takes nobody else's; when it came, he may ask anew.
func TestPushOnce(t *testing.T) {
	f := newFixture(t)
	sb := collections.NewSchemaBuilder(f.Store("queues"))
	places := collections.NewMap(sb, collections.NewPrefix(100), "places", keyCodec, collections.Uint64Value)
	push := func(due uint64) {
		require.NoError(t, f.queue.PushOnce(f.Ctx, places, due, collections.Join("a", uint64(1))))
	}
	push(10)
	push(20)
	push(5)
	require.Equal(t, []string{"10: a 1"}, f.left())
	require.NoError(t, places.Remove(f.Ctx, collections.Join("a", uint64(1))))
	require.NoError(t, f.queue.RestorePlaces(f.Ctx, places))
	push(20)
	require.Equal(t, []string{"10: a 1"}, f.left(), "an import remembers where it stands")
	f.process(10, 1, func(context.Context, key, uint64) error { return nil })
	push(20)
	require.Equal(t, []string{"20: a 1"}, f.left())
}
