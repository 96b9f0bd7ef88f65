package opencl

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/matproof"
)

// on multiplies on a device.
type on struct {
	*Source
	id string
}

func (d on) Product(ctx context.Context, n int, a, b []uint32) ([]uint32, error) {
	return d.Source.Product(ctx, d.id, n, a, b)
}

// A proof made on a device is, byte for byte, the processor's.
func TestProofIsTheProcessors(t *testing.T) {
	s, id := pocl(t)
	ctx := context.Background()
	challenge := matproof.Challenge{Beacon: []byte("beacon"), Rounds: 2, Rows: 1}
	for _, n := range []int{1, 31, 128, 200} {
		statement := matproof.Statement{Size: n, Context: []byte("node 1, epoch 7")}
		here, err := matproof.Prove(ctx, statement, matproof.CPU{})
		require.NoError(t, err)
		there, err := matproof.Prove(ctx, statement, on{s, id})
		require.NoError(t, err)
		require.Equal(t, here.Claim(), there.Claim(), "n = %d", n)
		want, err := here.Open(challenge)
		require.NoError(t, err)
		got, err := there.Open(challenge)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, got.Verify(here.Claim(), challenge))
	}
}
