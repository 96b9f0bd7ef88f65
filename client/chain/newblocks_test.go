package chain_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/isuncoin/isuncoin/client/chain"
)

// threeBlocks is a node's websocket, which tells every subscriber of blocks 7 to 9.
func threeBlocks() http.HandlerFunc {
	subscribe := func(ctx *rpctypes.Context, query string) (*ctypes.ResultSubscribe, error) {
		go func() {
			for height := int64(7); height < 10; height++ {
				event := &ctypes.ResultEvent{
					Query: query, Data: cmttypes.EventDataNewBlockHeader{Header: cmttypes.Header{Height: height}},
				}
				_ = ctx.WSConn.WriteRPCResponse(ctx.Context(), rpctypes.NewRPCSuccessResponse(ctx.JSONReq.ID, event))
				select {
				case <-ctx.Context().Done():
				case <-time.After(20 * time.Millisecond): // the pace of the chain
				}
			}
		}()
		return &ctypes.ResultSubscribe{}, nil
	}
	manager := rpcserver.NewWebsocketManager(map[string]*rpcserver.RPCFunc{
		"subscribe": rpcserver.NewWSRPCFunc(subscribe, "query"),
	})
	return manager.WebsocketHandler
}

// dialBlocks connects to a node with a websocket.
func dialBlocks(t *testing.T, websocket http.HandlerFunc) *chain.Conn {
	t.Helper()
	status := func(*rpctypes.Context) (*ctypes.ResultStatus, error) {
		return &ctypes.ResultStatus{NodeInfo: p2p.DefaultNodeInfo{Network: "isun-1"}}, nil
	}
	mux := http.NewServeMux()
	rpcserver.RegisterRPCFuncs(mux, map[string]*rpcserver.RPCFunc{"status": rpcserver.NewRPCFunc(status, "")}, log.NewNopLogger())
	mux.HandleFunc("/websocket", websocket)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return dial(t, chain.Config{Endpoints: []string{server.URL}})
}

func TestNewBlocksAreToldAsTheyCome(t *testing.T) {
	conn := dialBlocks(t, threeBlocks())
	ctx, cancel := context.WithCancel(t.Context())
	blocks, err := conn.NewBlocks(ctx)
	require.NoError(t, err)
	last := int64(0)
	for last < 9 {
		height := <-blocks
		require.Greater(t, height, last)
		last = height
	}
	cancel()
	_, open := <-blocks
	require.False(t, open)
}

func TestNewBlocksOfANodeWithoutThemIsAnError(t *testing.T) {
	_, err := newBench(t).conn.NewBlocks(t.Context())
	require.ErrorContains(t, err, "subscribe to blocks")
}

func TestNewBlocksWaitsForNoNodeThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	conn := dialBlocks(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	_, err := conn.NewBlocks(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
