package duty

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// ErrNoCandidate: no node takes a root that has too few holders.
var ErrNoCandidate = errors.New("no node takes it")

const (
	// invitesMost is how many nodes are asked in one turn.
	invitesMost = 8
	// holdTime and holdRate, bytes a second, are how long a node may take.
	holdTime = 10 * time.Minute
	holdRate = 512 << 10
	// contactsMost is how many nodes are known at a time. Where there are more,
	// each time the list is read others are in it.
	contactsMost = 4096
)

// contacts is a part of the list of nodes.
type contacts struct {
	nodes []Node
	next  []byte
	read  time.Time
}

// invite asks nodes to hold a root until there are enough.
func (d *Duty) invite(ctx context.Context, root blobs.Root, replicas int) error {
	asked := map[sunstypes.NodeID]bool{}
	var failed []error
	for len(asked) < invitesMost && ctx.Err() == nil {
		// Asked each time: another holder may be inviting as well.
		holders, err := d.Chain.Holders(ctx, root.Digest)
		if err != nil {
			return fmt.Errorf("holders: %w", err)
		}
		if d.enough(holders, replicas) {
			return nil
		}
		candidates, err := d.candidates(ctx, root.Digest, holders)
		if err != nil {
			return err
		}
		candidates = slices.DeleteFunc(candidates, func(n Node) bool { return asked[n.ID] })
		if len(candidates) == 0 {
			break
		}
		asked[candidates[0].ID] = true
		if err := d.ask(ctx, candidates[0], root); err != nil {
			failed = append(failed, err)
		}
	}
	holders, err := d.Chain.Holders(ctx, root.Digest)
	if err == nil && d.enough(holders, replicas) {
		return nil
	}
	return errors.Join(append([]error{fmt.Errorf("%w: %d asked", ErrNoCandidate, len(asked)), err}, failed...)...)
}

// enough tells whether enough nodes hold something, without this one if it is
// about to leave.
func (d *Duty) enough(holders []Node, replicas int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	alive := 0
	for _, n := range holders {
		if n.alive() && (!d.retiring || n.ID != d.Node) {
			alive++
		}
	}
	return alive >= replicas
}

// ask has one node hold a root. One that does not is left alone for a while.
func (d *Duty) ask(ctx context.Context, n Node, root blobs.Root) error {
	ctx, cancel := context.WithTimeout(ctx, holdTime+time.Duration(root.Size/holdRate)*time.Second)
	defer cancel()
	err := d.Peers.Hold(ctx, n.contact(), peer.HoldRequest{Root: root.Digest, Size: root.Size, Purpose: peer.PurposeReplica}, nil)
	if err == nil {
		d.Logger.Info("another node holds a root", "root", root.Digest, "node", n.ID.String())
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused[n.ID] = d.Now().Add(d.Pace.Refused)
	return fmt.Errorf("node %s: %w", n.ID.String(), err)
}

// candidates are the nodes that could hold a root, best first: operators that
// hold none of it before those that do, each in the root's order.
func (d *Duty) candidates(ctx context.Context, root uai.Digest, holders []Node) ([]Node, error) {
	nodes, err := d.nodes(ctx)
	if err != nil {
		return nil, err
	}
	operators := map[string]int{}
	for _, n := range holders {
		if n.alive() {
			operators[n.ID.Operator] = 1
		}
	}
	now := d.Now()
	d.mu.Lock()
	for id, until := range d.refused {
		if !now.Before(until) {
			delete(d.refused, id)
		}
	}
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool {
		_, refused := d.refused[n.ID]
		return refused || n.ID == d.Node || n.Status != sunstypes.NODE_STATUS_ACTIVE || len(n.Addresses) == 0 ||
			rank(holders, n.ID) >= 0
	})
	d.mu.Unlock()
	order(root, nodes, func(n Node) int { return operators[n.ID.Operator] })
	return nodes, nil
}

// nodes gives the list of contacts, read page by page and kept for a while.
func (d *Duty) nodes(ctx context.Context) ([]Node, error) {
	now := d.Now()
	d.mu.Lock()
	known := d.contacts
	d.mu.Unlock()
	if !known.read.IsZero() && now.Sub(known.read) < d.Pace.Contacts {
		return known.nodes, nil
	}
	fresh := contacts{next: known.next, read: now}
	for {
		page, next, err := d.Chain.Contacts(ctx, fresh.next)
		if err != nil {
			return nil, fmt.Errorf("contacts: %w", err)
		}
		fresh.nodes, fresh.next = append(fresh.nodes, page...), next
		if len(next) == 0 || len(fresh.nodes) >= contactsMost {
			break
		}
	}
	d.mu.Lock()
	d.contacts = fresh
	d.mu.Unlock()
	return fresh.nodes, nil
}

// HandOver has others hold what this node holds, before it retires. From then
// on it takes nothing new. It tells of each root that it has done, and ends
// with an error if some have no other home; asking again goes on.
func (d *Duty) HandOver(ctx context.Context, progress func(done, total int)) error {
	d.mu.Lock()
	d.retiring = true
	d.mu.Unlock()
	roots := d.pinned()
	var failed []error
	for i, root := range roots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.handOver(ctx, root); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", root.Digest, err))
		}
		if progress != nil {
			progress(i+1, len(roots))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d roots have too few other holders; ask again later: %w", len(failed), len(roots), errors.Join(failed...))
	}
	return nil
}

func (d *Duty) handOver(ctx context.Context, root blobs.Root) error {
	references, err := d.Chain.References(ctx, root.Digest)
	if err != nil || references == 0 {
		return err
	}
	replicas, err := d.Chain.Replicas(ctx)
	if err != nil {
		return err
	}
	return d.invite(ctx, root, replicas)
}
