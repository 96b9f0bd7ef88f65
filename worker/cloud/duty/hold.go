package duty

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
)

// otherSources is how many holders a pull takes from beside the asker.
const otherSources = 3

// Hold is a peer.OnHold: it pulls a root, announces it and returns when both
// are done. Asking again is harmless. cloud.ErrRefused, cloud.ErrFull.
func (d *Duty) Hold(ctx context.Context, from peer.From, r peer.HoldRequest, progress func(peer.Progress)) error {
	holders, err := d.wanted(ctx, from, r)
	if err != nil {
		return err
	}
	taken, err := d.admit(from, r)
	if err != nil {
		return err
	}
	defer d.release(taken)
	tree, err := d.pull(ctx, r, d.sources(ctx, from, holders), progress)
	if err != nil {
		return err
	}
	return d.keep(ctx, r.Root, tree, taken)
}

// wanted tells whether the network needs this node for it, and who has it.
func (d *Duty) wanted(ctx context.Context, from peer.From, r peer.HoldRequest) ([]Node, error) {
	d.mu.Lock()
	retiring := d.retiring
	d.mu.Unlock()
	if retiring {
		return nil, fmt.Errorf("%w: this node retires", cloud.ErrRefused)
	}
	holders, err := d.Chain.Holders(ctx, r.Root)
	if err != nil {
		return nil, fmt.Errorf("holders of %s: %w", r.Root, err)
	}
	holders = slices.DeleteFunc(holders, func(n Node) bool { return n.ID == d.Node || !n.alive() })
	if r.Purpose != peer.PurposeReplica {
		return holders, nil
	}
	references, err := d.Chain.References(ctx, r.Root)
	if err != nil {
		return nil, fmt.Errorf("references to %s: %w", r.Root, err)
	}
	if references == 0 {
		return nil, fmt.Errorf("%w: the chain does not refer to it", cloud.ErrRefused)
	}
	replicas, err := d.Chain.Replicas(ctx)
	if err != nil {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	// Two holders may invite two nodes at once. The asker does not count, for
	// it may be about to retire.
	others := slices.DeleteFunc(slices.Clone(holders), func(n Node) bool { return n.Agent == from.Address })
	if len(others) >= replicas {
		return nil, fmt.Errorf("%w: enough nodes hold it", cloud.ErrRefused)
	}
	return holders, nil
}

// admit makes room, within limits, before anything is moved.
func (d *Duty) admit(from peer.From, r peer.HoldRequest) (staged, error) {
	want := staged{address: from.Address, size: r.Size}
	if r.Purpose == peer.PurposeReplica {
		want.address = "" // the chain knows what it is for
	}
	if r.Size > d.Limits.Tree {
		return want, fmt.Errorf("%w: %d bytes, and this node takes trees of %d at most", cloud.ErrRefused, r.Size, d.Limits.Tree)
	}
	usage := d.Store.Usage()
	held, err := d.Store.Root(r.Root)
	here := err == nil && held.Pinned // and takes no more room
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pulling) >= d.Limits.Transfers {
		return want, fmt.Errorf("%w: this node pulls %d trees already, try again later", cloud.ErrRefused, len(d.pulling))
	}
	coming := int64(0)
	for _, p := range d.pulling {
		coming += p.size
	}
	if !here && usage.Limit > 0 && usage.Pinned+uint64(coming)+uint64(r.Size) > usage.Limit {
		return want, cloud.ErrFull
	}
	if want.address != "" {
		own, all := d.stagedBy(want.address, r.Root)
		if own+r.Size > d.Limits.Staged {
			return want, fmt.Errorf("%w: %d bytes of yours wait to be published, and %d is the limit", cloud.ErrRefused, own, d.Limits.Staged)
		}
		if all+r.Size > d.Limits.StagedAll {
			return want, cloud.ErrFull
		}
	}
	d.pulling = append(d.pulling, want)
	return want, nil
}

// stagedBy sums what an account, and all of them, have here or on the way
// that the chain does not refer to, but for one root. The lock is held.
func (d *Duty) stagedBy(address string, but uai.Digest) (own, all int64) {
	add := func(s staged) {
		if s.address == "" {
			return
		}
		all += s.size
		if s.address == address {
			own += s.size
		}
	}
	for _, p := range d.pulling {
		add(p)
	}
	for root, r := range d.records {
		if root != but {
			add(r.staged)
		}
	}
	return own, all
}

func (d *Duty) release(taken staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.pulling, taken); i >= 0 {
		d.pulling = slices.Delete(d.pulling, i, i+1)
	}
}

// sources are the asker and some who hold it already: a home's upload is
// scarce. Those that cannot be reached are done without.
func (d *Duty) sources(ctx context.Context, from peer.From, holders []Node) []cloud.Source {
	all := []cloud.Source{from.Source}
	for _, n := range holders {
		if len(all) > otherSources {
			break
		}
		if n.Agent == from.Address || len(n.Addresses) == 0 {
			continue
		}
		if s, err := d.Peers.Source(ctx, n.contact()); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// pull fetches the tree, unless it turns out larger than its asker said.
func (d *Duty) pull(ctx context.Context, r peer.HoldRequest, sources []cloud.Source, progress func(peer.Progress)) ([]cloud.Blob, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	larger := fmt.Errorf("%w: the tree is larger than the %d bytes that were asked for", cloud.ErrRefused, r.Size)
	tree, err := d.Fetch(ctx, r.Root, sources, func(done, total int64) {
		if total > r.Size {
			cancel(larger)
		}
		progress(peer.Progress{Done: done, Total: total})
	})
	if cause := context.Cause(ctx); errors.Is(cause, larger) {
		return nil, larger
	}
	if err != nil {
		return nil, err
	}
	var size int64
	for _, b := range tree {
		size += b.Size
	}
	if size > r.Size {
		return nil, larger
	}
	return tree, nil
}

// keep pins a root and then announces it, so that nothing that is announced
// can be evicted. If the chain does not answer, it may still have taken the
// message: the root stays pinned, and its turn to be looked at mends the rest.
func (d *Duty) keep(ctx context.Context, root uai.Digest, tree []cloud.Blob, taken staged) error {
	d.moves.Lock()
	defer d.moves.Unlock()
	if err := d.Store.SetRoot(root, tree, false); err != nil {
		return fmt.Errorf("keep %s: %w", root, err)
	}
	if err := d.Store.Pin(root); err != nil {
		return fmt.Errorf("keep %s: %w", root, err)
	}
	d.mu.Lock()
	r := d.record(root)
	r.staged, r.unwanted = taken, d.Now()
	d.mu.Unlock()
	if err := d.Chain.Announce(ctx, []uai.Digest{root}); err != nil {
		return fmt.Errorf("announce %s: %w", root, err)
	}
	return nil
}
