// Package node is a worker's part of iSunCloud put together: the store, the
// host that serves it, the registry that the engine pulls from, and what the
// chain is told of them.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/duty"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Chain is what the node asks of the chain and tells it.
type Chain interface {
	duty.Chain
	KeyChain
	// Contact is the node's own as the chain has it, empty if it has none.
	Contact(ctx context.Context) (sunstypes.Contact, error)
	// SetContact has the chain know it.
	SetContact(ctx context.Context, encryptionKey []byte, addresses []string) error
}

// Config says what a node is made of.
type Config struct {
	Dir        string
	LimitBytes uint64
	// ID is the node's, and Key its agent's private key, 32 bytes: peers know
	// the node by it.
	ID  sunstypes.NodeID
	Key []byte
	// EncryptionKey is the node's own, to which shares of keys are sealed.
	EncryptionKey *vault.NodeKey
	// Listen and Announce are multiaddrs; see peer.Config.
	Listen, Announce []string
	// Private reaches addresses of private networks too.
	Private    bool
	UploadMbps uint64
	// Registry is the loopback address the engine pulls from.
	Registry string
	Chain    Chain
	Log      *slog.Logger
}

// Node is open from Open to Close.
type Node struct {
	cfg      Config
	store    *blobs.Store
	host     *peer.Host
	registry *registry.Server
	duty     *duty.Duty
	releaser *vault.Releaser
}

// Open opens the folder and begins to serve. What a process that was killed
// left unfinished is resumed or removed.
func Open(cfg Config) (_ *Node, err error) {
	n := &Node{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.store, err = blobs.Open(blobs.Config{Dir: cfg.Dir, LimitBytes: cfg.LimitBytes, Logger: cfg.Log}); err != nil {
		return nil, err
	}
	n.host, err = peer.New(peer.Config{
		Key: cfg.Key, Listen: cfg.Listen, Announce: cfg.Announce, Private: cfg.Private,
		UploadMbps: float64(cfg.UploadMbps), Library: n.store, Logger: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	if n.registry, err = registry.Listen(cfg.Registry, registry.Config{Store: n.store, Fetcher: fetcher{n}, Logger: cfg.Log}); err != nil {
		return nil, err
	}
	n.duty, err = duty.New(duty.Config{
		Node: cfg.ID, Chain: cfg.Chain, Store: n.store, Peers: n.host, Fetch: n.fetch,
		Limits: duty.DefaultLimits(), Pace: duty.DefaultPace(), Logger: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	n.host.HandleHold(n.duty.Hold)
	n.releaser = vault.NewReleaser(vault.ReleaserConfig{Node: cfg.ID.String(), Key: cfg.EncryptionKey, Chain: cfg.Chain, Log: cfg.Log})
	n.host.HandleKey(n.release)
	return n, nil
}

// Close stops serving.
func (n *Node) Close() error {
	var err error
	if n.registry != nil {
		err = n.registry.Close()
	}
	if n.host != nil {
		err = errors.Join(err, n.host.Close())
	}
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	return err
}

// Run keeps the node's contact on the chain, and looks after what the node
// holds, until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return n.keepContact(ctx) })
	loops.Go(func() error { return n.duty.Run(ctx) })
	return loops.Wait()
}

// Stat implements images.Cloud.
func (n *Node) Stat(digest uai.Digest) (int64, error) { return n.store.Stat(digest) }

// Open implements images.Cloud.
func (n *Node) Open(digest uai.Digest) (cloud.Content, error) { return n.store.Open(digest) }

// Check implements images.Cloud.
func (n *Node) Check(ctx context.Context, digest uai.Digest) (lost []uai.Digest, err error) {
	return n.store.Check(ctx, digest)
}

// Registry implements images.Cloud.
func (n *Node) Registry() string { return n.registry.Address() }

// Fetch implements images.Cloud. What is here whole is not looked for
// elsewhere.
func (n *Node) Fetch(ctx context.Context, root uai.Digest, progress func(done, total int64)) error {
	var sources []cloud.Source
	if _, err := n.store.Root(root); err != nil {
		if sources, err = n.sources(ctx, root); err != nil {
			return err
		}
	}
	tree, err := n.fetch(ctx, root, sources, progress)
	if err != nil {
		return err
	}
	return n.store.SetRoot(root, tree, false)
}

// sources connects to the other nodes that hold a root.
func (n *Node) sources(ctx context.Context, root uai.Digest) ([]cloud.Source, error) {
	holders, err := n.cfg.Chain.Holders(ctx, root)
	if err != nil {
		return nil, err
	}
	var contacts []peer.Contact
	for _, h := range holders {
		if h.ID != n.cfg.ID && cloudclient.Alive(h.Status) {
			contacts = append(contacts, peer.Contact{Agent: h.Agent, Addresses: h.Addresses})
		}
	}
	return cloudclient.Connect(ctx, n.host, root, contacts)
}

// fetch is a duty.Fetch.
func (n *Node) fetch(ctx context.Context, root uai.Digest, sources []cloud.Source, progress func(done, total int64)) ([]cloud.Blob, error) {
	return fetch.Tree(ctx, n.store, root, sources, fetch.Options{
		Progress: func(p fetch.Progress) {
			if progress != nil {
				progress(p.Local+p.Remote, p.Total)
			}
		},
		Report: func(f fetch.Fault) {
			n.cfg.Log.Warn("a source failed", "root", root.String(), "source", f.Source, "how", f.Kind, "error", f.Err)
		},
	})
}

// fetcher is the node as the registry needs it.
type fetcher struct{ node *Node }

// Fetch implements registry.Fetcher.
func (f fetcher) Fetch(ctx context.Context, root uai.Digest) error {
	return f.node.Fetch(ctx, root, nil)
}

const (
	// contactEvery is how often the contact is compared: addresses change with
	// routers and relays.
	contactEvery = time.Minute
	// contactRetry is how soon it is tried again after an error.
	contactRetry = 10 * time.Second
)

// keepContact has the chain know how the node is reached.
func (n *Node) keepContact(ctx context.Context) error {
	failed := false
	for {
		wait := contactEvery
		err := n.setContact(ctx)
		if err != nil && ctx.Err() == nil {
			if !failed {
				n.cfg.Log.Warn("the chain does not know how this node is reached in iSunCloud", "error", err)
			}
			wait = contactRetry
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (n *Node) setContact(ctx context.Context) error {
	known, err := n.cfg.Chain.Contact(ctx)
	if err != nil {
		return err
	}
	addresses := n.host.Addresses()
	if slices.Equal(known.Addresses, addresses) && slices.Equal(known.EncryptionKey, n.cfg.EncryptionKey.Public()) {
		return nil
	}
	err = n.cfg.Chain.SetContact(ctx, n.cfg.EncryptionKey.Public(), addresses)
	if err != nil {
		return fmt.Errorf("set contact: %w", err)
	}
	n.cfg.Log.Info("others reach this node in iSunCloud", "addresses", addresses)
	return nil
}
