// Package chunk cuts blobs by their content, so that two versions of a blob
// have most of their chunks in common, wherever bytes were inserted. How it
// cuts is part of the protocol: whoever cuts a blob gets the same outline.
package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/restic/chunker"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

const (
	// Min is the least size of a chunk in bytes, but for a blob's last one.
	Min = 16 << 10
	// Max is the greatest size of a chunk in bytes.
	Max = 256 << 10
	// MaxBlob bounds a blob in bytes. Its outline, which has to fit into
	// memory, takes 40 MiB in the mean and 150 MiB at worst.
	MaxBlob = 64 << 30

	// averageBits: past its least size a chunk ends at any byte with a chance
	// of 1 in 64 Ki.
	averageBits = 16
	// polynomial is irreducible and was drawn at random once. With another
	// one, blobs are cut elsewhere and share nothing with those of others.
	polynomial = chunker.Pol(0x3b1bbfca10c1d5)
)

// ErrMalformed: an outline that no blob can have.
var ErrMalformed = errors.New("malformed outline")

// Cut reads content to its end and gives its chunks.
func Cut(r io.Reader) ([]cloud.Chunk, error) { return cut(r, true) }

func cut(r io.Reader, sums bool) ([]cloud.Chunk, error) {
	cutter := chunker.NewWithBoundaries(r, polynomial, Min, Max)
	cutter.SetAverageBits(averageBits)
	var chunks []cloud.Chunk
	for buffer := make([]byte, 0, Max); ; {
		next, err := cutter.Next(buffer)
		if errors.Is(err, io.EOF) {
			return chunks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cut: %w", err)
		}
		chunk := cloud.Chunk{Size: uint32(next.Length)}
		if sums {
			chunk.Sum = sha256.Sum256(next.Data)
		}
		chunks = append(chunks, chunk)
	}
}

// Whole gives the outline of a blob that is too small to be cut: its only
// chunk's sum is its digest, so there is nobody to ask. ok is false if the
// blob may have more chunks.
func Whole(blob cloud.Blob) (o cloud.Outline, ok bool) {
	if blob.Size < 0 || blob.Size > Min {
		return cloud.Outline{}, false
	}
	o = cloud.Outline{Blob: blob}
	if blob.Size > 0 {
		sum, err := Sum(blob)
		if err != nil {
			return cloud.Outline{}, false
		}
		o.Chunks = []cloud.Chunk{{Sum: sum, Size: uint32(blob.Size)}}
	}
	return o, true
}

// Sum is the digest of a blob as bytes. ErrMalformed.
func Sum(blob cloud.Blob) (sum [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(blob.Digest.Hex())
	if err != nil || len(raw) != len(sum) {
		return sum, fmt.Errorf("%w: digest %q", ErrMalformed, blob.Digest)
	}
	return [sha256.Size]byte(raw), nil
}

// SameSizes tells whether two outlines cut at the same places.
func SameSizes(a, b []cloud.Chunk) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Size != b[i].Size {
			return false
		}
	}
	return true
}

const (
	blockSize = 512 << 10
	// blocksAhead that are written while one is cut.
	blocksAhead = 2
)

// Cutter cuts what is written to it, beside the writer: cutting takes longer
// than hashing. It is for one writer. Finish or Abort must be called.
type Cutter struct {
	sums   bool
	block  []byte
	blocks chan []byte // nil until there is more than one block
	free   chan []byte
	chunks []cloud.Chunk
	err    error
	done   chan struct{}
}

// NewCutter begins a cutter. Without sums its chunks have sizes only.
func NewCutter(sums bool) *Cutter { return &Cutter{sums: sums} }

// Write implements io.Writer. It does not fail.
func (c *Cutter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if len(c.block) == blockSize {
			c.hand()
		}
		n := min(len(rest), blockSize-len(c.block))
		c.block = append(c.block, rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

// hand passes a block on to be cut.
func (c *Cutter) hand() {
	if c.blocks == nil {
		c.blocks, c.free = make(chan []byte, blocksAhead), make(chan []byte, blocksAhead+2)
		c.done = make(chan struct{})
		go func() {
			defer close(c.done)
			c.chunks, c.err = cut(&blockReader{blocks: c.blocks, free: c.free}, c.sums)
		}()
	}
	c.blocks <- c.block
	select {
	case c.block = <-c.free:
		c.block = c.block[:0]
	default:
		c.block = make([]byte, 0, blockSize)
	}
}

// Finish gives the chunks of all that was written.
func (c *Cutter) Finish() ([]cloud.Chunk, error) {
	if c.blocks == nil {
		return cut(bytes.NewReader(c.block), c.sums)
	}
	c.blocks <- c.block
	c.end()
	return c.chunks, c.err
}

// Abort gives up. It may follow Finish.
func (c *Cutter) Abort() {
	if c.blocks != nil {
		c.end()
	}
}

func (c *Cutter) end() {
	select {
	case <-c.done:
	default:
		close(c.blocks)
		<-c.done
	}
}

// blockReader reads blocks one after the other.
type blockReader struct {
	blocks <-chan []byte
	free   chan<- []byte
	block  []byte
	left   []byte
}

// Read implements io.Reader.
func (r *blockReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.block != nil {
			select {
			case r.free <- r.block:
			default:
			}
		}
		var ok bool
		if r.block, ok = <-r.blocks; !ok {
			return 0, io.EOF
		}
		r.left = r.block
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}
