// Package duty is what a node does for content in the background: it holds
// what it is asked to hold, says so on chain, seeks other holders when there
// are too few, and lets go of what nobody needs.
//
// A root that the store has pinned is one that this node announced, or is
// about to. So the store's eviction, which passes pinned roots over, never
// drops what was announced, and a crash between the two steps is mended when
// the root's turn comes: a pinned root that the chain does not list is
// announced again.
//
// Holders agree on who acts without talking. Each sees the same holders on
// chain and orders them by the hash of the digest and the node. The first
// seeks another holder; the next ones do if nothing happened for a while. The
// last lets go if there are too many.
package duty

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Node is a holder, or one that could be.
type Node struct {
	ID        sunstypes.NodeID
	Agent     string
	Status    sunstypes.NodeStatus
	Addresses []string
}

// alive: it serves what it holds.
func (n Node) alive() bool {
	return n.Status == sunstypes.NODE_STATUS_ACTIVE || n.Status == sunstypes.NODE_STATUS_DRAINING
}

func (n Node) contact() peer.Contact { return peer.Contact{Agent: n.Agent, Addresses: n.Addresses} }

// Chain is what the duty asks of the chain.
type Chain interface {
	// Replicas is how many holders content shall have.
	Replicas(ctx context.Context) (int, error)
	// References counts the images, objects and snapshots that are this root.
	References(ctx context.Context, root uai.Digest) (uint64, error)
	// Holders are the nodes that announced a root.
	Holders(ctx context.Context, root uai.Digest) ([]Node, error)
	// Contacts gives a page of nodes that have a contact, from a place on which
	// an earlier page gave; nil is the beginning, and after the end.
	Contacts(ctx context.Context, from []byte) (nodes []Node, next []byte, err error)
	// Announce says that this node holds roots; saying it again is harmless.
	Announce(ctx context.Context, roots []uai.Digest) error
	// Drop says that it does not any more.
	Drop(ctx context.Context, roots []uai.Digest) error
}

// Store is where content lies. *blobs.Store is one.
type Store interface {
	Roots() []blobs.Root
	Root(root uai.Digest) (blobs.Root, error)
	SetRoot(root uai.Digest, tree []cloud.Blob, pin bool) error
	Pin(root uai.Digest) error
	Unpin(root uai.Digest) error
	RemoveRoot(root uai.Digest) error
	Usage() blobs.Usage
}

// Peers reaches other nodes. *peer.Host is one.
type Peers interface {
	Source(ctx context.Context, contact peer.Contact) (cloud.Source, error)
	Hold(ctx context.Context, contact peer.Contact, r peer.HoldRequest, progress func(peer.Progress)) error
}

// Fetch has the store hold a tree, and gives its blobs. Its progress says how
// many bytes are here and how many there are; zero while that is not known.
type Fetch func(ctx context.Context, root uai.Digest, sources []cloud.Source, progress func(done, total int64)) ([]cloud.Blob, error)

// Limits of what others may have this node hold.
type Limits struct {
	// Tree bounds one root's blobs together, in bytes.
	Tree int64
	// Staged bounds what one account has here that the chain does not refer to
	// yet, in bytes.
	Staged int64
	// StagedAll bounds it for all accounts together, in bytes.
	StagedAll int64
	// Transfers bounds how many trees are pulled at once.
	Transfers int
}

// DefaultLimits are those of a node at home.
func DefaultLimits() Limits {
	return Limits{Tree: 64 << 30, Staged: 32 << 30, StagedAll: 128 << 30, Transfers: 4}
}

// Pace is how patient the duty is.
type Pace struct {
	// Cycle is how long all roots take to be looked at once, if Gap allows it.
	Cycle time.Duration
	// Gap is the least time between two roots: many are no burst of queries.
	Gap time.Duration
	// Unwanted is how long a root is kept that the chain does not refer to.
	Unwanted time.Duration
	// Short is how long there must be too few holders before one is sought:
	// nodes that restart come back.
	Short time.Duration
	// Turn is how much longer each next holder waits for those before it.
	Turn time.Duration
	// Surplus is how long there must be too many before one lets go.
	Surplus time.Duration
	// Refused is how long a node that did not take one root is not asked for
	// another.
	Refused time.Duration
	// Contacts is how long the list of nodes is used.
	Contacts time.Duration
}

// DefaultPace is that of a network with blocks of a few seconds.
func DefaultPace() Pace {
	return Pace{
		Cycle: 5 * time.Minute, Gap: 250 * time.Millisecond, Unwanted: time.Hour, Short: 5 * time.Minute, Turn: 15 * time.Minute,
		Surplus: 6 * time.Hour, Refused: 30 * time.Minute, Contacts: time.Hour,
	}
}

// Config is what a duty is made of.
type Config struct {
	Node   sunstypes.NodeID
	Chain  Chain
	Store  Store
	Peers  Peers
	Fetch  Fetch
	Limits Limits
	Pace   Pace
	// Now is the clock; nil is the system's.
	Now    func() time.Time
	Logger *slog.Logger
}

// Duty is a node's. It is safe for concurrent use.
type Duty struct {
	Config

	// moves is held while a root is pinned and announced, or dropped and
	// unpinned: one between the other's two steps would leave a root announced
	// that may be evicted.
	moves sync.Mutex

	mu       sync.Mutex
	records  map[uai.Digest]*record
	pulling  []staged // trees that are on their way
	refused  map[sunstypes.NodeID]time.Time
	contacts contacts
	retiring bool
	cursor   uai.Digest
}

// record is what the duty remembers of a root. A restart begins all waits
// anew, which keeps content for longer and never for less.
type record struct {
	staged
	inviting bool
	// The times since when the root is unwanted, has too few holders, and has
	// too many of which this node is the last. Zero: it is not so.
	unwanted, short, last time.Time
}

// staged is room that an account takes while the chain knows nothing of why.
type staged struct {
	address string // empty: nobody's
	size    int64  // bytes
}

// New makes a duty; Run does it.
func New(config Config) (*Duty, error) {
	if config.Chain == nil || config.Store == nil || config.Peers == nil || config.Fetch == nil {
		return nil, fmt.Errorf("duty: chain, store, peers and fetch are needed")
	}
	if err := config.Node.Validate(); err != nil {
		return nil, fmt.Errorf("duty: %w", err)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Duty{Config: config, records: map[uai.Digest]*record{}, refused: map[sunstypes.NodeID]time.Time{}}, nil
}

// invitesAtOnce is how many roots holders are sought for at the same time.
const invitesAtOnce = 2

// Run looks at one root after the other until ctx ends, and waits for what it
// began.
func (d *Duty) Run(ctx context.Context) error {
	var invites sync.WaitGroup
	defer invites.Wait()
	places := make(chan struct{}, invitesAtOnce)
	for {
		timer := time.NewTimer(d.gap())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		root, found := d.next()
		if !found {
			continue
		}
		invite, err := d.Check(ctx, root)
		if err != nil {
			d.Logger.Warn("a root could not be looked after; it has its turn again", "root", root.Digest, "error", err)
		}
		if invite == nil {
			continue
		}
		select {
		case places <- struct{}{}:
			invites.Go(func() { defer func() { <-places }(); d.tell(root.Digest, invite(ctx)) })
		default: // its turn comes again
			d.invited(root.Digest)
		}
	}
}

func (d *Duty) tell(root uai.Digest, err error) {
	if err != nil {
		d.Logger.Warn("too few nodes hold a root", "root", root, "error", err)
	}
}

// gap is the time to the next root.
func (d *Duty) gap() time.Duration {
	n := len(d.pinned())
	return max(d.Pace.Gap, d.Pace.Cycle/time.Duration(max(n, 1)))
}

// pinned are the roots that this node announced, or is about to, in order.
func (d *Duty) pinned() []blobs.Root {
	roots := slices.DeleteFunc(d.Store.Roots(), func(r blobs.Root) bool { return !r.Pinned })
	slices.SortFunc(roots, func(a, b blobs.Root) int { return cmp.Compare(a.Digest, b.Digest) })
	return roots
}

// next gives the root whose turn it is, and forgets those that are gone.
func (d *Duty) next() (blobs.Root, bool) {
	roots := d.pinned()
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(map[uai.Digest]bool, len(roots))
	for _, r := range roots {
		held[r.Digest] = true
	}
	for digest, r := range d.records {
		if !held[digest] && !r.inviting {
			delete(d.records, digest)
		}
	}
	if len(roots) == 0 {
		return blobs.Root{}, false
	}
	i, _ := slices.BinarySearchFunc(roots, d.cursor+"\x00", func(r blobs.Root, at uai.Digest) int { return cmp.Compare(r.Digest, at) })
	root := roots[i%len(roots)]
	d.cursor = root.Digest
	return root, true
}

// record gives what is remembered of a root. The lock is held.
func (d *Duty) record(root uai.Digest) *record {
	r := d.records[root]
	if r == nil {
		r = &record{}
		d.records[root] = r
	}
	return r
}
