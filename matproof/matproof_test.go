package matproof

import (
	"context"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func statement(n int) Statement {
	return Statement{Size: n, Seed: Digest{1, 2, 3}, Context: []byte("isun1operator/1 epoch 7")}
}

func challenge(rounds, rows int) Challenge {
	return Challenge{Beacon: []byte("beacon 8"), Rounds: rounds, Rows: rows}
}

func prove(t testing.TB, s Statement) *Prover {
	t.Helper()
	p, err := Prove(context.Background(), s, CPU{Threads: 2})
	require.NoError(t, err)
	return p
}

// schoolbook is the product by definition, in big integers.
func schoolbook(n int, a, b []uint32) []uint32 {
	out := make([]uint32, n*n)
	p := big.NewInt(int64(P))
	for i := range n {
		for j := range n {
			sum := new(big.Int)
			for k := range n {
				sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(a[i*n+k])), big.NewInt(int64(b[k*n+j]))))
			}
			out[i*n+j] = uint32(sum.Mod(sum, p).Uint64())
		}
	}
	return out
}

func TestReduce(t *testing.T) {
	p := uint64(P)
	for _, x := range []uint64{0, 1, p - 1, p, p + 1, 2*p - 1, 2 * p, 1<<31 - 2, 1 << 31, p * p, (p - 1) * (p - 1), 4*(p-1)*(p-1) + 1<<34, ^uint64(0)} {
		require.EqualValues(t, x%p, reduce(x), x)
		require.Less(t, fold(x), uint64(1)<<34)
		require.Equal(t, x%p, fold(x)%p)
	}
}

// Four products of the largest residues beside the largest folded sum fit.
func TestFourProductsFitBesideAFoldedSum(t *testing.T) {
	most := new(big.Int).Mul(big.NewInt(int64(P)-1), big.NewInt(int64(P)-1))
	most.Lsh(most, 2).Add(most, big.NewInt(1<<34))
	require.LessOrEqual(t, most.BitLen(), 64)
}

func TestProductIsTheProduct(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 16, 17, 33, 67} {
		a, b, err := statement(n).Matrices()
		require.NoError(t, err)
		want := schoolbook(n, a, b)
		for _, threads := range []int{0, 1, 3} {
			got, err := CPU{Threads: threads}.Product(context.Background(), n, a, b)
			require.NoError(t, err)
			require.Equal(t, want, got, "n %d, %d threads", n, threads)
		}
	}
}

func TestProductOfTheLargestResidues(t *testing.T) {
	const n = 601 // more than a block of columns and many of rows, none whole
	m := make([]uint32, n*n)
	for i := range m {
		m[i] = P - 1
	}
	got, err := CPU{}.Product(context.Background(), n, m, m)
	require.NoError(t, err)
	for _, v := range got {
		require.EqualValues(t, n, v, "(−1)·(−1) n times")
	}
}

func TestProductRefuses(t *testing.T) {
	ctx := context.Background()
	two := []uint32{1, 2, 3, 4}
	for _, n := range []int{-1, 0, 1, 3, MaxSize + 1} {
		_, err := CPU{}.Product(ctx, n, two, two)
		require.ErrorIs(t, err, ErrMatrix, n)
	}
	_, err := CPU{}.Product(ctx, 2, two, []uint32{0, 0, 0, P})
	require.ErrorIs(t, err, ErrMatrix)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = CPU{}.Product(ended, 2, two, two)
	require.ErrorIs(t, err, context.Canceled)
}

// What a seed gives may never change: a node of another version or another
// maker must draw the same matrices, vectors and rows.
func TestGolden(t *testing.T) {
	s := statement(5)
	a, b, err := s.Matrices()
	require.NoError(t, err)
	require.Equal(t, []uint32{572777128, 1240030085, 1132251667, 1570214013, 592502736}, a[:5])
	require.Equal(t, []uint32{458443764, 205877244, 162689212, 1787249535, 395793643}, b[20:])
	p := prove(t, s)
	root := p.Claim().Root
	require.Equal(t, "773faca353de1d9f9b1e9672ab1470668ac3c68f2ecdfeab60ea27a5b3f62f63", hex.EncodeToString(root[:]))
	drawn := transcript(p.Claim(), challenge(2, 3))
	require.Equal(t, []int{0, 1, 4}, rows(drawn, 5, 3))
	require.Equal(t, []uint32{1774338573, 318201405, 1850461061, 1616481328, 31609544}, vectors(drawn, 5, 2)[1])
}

func TestRowsAreUniform(t *testing.T) {
	const n, count, draws = 5, 2, 5000
	var seen [n]int
	for i := range draws {
		got := rows(hash("test", number(i)), n, count)
		require.Len(t, got, count)
		require.Less(t, got[0], got[1])
		for _, row := range got {
			seen[row]++
		}
	}
	for _, times := range seen {
		require.InDelta(t, draws*count/n, times, 150, "four standard deviations")
	}
	require.Equal(t, []int{0, 1, 2, 3, 4}, rows(Digest{}, n, n))
	require.Equal(t, []int{0}, rows(Digest{}, 1, 1))
}

func TestHonestProofPasses(t *testing.T) {
	for _, n := range []int{1, 2, 3, 31, 64, 100} {
		p := prove(t, statement(n))
		for _, c := range []Challenge{challenge(1, 1), challenge(2, min(n, 7)), challenge(MaxRounds, n)} {
			proof, err := p.Open(c)
			require.NoError(t, err)
			require.NoError(t, proof.Verify(p.Claim(), c))
			raw, err := proof.MarshalBinary()
			require.NoError(t, err)
			parsed, err := ParseProof(raw)
			require.NoError(t, err)
			require.Equal(t, proof, parsed)
			require.NoError(t, parsed.Verify(p.Claim(), c))
		}
		require.NoError(t, CheckProduct(p.Claim(), challenge(2, 0), p.product))
	}
}

func TestContextsShareNothing(t *testing.T) {
	one := statement(32)
	for name, change := range map[string]func(*Statement){
		"seed":    func(s *Statement) { s.Seed[31]++ },
		"context": func(s *Statement) { s.Context = []byte("isun1operator/2 epoch 7") },
		"size":    func(s *Statement) { s.Size++ },
	} {
		other := statement(32)
		change(&other)
		a, b, err := one.Matrices()
		require.NoError(t, err)
		a2, b2, err := other.Matrices()
		require.NoError(t, err)
		require.NotEqual(t, a[:32], a2[:32], name)
		require.NotEqual(t, b[:32], b2[:32], name)
	}
	a, b, err := one.Matrices()
	require.NoError(t, err)
	require.NotEqual(t, a[:32], b[:32])
}

func TestBounds(t *testing.T) {
	for _, s := range []Statement{{Size: 0}, {Size: -1}, {Size: MaxSize + 1}, {Size: 1, Context: make([]byte, MaxContext+1)}} {
		require.ErrorIs(t, s.Validate(), ErrStatement)
		_, _, err := s.Matrices()
		require.ErrorIs(t, err, ErrStatement)
		_, err = Prove(context.Background(), s, CPU{})
		require.ErrorIs(t, err, ErrStatement)
		_, err = Commit(s, nil)
		require.ErrorIs(t, err, ErrStatement)
		require.ErrorIs(t, Proof{}.Verify(Claim{Statement: s}, challenge(1, 1)), ErrStatement)
		require.ErrorIs(t, CheckProduct(Claim{Statement: s}, challenge(1, 0), nil), ErrStatement)
	}
	for _, s := range []Statement{{Size: 1}, {Size: MaxSize}, {Size: 1, Context: make([]byte, MaxContext)}} {
		require.NoError(t, s.Validate())
	}
	p := prove(t, statement(4))
	for _, c := range []Challenge{
		challenge(0, 1), challenge(-1, 1), challenge(MaxRounds+1, 1), challenge(1, 0), challenge(1, -1), challenge(1, 5),
		{Rounds: 1, Rows: 1, Beacon: make([]byte, MaxBeacon+1)},
	} {
		_, err := p.Open(c)
		require.ErrorIs(t, err, ErrChallenge)
		require.ErrorIs(t, Proof{}.Verify(p.Claim(), c), ErrChallenge)
	}
	require.ErrorIs(t, CheckProduct(p.Claim(), challenge(0, 0), p.product), ErrChallenge)
	require.NoError(t, Challenge{Rounds: 1, Rows: MaxRows}.validate(MaxSize, 1))
	require.ErrorIs(t, Challenge{Rounds: 1, Rows: MaxRows + 1}.validate(MaxSize, 1), ErrChallenge)
}
