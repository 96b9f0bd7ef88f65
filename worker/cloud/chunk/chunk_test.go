package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// noise is content that depends on its seed only.
func noise(seed uint64, size int) []byte {
	content := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return content
}

func digest(content []byte) uai.Digest {
	sum := sha256.Sum256(content)
	return uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func outline(t *testing.T, content []byte) cloud.Outline {
	t.Helper()
	chunks, err := Cut(bytes.NewReader(content))
	require.NoError(t, err)
	return cloud.Outline{Blob: cloud.Blob{Digest: digest(content), Size: int64(len(content))}, Chunks: chunks}
}

func TestPolynomialIsIrreducibleAndOfTheRightDegree(t *testing.T) {
	require.True(t, polynomial.Irreducible())
	require.Equal(t, 53, polynomial.Deg())
}

// The protocol: a change of this test is a change of what is shared.
func TestCutsAreThoseOfTheProtocol(t *testing.T) {
	o := outline(t, noise(1, 1<<20))
	sizes := make([]uint32, len(o.Chunks))
	for i, c := range o.Chunks {
		sizes[i] = c.Size
	}
	require.Equal(t, []uint32{
		39942, 66455, 117753, 149191, 29002, 24634, 20908, 18333, 23992, 18230, 61416, 71309, 70391, 84458, 122171, 58452, 71939,
	}, sizes)
}

func TestChunksAreWithinBoundsAndAddUpToTheContent(t *testing.T) {
	for _, size := range []int{0, 1, Min - 1, Min, Min + 1, Max, Max + 1, 3<<20 + 7} {
		content := noise(uint64(size), size)
		o := outline(t, content)
		require.NoError(t, Check(o), size)
		at := 0
		for _, c := range o.Chunks {
			require.Equal(t, sha256.Sum256(content[at:at+int(c.Size)]), c.Sum)
			at += int(c.Size)
		}
		require.Equal(t, size, at)
	}
	for _, c := range outline(t, make([]byte, 2<<20)).Chunks[:3] { // content in which nothing ends a chunk, or everything
		require.Contains(t, []uint32{Min, Max}, c.Size)
	}
}

func TestAnInsertionChangesFewChunks(t *testing.T) {
	before := noise(2, 8<<20)
	after := append(append(append([]byte{}, before[:3<<20]...), "a few bytes more"...), before[3<<20:]...)
	had := map[[32]byte]bool{}
	for _, c := range outline(t, before).Chunks {
		had[c.Sum] = true
	}
	fresh := 0
	for _, c := range outline(t, after).Chunks {
		if !had[c.Sum] {
			fresh++
		}
	}
	require.LessOrEqual(t, fresh, 3)
}

func TestCutterCutsAsCutDoesHoweverItIsWrittenTo(t *testing.T) {
	content := noise(3, 5<<20+11)
	want := outline(t, content).Chunks
	for _, step := range []int{1 << 10, blockSize, blockSize + 1, len(content)} {
		c := NewCutter()
		for at := 0; at < len(content); at += step {
			n, err := c.Write(content[at:min(at+step, len(content))])
			require.NoError(t, err)
			require.Positive(t, n)
		}
		got, err := c.Finish()
		require.NoError(t, err)
		require.Equal(t, want, got)
		c.Abort()
	}
	small := NewCutter()
	_, err := small.Write(content[:100])
	require.NoError(t, err)
	got, err := small.Finish()
	require.NoError(t, err)
	require.Equal(t, outline(t, content[:100]).Chunks, got)
	given := NewCutter()
	_, err = given.Write(content)
	require.NoError(t, err)
	given.Abort()
	given.Abort()
}

func TestCutGivesTheReadersError(t *testing.T) {
	broken := errors.New("broken disk")
	_, err := Cut(io.MultiReader(bytes.NewReader(noise(4, 100_000)), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}

func TestWholeNeedsNobodyForSmallBlobs(t *testing.T) {
	for _, size := range []int{0, 1, Min} {
		content := noise(5, size)
		want := outline(t, content)
		got, ok := Whole(want.Blob)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := Whole(cloud.Blob{Digest: digest(nil), Size: Min + 1})
	require.False(t, ok)
	_, ok = Whole(cloud.Blob{Digest: digest(nil), Size: -1})
	require.False(t, ok)
	_, ok = Whole(cloud.Blob{Digest: "sha256:short", Size: 5})
	require.False(t, ok)
}

func TestOutlinesSurviveTheirEncoding(t *testing.T) {
	for _, size := range []int{0, 10, 300_000, 2 << 20} {
		want := outline(t, noise(6, size))
		raw, err := Append(nil, want)
		require.NoError(t, err)
		require.EqualValues(t, EncodedLength(len(want.Chunks)), len(raw))
		got, err := Decode(iotest.OneByteReader(bytes.NewReader(raw)), MaxBlob)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for cut := range len(raw) {
			_, err := Decode(bytes.NewReader(raw[:cut]), MaxBlob)
			require.ErrorIs(t, err, ErrMalformed)
		}
		for i := range raw {
			raw[i] ^= 0x40
			_, err := Decode(bytes.NewReader(raw), MaxBlob)
			require.ErrorIs(t, err, ErrMalformed)
			raw[i] ^= 0x40
		}
	}
}

func TestDecodeRefusesABlobThatIsLargerThanWanted(t *testing.T) {
	raw, err := Append(nil, outline(t, noise(7, 100_000)))
	require.NoError(t, err)
	_, err = Decode(bytes.NewReader(raw), 99_999)
	require.ErrorIs(t, err, ErrMalformed)
	_, err = Decode(bytes.NewReader(raw), -1)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestDecodeTakesNoMemoryForChunksThatAreOnlyAnnounced(t *testing.T) {
	o := cloud.Outline{Blob: cloud.Blob{Digest: digest(nil), Size: MaxBlob}}
	raw, err := Append(nil, o)
	require.NoError(t, err)
	raw[41], raw[42] = 0, 0x40 // 4,194,304 chunks
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Decode(bytes.NewReader(raw), MaxBlob)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrMalformed)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestCheckRefusesWhatNoBlobCanHave(t *testing.T) {
	good := outline(t, noise(8, 1<<20))
	require.NoError(t, Check(good))
	small := outline(t, noise(8, 1000))
	for name, o := range map[string]func() cloud.Outline{
		"digest":        func() cloud.Outline { o := good; o.Blob.Digest = "sha256:zz"; return o },
		"negative size": func() cloud.Outline { o := good; o.Blob.Size = -1; return o },
		"huge size":     func() cloud.Outline { o := good; o.Blob.Size = MaxBlob + 1; return o },
		"no chunks":     func() cloud.Outline { o := good; o.Chunks = nil; return o },
		"chunk short":   func() cloud.Outline { o := good; o.Chunks = o.Chunks[:len(o.Chunks)-1]; return o },
		"too long":      func() cloud.Outline { o := good; o.Blob.Size--; return o },
		"empty with a chunk": func() cloud.Outline {
			return cloud.Outline{Blob: cloud.Blob{Digest: digest(nil)}, Chunks: []cloud.Chunk{{}}}
		},
		"small chunk in the middle": func() cloud.Outline {
			return cloud.Outline{Blob: cloud.Blob{Digest: digest(nil), Size: Min + 1}, Chunks: []cloud.Chunk{{Size: Min - 1}, {Size: 2}}}
		},
		"chunk beyond Max": func() cloud.Outline {
			return cloud.Outline{Blob: cloud.Blob{Digest: digest(nil), Size: Max + 1}, Chunks: []cloud.Chunk{{Size: Max + 1}}}
		},
		"more chunks than bytes allow": func() cloud.Outline {
			return cloud.Outline{Blob: cloud.Blob{Digest: digest(nil), Size: 10}, Chunks: []cloud.Chunk{{Size: 5}, {Size: 5}}}
		},
		"another only chunk": func() cloud.Outline {
			o := small
			o.Chunks = []cloud.Chunk{{Size: 1000}}
			return o
		},
	} {
		require.ErrorIs(t, Check(o()), ErrMalformed, name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, size := range []int{0, 100, 400_000} {
		content := noise(9, size)
		chunks, err := Cut(bytes.NewReader(content))
		require.NoError(f, err)
		raw, err := Append(nil, cloud.Outline{Blob: cloud.Blob{Digest: digest(content), Size: int64(size)}, Chunks: chunks})
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := Decode(bytes.NewReader(raw), MaxBlob)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.NoError(t, Check(o))
		again, err := Append(nil, o)
		require.NoError(t, err)
		require.Equal(t, raw[:len(again)], again)
	})
}
