package matproof

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// forge commits to what is not the product.
func forge(t *testing.T, s Statement, change func(product []uint32)) *Prover {
	t.Helper()
	product := slices.Clone(prove(t, s).product)
	change(product)
	p, err := Commit(s, product)
	require.NoError(t, err)
	return p
}

func plusOne(v *uint32) { *v = (*v + 1) % P }

func TestFalseProductIsRefused(t *testing.T) {
	const n = 24
	a, _, err := statement(n).Matrices()
	require.NoError(t, err)
	for name, change := range map[string]func([]uint32){
		"one wrong entry, the first": func(c []uint32) { plusOne(&c[0]) },
		"one wrong entry, the last":  func(c []uint32) { plusOne(&c[n*n-1]) },
		"one wrong entry, negated":   func(c []uint32) { c[n+1] = P - c[n+1] },
		"swapped rows": func(c []uint32) {
			for j := range n {
				c[j], c[n+j] = c[n+j], c[j]
			}
		},
		"swapped columns": func(c []uint32) {
			for i := range n {
				c[i*n], c[i*n+1] = c[i*n+1], c[i*n]
			}
		},
		"two errors that cancel in the sum": func(c []uint32) {
			plusOne(&c[3])
			c[4] = (c[4] + P - 1) % P
		},
		"nothing but zeros": func(c []uint32) { clear(c) },
		"A itself":          func(c []uint32) { copy(c, a) },
		"transposed": func(c []uint32) {
			for i := range n {
				for j := range i {
					c[i*n+j], c[j*n+i] = c[j*n+i], c[i*n+j]
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := forge(t, statement(n), change)
			c := challenge(1, n)
			require.ErrorIs(t, CheckProduct(p.Claim(), c, p.product), ErrFalse)
			proof, err := p.Open(c)
			require.NoError(t, err)
			require.ErrorIs(t, proof.Verify(p.Claim(), c), ErrFalse, "with every row opened")
		})
	}
}

// Rows are a sample: a wrong entry in a row that was not drawn is not seen,
// one in a row that was is.
func TestOneWrongEntryIsSeenWhereItsRowIsOpened(t *testing.T) {
	const n, wrong = 32, 5
	p := forge(t, statement(n), func(c []uint32) { plusOne(&c[wrong*n]) })
	opened := 0
	for i := range 100 {
		c := Challenge{Beacon: number(i), Rounds: 1, Rows: 8}
		proof, err := p.Open(c)
		require.NoError(t, err)
		if slices.Contains(rows(transcript(p.Claim(), c), n, 8), wrong) {
			opened++
			require.ErrorIs(t, proof.Verify(p.Claim(), c), ErrFalse)
		} else {
			require.NoError(t, proof.Verify(p.Claim(), c))
		}
	}
	require.InDelta(t, 25, opened, 17, "8 of 32 rows")
}

// A prover that computes three rows of four passes as often as four rows drawn
// out of 64 miss the 16 false ones: C(48,4)/C(64,4) = 0.306 ≤ (3/4)^4 = 0.316.
func TestPartOfTheRowsPassesAsOftenAsDerived(t *testing.T) {
	const n, trials = 64, 1000
	p := forge(t, statement(n), func(c []uint32) {
		for i := 0; i < n; i += 4 {
			clear(c[i*n : (i+1)*n])
		}
	})
	passed := 0
	for i := range trials {
		c := Challenge{Beacon: number(i), Rounds: 1, Rows: 4}
		proof, err := p.Open(c)
		require.NoError(t, err)
		if proof.Verify(p.Claim(), c) == nil {
			passed++
		}
	}
	require.InDelta(t, 306, passed, 60, "four standard deviations")
}

// Whoever knows a vector beforehand makes false rows that pass: so vectors
// follow from the root.
func TestVectorKnownBeforehandProvesNothing(t *testing.T) {
	const n = 16
	p := prove(t, statement(n))
	r := vectors(Digest{9}, n, 1)[0]
	row := slices.Clone(p.product[:n])
	row[0] = uint32((uint64(row[0]) + uint64(r[1])) % uint64(P))
	row[1] = uint32((uint64(row[1]) + uint64(P-r[0])) % uint64(P))
	require.NotEqual(t, p.product[:n], row)
	require.True(t, newCheck(p.claim.Statement, [][]uint32{r}).row(0, row), "r₁ more of r₀, r₀ less of r₁")

	other := vectors(Digest{10}, n, 1)[0]
	require.False(t, newCheck(p.claim.Statement, [][]uint32{r, other}).row(0, row))

	forged := forge(t, p.claim.Statement, func(c []uint32) { copy(c, row) })
	require.ErrorIs(t, CheckProduct(forged.Claim(), challenge(1, 0), forged.product), ErrFalse)
}

func TestProofOfSomethingElseIsRefused(t *testing.T) {
	const n = 20
	s, c := statement(n), challenge(2, 6)
	mine := prove(t, s)
	for name, change := range map[string]func(*Claim, *Challenge){
		"wrong seed":    func(w *Claim, _ *Challenge) { w.Statement.Seed[0]++ },
		"wrong context": func(w *Claim, _ *Challenge) { w.Statement.Context = []byte("isun1other/1 epoch 7") },
		"no context":    func(w *Claim, _ *Challenge) { w.Statement.Context = nil },
		"larger":        func(w *Claim, _ *Challenge) { w.Statement.Size++ },
		"smaller":       func(w *Claim, _ *Challenge) { w.Statement.Size-- },
		"wrong root":    func(w *Claim, _ *Challenge) { w.Root[0]++ },
		"wrong beacon":  func(_ *Claim, c *Challenge) { c.Beacon = []byte("beacon 9") },
		"no beacon":     func(_ *Claim, c *Challenge) { c.Beacon = nil },
		"fewer rounds":  func(_ *Claim, c *Challenge) { c.Rounds-- },
		"more rows":     func(_ *Claim, c *Challenge) { c.Rows++ },
		"fewer rows":    func(_ *Claim, c *Challenge) { c.Rows-- },
	} {
		t.Run(name, func(t *testing.T) {
			wantClaim, wantChallenge := mine.Claim(), c
			change(&wantClaim, &wantChallenge)
			proof, err := mine.Open(c)
			require.NoError(t, err)
			require.ErrorIs(t, proof.Verify(wantClaim, wantChallenge), ErrOther)

			// It does not pass under the other's name either.
			proof.Claim, proof.Challenge = wantClaim, wantChallenge
			require.Error(t, proof.Verify(wantClaim, wantChallenge))
			if wantChallenge.Equal(c) {
				require.Error(t, CheckProduct(wantClaim, wantChallenge, mine.product))
			}
		})
	}
}

// Another node's product, committed to as one's own.
func TestProductOfAnotherContextIsFalse(t *testing.T) {
	theirs, s := prove(t, statement(20)), statement(20)
	s.Context = []byte("isun1thief/1 epoch 7")
	p, err := Commit(s, theirs.product)
	require.NoError(t, err)
	require.NotEqual(t, theirs.Claim().Root, p.Claim().Root)
	require.ErrorIs(t, CheckProduct(p.Claim(), challenge(1, 0), p.product), ErrFalse)
	proof, err := p.Open(challenge(1, 1))
	require.NoError(t, err)
	require.ErrorIs(t, proof.Verify(p.Claim(), proof.Challenge), ErrFalse)
}

func TestTamperedOpeningIsRefused(t *testing.T) {
	const n = 20
	p := prove(t, statement(n))
	c := challenge(2, 6)
	for name, tc := range map[string]struct {
		change func(*Proof)
		want   error
	}{
		"one wrong entry":     {func(p *Proof) { plusOne(&p.Rows[2][7]) }, ErrRoot},
		"swapped rows":        {func(p *Proof) { p.Rows[0], p.Rows[1] = p.Rows[1], p.Rows[0] }, ErrRoot},
		"a row twice":         {func(p *Proof) { p.Rows[1] = p.Rows[0] }, ErrRoot},
		"a row too many":      {func(p *Proof) { p.Rows = append(p.Rows, p.Rows[0]) }, ErrMalformed},
		"a row too few":       {func(p *Proof) { p.Rows = p.Rows[1:] }, ErrMalformed},
		"no rows":             {func(p *Proof) { p.Rows = nil }, ErrMalformed},
		"a long row":          {func(p *Proof) { p.Rows[0] = append(p.Rows[0], 0) }, ErrMalformed},
		"a short row":         {func(p *Proof) { p.Rows[5] = p.Rows[5][1:] }, ErrMalformed},
		"not reduced":         {func(p *Proof) { p.Rows[0][0] += P }, ErrMalformed},
		"just not a residue":  {func(p *Proof) { p.Rows[0][0] = P }, ErrMalformed},
		"another sibling":     {func(p *Proof) { p.Siblings[0][0]++ }, ErrRoot},
		"swapped siblings":    {func(p *Proof) { p.Siblings[0], p.Siblings[1] = p.Siblings[1], p.Siblings[0] }, ErrRoot},
		"a sibling too many":  {func(p *Proof) { p.Siblings = append(p.Siblings, Digest{}) }, ErrMalformed},
		"a sibling too few":   {func(p *Proof) { p.Siblings = p.Siblings[1:] }, ErrMalformed},
		"another claim in it": {func(p *Proof) { p.Claim.Root[0]++ }, ErrOther},
	} {
		t.Run(name, func(t *testing.T) {
			proof, err := p.Open(c)
			require.NoError(t, err)
			tc.change(&proof)
			require.ErrorIs(t, proof.Verify(p.Claim(), c), tc.want)
		})
	}
	proof, err := p.Open(c)
	require.NoError(t, err)
	require.NoError(t, proof.Verify(p.Claim(), c), "the prover's own rows are untouched")
}

// A residue plus P fits 32 bits and stands for the same number, with another
// leaf and so another root.
func TestProductThatIsNotReducedIsRefused(t *testing.T) {
	p := prove(t, statement(8))
	other := slices.Clone(p.product)
	other[0] += P
	_, err := Commit(p.claim.Statement, other)
	require.ErrorIs(t, err, ErrMatrix)
	require.ErrorIs(t, CheckProduct(p.Claim(), challenge(1, 0), other), ErrMatrix)
	require.ErrorIs(t, CheckProduct(p.Claim(), challenge(1, 0), p.product[1:]), ErrMatrix)
	plusOne(&p.product[3])
	require.ErrorIs(t, CheckProduct(p.Claim(), challenge(1, 0), p.product), ErrRoot)
}

func TestDecoderIsStrict(t *testing.T) {
	p := prove(t, statement(12))
	proof, err := p.Open(challenge(2, 5))
	require.NoError(t, err)
	raw, err := proof.MarshalBinary()
	require.NoError(t, err)
	for size := range raw {
		_, err := ParseProof(raw[:size])
		require.Error(t, err, "truncated to %d", size)
	}
	for _, extra := range []int{1, 4, 32, 48} {
		_, err := ParseProof(append(slices.Clone(raw), make([]byte, extra)...))
		require.ErrorIs(t, err, ErrMalformed, "%d bytes more", extra)
	}
	// Every bit is part of what is checked.
	for bit := range 8 * len(raw) {
		flipped := slices.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		parsed, err := ParseProof(flipped)
		if err == nil {
			err = parsed.Verify(p.Claim(), proof.Challenge)
		}
		require.Error(t, err, "bit %d flipped", bit)
	}
	rowsAt := headerBytes + len(proof.Claim.Statement.Context) + len(proof.Challenge.Beacon)
	binary.LittleEndian.PutUint32(raw[rowsAt:], P)
	_, err = ParseProof(raw)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestOnlyAWholeProofIsWritten(t *testing.T) {
	p := prove(t, statement(12))
	proof, err := p.Open(challenge(2, 5))
	require.NoError(t, err)
	for want, change := range map[error]func(*Proof){
		ErrStatement: func(p *Proof) { p.Claim.Statement.Size = MaxSize + 1 },
		ErrChallenge: func(p *Proof) { p.Challenge.Rows = 13 },
		ErrMalformed: func(p *Proof) { p.Siblings = nil },
	} {
		broken := proof
		change(&broken)
		_, err := broken.MarshalBinary()
		require.ErrorIs(t, err, want)
	}
}

// Eighty bytes that speak of a gigabyte cost no more than eighty bytes.
func TestDecoderAllocatesNoMoreThanItWasGiven(t *testing.T) {
	raw := []byte(magic)
	raw = append(raw, version, 1)
	raw = binary.LittleEndian.AppendUint16(raw, MaxRows)
	raw = binary.LittleEndian.AppendUint32(raw, MaxSize)
	raw = append(raw, make([]byte, 68)...)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := ParseProof(raw)
			require.ErrorIs(b, err, ErrMalformed)
		}
	})
	require.Less(t, result.AllocedBytesPerOp(), int64(64<<10))
}
