package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
)

const (
	size = 256 << 20 // bytes of the blob
	// home is the upload of a home connection, in bytes a second: 200 Mbit/s.
	home = 200_000_000 / 8
	// burst is what a line's buffers take at once, in bytes.
	burst = 64 << 10
	// places of a version's changes, which are a hundredth of it.
	places = 16
)

// The goals: three sources against one, the share of a version that is fetched when a hundredth changed, and memory.
const (
	goalThree   = 2.5
	goalRefetch = 0.03
	goalMemory  = 64 // MiB
)

// BenchmarkFetchFromThree fetches a blob from one source of 200 Mbit/s, and from three.
func BenchmarkFetchFromThree(b *testing.B) {
	f := newFixture(b)
	blob := f.put(noise(1, size))
	var one, three, memory float64
	for b.Loop() {
		one = f.fetch(blob, f.sources(1, home)...).Seconds()
		stop := watchMemory(b)
		three = f.fetch(blob, f.sources(3, home)...).Seconds()
		memory = stop()
	}
	report.Figure(b, "cloud_fetch_one_mbit_s", 8*size/one/1e6)
	report.Figure(b, "cloud_fetch_three_mbit_s", 8*size/three/1e6)
	report.Figure(b, "cloud_fetch_three_vs_one", one/three)
	report.Figure(b, "cloud_fetch_three_vs_one_vs_goal", one/three/goalThree)
	report.Figure(b, "cloud_fetch_memory_mib", memory)
	report.Figure(b, "cloud_fetch_memory_vs_goal", memory/goalMemory)
}

// BenchmarkFetchUnshaped fetches from sources that the processor alone bounds, beside copying and hashing a file.
func BenchmarkFetchUnshaped(b *testing.B) {
	f := newFixture(b)
	blob := f.put(noise(1, size))
	var fetched, copied time.Duration
	for b.Loop() {
		copied = f.copyAndHash(blob)
		fetched = f.fetch(blob, f.sources(3, 0)...)
	}
	report.Figure(b, "cloud_fetch_unshaped_mib_s", size/fetched.Seconds()/(1<<20))
	report.Figure(b, "cloud_copy_and_hash_mib_s", size/copied.Seconds()/(1<<20))
	report.Figure(b, "cloud_fetch_unshaped_vs_copy", copied.Seconds()/fetched.Seconds())
}

// BenchmarkFetchVersion fetches a blob of which a hundredth is new: half of the places are overwritten, at half something is
// inserted.
func BenchmarkFetchVersion(b *testing.B) {
	f := newFixture(b)
	before := noise(1, size)
	old := f.put(before)
	version := f.put(change(before))
	var share float64
	var took time.Duration
	for b.Loop() {
		store := f.empty()
		f.into(store, old, fetch.Options{}, f.sources(1, 0)...)
		var last fetch.Progress
		took = f.into(store, version, fetch.Options{Progress: func(p fetch.Progress) { last = p }}, f.sources(3, home)...)
		share = float64(last.Remote) / float64(last.Total)
		f.drop(store)
	}
	report.Figure(b, "cloud_version_share_fetched", share)
	report.Figure(b, "cloud_version_share_fetched_vs_goal", share/goalRefetch)
	report.Figure(b, "cloud_version_seconds", took.Seconds())
}

// fixture is a store to fetch from.
type fixture struct {
	*testing.B
	from *blobs.Store
	dirs map[*blobs.Store]string
}

func newFixture(b *testing.B) *fixture {
	b.Helper()
	f := &fixture{B: b, dirs: map[*blobs.Store]string{}}
	f.from = f.empty()
	b.Cleanup(func() { require.NoError(b, f.from.Close()) })
	return f
}

func (f *fixture) empty() *blobs.Store {
	f.Helper()
	dir, err := os.MkdirTemp(f.TempDir(), "store-")
	require.NoError(f, err)
	store, err := blobs.Open(blobs.Config{Dir: dir})
	require.NoError(f, err)
	f.dirs[store] = dir
	return store
}

func (f *fixture) drop(store *blobs.Store) {
	f.Helper()
	require.NoError(f, store.Close())
	require.NoError(f, os.RemoveAll(f.dirs[store]))
}

func noise(seed byte, size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(content) // never fails
	return content
}

// change makes another version of some content.
func change(before []byte) []byte {
	part := len(before) / 100 / places
	fresh := noise(2, part*places)
	var after []byte
	for i := range places {
		section := before[i*len(before)/places : (i+1)*len(before)/places]
		middle := len(section) / 2
		after = append(append(after, section[:middle]...), fresh[i*part:(i+1)*part]...)
		if i%2 == 0 {
			middle += part
		}
		after = append(after, section[middle:]...)
	}
	return after
}

func (f *fixture) put(content []byte) cloud.Blob {
	f.Helper()
	sum := sha256.Sum256(content)
	blob := cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(len(content))}
	require.NoError(f, f.from.Put(context.Background(), bytes.NewReader(content), blob))
	return blob
}

// sources of so many bytes a second each; 0 is as quick as they can.
func (f *fixture) sources(count int, bytesPerSecond float64) []cloud.Source {
	all := make([]cloud.Source, count)
	for i := range all {
		all[i] = fetch.FromLibrary(fmt.Sprint("source ", i), f.from)
		if bytesPerSecond > 0 {
			all[i] = shaped{Source: all[i], line: &line{rate: bytesPerSecond}}
		}
	}
	return all
}

// fetch into an empty store.
func (f *fixture) fetch(blob cloud.Blob, sources ...cloud.Source) time.Duration {
	f.Helper()
	store := f.empty()
	defer f.drop(store)
	return f.into(store, blob, fetch.Options{}, sources...)
}

func (f *fixture) into(store *blobs.Store, blob cloud.Blob, opts fetch.Options, sources ...cloud.Source) time.Duration {
	f.Helper()
	began := time.Now()
	require.NoError(f, fetch.Blob(context.Background(), store, blob, sources, opts))
	return time.Since(began)
}

// copyAndHash does what is the least for a file that has to be on the disk and known to be right.
func (f *fixture) copyAndHash(blob cloud.Blob) time.Duration {
	f.Helper()
	began := time.Now()
	from, err := f.from.Open(blob.Digest)
	require.NoError(f, err)
	defer from.Close()
	to, err := os.Create(filepath.Join(f.TempDir(), "copy"))
	require.NoError(f, err)
	defer to.Close()
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(to, sum), struct{ io.Reader }{from}, make([]byte, 1<<20))
	require.NoError(f, err)
	require.NoError(f, to.Sync())
	require.Equal(f, blob.Digest.Hex(), hex.EncodeToString(sum.Sum(nil)))
	return time.Since(began)
}

// shaped is a source behind a line: its streams share what goes through it.
type shaped struct {
	cloud.Source
	line *line
}

// Chunks implements cloud.Source.
func (s shaped) Chunks(ctx context.Context, digest uai.Digest, first, count int) (io.ReadCloser, error) {
	from, err := s.Source.Chunks(ctx, digest, first, count)
	if err != nil {
		return nil, err
	}
	return stream{ReadCloser: from, wait: func(n int) error { return s.line.wait(ctx, n) }}, nil
}

// line lets so many bytes a second through, and a burst that its buffers take.
type line struct {
	rate float64
	mu   sync.Mutex
	free time.Time // when it has sent all that was given to it
}

func (l *line) wait(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-seconds(burst / l.rate)); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(seconds(float64(n) / l.rate))
	until := l.free.Sub(now)
	l.mu.Unlock()
	select {
	case <-time.After(until):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// stream is a request's part of a line.
type stream struct {
	io.ReadCloser
	wait func(n int) error
}

// Read implements io.Reader.
func (s stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), burst)])
	if n == 0 {
		return n, err
	}
	if waitErr := s.wait(n); waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// watchMemory gives how many MiB of memory, besides files', were taken at most until it is stopped, more than before.
func watchMemory(b *testing.B) (stop func() float64) {
	b.Helper()
	debug.FreeOSMemory() // so that what was before is neither counted nor reused
	before := anonymous(b)
	most := make(chan float64)
	end := make(chan struct{})
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		peak := before
		for {
			select {
			case <-ticker.C:
				peak = max(peak, anonymous(b))
			case <-end:
				most <- peak - before
				return
			}
		}
	}()
	return func() float64 {
		close(end)
		return <-most
	}
}

// anonymous is this process's memory that no file is behind, in MiB.
func anonymous(b *testing.B) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Error(err)
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "RssAnon: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	b.Error("/proc/self/status does not tell RssAnon")
	return 0
}
