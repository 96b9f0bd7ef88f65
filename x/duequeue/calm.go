package duequeue

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Calm lets block work pass over a module's queues while nothing is due in any of them. Looking into a queue opens an
// iterator of the store, which is dearer the larger the state is; a calm block reads two records instead.
type Calm struct {
	// Until: nothing is due before this time but what was pushed since it was written
	Until collections.Item[uint64]
	// Pushed: the height of the last block that pushed something
	Pushed collections.Item[uint64]
}

// NewCalm adds what tells a calm block to a module's schema. The queues it is asked for must be Waking it.
func NewCalm(sb *collections.SchemaBuilder, until, pushed collections.Prefix) Calm {
	return Calm{
		Until:  collections.NewItem(sb, until, "calm_until", collections.Uint64Value),
		Pushed: collections.NewItem(sb, pushed, "calm_pushed", collections.Uint64Value),
	}
}

// Holds says that nothing is due at nowMs in any of the queues. A block after one that pushed something looks for itself: it
// may have been pushed after the queues were looked into.
func (c Calm) Holds(ctx context.Context, nowMs uint64) (bool, error) {
	until, err := c.Until.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return false, nil
	}
	if err != nil || nowMs >= until {
		return false, err
	}
	pushed, err := c.lastPush(ctx)
	return pushed+1 < height(ctx), err
}

// Next finds out when the first item of a queue is due, if it has any. Queue and Line do.
type Next interface {
	Next(ctx context.Context) (dueMs uint64, found bool, err error)
}

// Note keeps until when nothing in the queues is due. It is called when they were worked off, and looks only if this block has
// pushed nothing: after a push the next block looks into them anyway.
func (c Calm) Note(ctx context.Context, queues ...Next) error {
	pushed, err := c.lastPush(ctx)
	if err != nil || pushed == height(ctx) {
		return err
	}
	until := ^uint64(0)
	for _, queue := range queues {
		due, found, err := queue.Next(ctx)
		if err != nil {
			return err
		}
		if found {
			until = min(until, due)
		}
	}
	return c.Until.Set(ctx, until)
}

func (c Calm) lastPush(ctx context.Context) (uint64, error) {
	pushed, err := c.Pushed.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return pushed, err
}

// wake notes that something was pushed. It reads nothing, so that transactions which push stay independent of each other, and
// takes no gas: all of a block's write one record.
func (c Calm) wake(ctx context.Context) error {
	return c.Pushed.Set(sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter()), height(ctx))
}

func height(ctx context.Context) uint64 { return uint64(sdk.UnwrapSDKContext(ctx).BlockHeight()) }

// Line is a queue whose items are due as soon as they are pushed, whatever they are ordered by.
type Line[K any] struct{ Queue[K] }

// Next is 0, a time that is over, if the line has an item.
func (l Line[K]) Next(ctx context.Context) (uint64, bool, error) {
	_, found, err := l.Queue.Next(ctx)
	return 0, found, err
}
