package duty

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Invite seeks holders for a root; it takes as long as they take to pull it.
type Invite func(context.Context) error

// Check looks at one root that this node pinned, and does what is its part.
// What takes long it gives back to be done; that must be run once.
func (d *Duty) Check(ctx context.Context, root blobs.Root) (Invite, error) {
	references, err := d.Chain.References(ctx, root.Digest)
	if err != nil {
		return nil, fmt.Errorf("references: %w", err)
	}
	holders, err := d.Chain.Holders(ctx, root.Digest)
	if err != nil {
		return nil, fmt.Errorf("holders: %w", err)
	}
	if references == 0 {
		return nil, d.unwanted(ctx, root.Digest)
	}
	replicas, err := d.Chain.Replicas(ctx)
	if err != nil {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	if rank(holders, d.Node) < 0 && !d.retires() {
		d.moves.Lock()
		defer d.moves.Unlock()
		if held, err := d.Store.Root(root.Digest); err != nil || !held.Pinned {
			return nil, nil // it went meanwhile
		}
		if err := d.Chain.Announce(ctx, []uai.Digest{root.Digest}); err != nil {
			return nil, fmt.Errorf("announce: %w", err)
		}
		return nil, nil // and look again when everybody sees it
	}
	return d.balance(ctx, root, holders, replicas)
}

func (d *Duty) retires() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.retiring
}

// unwanted lets go of what nothing on chain has referred to for a while.
func (d *Duty) unwanted(ctx context.Context, root uai.Digest) error {
	d.moves.Lock()
	defer d.moves.Unlock()
	now := d.Now()
	d.mu.Lock()
	r := d.record(root)
	r.short, r.last = time.Time{}, time.Time{}
	if r.unwanted.IsZero() {
		r.unwanted = now
	}
	wait := now.Sub(r.unwanted) < d.Pace.Unwanted
	d.mu.Unlock()
	if wait {
		return nil
	}
	if err := d.letGo(ctx, root); err != nil {
		return err
	}
	d.Logger.Info("dropped content that nothing on chain refers to", "root", root)
	return d.Store.RemoveRoot(root)
}

// letGo takes a root off the chain, and only then may it be evicted. moves is
// held.
func (d *Duty) letGo(ctx context.Context, root uai.Digest) error {
	holders, err := d.Chain.Holders(ctx, root)
	if err != nil {
		return fmt.Errorf("holders: %w", err)
	}
	if rank(holders, d.Node) >= 0 {
		if err := d.Chain.Drop(ctx, []uai.Digest{root}); err != nil {
			return fmt.Errorf("drop: %w", err)
		}
	}
	d.mu.Lock()
	delete(d.records, root)
	d.mu.Unlock()
	return d.Store.Unpin(root)
}

// balance acts if there are too few or too many holders and it is this node's
// turn.
func (d *Duty) balance(ctx context.Context, root blobs.Root, holders []Node, replicas int) (Invite, error) {
	alive := slices.DeleteFunc(slices.Clone(holders), func(n Node) bool { return !n.alive() })
	order(root.Digest, alive, nil)
	place := rank(alive, d.Node)
	now := d.Now()

	d.mu.Lock()
	r := d.record(root.Digest)
	r.staged, r.unwanted = staged{}, time.Time{}
	few, many := len(alive) < replicas, d.mayGo(alive, replicas)
	if d.retiring {
		few, many = len(alive)-1 < replicas, false
	}
	r.short, r.last = since(r.short, few, now), since(r.last, many, now)
	turn := d.Pace.Short + time.Duration(max(place, 0))*d.Pace.Turn
	invite := few && place >= 0 && !r.inviting && (d.retiring || now.Sub(r.short) >= turn)
	if invite {
		r.inviting = true
	}
	leave := many && now.Sub(r.last) >= d.Pace.Surplus
	d.mu.Unlock()

	switch {
	case invite:
		return func(ctx context.Context) error {
			defer d.invited(root.Digest)
			return d.invite(ctx, root, replicas)
		}, nil
	case leave:
		d.Logger.Info("enough other nodes hold a root", "root", root.Digest, "holders", len(alive))
		d.moves.Lock()
		defer d.moves.Unlock()
		return nil, d.letGo(ctx, root.Digest)
	default:
		return nil, nil
	}
}

// since is when something began to be so, or zero if it is not.
func since(was time.Time, is bool, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case was.IsZero():
		return now
	default:
		return was
	}
}

// mayGo tells whether this node is the one to go if there are too many: the
// last of the active ones. Only active nodes count, for one that drains may
// leave soon. The next one's wait begins when this one is gone, so they go one
// at a time.
func (d *Duty) mayGo(alive []Node, replicas int) bool {
	active := slices.DeleteFunc(slices.Clone(alive), func(n Node) bool { return n.Status != sunstypes.NODE_STATUS_ACTIVE })
	return len(active) > replicas && active[len(active)-1].ID == d.Node
}

// invited says that nobody is sought for a root any more.
func (d *Duty) invited(root uai.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.records[root]; r != nil {
		r.inviting = false
	}
}
