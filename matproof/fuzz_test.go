package matproof

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever is parsed is written back as it was, and verifies without a panic.
func FuzzParseProof(f *testing.F) {
	for _, n := range []int{1, 3, 8} {
		p := prove(f, statement(n))
		proof, err := p.Open(Challenge{Rounds: 1, Rows: (n + 1) / 2, Beacon: []byte("b")})
		require.NoError(f, err)
		raw, err := proof.MarshalBinary()
		require.NoError(f, err)
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		proof, err := ParseProof(raw)
		if err != nil {
			return
		}
		again, err := proof.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, raw, again)
		if proof.Claim.Statement.Size > 256 {
			return // the time a large one takes finds nothing more
		}
		_ = proof.Verify(proof.Claim, proof.Challenge) // no panic is all that is asked
	})
}

// No change of a valid proof is accepted for the claim it was made for.
func FuzzVerify(f *testing.F) {
	p := prove(f, statement(9))
	c := challenge(2, 4)
	proof, err := p.Open(c)
	require.NoError(f, err)
	raw, err := proof.MarshalBinary()
	require.NoError(f, err)
	f.Add(uint(0), []byte{1})
	f.Add(uint(len(raw)-1), []byte{0x80})
	f.Add(uint(headerBytes+40), []byte{1, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, at uint, change []byte) {
		forged := append([]byte(nil), raw...)
		same := true
		for i, b := range change {
			forged[(int(at%uint(len(raw)))+i)%len(raw)] ^= b
		}
		for i := range raw {
			same = same && raw[i] == forged[i]
		}
		parsed, err := ParseProof(forged)
		if err == nil {
			err = parsed.Verify(p.Claim(), c)
		}
		require.Equal(t, same, err == nil)
	})
}

// What was never encoded, but put together in memory, panics nowhere either.
func FuzzVerifyInMemory(f *testing.F) {
	f.Add(4, 2, 1, 2, 4, 3, uint32(7))
	f.Add(-1, 0, 1, 1, 0, 0, P)
	f.Fuzz(func(t *testing.T, size, rounds, count, given, width, digests int, value uint32) {
		if size > 256 || given > 300 || width > 300 || digests > 300 {
			return
		}
		claim, c := Claim{Statement: Statement{Size: size}}, Challenge{Rounds: rounds, Rows: count}
		proof := Proof{Claim: claim, Challenge: c, Siblings: make([]Digest, max(digests, 0))}
		for range given {
			row := make([]uint32, max(width, 0))
			for i := range row {
				row[i] = value
			}
			proof.Rows = append(proof.Rows, row)
		}
		require.Error(t, proof.Verify(claim, c), "a root of zeros is nothing's")
		require.Error(t, CheckProduct(claim, c, make([]uint32, max(width, 0))))
	})
}
