package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memoryGolden is the digest of a block of the triad.
const memoryGolden = "9586bbae04f2a601f9ec9c274437f8b2eceee2654b3ec266dab8c2464728a303"

func TestMemoryBandwidth(t *testing.T) {
	for _, threads := range []int{1, 2} {
		figures, err := MemoryBandwidth(t.Context(), threads, 1<<40, time.Millisecond)
		require.NoError(t, err)
		require.Len(t, figures, 2)
		for _, m := range figures {
			require.Positive(t, m.Value, m.Name)
			require.Equal(t, "MB/s", m.Unit)
			require.Equal(t, memoryGolden, m.Digest, "%s is the same everywhere", m.Name)
		}
	}
}

func TestMemoryBandwidthLeavesRoom(t *testing.T) {
	blocks, err := blocksPerThread(2, 1<<40, time.Second)
	require.NoError(t, err)
	require.Equal(t, usualTotal/blockBytes/2, blocks)
	blocks, err = blocksPerThread(2, 256<<20, time.Second)
	require.NoError(t, err)
	require.LessOrEqual(t, 2*3*blocks*blockBytes, 64<<20, "a quarter of what is available at most")
	blocks, err = blocksPerThread(512, 1<<40, time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, blocks, "a block each, however many threads")
	_, err = MemoryBandwidth(t.Context(), 2, 90<<20, time.Second)
	require.ErrorIs(t, err, ErrTooLittle)
	_, err = MemoryBandwidth(t.Context(), 0, 1<<40, time.Second)
	require.ErrorContains(t, err, "at least 1")
}

func TestMemoryBandwidthEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := MemoryBandwidth(ctx, 1, 1<<40, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
}

func TestMemoryThatChangesIsNoticed(t *testing.T) {
	s, err := newStreams(t.Context(), 2)
	require.NoError(t, err)
	defer s.free()
	_, err = checkStreams(t.Context(), []*streams{s})
	require.NoError(t, err)
	s.c[blockWords+7] ^= 1 << 40
	_, err = checkStreams(t.Context(), []*streams{s})
	require.ErrorIs(t, err, ErrWrongResult)
}
