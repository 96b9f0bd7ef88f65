package duequeue

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
)

// Returner is a queue that takes back what failed. Queue is one.
type Returner interface {
	// Name is what quarantined items call the queue.
	Name() string
	// Return puts an item in the queue again.
	Return(ctx context.Context, item QuarantinedItem) error
}

// Return puts an item in the queue again, due when it was due before: handlers compare and compute with that time, and it
// is over, so the item is handled in the next block work, before all that became due later.
func (q Queue[K]) Return(ctx context.Context, item QuarantinedItem) error {
	read, key, err := q.decode(item.Key)
	if err != nil || read != len(item.Key) {
		return ErrInvalidKey.Wrapf("item %d of %s: %x", item.Number, q.name, item.Key)
	}
	return q.Push(ctx, item.DueMs, key)
}

// decode reads a key of state, which may be corrupt: a codec that panics on it gives an error.
func (q Queue[K]) decode(raw []byte) (read int, key K, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = ErrInvalidKey.Wrap(panicText(r))
		}
	}()
	return q.keyCodec.Decode(raw)
}

// Retry takes an item out of the quarantine and puts it back into the one of the queues that it came from. It gives
// ErrItemNotFound for a number that is not there, and ErrNotRetryable for work that came from none of the queues. An item
// that fails again is quarantined again, under a number of its own.
func (q Quarantine) Retry(ctx context.Context, number uint64, queues ...Returner) (QuarantinedItem, error) {
	item, err := q.Items.Get(ctx, number)
	if errors.Is(err, collections.ErrNotFound) {
		return item, ErrItemNotFound.Wrapf("number %d", number)
	}
	if err != nil {
		return item, err
	}
	for _, queue := range queues {
		if queue.Name() != item.Queue {
			continue
		}
		if err := queue.Return(ctx, item); err != nil {
			return item, err
		}
		return item, q.Items.Remove(ctx, number)
	}
	return item, ErrNotRetryable.Wrapf("item %d of %q", number, item.Queue)
}
