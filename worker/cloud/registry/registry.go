// Package registry serves a node's blobs as the OCI distribution API on
// loopback, so that a container engine, skopeo or oras reads iSunCloud as it
// reads any registry.
//
// Two kinds of repositories are in it. "isun/HEX" is the tree below the root
// sha256:HEX: everything of it is read by digest, and what is missing is
// fetched from iSunCloud first. All other names, "PUBLISHER/NAME", hold what
// was pushed here, with tags and referrers; a registry without a file for
// those is read-only.
//
// Who reaches the loopback interface is trusted to read and, where pushing is
// on, to write: a digest is no secret, and nothing here is run by its being
// here. Web pages, which reach loopback too, are refused.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Defaults of Config.
const (
	// DefaultMaxBlobBytes is as much as images of large models need in a layer.
	DefaultMaxBlobBytes = 64 << 30
	// DefaultMaxUploads bounds files open for writing; engines send a handful
	// at once.
	DefaultMaxUploads = 64
	// DefaultUploadExpiry is how long an upload waits for its next piece.
	DefaultUploadExpiry = time.Hour
	// DefaultStallTimeout is what a client has for each piece of a transfer.
	DefaultStallTimeout = 30 * time.Second
	// DefaultFetchTimeout suits tens of gigabytes over a home connection.
	DefaultFetchTimeout = 2 * time.Hour
)

const (
	// maxManifestBytes bounds an index or manifest, as the distribution
	// specification suggests.
	maxManifestBytes = 4 << 20
	// maxObjects bounds the JSON objects of one, more than descriptors fit into
	// it: read, an empty object takes fifty times what it takes in the text.
	maxObjects = 50_000
	// maxReceiving bounds manifests that are being sent to us.
	maxReceiving = 8
	// maxParsing bounds manifests that are being read.
	maxParsing = 2
)

// Store is what a registry needs of a folder of blobs.
type Store interface {
	// Stat gives the size of a blob in bytes. cloud.ErrNotHeld.
	Stat(digest uai.Digest) (int64, error)
	// Open opens a blob. cloud.ErrNotHeld.
	Open(digest uai.Digest) (cloud.Content, error)
	// Put stores a blob, which has to be what is wanted. cloud.ErrFull.
	Put(ctx context.Context, r io.Reader, want cloud.Blob) error
	// SetRoot says which blobs are held for a root, and whether they stay
	// whatever room is needed.
	SetRoot(root uai.Digest, blobs []cloud.Blob, pin bool) error
	// Unpin lets a root go when room is needed.
	Unpin(root uai.Digest) error
}

// Draft is a blob that is being written to disk.
type Draft interface {
	io.Writer
	// Commit stores it if it has the digest. uai.ErrMismatch, cloud.ErrFull.
	Commit(want uai.Digest) (cloud.Blob, error)
	// Abort drops it; after Commit it does nothing.
	Abort() error
}

// Fetcher brings content from iSunCloud.
type Fetcher interface {
	// Fetch makes a root and everything below it present in the store.
	// cloud.ErrNotHeld if nobody has it.
	Fetch(ctx context.Context, root uai.Digest) error
}

// Config says what a registry serves.
type Config struct {
	Store Store
	// Create begins a blob in the store; its context ends with the registry.
	// It may be nil without File.
	Create func(ctx context.Context) (Draft, error)
	// File keeps what was pushed: names, tags, referrers. Without one nothing
	// can be pushed.
	File string
	// Fetcher brings what is missing; nil if nobody does.
	Fetcher Fetcher
	// MaxBlobBytes bounds an upload; 0 means DefaultMaxBlobBytes.
	MaxBlobBytes int64
	// MaxUploads bounds uploads under way; 0 means DefaultMaxUploads.
	MaxUploads int
	// UploadExpiry is how long an upload may rest; 0 means DefaultUploadExpiry.
	UploadExpiry time.Duration
	// StallTimeout is how long a client may take for a piece of 256 KiB that
	// it sends, or of 1 MiB that it gets; 0 means DefaultStallTimeout.
	StallTimeout time.Duration
	// FetchTimeout bounds bringing one root; 0 means DefaultFetchTimeout.
	FetchTimeout time.Duration
	Logger       *slog.Logger
}

// Registry serves HTTP. It is safe for concurrent use.
type Registry struct {
	cfg     Config
	records *records // nil if read-only
	flights singleflight.Group
	// receiving and parsing have a token for each manifest in memory.
	receiving, parsing chan struct{}
	base               context.Context
	stop               context.CancelFunc

	mu      sync.Mutex
	uploads map[string]*upload
}

// New returns a registry. Close it after use, when no request is under way.
func New(cfg Config) (*Registry, error) {
	if cfg.Store == nil || cfg.File != "" && cfg.Create == nil {
		return nil, errors.New("a registry needs a store to serve, and one to write to if pushing is on")
	}
	setDefault(&cfg.MaxBlobBytes, DefaultMaxBlobBytes)
	setDefault(&cfg.MaxUploads, DefaultMaxUploads)
	setDefault(&cfg.UploadExpiry, DefaultUploadExpiry)
	setDefault(&cfg.StallTimeout, DefaultStallTimeout)
	setDefault(&cfg.FetchTimeout, DefaultFetchTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		cfg: cfg, uploads: map[string]*upload{},
		receiving: make(chan struct{}, maxReceiving), parsing: make(chan struct{}, maxParsing),
	}
	if cfg.File != "" {
		var err error
		if r.records, err = openRecords(cfg.File); err != nil {
			return nil, err
		}
	}
	r.base, r.stop = context.WithCancel(context.Background())
	return r, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Close drops uploads under way and ends fetches.
func (r *Registry) Close() error {
	r.stop()
	errs := []error{r.dropUploads()}
	if r.records != nil {
		errs = append(errs, r.records.close())
	}
	return errors.Join(errs...)
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The connection's last request may have left its deadline behind.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	err := fromHere(req)
	if err == nil {
		err = r.serve(w, req)
	}
	if err != nil {
		r.refuse(w, req, err)
	}
}

// fetch brings the tree of a root, once for all who ask at the same time. It
// goes on when a client gives up: the next attempt finds it further on.
func (r *Registry) fetch(ctx context.Context, root uai.Digest) error {
	result := r.flights.DoChan(root.String(), func() (any, error) {
		work, cancel := context.WithTimeout(r.base, r.cfg.FetchTimeout)
		defer cancel()
		return nil, r.cfg.Fetcher.Fetch(work, root)
	})
	select {
	case done := <-result:
		return done.Err
	case <-ctx.Done():
		return fmt.Errorf("%s is still being fetched: %w", root, ctx.Err())
	}
}
