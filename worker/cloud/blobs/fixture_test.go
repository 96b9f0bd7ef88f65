package blobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// fixture is a store in a folder of its own, with a clock that is set by hand.
type fixture struct {
	*testing.T
	dir   string
	limit uint64
	now   time.Time
	store *Store
}

func newFixture(t *testing.T, limit uint64) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir(), limit: limit, now: time.Now()}
	f.open()
	t.Cleanup(func() {
		if f.store != nil {
			require.NoError(t, f.store.Close())
		}
	})
	return f
}

func (f *fixture) open() {
	f.Helper()
	s, err := Open(Config{Dir: f.dir, LimitBytes: f.limit, Now: func() time.Time { return f.now }})
	require.NoError(f, err)
	f.store = s
}

func (f *fixture) close() {
	f.Helper()
	require.NoError(f, f.store.Close())
	f.store = nil
}

func (f *fixture) reopen() {
	f.Helper()
	f.close()
	f.open()
}

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

func outlineOf(t *testing.T, content []byte) cloud.Outline {
	t.Helper()
	chunks, err := chunk.Cut(bytes.NewReader(content))
	require.NoError(t, err)
	return cloud.Outline{Blob: blobOf(content), Chunks: chunks}
}

func (f *fixture) put(content []byte) cloud.Blob {
	f.Helper()
	blob := blobOf(content)
	require.NoError(f, f.store.Put(context.Background(), bytes.NewReader(content), blob))
	return blob
}

func (f *fixture) requireHeld(content []byte) {
	f.Helper()
	blob := blobOf(content)
	size, err := f.store.Stat(blob.Digest)
	require.NoError(f, err)
	require.Equal(f, blob.Size, size)
	file, err := f.store.Open(blob.Digest)
	require.NoError(f, err)
	defer file.Close()
	got, err := io.ReadAll(file)
	require.NoError(f, err)
	require.True(f, bytes.Equal(content, got))
	o, err := f.store.Outline(blob.Digest)
	require.NoError(f, err)
	require.Equal(f, outlineOf(f.T, content), o)
	for _, c := range o.Chunks {
		raw, ok := f.store.Chunk(c.Sum)
		require.True(f, ok)
		require.Equal(f, c.Sum, sha256.Sum256(raw))
	}
}

func (f *fixture) requireNotHeld(digest uai.Digest) {
	f.Helper()
	_, err := f.store.Stat(digest)
	require.ErrorIs(f, err, cloud.ErrNotHeld)
	_, err = f.store.Open(digest)
	require.ErrorIs(f, err, cloud.ErrNotHeld)
	_, err = f.store.Outline(digest)
	require.ErrorIs(f, err, cloud.ErrNotHeld)
}

// files of the folder that hold content, besides index and lock.
func (f *fixture) files() []string {
	f.Helper()
	var names []string
	require.NoError(f, filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(f.dir, path)
		if err == nil && !entry.IsDir() && name != "lock" && !strings.HasPrefix(name, "index.") {
			names = append(names, name)
		}
		return err
	}))
	slices.Sort(names)
	return names
}

// fill writes all chunks of a blob to a partial blob.
func fill(t *testing.T, p *Partial, content []byte, numbers ...int) {
	t.Helper()
	for _, i := range numbers {
		c := p.Outline().Chunks[i]
		_, err := p.Write(i, content[p.offsets[i]:p.offsets[i]+int64(c.Size)])
		require.NoError(t, err)
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	var b [1]byte
	_, err = file.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = file.WriteAt(b[:], at)
	require.NoError(t, err)
}
