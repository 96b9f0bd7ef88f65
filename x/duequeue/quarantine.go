package duequeue

import (
	"context"
	"errors"
	"strings"

	"cosmossdk.io/collections"

	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/types/query"
)

// maxErrorBytes bounds the text of an error in state: errors wrap what users sent.
const maxErrorBytes = 512

// Quarantine holds the items of a module's queues that failed.
type Quarantine struct {
	// Items: number -> QuarantinedItem
	Items collections.Map[uint64, QuarantinedItem]
	// Count: the number given last
	Count collections.Item[uint64]
}

// NewQuarantine adds a quarantine to a module's schema.
func NewQuarantine(sb *collections.SchemaBuilder, items, count collections.Prefix, cdc codec.BinaryCodec) Quarantine {
	return Quarantine{
		Items: collections.NewMap(sb, items, "quarantine", collections.Uint64Key, codec.CollValue[QuarantinedItem](cdc)),
		Count: collections.NewItem(sb, count, "quarantine_count", collections.Uint64Value),
	}
}

// Add numbers an item and keeps it.
func (q Quarantine) Add(ctx context.Context, item QuarantinedItem) (QuarantinedItem, error) {
	last, err := q.last(ctx)
	if err != nil {
		return item, err
	}
	item.Number = last + 1
	item.Error = shortText(item.Error)
	if err := q.Count.Set(ctx, item.Number); err != nil {
		return item, err
	}
	return item, q.Items.Set(ctx, item.Number, item)
}

// shortText bounds a text and keeps it valid: errors quote what users sent, and no client decodes a string that is not UTF-8.
func shortText(text string) string {
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes]
	}
	return strings.ToValidUTF8(text, "")
}

func (q Quarantine) last(ctx context.Context) (uint64, error) {
	last, err := q.Count.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return last, err
}

// Page lists items for a query.
func (q Quarantine) Page(ctx context.Context, page *query.PageRequest) ([]QuarantinedItem, *query.PageResponse, error) {
	return query.CollectionPaginate(ctx, q.Items, page,
		func(_ uint64, item QuarantinedItem) (QuarantinedItem, error) { return item, nil })
}

// Import sets what a genesis held.
func (q Quarantine) Import(ctx context.Context, items []QuarantinedItem, last uint64) error {
	for _, item := range items {
		if err := q.Items.Set(ctx, item.Number, item); err != nil {
			return err
		}
	}
	return q.Count.Set(ctx, last)
}

// Export lists everything for a genesis.
func (q Quarantine) Export(ctx context.Context) (items []QuarantinedItem, last uint64, err error) {
	err = q.Items.Walk(ctx, nil, func(_ uint64, item QuarantinedItem) (bool, error) {
		items = append(items, item)
		return false, nil
	})
	if err != nil {
		return nil, 0, err
	}
	last, err = q.last(ctx)
	return items, last, err
}
