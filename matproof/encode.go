package matproof

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A proof's bytes, numbers little-endian:
//
//	"ISMP" | version 1 (1 byte) | rounds (1) | rows (2) | n (4)
//	seed (32) | root (32)
//	length of context (2) | context | length of beacon (2) | beacon
//	the rows: n values of 4 bytes each
//	the siblings: 32 bytes each
//
// There is one writing of each proof: how many siblings there are, and which
// rows, follows from what stands before them.
const (
	magic       = "ISMP"
	version     = 1
	headerBytes = len(magic) + 1 + 1 + 2 + 4 + 2*sha256.Size + 2 + 2
)

// MarshalBinary writes a proof. Errors: those of ParseProof, for what it could
// not read.
func (p Proof) MarshalBinary() ([]byte, error) {
	size, _, err := layout(p.Claim, p.Challenge)
	if err != nil {
		return nil, err
	}
	s, c := p.Claim.Statement, p.Challenge
	if err := p.checkShape(rows(transcript(p.Claim, c), s.Size, c.Rows)); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, size), magic...)
	out = append(out, version, byte(c.Rounds))
	out = binary.LittleEndian.AppendUint16(out, uint16(c.Rows))
	out = binary.LittleEndian.AppendUint32(out, uint32(s.Size))
	out = append(append(out, s.Seed[:]...), p.Claim.Root[:]...)
	for _, text := range [][]byte{s.Context, c.Beacon} {
		out = append(binary.LittleEndian.AppendUint16(out, uint16(len(text))), text...)
	}
	for _, row := range p.Rows {
		for _, v := range row {
			out = binary.LittleEndian.AppendUint32(out, v)
		}
	}
	for _, d := range p.Siblings {
		out = append(out, d[:]...)
	}
	return out, nil
}

// layout gives the bytes of a proof and its siblings.
func layout(claim Claim, c Challenge) (size, siblings int, err error) {
	if err := claim.Statement.Validate(); err != nil {
		return 0, 0, err
	}
	n := claim.Statement.Size
	if err := c.validate(n, 1); err != nil {
		return 0, 0, err
	}
	siblings = countSiblings(n, 0, rows(transcript(claim, c), n, c.Rows))
	size = headerBytes + len(claim.Statement.Context) + len(c.Beacon) + 4*n*c.Rows + sha256.Size*siblings
	return size, siblings, nil
}

// ParseProof reads a proof and verifies nothing of it. What it returns is as
// large as raw, which it does not keep. Errors: ErrMalformed, ErrStatement,
// ErrChallenge.
func ParseProof(raw []byte) (Proof, error) {
	r := reader{left: raw}
	if string(r.take(len(magic))) != magic || r.number(1) != version {
		return Proof{}, wrap(ErrMalformed, "it does not begin as a proof of version %d does", version)
	}
	var p Proof
	p.Challenge.Rounds, p.Challenge.Rows = r.number(1), r.number(2)
	p.Claim.Statement.Size = r.number(4)
	p.Claim.Statement.Seed, p.Claim.Root = r.digest(), r.digest()
	p.Claim.Statement.Context = r.text()
	p.Challenge.Beacon = r.text()
	if r.short {
		return Proof{}, wrap(ErrMalformed, "%d bytes end within the header", len(raw))
	}
	size, siblings, err := layout(p.Claim, p.Challenge)
	if err != nil {
		return Proof{}, err
	}
	if len(raw) != size {
		return Proof{}, wrap(ErrMalformed, "%d bytes, not %d", len(raw), size)
	}
	return p, r.body(&p, siblings)
}

func (r *reader) body(p *Proof, siblings int) error {
	for range p.Challenge.Rows {
		row := make([]uint32, p.Claim.Statement.Size)
		for i := range row {
			row[i] = uint32(r.number(4))
		}
		if !canonical(row) {
			return wrap(ErrMalformed, "a value is not below %d", P)
		}
		p.Rows = append(p.Rows, row)
	}
	for range siblings {
		p.Siblings = append(p.Siblings, r.digest())
	}
	return nil
}

// reader takes fields off the front. Once something was missing it gives
// zeros and is short.
type reader struct {
	left  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.left) {
		r.short, r.left = true, nil
		return make([]byte, n)
	}
	out := r.left[:n]
	r.left = r.left[n:]
	return out
}

// number reads 1, 2 or 4 bytes.
func (r *reader) number(bytes int) int {
	var n uint32
	for i, b := range r.take(bytes) {
		n |= uint32(b) << (8 * i)
	}
	return int(n)
}

func (r *reader) digest() (d Digest) {
	copy(d[:], r.take(len(d)))
	return d
}

func (r *reader) text() []byte {
	n := r.number(2)
	if n == 0 {
		return nil
	}
	return slices.Clone(r.take(n))
}
