package duequeue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/duequeue"
)

// handled processes what is due and gives when each item was due.
func (f *fixture) handled(now uint64) (dues []uint64) {
	f.T.Helper()
	f.process(now, 10, func(_ context.Context, _ key, dueMs uint64) error {
		dues = append(dues, dueMs)
		return nil
	})
	return dues
}

func TestRetriedItemIsDueWhenItWasBefore(t *testing.T) {
	f := newFixture(t)
	f.fail(3)
	f.push(5, "later", 9)
	item, err := f.quarantine.Retry(f.Ctx, 2, f.queue)
	require.NoError(t, err)
	require.Equal(t, "a 1", item.Item)
	require.Equal(t, []string{"1: a 1", "5: later 9"}, f.left())
	var numbers []uint64
	for _, left := range f.quarantined() {
		numbers = append(numbers, left.Number)
	}
	require.Equal(t, []uint64{1, 3}, numbers)
	require.Equal(t, []uint64{1, 5}, f.handled(9))
}

func TestItemThatFailsAgainGetsANumberOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.fail(1)
	_, err := f.quarantine.Retry(f.Ctx, 1, f.queue)
	require.NoError(t, err)
	f.process(1, 1, func(context.Context, key, uint64) error { panic("still") })
	items := f.quarantined()
	require.Len(t, items, 1)
	require.EqualValues(t, 2, items[0].Number)
	require.Equal(t, "panic: still", items[0].Error)
}

func TestWhatCannotBeRetried(t *testing.T) {
	f := newFixture(t)
	f.fail(1)
	good := f.quarantined()[0].Key
	for name, tc := range map[string]struct {
		item duequeue.QuarantinedItem
		want error
	}{
		"no queue":       {duequeue.QuarantinedItem{Queue: "epochs", Key: good}, duequeue.ErrNotRetryable},
		"no name":        {duequeue.QuarantinedItem{Key: good}, duequeue.ErrNotRetryable},
		"no key":         {duequeue.QuarantinedItem{Queue: "work"}, duequeue.ErrInvalidKey},
		"a short key":    {duequeue.QuarantinedItem{Queue: "work", Key: good[:3]}, duequeue.ErrInvalidKey},
		"a key too long": {duequeue.QuarantinedItem{Queue: "work", Key: append(good[:len(good):len(good)], 1)}, duequeue.ErrInvalidKey},
	} {
		t.Run(name, func(t *testing.T) {
			item, err := f.quarantine.Add(f.Ctx, tc.item)
			require.NoError(t, err)
			before := f.quarantined()
			_, err = f.quarantine.Retry(f.Ctx, item.Number, f.queue)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, before, f.quarantined(), "it stays")
			require.Empty(t, f.left())
		})
	}
	for _, number := range []uint64{0, 7, ^uint64(0)} {
		_, err := f.quarantine.Retry(f.Ctx, number, f.queue)
		require.ErrorIs(t, err, duequeue.ErrItemNotFound)
	}
}
