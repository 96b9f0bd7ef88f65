// Package duequeue gives the modules their block queues: keys ordered by when they are due, taken a bounded number at a
// time, each handled in a cache context of its own under recover. An item that fails leaves its queue for a quarantine, so
// one bad item can stop neither the rest nor the chain.
package duequeue

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Queue holds items of one kind, ordered by when they are due (chain-clock milliseconds) and then by key. An item may
// stand in it at several times; handlers look at state and pass over what no longer applies.
type Queue[K any] struct {
	// Entries: (due ms, item)
	Entries collections.KeySet[collections.Pair[uint64, K]]

	name     string
	keyCodec codec.KeyCodec[K]
	// calm ends when something is pushed; nil where block work always looks
	calm *Calm
}

// NewQueue adds a queue to a module's schema. The name is used in genesis, in the quarantine and as the collection's name.
func NewQueue[K any](sb *collections.SchemaBuilder, prefix collections.Prefix, name string, keyCodec codec.KeyCodec[K]) Queue[K] {
	return Queue[K]{
		Entries:  collections.NewKeySet(sb, prefix, name, collections.PairKeyCodec(collections.Uint64Key, keyCodec)),
		name:     name,
		keyCodec: keyCodec,
	}
}

// Name is the queue's name.
func (q Queue[K]) Name() string { return q.name }

// Waking is the queue whose pushes end a calm.
func (q Queue[K]) Waking(calm Calm) Queue[K] {
	q.calm = &calm
	return q
}

// Wakes says whether pushes end a calm.
func (q Queue[K]) Wakes() bool { return q.calm != nil }

// Push puts an item in the queue, due at a time in chain-clock milliseconds.
func (q Queue[K]) Push(ctx context.Context, dueMs uint64, item K) error {
	if q.calm != nil {
		if err := q.calm.wake(ctx); err != nil {
			return err
		}
	}
	return q.Entries.Set(ctx, collections.Join(dueMs, item))
}

// PushOnce puts an item in the queue unless it still stands where an earlier call put it: who asks again for what waits
// neither loses his turn nor takes others'. places remembers where that is; an item whose turn came may be put in again.
func (q Queue[K]) PushOnce(ctx context.Context, places collections.Map[K, uint64], dueMs uint64, item K) error {
	place, err := places.Get(ctx, item)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default:
		waits, err := q.Entries.Has(ctx, collections.Join(place, item))
		if err != nil || waits {
			return err
		}
	}
	if err := places.Set(ctx, item, dueMs); err != nil {
		return err
	}
	return q.Push(ctx, dueMs, item)
}

// RestorePlaces computes the places of PushOnce from the queue, after an import.
func (q Queue[K]) RestorePlaces(ctx context.Context, places collections.Map[K, uint64]) error {
	entries, err := q.Due(ctx, ^uint64(0), ^uint32(0))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := places.Set(ctx, entry.K2(), entry.K1()); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes an item out; taking out what is not there is no error.
func (q Queue[K]) Remove(ctx context.Context, dueMs uint64, item K) error {
	return q.Entries.Remove(ctx, collections.Join(dueMs, item))
}

// Due lists at most limit entries that are due at nowMs, in order. The iterator is closed when it returns.
func (q Queue[K]) Due(ctx context.Context, nowMs uint64, limit uint32) ([]collections.Pair[uint64, K], error) {
	if limit == 0 {
		return nil, nil
	}
	rng := new(collections.Range[collections.Pair[uint64, K]])
	if nowMs < ^uint64(0) {
		rng = rng.EndExclusive(collections.PairPrefix[uint64, K](nowMs + 1))
	}
	it, err := q.Entries.Iterate(ctx, rng)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var due []collections.Pair[uint64, K]
	for ; it.Valid() && uint32(len(due)) < limit; it.Next() {
		key, err := it.Key()
		if err != nil {
			return nil, err
		}
		due = append(due, key)
	}
	return due, nil
}

// Next says when the queue's first item is due, if it has any.
func (q Queue[K]) Next(ctx context.Context) (dueMs uint64, found bool, err error) {
	first, err := q.Due(ctx, ^uint64(0), 1)
	if err != nil || len(first) == 0 {
		return 0, false, err
	}
	return first[0].K1(), true, nil
}

// Run says how a queue's items are handled.
type Run[K any] struct {
	// Budget is the most units of work one call does, and so the most items it handles.
	Budget uint32
	// Cost gives the units that the item handled last took; without it, or when it gives 0, an item is one unit. The item
	// that reaches the budget is the last one: a call goes beyond it by less than one item's units.
	Cost func() uint32
	// Describe names an item for people.
	Describe func(K) string
	// Handle does the work of one item. Its writes are kept only if it returns nil.
	Handle func(ctx context.Context, item K, dueMs uint64) error
	// Quarantine takes what fails.
	Quarantine Quarantine
	// Quarantined is called after an item was put there, to emit the module's event.
	Quarantined func(ctx context.Context, item QuarantinedItem) error
}

// Process handles what is due at nowMs, within the budget, and returns how many items it took. Each item leaves the queue
// before it is handled, so a handler may push it again: it is then due in a later call. An error is one of the store:
// nothing else stops the others.
func (q Queue[K]) Process(ctx context.Context, nowMs uint64, run Run[K]) (int, error) {
	due, err := q.Due(ctx, nowMs, run.Budget)
	if err != nil {
		return 0, err
	}
	taken, spent := 0, uint64(0)
	for _, entry := range due {
		if spent >= uint64(run.Budget) {
			break
		}
		taken++
		if err := q.Entries.Remove(ctx, entry); err != nil {
			return 0, err
		}
		failure := Isolated(ctx, func(ctx context.Context) error { return run.Handle(ctx, entry.K2(), entry.K1()) })
		spent += run.cost()
		if failure == nil {
			continue
		}
		if err := q.quarantine(ctx, run, entry, failure); err != nil {
			return 0, err
		}
	}
	return taken, nil
}

func (r Run[K]) cost() uint64 {
	if r.Cost == nil {
		return 1
	}
	return max(1, uint64(r.Cost()))
}

func (q Queue[K]) quarantine(ctx context.Context, run Run[K], entry collections.Pair[uint64, K], failure error) error {
	key := make([]byte, q.keyCodec.Size(entry.K2()))
	if _, err := q.keyCodec.Encode(key, entry.K2()); err != nil {
		return err
	}
	item, err := run.Quarantine.Add(ctx, QuarantinedItem{
		Queue:  q.name,
		Item:   run.Describe(entry.K2()),
		Key:    key,
		Error:  failure.Error(),
		Height: sdk.UnwrapSDKContext(ctx).BlockHeight(),
		DueMs:  entry.K1(),
	})
	if err != nil || run.Quarantined == nil {
		return err
	}
	return run.Quarantined(ctx, item)
}

// Isolated runs work in a cache context and under recover: its writes and events are kept only if it returns nil, and a
// panic is an error. The text of a panic's error holds no stack, since it goes into state and must be equal everywhere.
func Isolated(ctx context.Context, work func(context.Context) error) (err error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cacheCtx, write := sdkCtx.CacheContext()
	defer func() {
		if r := recover(); r != nil {
			sdkCtx.Logger().Error("block work panicked", "panic", r)
			err = fmt.Errorf("panic: %v", panicText(r))
		}
	}()
	if err := work(cacheCtx); err != nil {
		return err
	}
	write()
	return nil
}

// panicText keeps what is the same on every machine: the words of errors and strings. Other values, and runtime errors
// (whose words change between Go versions), are named by type alone.
func panicText(r any) string {
	switch v := r.(type) {
	case interface{ RuntimeError() }:
		return fmt.Sprintf("%T", v)
	case error:
		return v.Error()
	case string:
		return v
	default:
		return fmt.Sprintf("%T", v)
	}
}
