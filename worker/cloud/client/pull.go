package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
)

// mostSources that a pull connects to.
const mostSources = 8

// Dialer connects to nodes; peer.Host is one.
type Dialer interface {
	Source(ctx context.Context, contact peer.Contact) (cloud.Source, error)
}

// Finder says who holds a root; Catalogue is one.
type Finder interface {
	Holders(ctx context.Context, root uai.Digest) ([]Node, error)
}

// Pull brings a root and everything below it into a store and gives its blobs. ErrNoHolder, and those of fetch.Tree.
func Pull(ctx context.Context, finder Finder, dialer Dialer, store *blobs.Store, root uai.Digest, opts fetch.Options) ([]cloud.Blob, error) {
	sources, err := Sources(ctx, finder, dialer, root)
	if err != nil {
		return nil, err
	}
	return fetch.Tree(ctx, store, root, sources, opts)
}

// Sources connects to holders of a root and gives those that answered. ErrNoHolder.
func Sources(ctx context.Context, finder Finder, dialer Dialer, root uai.Digest) ([]cloud.Source, error) {
	holders, err := finder.Holders(ctx, root)
	if err != nil {
		return nil, err
	}
	contacts := make([]peer.Contact, len(holders))
	for i, holder := range holders {
		contacts[i] = holder.Contact
	}
	return Connect(ctx, dialer, root, contacts)
}

// Connect connects to holders of a root, all at once, and gives those that answered. ErrNoHolder.
func Connect(ctx context.Context, dialer Dialer, root uai.Digest, holders []peer.Contact) ([]cloud.Source, error) {
	var mu sync.Mutex
	var sources []cloud.Source
	var failures []error
	var work sync.WaitGroup
	for _, contact := range holders[:min(len(holders), mostSources)] {
		work.Go(func() {
			source, err := dialer.Source(ctx, contact)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
				return
			}
			sources = append(sources, source)
		})
	}
	work.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case len(holders) == 0:
		return nil, fmt.Errorf("%w: %s: the chain knows no holder that is alive", ErrNoHolder, root)
	case len(sources) == 0:
		return nil, fmt.Errorf("%w: %s: %w", ErrNoHolder, root, errors.Join(failures...))
	}
	return sources, nil
}
