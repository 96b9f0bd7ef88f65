package chain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	jsonrpc "github.com/cometbft/cometbft/rpc/jsonrpc/client"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	cmttypes "github.com/cometbft/cometbft/types"
)

const (
	// recheckInterval is how old the last look at the endpoints' health may be.
	recheckInterval = 10 * time.Second
	// maxLag is how many blocks an endpoint may be behind the best one before another is preferred. Nodes of one chain
	// are always a block or two apart.
	maxLag = 10
)

// rpcClient is what is needed of a node's RPC.
type rpcClient interface {
	Status(ctx context.Context) (*ctypes.ResultStatus, error)
	ABCIQueryWithOptions(ctx context.Context, path string, data cmtbytes.HexBytes,
		opts rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error)
	BroadcastTxSync(ctx context.Context, tx cmttypes.Tx) (*ctypes.ResultBroadcastTx, error)
	Tx(ctx context.Context, hash []byte, prove bool) (*ctypes.ResultTx, error)
}

// endpoint is one node's RPC.
type endpoint struct {
	url  string
	rpc  rpcClient
	http *http.Client
}

func newEndpoint(url string) (*endpoint, error) {
	httpClient, err := jsonrpc.DefaultHTTPClient(url)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w (an example: tcp://localhost:26657)", url, err)
	}
	rpc, err := rpchttp.NewWithClient(url, "/websocket", httpClient)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w (an example: tcp://localhost:26657)", url, err)
	}
	return &endpoint{url: url, rpc: rpc, http: httpClient}, nil
}

// pool chooses among endpoints. The order holds those that can be used, best first; it is made anew when an endpoint fails
// and every recheckInterval.
type pool struct {
	endpoints []*endpoint
	timeout   time.Duration
	now       func() time.Time

	checking sync.WaitGroup

	mu       sync.Mutex
	chainID  string
	order    []*endpoint
	checked  time.Time
	inCheck  bool
	problems error
}

func newPool(urls []string, chainID string, timeout time.Duration) (*pool, error) {
	p := &pool{chainID: chainID, timeout: timeout, now: time.Now}
	for _, url := range urls {
		e, err := newEndpoint(url)
		if err != nil {
			return nil, err
		}
		p.endpoints = append(p.endpoints, e)
	}
	return p, nil
}

// do makes a call on the best endpoint, and on the next ones while the call fails to reach a node. An error that a node
// answered with is final.
func (p *pool) do(ctx context.Context, call func(context.Context, rpcClient) error) error {
	var failures []error
	tried := make(map[*endpoint]bool, len(p.endpoints))
	for {
		order, err := p.usable(ctx)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		e := firstUntried(order, tried)
		if e == nil {
			return &UnreachableError{Cause: errors.Join(failures...)}
		}
		tried[e] = true
		err = p.attempt(ctx, e, call)
		if err == nil || isAnswer(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", e.url, context.Cause(ctx))
		}
		failures = append(failures, fmt.Errorf("%s: %w", e.url, err))
		p.drop(e)
	}
}

func firstUntried(order []*endpoint, tried map[*endpoint]bool) *endpoint {
	for _, e := range order {
		if !tried[e] {
			return e
		}
	}
	return nil
}

func (p *pool) attempt(ctx context.Context, e *endpoint, call func(context.Context, rpcClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return call(ctx, e.rpc)
}

// usable gives the endpoints to try, best first. It looks at their health itself when none is known to work, and in the
// background when the last look is old, so a hanging endpoint delays nobody.
func (p *pool) usable(ctx context.Context) ([]*endpoint, error) {
	p.mu.Lock()
	order := p.order
	stale := p.now().Sub(p.checked) >= recheckInterval
	if len(order) > 0 && stale && !p.inCheck {
		p.inCheck = true
		p.checking.Add(1)
		go func() {
			defer p.checking.Done()
			p.check(context.WithoutCancel(ctx))
			p.mu.Lock()
			p.inCheck = false
			p.mu.Unlock()
		}()
	}
	p.mu.Unlock()
	if len(order) > 0 {
		return order, nil
	}
	p.check(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) == 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, p.problems
	}
	return p.order, nil
}

// drop takes an endpoint out of use until the next look at its health.
func (p *pool) drop(bad *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := make([]*endpoint, 0, len(p.order))
	for _, e := range p.order {
		if e != bad {
			rest = append(rest, e)
		}
	}
	p.order = rest
}

// current is the URL of the endpoint in use, or of the first one when none works.
func (p *pool) current() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) > 0 {
		return p.order[0].url
	}
	return p.endpoints[0].url
}

func (p *pool) close() {
	p.checking.Wait()
	for _, e := range p.endpoints {
		e.http.CloseIdleConnections()
	}
}

// isAnswer says whether an error came from a node that is fit to answer, so that asking another one is no use.
func isAnswer(err error) bool {
	var answer *rpctypes.RPCError
	if !errors.As(err, &answer) {
		return false
	}
	// A node that catches up refuses transactions; another one takes them.
	return !strings.Contains(answer.Data, "catching up")
}

// isConnectFailure says whether a call failed before anything was sent.
func isConnectFailure(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
