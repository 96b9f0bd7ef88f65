package duty

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/identity"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const treeSize = 1000

var (
	errGone  = errors.New("no answer")
	rootOne  = digestNumber(1)
	rootTwo  = digestNumber(2)
	operator = []string{newAddress(), newAddress(), newAddress(), newAddress(), newAddress(), newAddress()}
)

func newAddress() string { return identity.NewKey().Address().String() }

func digestNumber(n int) uai.Digest { return uai.Digest(fmt.Sprintf("sha256:%064x", n)) }

// world is a chain, a clock and nodes, all in step.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	now      time.Time
	replicas int
	refs     map[uai.Digest]uint64
	holds    map[uai.Digest]map[sunstypes.NodeID]bool
	members  []*member
	broken   error // what chain messages fail with
	asked    int   // invitations
	tenant   map[string]map[uai.Digest]bool
	step     time.Duration // between two looks
}

// member is one node.
type member struct {
	w     *world
	node  Node
	store *shelf
	duty  *Duty
	up    bool
}

func newWorld(t *testing.T, nodes, replicas int) *world {
	w := &world{
		t: t, now: time.Unix(1_000_000, 0), replicas: replicas, refs: map[uai.Digest]uint64{},
		holds: map[uai.Digest]map[sunstypes.NodeID]bool{}, tenant: map[string]map[uai.Digest]bool{},
		step: time.Minute,
	}
	for i := range nodes {
		w.add(operator[i%len(operator)], uint64(i+1))
	}
	return w
}

func (w *world) add(operator string, number uint64) *member {
	m := &member{w: w, up: true, store: newShelf(w), node: Node{
		ID: sunstypes.NodeID{Operator: operator, Number: number}, Agent: newAddress(),
		Status: sunstypes.NODE_STATUS_ACTIVE, Addresses: []string{"/ip4/9.9.9.9/tcp/1"},
	}}
	w.members = append(w.members, m)
	m.restart()
	return m
}

// restart forgets all that is not on disk or on chain.
func (m *member) restart() {
	var err error
	m.duty, err = New(Config{
		Node: m.node.ID, Chain: m, Store: m.store, Peers: m, Fetch: m.fetch, Limits: DefaultLimits(), Pace: DefaultPace(),
		Now: func() time.Time { m.w.mu.Lock(); defer m.w.mu.Unlock(); return m.w.now },
	})
	require.NoError(m.w.t, err)
}

func (m *member) status(s sunstypes.NodeStatus) {
	m.node.Status = s
	m.up = m.node.alive()
}

// give has nodes hold a root that the chain refers to.
func (w *world) give(root uai.Digest, members ...*member) {
	w.refs[root]++
	for _, m := range members {
		require.NoError(w.t, m.store.SetRoot(root, treeOf(root), true))
		require.NoError(w.t, m.Announce(w.t.Context(), []uai.Digest{root}))
	}
}

func treeOf(root uai.Digest) []cloud.Blob { return []cloud.Blob{{Digest: root, Size: treeSize}} }

// pass lets time go by; every node looks at all its roots at each step.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.mu.Lock()
		w.now = w.now.Add(w.step)
		w.mu.Unlock()
		for _, m := range w.members {
			if m.up {
				m.round()
			}
			m.store.evict()
		}
		w.check()
	}
}

func (m *member) round() {
	for range m.duty.pinned() {
		root, found := m.duty.next()
		if !found {
			return
		}
		if invite, err := m.duty.Check(m.w.t.Context(), root); err == nil && invite != nil {
			_ = invite(m.w.t.Context())
		}
	}
}

// check: what is announced is pinned, and so survives eviction.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for root, ids := range w.holds {
		for _, m := range w.members {
			if ids[m.node.ID] {
				held, err := m.store.Root(root)
				require.NoError(w.t, err, "%s announced what it does not have", m.node.ID)
				require.True(w.t, held.Pinned)
			}
		}
	}
}

// holders are the nodes that hold a root and are up.
func (w *world) holders(root uai.Digest) []*member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*member
	for _, m := range w.members {
		if m.up && w.holds[root][m.node.ID] {
			all = append(all, m)
		}
	}
	return all
}

// inOrder gives holders by their place for a root.
func inOrder(root uai.Digest, members []*member) []*member {
	slices.SortFunc(members, func(a, b *member) int {
		return cmp.Compare(string(weight(root, a.node.ID)), string(weight(root, b.node.ID)))
	})
	return members
}

// member is a Chain.

func (m *member) Replicas(context.Context) (int, error) { return m.w.replicas, nil }

func (m *member) References(_ context.Context, root uai.Digest) (uint64, error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.w.refs[root], nil
}

func (m *member) Holders(_ context.Context, root uai.Digest) ([]Node, error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	var all []Node
	for _, other := range m.w.members {
		if m.w.holds[root][other.node.ID] {
			all = append(all, other.node)
		}
	}
	return all, nil
}

// Contacts gives two nodes a page.
func (m *member) Contacts(_ context.Context, from []byte) (nodes []Node, next []byte, err error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	at := len(from)
	for _, other := range m.w.members[at:min(at+2, len(m.w.members))] {
		nodes = append(nodes, other.node)
	}
	if at+2 < len(m.w.members) {
		next = make([]byte, at+2)
	}
	return nodes, next, nil
}

func (m *member) Announce(_ context.Context, roots []uai.Digest) error {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	for _, r := range roots {
		if m.w.broken != nil {
			return m.w.broken
		}
		if m.w.holds[r] == nil {
			m.w.holds[r] = map[sunstypes.NodeID]bool{}
		}
		m.w.holds[r][m.node.ID] = true
	}
	return nil
}

func (m *member) Drop(_ context.Context, roots []uai.Digest) error {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if m.w.broken != nil {
		return m.w.broken
	}
	for _, r := range roots {
		if !m.w.holds[r][m.node.ID] {
			return errors.New("not announced")
		}
		delete(m.w.holds[r], m.node.ID)
	}
	return nil
}

// member is Peers.

func (m *member) find(agent string) (*member, error) {
	for _, other := range m.w.members {
		if other.node.Agent == agent && other.up {
			return other, nil
		}
	}
	return nil, errGone
}

func (m *member) Source(_ context.Context, c peer.Contact) (cloud.Source, error) {
	if _, err := m.find(c.Agent); err != nil {
		return nil, err
	}
	return source(c.Agent), nil
}

func (m *member) Hold(ctx context.Context, c peer.Contact, r peer.HoldRequest, _ func(peer.Progress)) error {
	m.w.mu.Lock()
	m.w.asked++
	m.w.mu.Unlock()
	other, err := m.find(c.Agent)
	if err != nil {
		return err
	}
	return other.duty.Hold(ctx, peer.From{Address: m.node.Agent, Source: source(m.node.Agent)}, r, func(peer.Progress) {})
}

// push has a tenant ask a node to hold a root.
func (m *member) push(tenant string, root uai.Digest, size int64) error {
	m.w.mu.Lock()
	if m.w.tenant[tenant] == nil {
		m.w.tenant[tenant] = map[uai.Digest]bool{}
	}
	m.w.tenant[tenant][root] = true
	m.w.mu.Unlock()
	return m.duty.Hold(m.w.t.Context(), peer.From{Address: tenant, Source: source(tenant)},
		peer.HoldRequest{Root: root, Size: size, Purpose: peer.PurposePush}, func(peer.Progress) {})
}

// source is somebody by name.
type source string

func (s source) Name() string { return string(s) }
func (s source) Stat(context.Context, []uai.Digest) (map[uai.Digest]int64, error) {
	return nil, errGone
}

func (s source) Outline(context.Context, uai.Digest) (cloud.Outline, error) {
	return cloud.Outline{}, errGone
}

func (s source) Chunks(context.Context, uai.Digest, int, int) (io.ReadCloser, error) {
	return nil, errGone
}

// fetch takes a tree from a source that has it.
func (m *member) fetch(ctx context.Context, root uai.Digest, sources []cloud.Source, progress func(done, total int64)) ([]cloud.Blob, error) {
	for _, s := range sources {
		m.w.mu.Lock()
		has := m.w.tenant[s.Name()][root]
		m.w.mu.Unlock()
		if other, err := m.find(s.Name()); err == nil {
			_, err := other.store.Root(root)
			has = has || err == nil
		}
		if has {
			progress(treeSize, treeSize)
			return treeOf(root), ctx.Err()
		}
	}
	return nil, errGone
}

// shelf is a Store in memory.
type shelf struct {
	w     *world
	mu    sync.Mutex
	roots map[uai.Digest]blobs.Root
	limit uint64
}

func newShelf(w *world) *shelf { return &shelf{w: w, roots: map[uai.Digest]blobs.Root{}} }

func (s *shelf) Roots() []blobs.Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.roots))
}

func (s *shelf) Root(d uai.Digest) (blobs.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, held := s.roots[d]
	if !held {
		return r, cloud.ErrNotHeld
	}
	return r, nil
}

func (s *shelf) SetRoot(d uai.Digest, tree []cloud.Blob, pin bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots[d] = blobs.Root{Digest: d, Blobs: tree, Size: treeSize, Pinned: pin || s.roots[d].Pinned}
	return nil
}

func (s *shelf) set(d uai.Digest, pin bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, held := s.roots[d]
	if !held {
		return cloud.ErrNotHeld
	}
	r.Pinned = pin
	s.roots[d] = r
	return nil
}

func (s *shelf) Pin(d uai.Digest) error   { return s.set(d, true) }
func (s *shelf) Unpin(d uai.Digest) error { return s.set(d, false) }

func (s *shelf) RemoveRoot(d uai.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.roots, d)
	return nil
}

func (s *shelf) Usage() blobs.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := blobs.Usage{Limit: s.limit}
	for _, r := range s.roots {
		u.Used += treeSize
		if r.Pinned {
			u.Pinned += treeSize
		}
	}
	return u
}

// evict drops all that is not pinned, as a store without room would.
func (s *shelf) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.roots, func(_ uai.Digest, r blobs.Root) bool { return !r.Pinned })
}
