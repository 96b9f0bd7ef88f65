package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/object"
)

// blobsAtOnce of a tree: small ones would wait for each other's answers.
const blobsAtOnce = 3

// Tree has the store hold a root and everything below it, and gives its
// blobs. They stay while it runs; to stay longer they need Store.SetRoot.
// ErrNoSource, cloud.ErrFull, and what object.Walk refuses.
func Tree(ctx context.Context, store *blobs.Store, root uai.Digest, sources []cloud.Source, opts Options) ([]cloud.Blob, error) {
	s := newSession(store, opts)
	defer store.Keep([]uai.Digest{root})()
	tree, err := object.Walk(ctx, root, func(ctx context.Context, digest uai.Digest, maxBytes int64) ([]byte, error) {
		return s.document(ctx, digest, maxBytes, sources)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", root, err)
	}
	var total int64
	digests := make([]uai.Digest, len(tree))
	for i, b := range tree {
		digests[i] = b.Digest
		total += b.Size
	}
	defer store.Keep(digests)()
	// Documents are counted with the rest, once the rest is known.
	s.mu.Lock()
	s.progress = Progress{Total: total}
	s.mu.Unlock()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for _, b := range tree {
		group.Go(func() error { return s.blob(groupCtx, b, sources) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", root, err)
	}
	return tree, nil
}

// document gives an index or manifest, fetched if it is not here. Its size is
// what most sources say, and nobody's word is needed for it in the end: with
// a false one there is no content that fits the digest.
func (s *session) document(ctx context.Context, digest uai.Digest, maxBytes int64, sources []cloud.Source) ([]byte, error) {
	raw, err := s.store.Read(digest, maxBytes)
	if !errors.Is(err, cloud.ErrNotHeld) {
		return raw, err
	}
	errs := []error{fmt.Errorf("%w: %s", ErrNoSource, digest)}
	for _, offer := range s.offers(ctx, digest, maxBytes, sources) {
		err := s.blob(ctx, cloud.Blob{Digest: digest, Size: offer.size}, offer.sources)
		if err == nil {
			return s.store.Read(digest, maxBytes)
		}
		if !errors.Is(err, ErrNoSource) {
			return nil, err
		}
		errs = append(errs, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(errs) == 1 {
		errs = append(errs, cloud.ErrNotHeld)
	}
	return nil, errors.Join(errs...)
}

// offer is a size of a blob and who says so.
type offer struct {
	size    int64
	sources []cloud.Source
}

// offers asks everybody for a blob's size; the one that most say comes first.
func (s *session) offers(ctx context.Context, digest uai.Digest, maxBytes int64, sources []cloud.Source) []offer {
	var mu sync.Mutex
	sizes := map[string]int64{}
	var group sync.WaitGroup
	members := s.members(sources)
	for _, m := range members {
		group.Go(func() {
			size, err := s.stat(ctx, digest, m.source)
			if err != nil {
				if ctx.Err() == nil {
					s.failedToAnswer(m, err)
				}
				return
			}
			mu.Lock()
			sizes[m.source.Name()] = size
			mu.Unlock()
		})
	}
	group.Wait()
	var offers []offer
	for _, m := range members {
		size, ok := sizes[m.source.Name()]
		if !ok || size < 0 || size > maxBytes {
			continue
		}
		i := slices.IndexFunc(offers, func(o offer) bool { return o.size == size })
		if i < 0 {
			offers = append(offers, offer{size: size})
			i = len(offers) - 1
		}
		offers[i].sources = append(offers[i].sources, m.source)
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return cmp.Compare(len(b.sources), len(a.sources)) })
	return offers
}

func (s *session) stat(ctx context.Context, digest uai.Digest, source cloud.Source) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Stall)
	defer cancel()
	sizes, err := source.Stat(ctx, []uai.Digest{digest})
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	size, ok := sizes[digest]
	if !ok {
		return 0, fmt.Errorf("%w: %s", cloud.ErrNotHeld, digest)
	}
	return size, nil
}
