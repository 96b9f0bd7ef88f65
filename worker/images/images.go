// Package images brings the image of a lease into the container engine: from
// layout folders on this machine, verified byte for byte against the digest
// the chain holds, or else from iSunCloud, or else from a registry, pinned to
// that digest.
package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"golang.org/x/sync/singleflight"

	"github.com/isuncoin/isuncoin/uai"
)

// Sentinels that callers decide by. A variant for another platform only is
// uai.ErrNoPlatform, an image beyond the limits uai.ErrTooLarge.
var (
	// ErrImageNotFound: no layout folder has the image, nobody in iSunCloud
	// holds it and no registry gave it. The message says where it was looked
	// for.
	ErrImageNotFound = errors.New("image not found")
	// ErrDigestMismatch: what was found under the digest is something else.
	ErrDigestMismatch = errors.New("image does not match its digest")
	// ErrRegistryRefused: the reference names a registry this worker does not
	// talk to.
	ErrRegistryRefused = errors.New("registry is not allowed")
)

// DefaultTimeout bounds fetching one image: tens of gigabytes over a home
// connection.
const DefaultTimeout = 2 * time.Hour

// Config says where images come from.
type Config struct {
	// Layouts are OCI layout folders, or folders of such.
	Layouts []string
	// StateFile remembers what was verified, so that a loaded image needs no
	// second look at its layout.
	StateFile string
	// Cloud brings images from iSunCloud; nil if this node is not part of it.
	Cloud Cloud
	// Keys are those of private images; nil if this node gets none.
	Keys Keys
	// MaxBytes bounds what an image weighs as it is sent; 0 means no bound.
	// It is held to before anything is moved.
	MaxBytes int64
	// NoPull forbids registries.
	NoPull bool
	// Registries are the only ones to pull from; empty means any that is not
	// this machine or its local network.
	Registries []string
	// Platform of the engine; zero means this machine's.
	Platform uai.Platform
	// Limits for images from layouts; zero means uai.DefaultLimits.
	Limits uai.Limits
	// Timeout bounds fetching one image; 0 means DefaultTimeout.
	Timeout time.Duration
	// OnProgress is called while an image is fetched, from any goroutine and
	// often; nil if nobody watches.
	OnProgress func(Progress)
	Logger     *slog.Logger
}

// Progress says how far fetching an image has come.
type Progress struct {
	Digest uai.Digest
	Stage  Stage
	// Done and Total are bytes; Total is 0 while it is unknown.
	Done, Total int64
}

// Stage is a step of fetching an image.
type Stage string

// The stages, in order; an image is either loaded or pulled, and fetched and
// checked before only if it comes from iSunCloud.
const (
	StageFind  Stage = "find"
	StageFetch Stage = "fetch"
	StageCheck Stage = "check"
	StageLoad  Stage = "load"
	StagePull  Stage = "pull"
	StageReady Stage = "ready"
)

// Request names an image.
type Request struct {
	// Digest is that of the image's index, as the chain holds it.
	Digest string
	// Reference is where a registry has it, such as
	// "docker.io/library/nginx:1.27", with or without "docker://" before it;
	// empty if nowhere.
	Reference string
	// Subject names the key of a private image, "image/PUBLISHER/NAME:TAG".
	Subject string
	// SizeBytes is what the chain says the image weighs; 0 if it says nothing.
	SizeBytes int64
}

// Image is an image in the engine.
type Image struct {
	// Ref is a local reference that keeps it from being pruned.
	Ref string
	// ID is the engine's content address; unlike Ref nobody can move it to
	// another image, so it is what containers are made from.
	ID string
	// Source says where it came from, for logs: a folder or a reference.
	Source string
	// Subject is the one whose key opened a private image.
	Subject string `json:",omitempty"`
}

// Store resolves images. It is safe for concurrent use.
type Store struct {
	cfg     Config
	engine  Engine
	records *records
	flights singleflight.Group
	closing chan struct{}
	once    sync.Once
}

// New returns a store for an engine.
func New(engine Engine, cfg Config) (*Store, error) {
	if cfg.Platform == (uai.Platform{}) {
		cfg.Platform = uai.HostPlatform()
	}
	if cfg.Limits == (uai.Limits{}) {
		cfg.Limits = uai.DefaultLimits()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnProgress == nil {
		cfg.OnProgress = func(Progress) {}
	}
	records, err := openRecords(cfg.StateFile)
	if err != nil {
		return nil, err
	}
	return &Store{cfg: cfg, engine: engine, records: records, closing: make(chan struct{})}, nil
}

// Close ends fetches that are under way.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	return nil
}

// Resolve makes the engine have the image and returns it. Callers that ask for
// the same digest share one fetch, which goes on when a caller gives up, so
// that the next attempt finds it further on.
//
// Errors: ErrImageNotFound, ErrDigestMismatch, ErrRegistryRefused,
// uai.ErrNoPlatform, uai.ErrTooLarge, uai.ErrMalformed, uai.ErrLocked,
// uai.ErrWrongKey.
func (s *Store) Resolve(ctx context.Context, req Request) (Image, error) {
	digest, err := uai.ParseDigest(req.Digest)
	if err != nil {
		return Image{}, err
	}
	if image, ok, err := s.loaded(ctx, digest, req.Subject); err != nil || ok {
		return image, err
	}
	// The reference is part of the key: only one of two callers may know where
	// the image can be had.
	result := s.flights.DoChan(digest.String()+" "+req.Reference+" "+req.Subject, func() (any, error) {
		work, cancel := s.detach(ctx)
		defer cancel()
		return s.fetch(work, digest, req)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return Image{}, r.Err
		}
		return r.Val.(Image), nil
	case <-ctx.Done():
		return Image{}, fmt.Errorf("image %s is still being fetched: %w", digest, ctx.Err())
	}
}

// detach gives a fetch a deadline of its own; only Close cuts it short.
func (s *Store) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-work.Done():
		}
	}()
	return work, cancel
}

// loaded looks whether the engine still has what was verified before. A private
// image is there only for the subject whose key opened it: anybody can publish
// its digest under a name of his own.
func (s *Store) loaded(ctx context.Context, digest uai.Digest, subject string) (Image, bool, error) {
	image, ok := s.records.get(digest)
	if !ok || image.Subject != "" && image.Subject != subject {
		return Image{}, false, nil
	}
	found, err := s.engine.ImageInspect(ctx, image.ID)
	if cerrdefs.IsNotFound(err) || err == nil && found.ID != image.ID {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("inspect image %s: %w", digest, err)
	}
	return image, true, nil
}

func (s *Store) fetch(ctx context.Context, digest uai.Digest, req Request) (Image, error) {
	s.cfg.OnProgress(Progress{Digest: digest, Stage: StageFind})
	if err := s.fits(req.SizeBytes); err != nil {
		return Image{}, err
	}
	image, err := s.fromLayouts(ctx, digest, req)
	if s.cfg.Cloud != nil && elsewhere(err) {
		image, err = otherwise(err, func() (Image, error) { return s.fromCloud(ctx, digest, req) })
	}
	if req.Reference != "" && !s.cfg.NoPull && elsewhere(err) {
		image, err = otherwise(err, func() (Image, error) { return s.pull(ctx, digest, req.Reference) })
	}
	if err != nil {
		return Image{}, err
	}
	if err := s.records.put(digest, image); err != nil {
		return Image{}, err
	}
	s.cfg.Logger.Info("image is ready", "digest", digest.String(), "from", image.Source, "ref", image.Ref)
	s.cfg.OnProgress(Progress{Digest: digest, Stage: StageReady})
	return image, nil
}

// elsewhere says whether an image may be had from another place: it is not in
// this one, or damaged there. One that is here and cannot be used is the same
// everywhere.
func elsewhere(err error) bool {
	for _, final := range []error{uai.ErrNoPlatform, uai.ErrTooLarge, uai.ErrMalformed, uai.ErrLocked, uai.ErrWrongKey} {
		if errors.Is(err, final) {
			return false
		}
	}
	return errors.Is(err, ErrImageNotFound) || errors.Is(err, ErrDigestMismatch)
}

// otherwise tries the next place; if that fails too, both reasons are told.
func otherwise(before error, next func() (Image, error)) (Image, error) {
	image, err := next()
	if err != nil {
		return Image{}, fmt.Errorf("%w; %w", before, err)
	}
	return image, nil
}

// localRef names an image in the engine by its digest and platform.
func (s *Store) localRef(digest uai.Digest) string {
	const digits = 40 // a name of exactly 64 would be taken for an id
	return fmt.Sprintf("isun/%s:%s", digest.Hex()[:digits], strings.ReplaceAll(s.cfg.Platform.String(), "/", "-"))
}

// Prune removes from the engine the images this store brought in and that
// keep does not list by digest. One that a container still uses stays, and is
// tried again next time.
func (s *Store) Prune(ctx context.Context, keep map[string]bool) error {
	var errs []error
	for digest, image := range s.records.all() {
		if keep[digest.String()] {
			continue
		}
		name := image.Ref
		if image.Subject != "" {
			name = image.ID // each load of a private one is another image, which may have taken the name
		}
		err := s.engine.RemoveTag(ctx, name)
		if pulled := strings.Contains(image.Source, "@"+digest.String()); pulled && err == nil {
			err = s.engine.RemoveTag(ctx, image.Source) // the name it was pulled by
		}
		switch {
		case cerrdefs.IsConflict(err):
			continue
		case err != nil && !cerrdefs.IsNotFound(err):
			errs = append(errs, fmt.Errorf("remove image %s: %w", digest, err))
			continue
		}
		if err := s.records.drop(digest); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
