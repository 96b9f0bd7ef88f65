package chain

import (
	"context"
	"fmt"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"
)

// blockSilence is how long a node may tell of no block before it is asked anew, perhaps another one.
const blockSilence = 30 * time.Second

// NewBlocks gives the height of every block that the node in use commits, when its state can be asked for, until ctx ends or
// the node falls silent: then the channel is closed. Blocks that come faster than they are taken are left out. It is a hint,
// for nodes need not offer it and may lag: who waits for something asks from time to time all the same.
func (c *Conn) NewBlocks(ctx context.Context) (<-chan int64, error) {
	url := c.Endpoint()
	rpc, err := rpchttp.New(url, "/websocket")
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", url, err)
	}
	headers, err := subscribe(ctx, rpc, c.cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: subscribe to blocks: %w", url, err)
	}
	blocks := make(chan int64, 1)
	go func() {
		forward(ctx, headers, blocks)
		close(blocks)
		_ = rpc.Stop() // its connection may have broken already
	}()
	return blocks, nil
}

// subscribe connects and asks for headers. Connecting heeds no context: a node that hangs is left behind.
func subscribe(ctx context.Context, rpc *rpchttp.HTTP, timeout time.Duration) (<-chan ctypes.ResultEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connected := make(chan error, 1)
	go func() { connected <- rpc.Start() }()
	select {
	case <-ctx.Done():
		go func() {
			if <-connected == nil {
				_ = rpc.Stop() // nobody wants it any more
			}
		}()
		return nil, context.Cause(ctx)
	case err := <-connected:
		if err != nil {
			return nil, err
		}
	}
	headers, err := rpc.Subscribe(ctx, "", cmttypes.EventQueryNewBlockHeader.String())
	if err != nil {
		_ = rpc.Stop() // the first error says more
	}
	return headers, err
}

// forward passes heights on until ctx ends or no header has come for too long.
func forward(ctx context.Context, headers <-chan ctypes.ResultEvent, blocks chan<- int64) {
	silence := time.NewTimer(blockSilence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-silence.C:
			return
		case event := <-headers:
			header, ok := event.Data.(cmttypes.EventDataNewBlockHeader)
			if !ok {
				continue
			}
			silence.Reset(blockSilence)
			select {
			case blocks <- header.Header.Height:
			default:
			}
		}
	}
}
