package duequeue_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/duequeue"
)

// fail puts items in the quarantine.
func (f *fixture) fail(count uint64) {
	f.T.Helper()
	for i := range count {
		f.push(1, "a", i)
	}
	f.process(1, uint32(count), func(_ context.Context, item key, _ uint64) error {
		return fmt.Errorf("failure of %d", item.K2())
	})
}

func TestQuarantineNumbersRise(t *testing.T) {
	f := newFixture(t)
	f.fail(2)
	f.fail(1)
	var numbers []uint64
	for _, item := range f.quarantined() {
		numbers = append(numbers, item.Number)
	}
	require.Equal(t, []uint64{1, 2, 3}, numbers)

	// A number is not given again when its item is gone.
	require.NoError(t, f.quarantine.Items.Remove(f.Ctx, 3))
	item, err := f.quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: "work"})
	require.NoError(t, err)
	require.EqualValues(t, 4, item.Number)
}

func TestQuarantinePages(t *testing.T) {
	f := newFixture(t)
	f.fail(5)
	var seen []uint64
	page := &query.PageRequest{Limit: 2}
	for pages := 1; ; pages++ {
		items, next, err := f.quarantine.Page(f.Ctx, page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(items), 2)
		for _, item := range items {
			seen = append(seen, item.Number)
		}
		if len(next.NextKey) == 0 {
			require.Equal(t, 3, pages)
			break
		}
		page = &query.PageRequest{Key: next.NextKey, Limit: 2}
	}
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, seen)
}

func TestQuarantineExportsWhatItImported(t *testing.T) {
	f := newFixture(t)
	items, last, err := f.quarantine.Export(f.Ctx)
	require.NoError(t, err)
	require.Empty(t, items)
	require.Zero(t, last)

	f.fail(3)
	require.NoError(t, f.quarantine.Items.Remove(f.Ctx, 2))
	items, last, err = f.quarantine.Export(f.Ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, last)

	other := newFixture(t)
	require.NoError(t, other.quarantine.Import(other.Ctx, items, last))
	again, lastAgain, err := other.quarantine.Export(other.Ctx)
	require.NoError(t, err)
	require.Equal(t, items, again)
	require.Equal(t, last, lastAgain)
	other.fail(1)
	require.EqualValues(t, 4, other.quarantined()[2].Number, "numbers go on")
}
