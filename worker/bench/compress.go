package bench

import (
	"bytes"
	"encoding/binary"
)

const (
	// textBytes is what a slice compresses and restores, with tables of as
	// much again: inside every second-level cache. It takes some 2 ms on the
	// reference core.
	textBytes = 24 << 10
	hashBits  = 13
	leastCopy = 4
	mostCopy  = 255 + leastCopy
	farthest  = 1<<16 - 1
	// vocabulary is how many words the text has; the few first ones make up
	// most of it, as in any language.
	vocabulary = 1024
)

// compressionKernel compresses a text and restores it: copies of what stood
// before (Lempel and Ziv, 1977), then an adaptive binary arithmetic coder. It
// is code of our own, since what the standard library's compressors put out
// may change with every release, and the digest with it.
type compressionKernel struct {
	text     []byte
	tokens   []byte
	packed   []byte
	unpacked []byte
	restored []byte
	heads    [1 << hashBits]int32
	odds     [256 * 256]uint16
	sum      uint64
}

func newCompression(seed uint64) *compressionKernel {
	k := &compressionKernel{text: makeText(seed)}
	// The worst case of both steps; nothing is allocated while time is taken.
	k.tokens = make([]byte, 0, 2*textBytes)
	k.packed = make([]byte, 0, 4*textBytes)
	k.unpacked = make([]byte, 0, 2*textBytes)
	k.restored = make([]byte, 0, textBytes+mostCopy)
	return k
}

func (k *compressionKernel) slice() error {
	k.tokens = k.findCopies(k.tokens[:0])
	k.packed = k.encode(k.packed[:0], k.tokens)
	k.unpacked = k.decode(k.unpacked[:0], k.packed, len(k.tokens))
	k.restored = expand(k.restored[:0], k.unpacked)
	if !bytes.Equal(k.restored, k.text) {
		return ErrWrongResult
	}
	sum := uint64(14695981039346656037) // FNV-1a
	for _, b := range k.packed {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return same(&k.sum, sum)
}

func (k *compressionKernel) result() uint64 { return k.sum }

// makeText is words and numbers as a log or a page has them.
func makeText(seed uint64) []byte {
	next := sequence(seed)
	words := make([][]byte, vocabulary)
	for i := range words {
		word := make([]byte, 2+next.below(8))
		for j := range word {
			word[j] = 'a' + byte(next.below(26))
		}
		words[i] = word
	}
	text := make([]byte, 0, textBytes+16)
	for len(text) < textBytes {
		// The product of three is small more often than not.
		pick := next.below(next.below(next.below(vocabulary)+1) + 1)
		text = append(append(text, words[pick]...), ' ')
		if next.below(12) == 0 {
			text = append(text, '0'+byte(next.below(10)), '0'+byte(next.below(10)), '\n')
		}
	}
	return text[:textBytes]
}

// findCopies writes runs of: number of literals (2 bytes), the literals,
// length of the copy less 4 (1 byte), its distance (2 bytes; 0 ends it).
func (k *compressionKernel) findCopies(out []byte) []byte {
	for i := range k.heads {
		k.heads[i] = -1
	}
	text, from, at := k.text, 0, 0
	for at+leastCopy <= len(text) {
		word := binary.LittleEndian.Uint32(text[at:])
		slot := word * 0x9e3779b1 >> (32 - hashBits)
		candidate := int(k.heads[slot])
		k.heads[slot] = int32(at)
		if candidate < 0 || at-candidate > farthest || binary.LittleEndian.Uint32(text[candidate:]) != word {
			at++
			continue
		}
		length := leastCopy
		for length < mostCopy && at+length < len(text) && text[candidate+length] == text[at+length] {
			length++
		}
		out = run(out, text[from:at], length-leastCopy, at-candidate)
		at += length
		from = at
	}
	return run(out, text[from:], 0, 0)
}

func run(out, literals []byte, length, distance int) []byte {
	for len(literals) > farthest { // in parts, without a copy
		out = append(out, 0xff, 0xff)
		out = append(append(out, literals[:farthest]...), 0, 0, 0)
		literals = literals[farthest:]
	}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(literals)))
	out = append(append(out, literals...), byte(length))
	return binary.LittleEndian.AppendUint16(out, uint16(distance))
}

// expand undoes findCopies.
func expand(out, tokens []byte) []byte {
	for len(tokens) >= 5 {
		n := int(binary.LittleEndian.Uint16(tokens))
		if len(tokens) < n+5 {
			return nil
		}
		out = append(out, tokens[2:2+n]...)
		length := int(tokens[2+n]) + leastCopy
		distance := int(binary.LittleEndian.Uint16(tokens[3+n:]))
		tokens = tokens[5+n:]
		if distance == 0 {
			continue
		}
		if distance > len(out) || len(out)+length > cap(out) {
			return nil
		}
		for range length { // a copy may reach into what it makes
			out = append(out, out[len(out)-distance])
		}
	}
	return out
}

// The coder halves an interval of 32 bits by the odds of the next bit, which
// it learns from the bits before, by the byte before.
const (
	oddsBits  = 12
	evenOdds  = 1 << (oddsBits - 1)
	learnRate = 4
)

func (k *compressionKernel) forget() {
	for i := range k.odds {
		k.odds[i] = evenOdds
	}
}

func (k *compressionKernel) encode(out, data []byte) []byte {
	k.forget()
	low, high, before := uint32(0), ^uint32(0), 0
	for _, b := range data {
		odds := k.odds[before<<8 : before<<8+256]
		node := 1
		for bit := 7; bit >= 0; bit-- {
			p := &odds[node&255]
			middle := low + uint32(uint64(high-low)*uint64(*p)>>oddsBits)
			one := int(b>>bit) & 1
			if one == 1 {
				high = middle
				*p += (1<<oddsBits - *p) >> learnRate
			} else {
				low = middle + 1
				*p -= *p >> learnRate
			}
			node = node<<1 | one
			for (low^high)>>24 == 0 {
				out = append(out, byte(high>>24))
				low, high = low<<8, high<<8|255
			}
		}
		before = int(b)
	}
	return binary.BigEndian.AppendUint32(out, low)
}

// decode undoes encode; n is how many bytes there were.
func (k *compressionKernel) decode(out, packed []byte, n int) []byte {
	k.forget()
	low, high, before := uint32(0), ^uint32(0), 0
	code, at := binary.BigEndian.Uint32(packed), 4
	for range n {
		odds := k.odds[before<<8 : before<<8+256]
		node := 1
		for node < 256 {
			p := &odds[node]
			middle := low + uint32(uint64(high-low)*uint64(*p)>>oddsBits)
			if code <= middle {
				high = middle
				*p += (1<<oddsBits - *p) >> learnRate
				node = node<<1 | 1
			} else {
				low = middle + 1
				*p -= *p >> learnRate
				node <<= 1
			}
			for (low^high)>>24 == 0 {
				low, high, code = low<<8, high<<8|255, code<<8
				if at < len(packed) {
					code |= uint32(packed[at])
				}
				at++
			}
		}
		before = node & 255
		out = append(out, byte(before))
	}
	return out
}
