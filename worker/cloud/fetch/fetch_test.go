package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

func TestOneSourceIsEnough(t *testing.T) {
	for _, size := range []int{0, 1, chunk.Min, chunk.Min + 1, 3 << 20} {
		f := newFixture(t)
		content := noise(1, size)
		require.NoError(t, f.fetch(content, newSource(t, "a", content)))
		f.requireHeld(content)
		require.EqualValues(t, size, f.progress.Remote)
		require.NoError(t, f.fetch(content), "held already")
	}
}

func TestSourcesShareTheWork(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 12<<20)
	a, b, c := newSource(t, "a", content), newSource(t, "b", content), newSource(t, "c", content)
	for _, s := range []*source{a, b, c} {
		s.spoil = func(_ int64, r io.Reader) io.Reader { return slow{r, 4 << 20} }
	}
	require.NoError(t, f.fetch(content, a, b, c))
	f.requireHeld(content)
	require.Empty(t, f.faults)
	for _, s := range []*source{a, b, c} {
		require.Greater(t, s.sent.Load(), int64(2<<20), s.name)
	}
	require.Less(t, a.sent.Load()+b.sent.Load()+c.sent.Load(), int64(13<<20), "little is sent twice")
}

// faults of a source, of which the others make up for.
func TestAFaultySourceIsDoneWithout(t *testing.T) {
	content := noise(1, 4<<20)
	half := func(request int64, r io.Reader, fault func(io.Reader) io.Reader) io.Reader {
		if request < 3 {
			return r
		}
		return fault(r)
	}
	for name, c := range map[string]struct {
		spoil func(request int64, r io.Reader) io.Reader
		kind  FaultKind
	}{
		"flipped byte":        {func(_ int64, r io.Reader) io.Reader { return flipped(r) }, Lied},
		"flipped byte, later": {func(n int64, r io.Reader) io.Reader { return half(n, r, flipped) }, Lied},
		"nothing":             {func(_ int64, _ io.Reader) io.Reader { return bytes.NewReader(nil) }, Failed},
		"short":               {func(_ int64, r io.Reader) io.Reader { return io.LimitReader(r, 10_000) }, Failed},
		"other content":       {func(_ int64, _ io.Reader) io.Reader { return bytes.NewReader(noise(7, 4<<20)) }, Lied},
		"endless": {func(_ int64, _ io.Reader) io.Reader {
			return readerFunc(func(p []byte) (int, error) { return len(p), nil })
		}, Lied},
		"longer": {func(_ int64, r io.Reader) io.Reader { return io.MultiReader(r, bytes.NewReader(noise(8, 1<<20))) }, ""},
		"stall":  {func(_ int64, r io.Reader) io.Reader { return stuck{io.LimitReader(r, 1000)} }, Stalled},
		"vanish half way": {func(n int64, r io.Reader) io.Reader {
			return half(n, r, func(r io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(r, 1000), iotest.ErrReader(errVanished))
			})
		}, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			bad := newSource(t, "bad", content)
			bad.spoil = c.spoil
			slowed := func(_ int64, r io.Reader) io.Reader { return slow{r, 2 << 20} } // so that the bad one has its turn
			good, better := newSource(t, "good", content), newSource(t, "better", content)
			good.spoil, better.spoil = slowed, slowed
			require.NoError(t, f.fetch(content, bad, good, better))
			f.requireHeld(content)
			if c.kind == Lied {
				require.Equal(t, map[string]FaultKind{"bad": Lied}, f.faults)
			}
			require.NotContains(t, f.faults, "good")
			require.NotContains(t, f.faults, "better")

			alone := newFixture(t)
			err := alone.fetch(content, bad)
			if c.kind == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrNoSource)
			require.Equal(t, map[string]FaultKind{"bad": c.kind}, alone.faults)
			alone.requireNothing(content)
			bad.spoil = nil
			require.NoError(t, alone.fetch(content, bad), "what was left does no harm")
			alone.requireHeld(content)
		})
	}
}

// lie gives another outline of the same blob, all of whose chunks fit content
// of the liar's.
func lie(t *testing.T, s *source, content []byte) {
	t.Helper()
	forged := append([]byte{}, content...)
	forged[len(forged)-1] ^= 1
	chunks, err := chunk.Cut(bytes.NewReader(forged))
	require.NoError(t, err)
	s.blobs[blobOf(content).Digest] = &held{content: forged, outline: cloud.Outline{Blob: blobOf(content), Chunks: chunks}}
}

func TestALyingOutlineIsFoundOut(t *testing.T) {
	content := noise(1, 2<<20)
	build := func(names string) (all []cloud.Source) {
		for _, name := range names {
			s := newSource(t, string(name), content)
			if name >= 'x' {
				lie(t, s, content)
			}
			all = append(all, s)
		}
		return all
	}
	for names, liars := range map[string]map[string]FaultKind{
		"xab":   {"x": Lied},
		"axb":   {"x": Lied},
		"xa":    {"x": Lied},
		"ax":    {"x": Lied},
		"xya":   {"x": Lied, "y": Lied}, // two agree, and the third was not asked
		"axybc": {"x": Lied, "y": Lied},
		"xyab":  {"x": Lied, "y": Lied},
	} {
		f := newFixture(t)
		require.NoError(t, f.fetch(content, build(names)...), names)
		f.requireHeld(content)
		require.Subset(t, liars, f.faults, names)
		if names != "axybc" { // there a and b may do without asking further
			require.NotEmpty(t, f.faults, names)
		}
		o, err := f.store.Outline(blobOf(content).Digest)
		require.NoError(t, err)
		require.Equal(t, newSource(t, "", content).blobs[blobOf(content).Digest].outline, o)
	}
	f := newFixture(t)
	require.ErrorIs(t, f.fetch(content, build("xyz")...), ErrNoSource)
	require.Equal(t, map[string]FaultKind{"x": Lied, "y": Lied, "z": Lied}, f.faults)
	f.requireNothing(content)
	require.Zero(t, f.store.Usage().Used)
}

func TestAnOutlineOfTheWrongLengthIsALie(t *testing.T) {
	content := noise(1, 1<<20)
	for name, spoil := range map[string]func(*cloud.Outline){
		"short":   func(o *cloud.Outline) { o.Chunks = o.Chunks[:len(o.Chunks)-1] },
		"longer":  func(o *cloud.Outline) { o.Chunks = append(o.Chunks, cloud.Chunk{Size: chunk.Min}) },
		"size":    func(o *cloud.Outline) { o.Blob.Size++ },
		"another": func(o *cloud.Outline) { o.Blob = blobOf([]byte("another")) },
	} {
		f := newFixture(t)
		bad, good := newSource(t, "bad", content), newSource(t, "good", content)
		spoil(&bad.blobs[blobOf(content).Digest].outline)
		require.NoError(t, f.fetch(content, bad, good), name)
		f.requireHeld(content)
		require.Equal(t, map[string]FaultKind{"bad": Lied}, f.faults, name)
		require.ErrorIs(t, newFixture(t).fetch(content, bad), cloud.ErrLied, name)
	}
}

// A true outline that cuts elsewhere would have others take us for a liar.
func TestAnOutlineThatIsNotCutByTheProtocolIsNotPassedOn(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 10*chunk.Min)
	o := cloud.Outline{Blob: blobOf(content)}
	for at := 0; at < len(content); at += chunk.Min {
		o.Chunks = append(o.Chunks, cloud.Chunk{Sum: sha256.Sum256(content[at : at+chunk.Min]), Size: chunk.Min})
	}
	odd := newSource(t, "odd", content)
	want := odd.blobs[o.Blob.Digest].outline
	odd.blobs[o.Blob.Digest].outline = o
	require.NoError(t, f.fetch(content, odd))
	f.requireHeld(content)
	got, err := f.store.Outline(o.Blob.Digest)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, map[string]FaultKind{"odd": Lied}, f.faults)
}

func TestWhoHasNothingIsNotBlamed(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 1<<20)
	require.NoError(t, f.fetch(content, newSource(t, "empty"), newSource(t, "a", content)))
	f.requireHeld(content)
	small := []byte("small")
	require.ErrorIs(t, f.fetch(small, newSource(t, "empty")), ErrNoSource)
	require.ErrorIs(t, f.fetch(small, newSource(t, "empty")), cloud.ErrNotHeld)
	require.ErrorIs(t, f.fetch(small), ErrNoSource)
	require.Empty(t, f.faults)
}

func TestChunksOfOtherBlobsAreNotFetched(t *testing.T) {
	f := newFixture(t)
	before := noise(1, 4<<20)
	require.NoError(t, f.store.Put(context.Background(), bytes.NewReader(before), blobOf(before)))
	after := append(append(append([]byte{}, before[:2<<20]...), "inserted"...), before[2<<20:]...)
	zeros := append(after, make([]byte, 2<<20)...) // of which one chunk is enough
	a := newSource(t, "a", zeros)
	require.NoError(t, f.fetch(zeros, a))
	require.Less(t, f.progress.Remote, int64(3<<20))
	require.Greater(t, f.progress.Local, int64(3<<20))
	require.Less(t, a.sent.Load(), int64(3<<20))
}

func TestASlowSourceDoesNotHoldUpTheOthers(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 6<<20)
	lame, quick := newSource(t, "lame", content), newSource(t, "quick", content)
	lame.spoil = func(_ int64, r io.Reader) io.Reader { return slow{r, 20_000} } // its requests would take half a minute
	quick.spoil = func(_ int64, r io.Reader) io.Reader { return slow{r, 8 << 20} }
	begin := time.Now()
	require.NoError(t, f.fetch(content, lame, quick))
	require.Less(t, time.Since(begin), 10*time.Second)
	f.requireHeld(content)
	require.Empty(t, f.faults)
}

func TestFetchesOfOneBlobShare(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 3<<20)
	a := newSource(t, "a", content)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			require.NoError(t, Blob(context.Background(), f.store, blobOf(content), []cloud.Source{a}, Options{}))
		})
	}
	group.Wait()
	require.Less(t, a.sent.Load(), int64(4<<20))
}

func TestAFetchThatIsEndedGoesOnWhereItWas(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 4<<20)
	a := newSource(t, "a", content)
	ctx, cancel := context.WithCancel(context.Background())
	opts := Options{RequestBytes: 256 << 10, Progress: func(p Progress) {
		if p.Remote > 2<<20 {
			cancel()
		}
	}}
	require.ErrorIs(t, Blob(ctx, f.store, blobOf(content), []cloud.Source{a}, opts), context.Canceled)
	f.requireNothing(content)
	require.NoError(t, f.fetch(content, a))
	f.requireHeld(content)
	require.Greater(t, f.progress.Local, int64(2<<20))
}

func TestAStoreThatIsFullIsNobodysFault(t *testing.T) {
	f := newFixture(t)
	content := noise(1, 1<<20)
	require.NoError(t, f.store.Close())
	var err error
	f.store, err = openLimited(f.dir, 500_000)
	require.NoError(t, err)
	require.ErrorIs(t, f.fetch(content, newSource(t, "a", content)), cloud.ErrFull)
	require.Empty(t, f.faults)
}
