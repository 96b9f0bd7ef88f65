package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"
)

// health is what a look at one endpoint found.
type health struct {
	endpoint *endpoint
	status   *ctypes.ResultStatus
	err      error
}

// check looks at all endpoints at once and puts those of the right chain in order: first those that keep up with the
// chain, then those that are behind, in the order of the configuration.
func (p *pool) check(ctx context.Context) {
	found := p.look(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil && len(p.order) > 0 {
		return
	}
	var good, behind []*endpoint
	var problems []error
	wrongChain := 0
	best := int64(0)
	for _, h := range found {
		if h.err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", h.endpoint.url, h.err))
			continue
		}
		network := h.status.NodeInfo.Network
		if p.chainID == "" {
			p.chainID = network
		}
		if network != p.chainID {
			wrongChain++
			problems = append(problems, fmt.Errorf("%s: %w: the node is on %q, not on %q", h.endpoint.url, ErrWrongChain, network, p.chainID))
			continue
		}
		best = max(best, h.status.SyncInfo.LatestBlockHeight)
	}
	for _, h := range found {
		if h.err != nil || h.status.NodeInfo.Network != p.chainID {
			continue
		}
		if h.status.SyncInfo.CatchingUp || h.status.SyncInfo.LatestBlockHeight+maxLag < best {
			behind = append(behind, h.endpoint)
		} else {
			good = append(good, h.endpoint)
		}
	}
	p.order = append(good, behind...)
	p.checked = p.now()
	p.problems = nil
	switch {
	case len(p.order) > 0 || len(problems) == 0:
	case wrongChain == len(problems):
		p.problems = errors.Join(problems...)
	default:
		p.problems = &UnreachableError{Cause: errors.Join(problems...)}
	}
}

// look asks every endpoint for its status.
func (p *pool) look(ctx context.Context) []health {
	found := make([]health, len(p.endpoints))
	var wg sync.WaitGroup
	for i, e := range p.endpoints {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx, cancel := context.WithTimeout(ctx, p.timeout)
			defer cancel()
			status, err := e.rpc.Status(ctx)
			found[i] = health{endpoint: e, status: status, err: err}
		}()
	}
	wg.Wait()
	return found
}
