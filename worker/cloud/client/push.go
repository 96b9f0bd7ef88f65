package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
)

// announcedWithin is how long a node that holds a root may take until the chain says so.
const announcedWithin = 2 * time.Minute

// Market is what a push asks of the chain.
type Market interface {
	Holders(ctx context.Context, root uai.Digest) ([]Node, error)
	Candidates(ctx context.Context) ([]Node, error)
	Agent(ctx context.Context, node Node) (Node, bool, error)
}

// Holder has a node hold a root; peer.Host is one.
type Holder interface {
	Hold(ctx context.Context, contact peer.Contact, r peer.HoldRequest, progress func(peer.Progress)) error
}

// Push says what to bring into iSunCloud.
type Push struct {
	Root uai.Digest
	// Size is that of the whole tree in bytes.
	Size int64
	// Replicas is how many nodes are to hold it, on as many operators as there are.
	Replicas int
	// Progress is told how far a node is, from any goroutine; may be nil.
	Progress func(node string, p peer.Progress)
	// Poll is how often the chain is asked for announcements; 0 means a second.
	Poll time.Duration
}

// Do returns the nodes that hold the root once the chain says that enough do. What is held already is not sent again, so a
// push that was interrupted is simply made again. ErrTooFewHolders.
func (p Push) Do(ctx context.Context, market Market, holder Holder) ([]Node, error) {
	holders, err := market.Holders(ctx, p.Root)
	if err != nil {
		return nil, err
	}
	if len(holders) >= p.Replicas {
		return holders, nil
	}
	candidates, err := market.Candidates(ctx)
	if err != nil {
		return nil, err
	}
	took, err := p.place(ctx, market, holder, spread(candidates, holders), p.Replicas-len(holders))
	if err != nil {
		return nil, err
	}
	return p.announced(ctx, market, append(holders, took...))
}

// spread orders candidates: one of each operator that holds nothing yet, in random order, then the others.
func spread(candidates, holders []Node) []Node {
	rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	operators := map[string]bool{}
	for _, h := range holders {
		operators[h.ID.Operator] = true
	}
	var first, later []Node
	for _, c := range candidates {
		switch {
		case slices.ContainsFunc(holders, func(h Node) bool { return h.ID == c.ID }):
		case operators[c.ID.Operator]:
			later = append(later, c)
		default:
			operators[c.ID.Operator] = true
			first = append(first, c)
		}
	}
	return append(first, later...)
}

// place has so many of the candidates hold the root, several at a time; for one that does not, the next is asked.
func (p Push) place(ctx context.Context, market Market, holder Holder, candidates []Node, count int) ([]Node, error) {
	var mu sync.Mutex
	var took []Node
	var failures []error
	next := 0
	take := func() (Node, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(candidates) {
			return Node{}, false
		}
		next++
		return candidates[next-1], true
	}
	var work sync.WaitGroup
	for range count {
		work.Go(func() {
			for ctx.Err() == nil {
				candidate, ok := take()
				if !ok {
					return
				}
				node, err := p.hold(ctx, market, holder, candidate)
				mu.Lock()
				if err == nil {
					took = append(took, node)
					mu.Unlock()
					return
				}
				failures = append(failures, fmt.Errorf("node %s: %w", candidate.ID, err))
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(took) < count {
		return nil, fmt.Errorf("%w: %d of %d; %d nodes say how they are reached: %w",
			ErrTooFewHolders, len(took), count, len(candidates), errors.Join(failures...))
	}
	return took, nil
}

var errInactive = errors.New("it is not active")

func (p Push) hold(ctx context.Context, market Market, holder Holder, candidate Node) (Node, error) {
	node, active, err := market.Agent(ctx, candidate)
	if err != nil {
		return node, err
	}
	if !active {
		return node, errInactive
	}
	request := peer.HoldRequest{Root: p.Root, Size: p.Size, Purpose: peer.PurposePush}
	return node, holder.Hold(ctx, node.Contact, request, func(done peer.Progress) {
		if p.Progress != nil {
			p.Progress(node.ID.String(), done)
		}
	})
}

// announced waits until the chain knows the nodes as holders.
func (p Push) announced(ctx context.Context, market Market, expected []Node) ([]Node, error) {
	poll := p.Poll
	if poll == 0 {
		poll = time.Second
	}
	wait, cancel := context.WithTimeout(ctx, announcedWithin)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		holders, err := market.Holders(wait, p.Root)
		if err == nil && len(holders) >= p.Replicas {
			return holders, nil
		}
		select {
		case <-ticker.C:
		case <-wait.Done():
			return nil, fmt.Errorf("%w: %d nodes took it, and after %s the chain knows %d of them; push again",
				ErrTooFewHolders, len(expected), announcedWithin, len(holders))
		}
	}
}
