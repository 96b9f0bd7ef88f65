package chunk

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/restic/chunker"
	"github.com/stretchr/testify/require"
)

// reference cuts with the library whose cuts are the protocol's.
func reference(t testing.TB, content []byte) (sizes []int) {
	t.Helper()
	cutter := chunker.NewWithBoundaries(bytes.NewReader(content), polynomial, Min, Max)
	cutter.SetAverageBits(averageBits)
	for buffer := make([]byte, Max); ; {
		next, err := cutter.Next(buffer)
		if errors.Is(err, io.EOF) {
			return sizes
		}
		require.NoError(t, err)
		sizes = append(sizes, int(next.Length))
	}
}

func requireReference(t testing.TB, content []byte) {
	t.Helper()
	chunks, err := Cut(bytes.NewReader(content))
	require.NoError(t, err)
	want, at := reference(t, content), 0
	require.Len(t, chunks, len(want))
	for i, c := range chunks {
		require.EqualValues(t, want[i], c.Size, "chunk %d", i)
		piece := content[at : at+want[i]]
		require.True(t, Fits(piece, i == len(want)-1), "chunk %d", i)
		require.False(t, Fits(append(piece[:len(piece):len(piece)], 0), false) && len(piece) < Max && i < len(want)-1, "a chunk ends where it first can")
		at += want[i]
	}
}

func TestCutsAreThoseOfTheReference(t *testing.T) {
	requireReference(t, noise(1, 24<<20))
	requireReference(t, make([]byte, 1<<20+5))
	for size := range 200 {
		requireReference(t, noise(uint64(size), Min-100+size))
		requireReference(t, noise(uint64(size), Min+4*lane-100+size))
	}
	text := bytes.Repeat([]byte("the same line again and again, with a number\n"), 40_000)
	requireReference(t, text)
}

func TestFitsRefusesWhatTheProtocolDoesNotCut(t *testing.T) {
	content := noise(1, 1<<20)
	size := reference(t, content)[0]
	require.True(t, Fits(content[:size], false))
	require.False(t, Fits(content[:size-1], false))
	require.True(t, Fits(content[:size-1], true))
	require.False(t, Fits(content[:size+1], true), "it would have ended before")
	require.False(t, Fits(content[:Min], false))
	require.False(t, Fits(nil, true))
	require.False(t, Fits(make([]byte, Max+1), true))
}

func FuzzCut(f *testing.F) {
	f.Add(uint64(1), 100_000, []byte("x"), 1)
	f.Add(uint64(2), 300_000, []byte("\x00\x00"), 200_000)
	f.Fuzz(func(t *testing.T, seed uint64, size int, pattern []byte, repeat int) {
		content := noise(seed, int(uint(size)%(600<<10)))
		if len(pattern) > 0 {
			content = append(content, bytes.Repeat(pattern, int(uint(repeat)%(300<<10))/len(pattern))...)
		}
		requireReference(t, append(content, noise(seed+1, len(content)/2)...))
	})
}

func BenchmarkCut(b *testing.B) {
	content := noise(1, 32<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		for at := 0; at < len(content); {
			at += boundary(content[at:min(at+Max, len(content))])
		}
	}
}

func BenchmarkReference(b *testing.B) {
	content := noise(1, 32<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		reference(b, content)
	}
}
