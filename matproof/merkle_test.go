package matproof

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tree of seven leaves, by the definition in RFC 6962, section 2.1.
func TestTreeIsThatOfRFC6962(t *testing.T) {
	d := make([]Digest, 7)
	for i := range d {
		d[i] = Digest{byte(i)}
	}
	node := func(l, r Digest) Digest { return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...)) }
	want := node(node(node(d[0], d[1]), node(d[2], d[3])), node(node(d[4], d[5]), d[6]))
	require.Equal(t, want, subtree(d))
	require.Equal(t, d[0], subtree(d[:1]))
}

func TestLeafBindsSizeAndPlace(t *testing.T) {
	buf := leafBuffer(2)
	require.EqualValues(t, sha256.Sum256([]byte{0, 2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 4, 3, 2, 1}),
		leaf(2, 1, []uint32{5, 0x01020304}, buf))
}

// Every set of rows of every small tree leads to the root, with as many
// siblings as were counted and no sibling of another set.
func TestEverySetOfRowsLeadsToTheRoot(t *testing.T) {
	for n := 1; n <= 9; n++ {
		leaves := make([]Digest, n)
		for i := range leaves {
			leaves[i] = Digest{1, byte(i)}
		}
		for set := 1; set < 1<<n; set++ {
			var indices []int
			o := opening{}
			for i := range n {
				if set>>i&1 == 1 {
					indices, o.leaves = append(indices, i), append(o.leaves, leaves[i])
				}
			}
			o.siblings = siblings(leaves, 0, indices, nil)
			require.Len(t, o.siblings, countSiblings(n, 0, indices))
			require.Equal(t, subtree(leaves), o.root(n, 0, indices))
			require.Empty(t, o.leaves)
			require.Empty(t, o.siblings)
		}
	}
}
