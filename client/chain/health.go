package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// lateness is how much longer than the first endpoint the others may take to tell their status: one that hangs must not hold
// up those that work.
const lateness = time.Second

var errLate = errors.New("it answers much later than others")

// look asks every endpoint for its status.
func (p *pool) look(ctx context.Context) []health {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	p.mu.Lock()
	chainID := p.chainID
	p.mu.Unlock()
	answers := make(chan int, len(p.endpoints))
	asked := make([]health, len(p.endpoints))
	for i, e := range p.endpoints {
		go func() {
			status, err := e.rpc.Status(ctx)
			asked[i] = health{endpoint: e, status: status, err: err}
			answers <- i
		}()
	}

	found := make([]health, len(p.endpoints))
	for i, e := range p.endpoints {
		found[i] = health{endpoint: e, err: errLate}
	}
	var late <-chan time.Time
	for range p.endpoints {
		select {
		case i := <-answers:
			found[i] = asked[i]
			useful := asked[i].err == nil && (chainID == "" || asked[i].status.NodeInfo.Network == chainID)
			if useful && late == nil {
				timer := time.NewTimer(lateness)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			return found
		}
	}
	return found
}
