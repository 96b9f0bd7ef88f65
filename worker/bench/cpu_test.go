package bench

import (
	"bytes"
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// golden are the digests of each part's result: they are the same on every
// machine and architecture, and a change of one is a new Version.
var golden = map[string]string{
	"cpu.integer":     "44ff21e57101875c27f8979e835dcb81b5ded39c74fbd6cd0947e8f9573d66c3",
	"cpu.float":       "e968c53e8b270799801babadce8953e79207180d362c0ca54daef7fd07b775bd",
	"cpu.compression": "24d67fb4b72e440090f0137436e752c0ad3523e08ca7a17ecf2d9f18cab5a85e",
	"cpu.memory":      "f995ca9b1d4a8cffb720907ef7a92863246216b3295ae9fe6be89e4f3d422b68",
}

func TestWorkIsTheSameEverywhere(t *testing.T) {
	result, err := CPU(context.Background(), 2, time.Millisecond)
	require.NoError(t, err)
	require.Len(t, result.Parts, 4)
	product := 1.0
	for _, m := range result.Parts {
		require.Equal(t, golden[m.Name], m.Digest, m.Name)
		require.Equal(t, Seed, m.Seed)
		require.GreaterOrEqual(t, m.Samples, 2, "at least one slice a thread, however short the time")
		require.Equal(t, "points", m.Unit)
		product *= m.Value
	}
	require.InDelta(t, math.Sqrt(math.Sqrt(product)), float64(result.Points), 1.001, "the geometric mean of the parts")
}

func TestAnotherSeedIsAnotherResult(t *testing.T) {
	for name, make := range map[string]func(seed uint64) kernel{
		"integer":     func(seed uint64) kernel { return newInteger(seed) },
		"float":       func(seed uint64) kernel { return newFloat(seed) },
		"compression": func(seed uint64) kernel { return newCompression(seed) },
	} {
		a, b := make(Seed), make(Seed+1)
		require.NoError(t, a.slice(), name)
		require.NoError(t, a.slice(), name)
		require.NoError(t, b.slice(), name)
		require.NotEqual(t, a.result(), b.result(), name)
	}
}

func TestCompressionShrinksAndRestores(t *testing.T) {
	k := newCompression(Seed)
	require.NoError(t, k.slice())
	require.Less(t, len(k.packed), textBytes*2/3)
	require.Greater(t, len(k.packed), textBytes/10, "as much as of any text, not of zeros")
	// A bit that flips on the way is noticed.
	k.packed[len(k.packed)/2] ^= 1
	restored := expand(k.restored[:0], k.decode(k.unpacked[:0], k.packed, len(k.tokens)))
	require.False(t, bytes.Equal(restored, k.text))
}

func TestWrongArithmeticIsNoticed(t *testing.T) {
	k := newInteger(Seed)
	require.NoError(t, k.slice())
	k.seed++
	require.ErrorIs(t, k.slice(), ErrWrongResult)

	table, err := newChaseTable(t.Context(), Seed)
	require.NoError(t, err)
	defer table.memory.free()
	chase := newChase(table, 0)
	require.NoError(t, chase.slice())
	at := chase.at[0]
	table.lines[at].next = at
	require.ErrorIs(t, chase.slice(), ErrWrongResult)
}

func TestChaseVisitsEveryLineOnce(t *testing.T) {
	table, err := newChaseTable(t.Context(), Seed)
	require.NoError(t, err)
	defer table.memory.free()
	seen := make([]bool, chaseLines)
	for at, i := table.first, 0; i < chaseLines; at, i = table.lines[at].next, i+1 {
		require.False(t, seen[at])
		seen[at] = true
	}
	require.NotEqual(t, newChase(table, 0).at, newChase(table, 1).at, "threads walk apart")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newChaseTable(ctx, Seed)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCPUEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := CPU(ctx, 1, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	_, err = CPU(context.Background(), 0, time.Second)
	require.ErrorContains(t, err, "at least 1")
}

func BenchmarkSlice(b *testing.B) {
	table, err := newChaseTable(context.Background(), Seed)
	require.NoError(b, err)
	defer table.memory.free()
	for name, k := range map[string]kernel{
		"integer": newInteger(Seed), "float": newFloat(Seed), "compression": newCompression(Seed), "memory": newChase(table, 0),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := k.slice(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
