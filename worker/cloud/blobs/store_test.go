package blobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

func TestWhatIsPutIsHeldAlsoAfterARestart(t *testing.T) {
	f := newFixture(t, 0)
	contents := [][]byte{{}, []byte("small"), noise(1, chunk.Min), noise(2, chunk.Min+1), noise(3, 2<<20)}
	for _, c := range contents {
		f.put(c)
		f.put(c) // again
	}
	for range 2 {
		for _, c := range contents {
			f.requireHeld(c)
		}
		listed := 0
		f.store.List(func(cloud.Blob) bool { listed++; return true })
		require.Equal(t, len(contents), listed)
		require.EqualValues(t, 5+2*chunk.Min+1+2<<20, f.store.Usage().Used)
		f.reopen()
	}
}

func TestFalseContentLeavesNothing(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 300_000)
	other := blobOf(noise(2, 300_000))
	ctx := context.Background()
	require.ErrorIs(t, f.store.Put(ctx, bytes.NewReader(content), other), cloud.ErrLied)
	require.ErrorIs(t, f.store.Put(ctx, bytes.NewReader(content[1:]), blobOf(content)), cloud.ErrLied)
	require.ErrorIs(t, f.store.Put(ctx, bytes.NewReader(append(content[:len(content):len(content)], 1)), blobOf(content)), cloud.ErrLied)
	require.ErrorIs(t, f.store.Put(ctx, bytes.NewReader(content), cloud.Blob{Digest: other.Digest, Size: -1}), cloud.ErrLied)
	broken := errors.New("line is dead")
	require.ErrorIs(t, f.store.Put(ctx, io.MultiReader(bytes.NewReader(content[:1000]), iotest.ErrReader(broken)), blobOf(content)), broken)
	require.ErrorIs(t, f.store.Put(ctx, bytes.NewReader(content), cloud.Blob{Size: -1}), uai.ErrMalformed)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, f.store.Put(ended, bytes.NewReader(content), blobOf(content)), context.Canceled)
	f.requireNotHeld(other.Digest)
	f.requireNotHeld(blobOf(content).Digest)
	require.Empty(t, f.files())
	require.Zero(t, f.store.Usage().Used)
}

func TestDraftsTellTheirDigest(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 700_000)
	d, err := f.store.Create(context.Background())
	require.NoError(t, err)
	for at := 0; at < len(content); at += 10_000 {
		_, err := d.Write(content[at : at+10_000])
		require.NoError(t, err)
	}
	require.EqualValues(t, len(content), d.Size())
	blob, err := d.Commit("")
	require.NoError(t, err)
	require.Equal(t, blobOf(content), blob)
	require.NoError(t, d.Abort())
	f.requireHeld(content)
	given, err := f.store.Create(context.Background())
	require.NoError(t, err)
	_, err = given.Write(content)
	require.NoError(t, err)
	require.NoError(t, given.Abort())
	require.EqualValues(t, len(content), f.store.Usage().Used)
}

func TestADraftOfAKilledProcessIsGone(t *testing.T) {
	f := newFixture(t, 0)
	f.close()
	require.NoError(t, os.MkdirAll(filepath.Join(f.dir, "tmp"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "tmp/draft-1"), []byte("half"), 0o600))
	f.open()
	require.Empty(t, f.files())
}

func TestOneProcessAtATime(t *testing.T) {
	f := newFixture(t, 0)
	_, err := Open(Config{Dir: f.dir})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, f.dir)
}

func TestBlobsOfARootStayAndGoTogether(t *testing.T) {
	f := newFixture(t, 0)
	top, shared, own := []byte("top"), noise(1, 100_000), noise(2, 100_000)
	second := []byte("second")
	for _, c := range [][]byte{top, shared, own, second} {
		f.put(c)
	}
	missing := blobOf([]byte("never put"))
	require.ErrorIs(t, f.store.SetRoot(blobOf(top).Digest, []cloud.Blob{blobOf(top), missing}, false), cloud.ErrNotHeld)
	require.ErrorIs(t, f.store.SetRoot(blobOf(top).Digest, []cloud.Blob{blobOf(own)}, false), uai.ErrMalformed)
	require.NoError(t, f.store.SetRoot(blobOf(top).Digest, []cloud.Blob{blobOf(top), blobOf(shared), blobOf(own), blobOf(own)}, false))
	require.NoError(t, f.store.SetRoot(blobOf(second).Digest, []cloud.Blob{blobOf(second), blobOf(shared)}, true))
	require.NoError(t, f.store.SetRoot(blobOf(second).Digest, []cloud.Blob{blobOf(second), blobOf(shared)}, false))
	f.reopen()
	require.ErrorIs(t, f.store.Remove(blobOf(shared).Digest), ErrReferenced)
	root, err := f.store.Root(blobOf(second).Digest)
	require.NoError(t, err)
	require.True(t, root.Pinned)
	require.EqualValues(t, 100_006, root.Size)
	require.EqualValues(t, 100_006, f.store.Usage().Pinned)
	require.Len(t, f.store.Roots(), 2)
	require.NoError(t, f.store.RemoveRoot(blobOf(top).Digest))
	require.ErrorIs(t, f.store.RemoveRoot(blobOf(top).Digest), cloud.ErrNotHeld)
	f.requireNotHeld(blobOf(own).Digest)
	f.requireHeld(shared)
	require.NoError(t, f.store.Unpin(blobOf(second).Digest))
	require.NoError(t, f.store.RemoveRoot(blobOf(second).Digest))
	require.Empty(t, f.files())
	require.Zero(t, f.store.Usage().Used)
}

func TestRoomIsMadeOfWhatWasNotUsedForLongest(t *testing.T) {
	f := newFixture(t, 1_000_000)
	shared := f.put(noise(9, 100_000))
	trees := make([]cloud.Blob, 4)
	for i := range trees {
		f.now = f.now.Add(time.Minute)
		trees[i] = f.put(noise(uint64(i), 200_000))
		require.NoError(t, f.store.SetRoot(trees[i].Digest, []cloud.Blob{trees[i], shared}, i == 0))
	}
	f.now = f.now.Add(time.Minute)
	require.NoError(t, f.store.Touch(trees[1].Digest))
	f.reopen()
	fresh := noise(20, 150_000)
	f.put(fresh)
	f.requireNotHeld(trees[2].Digest) // 0 is pinned, 1 was used since
	f.requireHeld(noise(3, 200_000))
	f.requireHeld(noise(9, 100_000))
	require.Len(t, f.store.Roots(), 3)

	before := f.files()
	large := noise(21, 600_000)
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(large), blobOf(large)), cloud.ErrFull)
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(large), cloud.Blob{Digest: blobOf(large).Digest, Size: -1}), cloud.ErrFull)
	_, err := f.store.Partial(outlineOf(t, noise(22, 900_000)))
	require.ErrorIs(t, err, cloud.ErrFull)
	require.Subset(t, before, f.files())

	f.now = f.now.Add(2 * Grace)
	f.put(noise(23, 700_000)) // now what has no root goes too
	f.requireNotHeld(blobOf(fresh).Digest)
	f.requireHeld(noise(0, 200_000))
	f.requireHeld(noise(9, 100_000))
}

func TestNothingIsDroppedIfThatWouldNotDo(t *testing.T) {
	f := newFixture(t, 500_000)
	old := f.put(noise(1, 200_000))
	require.NoError(t, f.store.SetRoot(old.Digest, []cloud.Blob{old}, false))
	pinned := f.put(noise(2, 200_000))
	require.NoError(t, f.store.SetRoot(pinned.Digest, []cloud.Blob{pinned}, true))
	large := noise(3, 400_000)
	err := f.store.Put(context.Background(), bytes.NewReader(large), blobOf(large))
	require.ErrorIs(t, err, cloud.ErrFull)
	require.ErrorContains(t, err, "200000 of them pinned")
	f.requireHeld(noise(1, 200_000))
	require.NoError(t, f.store.Unpin(pinned.Digest))
	f.put(large)
	require.Empty(t, f.store.Roots())
}

func TestKeptBlobsOutliveTheirGrace(t *testing.T) {
	f := newFixture(t, 300_000)
	first := f.put(noise(1, 200_000))
	release := f.store.Keep([]uai.Digest{first.Digest})
	f.now = f.now.Add(2 * Grace)
	second := noise(2, 200_000)
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(second), blobOf(second)), cloud.ErrFull)
	release()
	release()
	f.put(second)
	f.requireNotHeld(first.Digest)
}

func TestDamageIsFoundAndTheBlobDropped(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 300_000)
	blob, top := f.put(content), f.put([]byte("top"))
	require.NoError(t, f.store.SetRoot(top.Digest, []cloud.Blob{top, blob}, true))
	lost, err := f.store.Check(context.Background(), blob.Digest)
	require.NoError(t, err)
	require.Empty(t, lost)
	flip(t, f.store.blobPath(blob.Digest), 1000)
	_, ok := f.store.Chunk(outlineOf(t, content).Chunks[0].Sum)
	require.False(t, ok)
	lost, err = f.store.Check(context.Background(), blob.Digest)
	require.NoError(t, err)
	require.Equal(t, []uai.Digest{top.Digest}, lost)
	f.requireNotHeld(blob.Digest)
	require.Empty(t, f.store.Roots())
	f.put(content)
	f.requireHeld(content)
}

func TestConcurrentUse(t *testing.T) {
	f := newFixture(t, 3_000_000)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for round := range 6 {
				content := noise(uint64(round+worker/4), 150_000)
				blob := blobOf(content)
				for {
					require.NoError(t, f.store.Put(context.Background(), bytes.NewReader(content), blob))
					if err := f.store.SetRoot(blob.Digest, []cloud.Blob{blob}, false); err == nil {
						break
					}
				}
				if o, err := f.store.Outline(blob.Digest); err == nil {
					f.store.Chunk(o.Chunks[0].Sum)
				}
				f.store.Usage()
				if worker == round {
					_ = f.store.RemoveRoot(blob.Digest) // another may have been quicker
				}
			}
		})
	}
	group.Wait()
	used := f.store.Usage().Used
	f.reopen()
	require.Equal(t, used, f.store.Usage().Used)
}
