package duty

import (
	"bytes"
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

// order sorts nodes by their place for a root.
func order(root uai.Digest, nodes []Node) {
	slices.SortFunc(nodes, func(a, b Node) int { return bytes.Compare(weight(root, a.ID), weight(root, b.ID)) })
}

// rank is a node's place among others, or -1.
func rank(nodes []Node, id sunstypes.NodeID) int {
	return slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
}
