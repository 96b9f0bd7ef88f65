package matproof

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// The tree is that of RFC 6962: leaves and nodes are hashed with different
// prefixes, so that none passes for the other, and a tree of n leaves is split
// at the largest power of two below n. The root is hashed once more, with the
// statement's digest.
const (
	leafPrefix = 0
	nodePrefix = 1
)

// leaf is the hash of row i of n. buf is scratch of at least 9 + 4·len(row)
// bytes.
func leaf(n, i int, row []uint32, buf []byte) Digest {
	buf = append(buf[:0], leafPrefix)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(n))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(i))
	for _, v := range row {
		buf = binary.LittleEndian.AppendUint32(buf, v)
	}
	return sha256.Sum256(buf)
}

func leafBuffer(n int) []byte { return make([]byte, 0, 9+4*n) }

func parent(left, right Digest) Digest {
	var buf [1 + 2*sha256.Size]byte
	buf[0] = nodePrefix
	copy(buf[1:], left[:])
	copy(buf[1+sha256.Size:], right[:])
	return sha256.Sum256(buf[:])
}

// split is where a tree of n ≥ 2 leaves is cut: the largest power of two below
// n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// bind makes what is committed to of a tree's root.
func bind(s Statement, tree Digest) Digest {
	digest := s.Digest()
	return hash("root", digest[:], tree[:])
}

// subtree is the root over leaves.
func subtree(leaves []Digest) Digest {
	if len(leaves) == 1 {
		return leaves[0]
	}
	cut := split(len(leaves))
	return parent(subtree(leaves[:cut]), subtree(leaves[cut:]))
}

// below counts the indices that are less than end.
func below(indices []int, end int) int {
	for i, index := range indices {
		if index >= end {
			return i
		}
	}
	return len(indices)
}

// siblings appends the roots of all largest subtrees that hold none of the
// indices, from left to right: what is needed, beside the leaves at the
// indices, to compute the root. Indices are ascending and relative to offset.
func siblings(leaves []Digest, offset int, indices []int, to []Digest) []Digest {
	switch {
	case len(indices) == 0:
		return append(to, subtree(leaves))
	case len(leaves) == 1:
		return to
	}
	cut := split(len(leaves))
	at := below(indices, offset+cut)
	to = siblings(leaves[:cut], offset, indices[:at], to)
	return siblings(leaves[cut:], offset+cut, indices[at:], to)
}

// countSiblings is how many digests siblings gives for n leaves.
func countSiblings(n, offset int, indices []int) int {
	switch {
	case len(indices) == 0:
		return 1
	case n == 1:
		return 0
	}
	cut := split(n)
	at := below(indices, offset+cut)
	return countSiblings(cut, offset, indices[:at]) + countSiblings(n-cut, offset+cut, indices[at:])
}

// opening computes a root from the leaves at some indices and the siblings.
type opening struct {
	leaves   []Digest
	siblings []Digest
}

// root takes what it needs from the front of both lists, which must hold as
// many as there are indices, and as countSiblings says.
func (o *opening) root(n, offset int, indices []int) Digest {
	switch {
	case len(indices) == 0:
		return take(&o.siblings)
	case n == 1:
		return take(&o.leaves)
	}
	cut := split(n)
	at := below(indices, offset+cut)
	left := o.root(cut, offset, indices[:at])
	return parent(left, o.root(n-cut, offset+cut, indices[at:]))
}

func take(from *[]Digest) Digest {
	first := (*from)[0]
	*from = (*from)[1:]
	return first
}
