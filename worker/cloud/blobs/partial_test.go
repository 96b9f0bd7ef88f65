package blobs

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

func TestAPartialBlobIsHeldOnlyWhenItIsWhole(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 1<<20)
	o := outlineOf(t, content)
	p, err := f.store.Partial(o)
	require.NoError(t, err)
	require.Len(t, p.Missing(), len(o.Chunks))
	_, err = f.store.Partial(o)
	require.ErrorIs(t, err, ErrBusy)
	_, err = p.Write(0, content[1:1+o.Chunks[0].Size])
	require.ErrorIs(t, err, cloud.ErrLied)
	_, err = p.Write(0, content[:5])
	require.ErrorIs(t, err, cloud.ErrLied)
	_, err = p.Write(len(o.Chunks), nil)
	require.ErrorIs(t, err, chunk.ErrMalformed)
	for i := len(o.Chunks) - 1; i >= 0; i-- {
		require.Error(t, p.Commit(), "chunks are missing")
		f.requireNotHeld(o.Blob.Digest)
		fill(t, p, content, i)
	}
	added, err := p.Write(0, content[:o.Chunks[0].Size])
	require.NoError(t, err)
	require.Zero(t, added)
	require.Zero(t, p.Left())
	require.EqualValues(t, 1<<20, f.store.Usage().Used)
	require.NoError(t, p.Commit())
	require.NoError(t, p.Close())
	f.requireHeld(content)
	require.EqualValues(t, 1<<20, f.store.Usage().Used)
	_, err = f.store.Partial(o)
	require.ErrorIs(t, err, ErrHeld)
	require.Len(t, f.files(), 2, "blob and outline")
}

func TestChunksThatComeTwiceAreWrittenOnce(t *testing.T) {
	f := newFixture(t, 0)
	o := outlineOf(t, make([]byte, 2<<20))
	p, err := f.store.Partial(o)
	require.NoError(t, err)
	added, err := p.Write(0, make([]byte, o.Chunks[0].Size))
	require.NoError(t, err)
	require.GreaterOrEqual(t, added, int64(2<<20)-chunk.Max)
	fill(t, p, make([]byte, 2<<20), p.Missing()...)
	require.NoError(t, p.Commit())
	f.requireHeld(make([]byte, 2<<20))
}

func TestAPartialBlobIsGoneOnWithAfterARestart(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 2<<20)
	o := outlineOf(t, content)
	p, err := f.store.Partial(o)
	require.NoError(t, err)
	last := len(o.Chunks) - 1
	fill(t, p, content, 0, 1, 2, 7, last)
	damaged := p.offsets[1]
	require.NoError(t, p.Close())
	flip(t, filepath.Join(f.store.partialDir(o.Blob.Digest), "data"), damaged)
	f.reopen()
	require.EqualValues(t, 2<<20, f.store.Usage().Used, "room stays reserved")
	p, err = f.store.Partial(o)
	require.NoError(t, err)
	require.Len(t, p.Missing(), len(o.Chunks)-4, "what is damaged is fetched again")
	for _, i := range []int{0, 2, 7, last} {
		require.True(t, p.Has(i))
	}
	fill(t, p, content, p.Missing()...)
	require.NoError(t, p.Commit())
	f.requireHeld(content)
}

func TestAnotherOutlineBeginsAnew(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 1<<20)
	o := outlineOf(t, content)
	p, err := f.store.Partial(o)
	require.NoError(t, err)
	fill(t, p, content, 0)
	require.NoError(t, p.Close())
	forged := append([]byte{}, content...)
	forged[0] ^= 1
	lie := outlineOf(t, forged)
	lie.Blob = o.Blob
	p, err = f.store.Partial(lie)
	require.NoError(t, err)
	require.Len(t, p.Missing(), len(lie.Chunks))
	fill(t, p, forged, p.Missing()...)
	require.ErrorIs(t, p.Commit(), cloud.ErrLied)
	f.requireNotHeld(o.Blob.Digest)
	require.Empty(t, f.files())
	require.Zero(t, f.store.Usage().Used)
	require.NoError(t, p.Abort())
}

func TestAnAbandonedPartialBlobMakesRoom(t *testing.T) {
	f := newFixture(t, 1<<20)
	content := noise(1, 800_000)
	p, err := f.store.Partial(outlineOf(t, content))
	require.NoError(t, err)
	require.NoError(t, p.Close())
	other := noise(2, 800_000)
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(other), blobOf(other)), cloud.ErrFull)
	f.now = f.now.Add(2 * Grace)
	f.put(other)
	f.requireHeld(other)
	require.EqualValues(t, 800_000, f.store.Usage().Used)
}

func TestWhatAKilledProcessLeftOfAPartialBlobDoesNoHarm(t *testing.T) {
	content := noise(1, 500_000)
	o := outlineOf(t, content)
	for name, harm := range map[string]func(t *testing.T, dir string){
		"no data":          func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "data"))) },
		"no outline":       func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "outline"))) },
		"half an outline":  func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "outline"), 60)) },
		"half of the data": func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "data"), 1000)) },
		"too much data":    func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "data"), 1<<20)) },
		"false outline":    func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "outline"), 50) },
	} {
		f := newFixture(t, 0)
		p, err := f.store.Partial(o)
		require.NoError(t, err)
		fill(t, p, content, 0, 1)
		require.NoError(t, p.Close())
		f.close()
		harm(t, filepath.Join(f.dir, "partials", o.Blob.Digest.Hex()))
		f.open()
		p, err = f.store.Partial(o)
		require.NoError(t, err, name)
		fill(t, p, content, p.Missing()...)
		require.NoError(t, p.Commit(), name)
		f.requireHeld(content)
		require.EqualValues(t, 500_000, f.store.Usage().Used, name)
	}
}
