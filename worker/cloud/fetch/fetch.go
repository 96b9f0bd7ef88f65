// Package fetch pulls blobs from several sources at once. None of them is
// believed: chunks are checked against an outline as they come, and the whole
// against its digest before it is a blob of the store. A source that lied is
// not asked again, one that stalls or goes is done without, and what was
// fetched stays for the next time if all of them go.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// ErrNoSource: none of the sources could give the content; what each of them
// failed with follows.
var ErrNoSource = errors.New("no source gave the content")

// MaxSources of a blob that are used at once; further ones are not asked.
const MaxSources = 16

// Options of a fetch. The zero value is a good one.
type Options struct {
	// Progress is told what has come, one call at a time; it may be nil.
	Progress func(Progress)
	// Report is told of sources that failed; it may be nil.
	Report func(Fault)
	// RequestBytes is how much is asked for at once; 0 means 2 MiB.
	RequestBytes int64
	// InFlight is how many requests a source has at a time; 0 means 3.
	InFlight int
	// Stall is how long a source may send nothing; 0 means 15 seconds.
	Stall time.Duration
}

// Progress of a blob or a tree, in bytes.
type Progress struct {
	Total int64 `json:"total"`
	// Local bytes were here already, in this or another blob.
	Local int64 `json:"local"`
	// Remote bytes came from sources.
	Remote int64 `json:"remote"`
}

// FaultKind is how a source failed.
type FaultKind string

// Kinds of faults.
const (
	// Lied: it sent what does not match a digest or its own words.
	Lied FaultKind = "lied"
	// Stalled: it sent nothing for too long.
	Stalled FaultKind = "stalled"
	// Failed: it went away, or answers with errors.
	Failed FaultKind = "failed"
)

// Fault is why a source is not asked any more.
type Fault struct {
	Source string
	Kind   FaultKind
	Err    error
}

func (o Options) withDefaults() Options {
	if o.RequestBytes <= 0 {
		o.RequestBytes = 2 << 20
	}
	if o.InFlight <= 0 {
		o.InFlight = 3
	}
	if o.Stall <= 0 {
		o.Stall = 15 * time.Second
	}
	return o
}

// Blob has the store hold a blob, whose size must be known. Who fetches the
// same blob meanwhile waits for the first. ErrNoSource, cloud.ErrFull.
func Blob(ctx context.Context, store *blobs.Store, blob cloud.Blob, sources []cloud.Source, opts Options) error {
	s := newSession(store, opts)
	s.total(blob.Size)
	return s.blob(ctx, blob, sources)
}

// session is one fetch of a blob or a tree.
type session struct {
	store *blobs.Store
	opts  Options

	mu       sync.Mutex
	progress Progress
	// banned are sources, by name, that are done without in the whole fetch.
	banned map[string]error
}

func newSession(store *blobs.Store, opts Options) *session {
	return &session{store: store, opts: opts.withDefaults(), banned: map[string]error{}}
}

func (s *session) total(bytes int64) {
	s.mu.Lock()
	s.progress.Total = bytes
	s.mu.Unlock()
}

// count adds what has come.
func (s *session) count(local, remote int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Local += local
	s.progress.Remote += remote
	if s.opts.Progress != nil {
		s.opts.Progress(s.progress)
	}
}

// counter is what one attempt at a blob counted, which counts for nothing if
// it was in vain.
type counter struct {
	session       *session
	mu            sync.Mutex
	local, remote int64
}

func (c *counter) add(local, remote int64) {
	c.mu.Lock()
	c.local += local
	c.remote += remote
	c.mu.Unlock()
	c.session.count(local, remote)
}

func (c *counter) takeBack() { c.session.count(-c.local, -c.remote) }

// ban has a source not asked again, and says so once.
func (s *session) ban(name string, kind FaultKind, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.banned[name] != nil {
		return
	}
	s.banned[name] = err
	if s.opts.Report != nil {
		s.opts.Report(Fault{Source: name, Kind: kind, Err: err})
	}
}

func (s *session) isBanned(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.banned[name]
}

// members are the sources that can still be asked.
func (s *session) members(sources []cloud.Source) []*member {
	var all []*member
	for _, source := range sources {
		if s.isBanned(source.Name()) == nil && len(all) < MaxSources {
			all = append(all, &member{source: source})
		}
	}
	return all
}

func (s *session) blob(ctx context.Context, blob cloud.Blob, sources []cloud.Source) error {
	if blob.Size < 0 || blob.Size > chunk.MaxBlob {
		return fmt.Errorf("%w: a blob of %d bytes; at most %d", chunk.ErrMalformed, blob.Size, int64(chunk.MaxBlob))
	}
	release, err := s.store.Acquire(ctx, blob.Digest)
	if err != nil {
		return err
	}
	defer release()
	if size, err := s.store.Stat(blob.Digest); err == nil {
		if size != blob.Size {
			return fmt.Errorf("%w: %s has %d bytes, not %d", chunk.ErrMalformed, blob.Digest, size, blob.Size)
		}
		s.count(blob.Size, 0)
		return nil
	}
	if blob.Size == 0 {
		return s.store.Put(ctx, bytes.NewReader(nil), blob)
	}
	return s.rounds(ctx, blob, s.members(sources))
}

// rounds tries one outline after the other, the most credible first. Each
// round does without at least one more source, so they end.
func (s *session) rounds(ctx context.Context, blob cloud.Blob, members []*member) error {
	for {
		o, err := s.agree(ctx, blob, members)
		if err != nil {
			return err
		}
		err = s.transfer(ctx, o, members)
		switch {
		case err == nil:
			s.blameOthers(blob, members)
			return nil
		case errors.Is(err, errOutlineLied):
			s.dropBackers(o, members, err)
		case !errors.Is(err, ErrNoSource):
			return err
		}
		again := false
		for _, m := range members {
			again = again || m.aside && m.gone == nil
			m.aside = false
		}
		if !again && !usable(members) {
			return noSource(blob, members)
		}
	}
}

func usable(members []*member) bool {
	for _, m := range members {
		if m.gone == nil {
			return true
		}
	}
	return false
}

func noSource(blob cloud.Blob, members []*member) error {
	errs := []error{fmt.Errorf("%w: %s", ErrNoSource, blob.Digest)}
	for _, m := range members {
		if m.gone != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.source.Name(), m.gone))
		}
	}
	if len(errs) == 1 {
		errs = append(errs, cloud.ErrNotHeld)
	}
	return errors.Join(errs...)
}

// dropBackers does without those that gave an outline which fits its chunks
// and not its digest.
func (s *session) dropBackers(o cloud.Outline, members []*member, err error) {
	print := printOf(o)
	for _, m := range members {
		if m.vote != nil && *m.vote == print {
			s.drop(m, Lied, err)
		}
	}
}

// blameOthers reports who gave another outline than the protocol's, now that
// it is known.
func (s *session) blameOthers(blob cloud.Blob, members []*member) {
	o, err := s.store.Outline(blob.Digest)
	if err != nil {
		return // removed meanwhile
	}
	print := printOf(o)
	for _, m := range members {
		if m.gone == nil && m.vote != nil && *m.vote != print {
			s.drop(m, Lied, fmt.Errorf("%w: its outline of %s is another than the content's", cloud.ErrLied, blob.Digest))
		}
	}
}

// drop does without a source from now on.
func (s *session) drop(m *member, kind FaultKind, err error) {
	m.gone = err
	s.ban(m.source.Name(), kind, err)
}
