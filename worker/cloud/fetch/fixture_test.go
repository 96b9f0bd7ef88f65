package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// noise is content that depends on its seed only.
func noise(seed uint64, size int) []byte {
	content := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return content
}

func blobOf(content []byte) cloud.Blob {
	sum := sha256.Sum256(content)
	return cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(len(content))}
}

// held is a blob that a test's source has, with the outline that it gives.
type held struct {
	content []byte
	outline cloud.Outline
}

// source is an honest source in memory, which a test makes worse.
type source struct {
	name  string
	blobs map[uai.Digest]*held
	// spoil changes what is read: at is the offset in the blob.
	spoil func(request int64, r io.Reader) io.Reader
	// stat changes a size.
	stat     func(int64) int64
	requests atomic.Int64
	sent     atomic.Int64
	outlines atomic.Int64
}

func newSource(t *testing.T, name string, contents ...[]byte) *source {
	t.Helper()
	s := &source{name: name, blobs: map[uai.Digest]*held{}}
	for _, c := range contents {
		chunks, err := chunk.Cut(bytes.NewReader(c))
		require.NoError(t, err)
		s.blobs[blobOf(c).Digest] = &held{content: c, outline: cloud.Outline{Blob: blobOf(c), Chunks: chunks}}
	}
	return s
}

// Name implements cloud.Source.
func (s *source) Name() string { return s.name }

// Stat implements cloud.Source.
func (s *source) Stat(_ context.Context, digests []uai.Digest) (map[uai.Digest]int64, error) {
	sizes := map[uai.Digest]int64{}
	for _, d := range digests {
		if h := s.blobs[d]; h != nil {
			sizes[d] = int64(len(h.content))
			if s.stat != nil {
				sizes[d] = s.stat(sizes[d])
			}
		}
	}
	return sizes, nil
}

// Outline implements cloud.Source.
func (s *source) Outline(_ context.Context, digest uai.Digest) (cloud.Outline, error) {
	s.outlines.Add(1)
	if h := s.blobs[digest]; h != nil {
		return h.outline, nil
	}
	return cloud.Outline{}, cloud.ErrNotHeld
}

// Chunks implements cloud.Source.
func (s *source) Chunks(ctx context.Context, digest uai.Digest, first, count int) (io.ReadCloser, error) {
	h := s.blobs[digest]
	if h == nil {
		return nil, cloud.ErrNotHeld
	}
	var start, size int64
	for i, c := range h.outline.Chunks[:first+count] {
		if i < first {
			start += int64(c.Size)
		} else {
			size += int64(c.Size)
		}
	}
	var r io.Reader = bytes.NewReader(h.content[start : start+size])
	if s.spoil != nil {
		r = s.spoil(s.requests.Add(1), r)
	}
	return &stream{ctx: ctx, from: r, sent: &s.sent}, nil
}

// stream ends with its context, as one over a network does.
type stream struct {
	ctx  context.Context //nolint:containedctx // it is what a request's context ends
	from io.Reader
	sent *atomic.Int64
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if w, ok := s.from.(waiter); ok {
		if err := w.wait(s.ctx); err != nil {
			return 0, err
		}
	}
	n, err := s.from.Read(p)
	s.sent.Add(int64(n))
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error { return nil }

// waiter is a reader that is slow.
type waiter interface {
	wait(ctx context.Context) error
}

// stuck sends some bytes and then nothing.
type stuck struct{ io.Reader }

func (s stuck) wait(ctx context.Context) error {
	if s.Reader.(*io.LimitedReader).N > 0 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// gated sends nothing before a channel is closed.
type gated struct {
	io.Reader
	gate <-chan struct{}
}

func (g gated) wait(ctx context.Context) error {
	select {
	case <-g.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slow sends so many bytes a second.
type slow struct {
	io.Reader
	rate float64
}

func (s slow) wait(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(4096 / s.rate * float64(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read implements io.Reader.
func (s slow) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 4096)]) }

// flipped changes one byte.
func flipped(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if n > 0 {
			p[n/2] ^= 1
		}
		return n, err
	})
}

type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

var errVanished = errors.New("connection is gone")

// fixture is a store to fetch into.
type fixture struct {
	*testing.T
	dir      string
	store    *blobs.Store
	mu       sync.Mutex
	faults   map[string]FaultKind
	onFault  func()
	progress Progress
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir(), faults: map[string]FaultKind{}, onFault: func() {}}
	store, err := blobs.Open(blobs.Config{Dir: f.dir})
	require.NoError(t, err)
	f.store = store
	t.Cleanup(func() { require.NoError(t, f.store.Close()) })
	return f
}

func (f *fixture) options() Options {
	return Options{
		RequestBytes: 512 << 10, Stall: 300 * time.Millisecond,
		Report: func(fault Fault) {
			f.mu.Lock()
			f.faults[fault.Source] = fault.Kind
			f.mu.Unlock()
			f.onFault()
		},
		Progress: func(p Progress) {
			f.mu.Lock()
			f.progress = p
			f.mu.Unlock()
		},
	}
}

func (f *fixture) fetch(content []byte, sources ...cloud.Source) error {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return Blob(ctx, f.store, blobOf(content), sources, f.options())
}

func (f *fixture) requireHeld(content []byte) {
	f.Helper()
	file, err := f.store.Open(blobOf(content).Digest)
	require.NoError(f, err)
	defer file.Close()
	got, err := io.ReadAll(file)
	require.NoError(f, err)
	require.True(f, bytes.Equal(content, got))
	require.Equal(f, f.progress.Total, f.progress.Local+f.progress.Remote)
	require.Equal(f, uint64(len(content)), f.store.Usage().Used)
}

// requireNothing of a blob in the folder of blobs, whole or half.
func (f *fixture) requireNothing(content []byte) {
	f.Helper()
	_, err := f.store.Stat(blobOf(content).Digest)
	require.ErrorIs(f, err, cloud.ErrNotHeld)
	require.NoError(f, filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(f.dir, path)
		if err == nil && !entry.IsDir() && name != "lock" && !strings.HasPrefix(name, "index.") && !strings.HasPrefix(name, "partials/") {
			f.Errorf("%s was left", name)
		}
		return err
	}))
}

func openLimited(dir string, limit uint64) (*blobs.Store, error) {
	return blobs.Open(blobs.Config{Dir: dir, LimitBytes: limit})
}
