package chain

import (
	"context"
	"fmt"
	"time"
)

// Block is where the chain stands.
type Block struct {
	Height int64
	// Time is the block's own time.
	Time time.Time
	// CatchingUp is true while the node that answered is still loading older blocks.
	CatchingUp bool
}

// LatestBlock asks for the newest block.
func (c *Conn) LatestBlock(ctx context.Context) (Block, error) {
	var block Block
	err := c.pool.do(ctx, func(ctx context.Context, rpc rpcClient) error {
		status, err := rpc.Status(ctx)
		if err != nil {
			return err
		}
		block = Block{
			Height:     status.SyncInfo.LatestBlockHeight,
			Time:       status.SyncInfo.LatestBlockTime,
			CatchingUp: status.SyncInfo.CatchingUp,
		}
		return nil
	})
	if err != nil {
		return Block{}, fmt.Errorf("latest block: %w", err)
	}
	return block, nil
}

// WaitHeight returns the newest block once its height is at least the one given. Endpoints may be gone meanwhile; it waits
// until the context ends.
func (c *Conn) WaitHeight(ctx context.Context, height int64) (Block, error) {
	last := int64(0)
	for {
		block, err := c.LatestBlock(ctx)
		if err == nil && block.Height >= height {
			return block, nil
		}
		last = max(last, block.Height)
		if waitErr := c.pause(ctx); waitErr != nil {
			return Block{}, fmt.Errorf("waiting for height %d, the chain is at height %d: %w", height, last, waitErr)
		}
	}
}

// pause waits one poll interval.
func (c *Conn) pause(ctx context.Context) error {
	timer := time.NewTimer(c.cfg.PollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
