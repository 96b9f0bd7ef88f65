package images

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/isuncoin/isuncoin/uai"
)

const (
	// measureTimeout bounds asking a registry for an index and a manifest.
	measureTimeout = time.Minute
	// measureBytes bounds each of its answers: manifests have at most 4 MiB.
	measureBytes = 4 << 20
)

// measure asks a registry what an image weighs there before the engine pulls
// it: an engine has no limit of its own. The reference is pinned, so the
// registry cannot show one manifest and send another.
func (s *Store) measure(ctx context.Context, pinned string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	ref, err := name.NewDigest(pinned)
	if err != nil {
		return 0, fmt.Errorf("%w: reference %q: %w", uai.ErrMalformed, pinned, err)
	}
	p := s.cfg.Platform
	image, err := remote.Image(ref, remote.WithContext(ctx),
		remote.WithPlatform(v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}),
		remote.WithTransport(boundedTransport{s}))
	if err != nil {
		return 0, fmt.Errorf("%w: size of %s: %w", ErrImageNotFound, pinned, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return 0, fmt.Errorf("%w: size of %s: %w", ErrImageNotFound, pinned, err)
	}
	total := manifest.Config.Size
	for _, l := range manifest.Layers {
		if l.Size < 0 || total+l.Size < total {
			return 0, fmt.Errorf("%w: %s announces layers of impossible sizes", uai.ErrMalformed, pinned)
		}
		total += l.Size
	}
	return total, nil
}

// boundedTransport keeps a registry from answering without end, and from
// sending us to this machine or its network, be it by a redirect or as the
// place to log in.
type boundedTransport struct{ store *Store }

// RoundTrip implements http.RoundTripper.
func (b boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := b.store.notLocal(req.URL.Host); err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	response.Body = boundedBody{io.LimitReader(response.Body, measureBytes), response.Body}
	return response, nil
}

// boundedBody ends early; what is cut off is no whole manifest any more.
type boundedBody struct {
	io.Reader
	io.Closer
}
