package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	"github.com/isuncoin/isuncoin/worker/identity"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	tenant = "isun1tenant"
	image  = "isun1publisher/web:1"
)

var (
	imageKey = vault.ImageSubject(image)
	leaseKey = vault.LeaseSubject(tenant, 7)
)

// town is a chain that a few nodes with shares see. The rest of node.Chain is
// not asked.
type town struct {
	Chain
	t        *testing.T
	identity *vault.Identity
	nodes    []*Node

	mu         sync.Mutex
	records    map[vault.Subject]vault.Record
	agents     map[string]string
	contacts   map[string]peer.Contact
	placements []vault.Placement
	refused    bool
}

func (w *town) KeyHolders(_ context.Context, s vault.Subject) (vault.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	record, ok := w.records[s]
	if !ok {
		return record, errors.New("nobody was named to hold the key")
	}
	return record, nil
}

func (w *town) NodeByAgent(_ context.Context, agent string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	node, ok := w.agents[agent]
	if !ok {
		return "", errors.New("no such agent")
	}
	return node, nil
}

func (w *town) NodePlacements(_ context.Context, node string, s vault.Subject) (placements []vault.Placement, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.placements {
		if p.Node == node && s.Of(p.Tenant, p.Number, p.Image) {
			placements = append(placements, p)
		}
	}
	return placements, nil
}

func (w *town) MayRun(context.Context, string, string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused {
		return errors.New("image is restricted")
	}
	return nil
}

func (w *town) KeyContact(_ context.Context, node string) (peer.Contact, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	contact, ok := w.contacts[node]
	if !ok {
		return contact, errors.New("node has set no contact")
	}
	return contact, nil
}

// newTown opens nodes; so many of the first hold the keys of the image and of
// the lease, and the last one runs the lease.
func newTown(t *testing.T, nodes, holders, threshold int) *town {
	t.Helper()
	identity, err := vault.NewIdentity()
	require.NoError(t, err)
	w := &town{
		t: t, identity: identity, records: map[vault.Subject]vault.Record{}, agents: map[string]string{}, contacts: map[string]peer.Contact{},
	}
	var sharers []vault.Holder
	for i := range nodes {
		n := w.open()
		if i < holders {
			sharers = append(sharers, vault.Holder{Node: n.cfg.ID.String(), Key: n.cfg.EncryptionKey.Public()})
		}
	}
	for _, subject := range []vault.Subject{imageKey, leaseKey} {
		record, err := vault.Split(w.identity, subject, threshold, sharers)
		require.NoError(t, err)
		w.records[subject] = record
	}
	w.place(nodes-1, nil)
	return w
}

func (w *town) open() *Node {
	w.t.Helper()
	key, err := vault.NewNodeKey()
	require.NoError(w.t, err)
	agent := identity.NewKey()
	n, err := Open(Config{
		Dir: w.t.TempDir(), LimitBytes: 1 << 20, ID: sunstypes.NewNodeID(identity.NewKey().Address(), 1),
		Key: agent.Private().Key, EncryptionKey: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Private: true,
		Registry: "127.0.0.1:0", Chain: w, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, n.Close()) })
	w.nodes = append(w.nodes, n)
	w.know(n.cfg.ID.String(), n.host)
	return n
}

// know has the chain know a host as a node's.
func (w *town) know(node string, host *peer.Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agents[host.Address()] = node
	w.contacts[node] = peer.Contact{Agent: host.Address(), Addresses: host.Addresses()}
}

// place has a node run the lease.
func (w *town) place(i int, change func(*vault.Placement)) {
	p := vault.Placement{Tenant: tenant, Number: 7, Generation: 1, Newest: 1, Node: w.nodes[i].cfg.ID.String(), Live: true, Image: image}
	if change != nil {
		change(&p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.placements = []vault.Placement{p}
}

// requireKey has a node get the key and read what was encrypted to it.
func (w *town) requireKey(n *Node, subject vault.Subject) {
	w.t.Helper()
	key, err := n.Identity(w.t.Context(), string(subject))
	require.NoError(w.t, err)
	recipient, err := vault.ParseRecipient(w.identity.Recipient())
	require.NoError(w.t, err)
	var sealed bytes.Buffer
	out, err := age.Encrypt(&sealed, recipient)
	require.NoError(w.t, err)
	_, err = io.WriteString(out, "layer")
	require.NoError(w.t, errors.Join(err, out.Close()))
	plain, err := age.Decrypt(&sealed, key)
	require.NoError(w.t, err)
	text, err := io.ReadAll(plain)
	require.NoError(w.t, err)
	require.Equal(w.t, "layer", string(text))
}

func TestTheNodeOfAPlacementGetsTheKey(t *testing.T) {
	w := newTown(t, 4, 3, 2)
	for _, subject := range []vault.Subject{imageKey, leaseKey} {
		w.requireKey(w.nodes[3], subject)
	}
	w.place(0, nil) // one that holds a share itself
	w.requireKey(w.nodes[0], imageKey)
}

func TestNobodyElseGetsTheKey(t *testing.T) {
	w := newTown(t, 4, 3, 2)
	refused := func(n *Node, subject vault.Subject, why string) {
		t.Helper()
		_, err := n.Identity(t.Context(), string(subject))
		require.ErrorIs(t, err, vault.ErrTooFew)
		require.ErrorContains(t, err, why)
	}
	for _, subject := range []vault.Subject{imageKey, leaseKey} {
		w.place(0, nil)
		refused(w.nodes[3], subject, "runs no placement")
		refused(w.nodes[1], subject, "runs no placement") // its own share it does not open either
		w.place(3, func(p *vault.Placement) { p.Live = false })
		refused(w.nodes[3], subject, "has ended")
		w.place(3, func(p *vault.Placement) { p.Newest = 2 })
		refused(w.nodes[3], subject, "older")
	}
	w.place(3, nil)
	w.refused = true
	refused(w.nodes[3], imageKey, "restricted")
	w.requireKey(w.nodes[3], leaseKey) // the tenant's own data is the tenant's all the same
	w.refused = false
	delete(w.agents, w.nodes[3].host.Address())
	refused(w.nodes[3], imageKey, "speaks for no node")
}

func TestHoldersThatLieOrAreGoneDoNoHarmAboveTheThreshold(t *testing.T) {
	w := newTown(t, 4, 3, 2)
	liar := w.liar(func(context.Context, peer.From, peer.KeyRequest) ([]byte, error) {
		return vault.Share{Index: 1, Value: [32]byte{1}}.Bytes(), nil
	})
	w.know(w.nodes[0].cfg.ID.String(), liar)
	w.requireKey(w.nodes[3], imageKey)

	require.NoError(t, w.nodes[1].host.Close())
	_, err := w.nodes[3].Identity(t.Context(), string(imageKey))
	require.ErrorIs(t, err, vault.ErrTooFew)
	require.ErrorIs(t, err, vault.ErrFalseShare)
	require.ErrorContains(t, err, w.nodes[1].cfg.ID.String())
}

func TestAHolderThatSendsNonsenseGivesNothing(t *testing.T) {
	w := newTown(t, 2, 1, 1)
	for name, answer := range map[string][]byte{"short": {1}, "endless": make([]byte, 1000), "zero": make([]byte, 37)} {
		t.Run(name, func(t *testing.T) {
			w.know(w.nodes[0].cfg.ID.String(), w.liar(func(context.Context, peer.From, peer.KeyRequest) ([]byte, error) { return answer, nil }))
			_, err := w.nodes[1].Identity(t.Context(), string(imageKey))
			require.ErrorIs(t, err, vault.ErrTooFew)
		})
	}
}

func TestARecordThatLiesGivesNothing(t *testing.T) {
	other, err := vault.NewIdentity()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*vault.Record)
		want   error
	}{
		"of another subject":   {func(r *vault.Record) { r.Subject = leaseKey }, vault.ErrRecord},
		"another recipient":    {func(r *vault.Record) { r.Recipient = other.Recipient() }, vault.ErrTooFew}, // shares are sealed to it
		"a threshold too low":  {func(r *vault.Record) { r.Threshold = 1 }, vault.ErrRecord},
		"other commitments":    {func(r *vault.Record) { r.Commitments[0], r.Commitments[1] = r.Commitments[1], r.Commitments[0] }, vault.ErrTooFew},
		"shares swapped":       {func(r *vault.Record) { r.Shares[0].Sealed, r.Shares[1].Sealed = r.Shares[1].Sealed, r.Shares[0].Sealed }, vault.ErrTooFew},
		"kept by its owner":    {func(r *vault.Record) { r.Threshold, r.Shares, r.Commitments = 0, nil, nil }, vault.ErrKept},
		"a holder that is not": {func(r *vault.Record) { r.Shares[0].Node, r.Shares[1].Node = "isun1nobody/1", "isun1nobody/2" }, vault.ErrTooFew},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, 3, 2, 2)
			record := w.records[imageKey]
			c.change(&record)
			w.records[imageKey] = record
			_, err := w.nodes[2].Identity(t.Context(), string(imageKey))
			require.ErrorIs(t, err, c.want)
		})
	}
	w := newTown(t, 1, 1, 1)
	_, err = w.nodes[0].Identity(t.Context(), "image/isun1publisher/other:1")
	require.ErrorContains(t, err, "nobody was named")
}

func TestAHolderTellsWhyItRefuses(t *testing.T) {
	w := newTown(t, 2, 1, 1)
	stranger, err := peer.New(peer.Config{Key: identity.NewKey().Private().Key, Private: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stranger.Close()) })
	contact, err := w.KeyContact(t.Context(), w.nodes[0].cfg.ID.String())
	require.NoError(t, err)
	for subject, why := range map[string]string{
		string(imageKey): "not entitled", "lease/isun1tenant/07": "subject", "object/isun1tenant/x": "not entitled", "nonsense": "subject",
	} {
		_, err = stranger.Key(t.Context(), contact, peer.KeyRequest{Subject: subject})
		require.ErrorIs(t, err, cloud.ErrRefused)
		require.ErrorContains(t, err, why)
	}
}

// liar is a host that answers requests for shares as it likes.
func (w *town) liar(answer peer.OnKey) *peer.Host {
	w.t.Helper()
	host, err := peer.New(peer.Config{Key: identity.NewKey().Private().Key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Private: true})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, host.Close()) })
	host.HandleKey(answer)
	return host
}
