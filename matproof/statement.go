package matproof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Bounds. A proof is bounded by them whatever it claims to be.
const (
	// MaxSize is the largest n: three matrices of 1 GiB each for the prover.
	MaxSize = 16384
	// MaxContext is how long a context may be, in bytes.
	MaxContext = 256
	// MaxBeacon is how long a beacon may be, in bytes.
	MaxBeacon = 256
	// MaxRounds bounds the vectors: a false row passes eight of them with
	// probability 2^-248, and more would only cost time.
	MaxRounds = 8
	// MaxRows bounds the opened rows, and so a proof's size.
	MaxRows = 256
)

// domain keeps every hash of this protocol apart from any other's.
const domain = "isuncoin/matproof/v1/"

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

// Statement says which product is meant: both matrices follow from it.
type Statement struct {
	// Size is n: the matrices have n rows and n columns.
	Size int
	// Seed should be something nobody knew beforehand, such as a beacon.
	Seed Digest
	// Context says whose work it is and when, such as node and epoch. Two
	// contexts have matrices that have nothing to do with each other.
	Context []byte
}

// Validate says whether size and context are within bounds. Errors:
// ErrStatement.
func (s Statement) Validate() error {
	if s.Size < 1 || s.Size > MaxSize {
		return wrap(ErrStatement, "size %d is not between 1 and %d", s.Size, MaxSize)
	}
	if len(s.Context) > MaxContext {
		return wrap(ErrStatement, "context has %d bytes: at most %d", len(s.Context), MaxContext)
	}
	return nil
}

// Equal says whether two statements mean the same product.
func (s Statement) Equal(t Statement) bool {
	return s.Size == t.Size && s.Seed == t.Seed && bytes.Equal(s.Context, t.Context)
}

// Digest names the statement. It is only worth something for a valid one.
func (s Statement) Digest() Digest {
	return hash("statement", number(s.Size), s.Seed[:], number(len(s.Context)), s.Context)
}

// Matrices expands A and B, row after row. Errors: ErrStatement.
func (s Statement) Matrices() (a, b []uint32, err error) {
	if err := s.Validate(); err != nil {
		return nil, nil, err
	}
	expand := func(m matrix) []uint32 {
		out := make([]uint32, s.Size*s.Size)
		for i := range s.Size {
			m.row(i, out[i*s.Size:(i+1)*s.Size])
		}
		return out
	}
	return expand(s.matrix("A")), expand(s.matrix("B")), nil
}

// matrix is one of a statement's two, of which any row can be made by itself.
type matrix struct{ key Digest }

func (s Statement) matrix(name string) matrix {
	digest := s.Digest()
	return matrix{hash("matrix "+name, digest[:])}
}

// row fills dst with row i.
func (m matrix) row(i int, dst []uint32) {
	fill(hash("row", m.key[:], number(i)), dst)
}

// fill draws uniform residues from a seed: the halves of ChaCha8Rand's 64-bit
// words (c2sp.org/chacha8rand), low one first, less their top bit, without
// those that are P.
func fill(seed Digest, dst []uint32) {
	source := rand.NewChaCha8(seed)
	for i := 0; i < len(dst); {
		word := source.Uint64()
		if v := uint32(word) & P; v != P {
			dst[i] = v
			i++
		}
		if v := uint32(word>>32) & P; v != P && i < len(dst) {
			dst[i] = v
			i++
		}
	}
}

// hash is SHA-256 over a label and parts. Each label has a fixed number of
// parts, of fixed lengths or with their length in front.
func hash(label string, parts ...[]byte) Digest {
	h := sha256.New()
	h.Write([]byte(domain + label + "\n"))
	for _, part := range parts {
		h.Write(part)
	}
	var d Digest
	h.Sum(d[:0])
	return d
}

func number(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
