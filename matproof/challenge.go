package matproof

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Claim is what a prover publishes before it is challenged.
type Claim struct {
	Statement Statement
	// Root commits to the product.
	Root Digest
}

// Equal says whether two claims are one.
func (c Claim) Equal(d Claim) bool { return c.Root == d.Root && c.Statement.Equal(d.Statement) }

// Challenge says how a claim is checked. Vectors and rows follow from it and
// the claim.
type Challenge struct {
	// Beacon should be drawn after the claim was published. Without it a
	// prover can try roots until it likes the rows; README.md says what that
	// gains.
	Beacon []byte
	// Rounds is how many random vectors rows are checked with, at least 1.
	Rounds int
	// Rows is how many rows are opened, all different; 0 is enough for a
	// verifier that has the whole product.
	Rows int
}

// Equal says whether two challenges are one.
func (c Challenge) Equal(d Challenge) bool {
	return c.Rounds == d.Rounds && c.Rows == d.Rows && bytes.Equal(c.Beacon, d.Beacon)
}

// validate says whether a challenge suits a product of size n.
func (c Challenge) validate(n, leastRows int) error {
	switch {
	case c.Rounds < 1 || c.Rounds > MaxRounds:
		return wrap(ErrChallenge, "%d rounds are not between 1 and %d", c.Rounds, MaxRounds)
	case c.Rows < leastRows || c.Rows > min(n, MaxRows):
		return wrap(ErrChallenge, "%d rows are not between %d and %d", c.Rows, leastRows, min(n, MaxRows))
	case len(c.Beacon) > MaxBeacon:
		return wrap(ErrChallenge, "beacon has %d bytes: at most %d", len(c.Beacon), MaxBeacon)
	}
	return nil
}

// transcript binds all that is chosen at random to all that was said before.
func transcript(claim Claim, c Challenge) Digest {
	statement := claim.Statement.Digest()
	return hash("challenge", statement[:], claim.Root[:],
		number(c.Rounds), number(c.Rows), number(len(c.Beacon)), c.Beacon)
}

// vectors draws the random vectors.
func vectors(transcript Digest, n, rounds int) [][]uint32 {
	out := make([][]uint32, rounds)
	for j := range out {
		out[j] = make([]uint32, n)
		fill(hash("vector", transcript[:], number(j)), out[j])
	}
	return out
}

// rows draws which rows are opened: all sets of that many are equally likely.
// They are given in ascending order.
func rows(transcript Digest, n, count int) []int {
	source := rand.NewChaCha8(hash("rows", transcript[:]))
	mask := uint64(1)<<bits.Len(uint(n-1)) - 1
	chosen := make([]bool, n)
	out := make([]int, 0, count)
	for len(out) < count {
		// A number from 0 to the next power of two: those from n on are drawn
		// again, or the low rows would be likelier.
		if i := source.Uint64() & mask; i < uint64(n) && !chosen[i] {
			chosen[i] = true
			out = append(out, int(i))
		}
	}
	slices.Sort(out)
	return out
}
