package fetch

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// tree is an index of two manifests that share a layer.
func tree() (root []byte, contents [][]byte) {
	descriptor := func(mediaType string, content []byte) string {
		b := blobOf(content)
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, b.Digest, b.Size)
	}
	shared := noise(1, 1<<20)
	contents = append(contents, shared)
	var manifests string
	for i := range 2 {
		config, layer := fmt.Appendf(nil, `{"n":%d}`, i), noise(uint64(2+i), 500_000)
		manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s,%s]}`,
			descriptor("application/vnd.oci.image.config.v1+json", config),
			descriptor("application/vnd.oci.image.layer.v1.tar", shared), descriptor("application/vnd.oci.image.layer.v1.tar", layer))
		contents = append(contents, config, layer, manifest)
		if i > 0 {
			manifests += ","
		}
		manifests += descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
	}
	root = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}`, manifests)
	return root, append(contents, root)
}

func (f *fixture) fetchTree(root []byte, sources ...cloud.Source) ([]cloud.Blob, error) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return Tree(ctx, f.store, blobOf(root).Digest, sources, f.options())
}

func TestATreeIsFetchedWhole(t *testing.T) {
	f := newFixture(t)
	root, contents := tree()
	got, err := f.fetchTree(root, newSource(t, "a", contents...), newSource(t, "b", contents...))
	require.NoError(t, err)
	require.Len(t, got, len(contents))
	require.Equal(t, blobOf(root), got[0])
	require.NoError(t, f.store.SetRoot(got[0].Digest, got, true))
	held, err := f.store.Root(got[0].Digest)
	require.NoError(t, err)
	require.Equal(t, held.Size, f.progress.Total)
	require.Equal(t, held.Size, f.progress.Local+f.progress.Remote)
	again, err := f.fetchTree(root)
	require.NoError(t, err, "it is all here")
	require.Equal(t, got, again)
}

func TestATreeThatNobodyHasWholeIsFetchedFromAll(t *testing.T) {
	f := newFixture(t)
	root, contents := tree()
	got, err := f.fetchTree(root, newSource(t, "a", contents[:4]...), newSource(t, "b", contents[4:]...))
	require.NoError(t, err)
	require.Len(t, got, len(contents))
	missing := newFixture(t)
	_, err = missing.fetchTree(root, newSource(t, "b", contents[4:]...))
	require.ErrorIs(t, err, ErrNoSource)
	require.ErrorIs(t, err, cloud.ErrNotHeld)
	require.Empty(t, missing.faults)
}

func TestWhoLiesAboutADocumentsSizeIsNotBelieved(t *testing.T) {
	root, contents := tree()
	for _, names := range []string{"xab", "xa", "xya"} {
		f := newFixture(t)
		var sources []cloud.Source
		for _, name := range names {
			s := newSource(t, string(name), contents...)
			if name >= 'x' {
				s.stat = func(size int64) int64 { return size - 1 }
			}
			sources = append(sources, s)
		}
		_, err := f.fetchTree(root, sources...)
		require.NoError(t, err, names)
	}
	f := newFixture(t)
	huge := newSource(t, "huge", contents...)
	huge.stat = func(int64) int64 { return 1 << 40 }
	_, err := f.fetchTree(root, huge)
	require.ErrorIs(t, err, ErrNoSource)
}

func TestAHostileTreeIsRefused(t *testing.T) {
	f := newFixture(t)
	both := []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`)
	_, err := f.fetchTree(both, newSource(t, "a", both))
	require.ErrorIs(t, err, uai.ErrMalformed)
	require.Empty(t, f.faults, "its digest is that of what was asked for")
}

func TestALiarInOneBlobIsNotAskedForTheNext(t *testing.T) {
	f := newFixture(t)
	root, contents := tree()
	bad, good := newSource(t, "bad", contents...), newSource(t, "good", contents...)
	lie(t, bad, root)
	found := make(chan struct{})
	f.onFault = sync.OnceFunc(func() { close(found) })
	good.spoil = func(_ int64, r io.Reader) io.Reader { return gated{r, found} } // so that the bad one has its turn
	_, err := f.fetchTree(root, bad, good)
	require.NoError(t, err)
	require.Equal(t, map[string]FaultKind{"bad": Lied}, f.faults)
	require.Zero(t, bad.outlines.Load())
}
