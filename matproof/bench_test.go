package matproof

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var sizes = []int{256, 512, 1024, 2048}

// of runs a benchmark for every size, with what it costs beside.
func of(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) { run(b, n) })
	}
}

func BenchmarkExpand(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		for b.Loop() {
			_, _, err := statement(n).Matrices()
			require.NoError(b, err)
		}
	})
}

func BenchmarkProduct(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		x, y, err := statement(n).Matrices()
		require.NoError(b, err)
		for b.Loop() {
			_, err := CPU{Threads: 1}.Product(context.Background(), n, x, y)
			require.NoError(b, err)
		}
	})
}

// BenchmarkProve is all of it, from the seed to the root, on one core.
func BenchmarkProve(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		for b.Loop() {
			_, err := Prove(context.Background(), statement(n), CPU{Threads: 1})
			require.NoError(b, err)
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		x, _, err := statement(n).Matrices()
		require.NoError(b, err)
		for b.Loop() {
			_, err := Commit(statement(n), x)
			require.NoError(b, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		p, c := prove(b, statement(n)), challenge(2, 64)
		proof, err := p.Open(c)
		require.NoError(b, err)
		raw, err := proof.MarshalBinary()
		require.NoError(b, err)
		for b.Loop() {
			parsed, err := ParseProof(raw)
			require.NoError(b, err)
			require.NoError(b, parsed.Verify(p.Claim(), c))
		}
		b.ReportMetric(float64(len(raw)), "proof-bytes")
	})
}

func BenchmarkCheckProduct(b *testing.B) {
	of(b, func(b *testing.B, n int) {
		p := prove(b, statement(n))
		for b.Loop() {
			require.NoError(b, CheckProduct(p.Claim(), challenge(2, 0), p.product))
		}
	})
}
