package fetch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

func TestAStoreIsASourceForAnother(t *testing.T) {
	root, contents := tree()
	from, to := newFixture(t), newFixture(t)
	_, err := from.fetchTree(root, newSource(t, "a", contents...))
	require.NoError(t, err)
	source := FromLibrary("folder", from.store)
	require.Equal(t, "folder", source.Name())
	_, err = to.fetchTree(root, source)
	require.NoError(t, err)
	_, err = source.Outline(context.Background(), blobOf([]byte("absent")).Digest)
	require.ErrorIs(t, err, cloud.ErrNotHeld)
	_, err = source.Chunks(context.Background(), blobOf([]byte("absent")).Digest, 0, 1)
	require.ErrorIs(t, err, cloud.ErrNotHeld)
	for _, r := range [][2]int{{-1, 1}, {0, -1}, {0, 2}, {1, 1}, {1 << 62, 1 << 62}} {
		_, err = source.Chunks(context.Background(), blobOf(root).Digest, r[0], r[1])
		require.ErrorIs(t, err, chunk.ErrMalformed)
	}
}
