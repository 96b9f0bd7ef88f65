package duty

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/isuncoin/isuncoin/uai"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// weight is a node's place for a root (rendezvous hashing): every root orders
// the nodes anew, so work and content spread evenly.
func weight(root uai.Digest, id sunstypes.NodeID) []byte {
	sum := sha256.Sum256([]byte(string(root) + "\x00" + id.String()))
	return sum[:]
}

// order sorts nodes by their place for a root. Those that first puts lower,
// which may be nil, come before all others.
func order(root uai.Digest, nodes []Node, first func(Node) int) {
	type key struct {
		first  int
		weight []byte
	}
	keys := make(map[sunstypes.NodeID]key, len(nodes))
	for _, n := range nodes {
		k := key{weight: weight(root, n.ID)}
		if first != nil {
			k.first = first(n)
		}
		keys[n.ID] = k
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		x, y := keys[a.ID], keys[b.ID]
		return cmp.Or(cmp.Compare(x.first, y.first), bytes.Compare(x.weight, y.weight))
	})
}

// rank is a node's place among others, or -1.
func rank(nodes []Node, id sunstypes.NodeID) int {
	return slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
}
