package chunk

import "github.com/restic/chunker"

// A chunk ends where the Rabin fingerprint of its last 64 bytes has 16 zero
// bits: these are the cuts of github.com/restic/chunker, from whose
// polynomials the tables are made. As a fingerprint depends on 64 bytes only,
// four places are looked at side by side, which the processor does in
// parallel: that is more than twice as fast.
const (
	window = 64 // bytes
	// lane is how many bytes each of the four takes at a time.
	lane = 1 << 10
	// shift leaves the bits of a fingerprint that the next byte pushes out.
	shift = 53 - 8
	mask  = 1<<averageBits - 1
)

// tables take the byte that leaves the window out of a fingerprint, and
// reduce what the next byte pushed beyond the polynomial's degree.
type tables struct {
	out, mod [256]uint64
}

var rabin = makeTables()

func makeTables() *tables {
	t := &tables{}
	for b := range chunker.Pol(256) {
		h := b.Mod(polynomial)
		for range window - 1 {
			h = (h << 8).Mod(polynomial)
		}
		t.out[b] = uint64(h)
		t.mod[b] = uint64((b << 53).Mod(polynomial) | b<<53)
	}
	return t
}

// ends tells whether a chunk may end after the bytes of a fingerprint.
func ends(digest uint64) bool { return digest&mask == 0 }

// fingerprint of the bytes of a window.
func fingerprint(content []byte) (digest uint64) {
	for _, b := range content {
		digest = slide(rabin, digest, 0, b)
	}
	return digest
}

// slide takes one byte out of a fingerprint and another one in.
func slide(t *tables, digest uint64, out, in byte) uint64 {
	digest ^= t.out[out]
	return digest<<8 | uint64(in) ^ t.mod[uint8(digest>>shift)]
}

// boundary is where the first chunk of some content ends, of which there are
// Max bytes or else all that is left.
func boundary(content []byte) int {
	if len(content) <= Min {
		return len(content)
	}
	digest := fingerprint(content[Min-window : Min])
	if ends(digest) {
		return Min
	}
	at := Min
	for ; len(content)-at >= 4*lane; at += 4 * lane {
		found, last := scan(rabin, content[at-window:at+4*lane], digest)
		if found > 0 {
			return at + found
		}
		digest = last
	}
	for ; at < len(content); at++ {
		if digest = slide(rabin, digest, content[at-window], content[at]); ends(digest) {
			return at + 1
		}
	}
	return len(content)
}

// scan looks for an end in four lanes behind a window whose fingerprint is
// given. It gives how many bytes behind the window the first one is, 0 if
// there is none, and the fingerprint at the end.
func scan(t *tables, content []byte, d0 uint64) (found int, last uint64) {
	c0, c1 := content[:lane+window], content[lane:][:lane+window]
	c2, c3 := content[2*lane:][:lane+window], content[3*lane:][:lane+window]
	d1, d2, d3 := fingerprint(c1[:window]), fingerprint(c2[:window]), fingerprint(c3[:window])
	first := [4]int{}
	for i := range lane {
		d0 = slide(t, d0, c0[i], c0[i+window])
		d1 = slide(t, d1, c1[i], c1[i+window])
		d2 = slide(t, d2, c2[i], c2[i+window])
		d3 = slide(t, d3, c3[i], c3[i+window])
		if ends(d0) {
			return i + 1, 0
		}
		if ends(d1) && first[1] == 0 {
			first[1] = lane + i + 1
		}
		if ends(d2) && first[2] == 0 {
			first[2] = 2*lane + i + 1
		}
		if ends(d3) && first[3] == 0 {
			first[3] = 3*lane + i + 1
		}
	}
	for _, found := range first {
		if found > 0 {
			return found, 0
		}
	}
	return 0, d3
}
