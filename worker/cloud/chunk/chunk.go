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

	// polynomial is irreducible and was drawn at random once. With another
	// one, blobs are cut elsewhere and share nothing with those of others.
	polynomial = chunker.Pol(0x3b1bbfca10c1d5)
	// averageBits: past its least size a chunk ends at any byte with a chance
	// of 1 in 64 Ki.
	averageBits = 16
)

// ErrMalformed: an outline that no blob can have.
var ErrMalformed = errors.New("malformed outline")

// Cut reads content to its end and gives its chunks.
func Cut(r io.Reader) ([]cloud.Chunk, error) {
	var chunks []cloud.Chunk
	buffer := make([]byte, bufferSize)
	for start, end, last := 0, 0, false; ; {
		if end-start < Max && !last {
			end, start = copy(buffer, buffer[start:end]), 0
			n, err := io.ReadFull(r, buffer[end:])
			end += n
			last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !last {
				return nil, fmt.Errorf("cut: %w", err)
			}
		}
		if start == end {
			return chunks, nil
		}
		content := buffer[start:min(end, start+Max)]
		content = content[:boundary(content)]
		chunks = append(chunks, cloud.Chunk{Sum: sha256.Sum256(content), Size: uint32(len(content))})
		start += len(content)
	}
}

// bufferSize is what Cut reads at a time, in bytes.
const bufferSize = 4 * Max

// Fits tells whether a piece of a blob is a chunk as the protocol cuts, where
// one begins. The last one may end anywhere after its least size, too.
func Fits(content []byte, last bool) bool {
	n := len(content)
	if n == 0 || n > Max || boundary(content) != n {
		return false
	}
	return last || n == Max || n >= Min && ends(fingerprint(content[n-window:]))
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

const (
	blockSize = 512 << 10
	// blocksAhead that are written while one is cut.
	blocksAhead = 2
)

// Cutter cuts what is written to it, beside the writer: cutting takes longer
// than hashing. It is for one writer. Finish or Abort must be called.
type Cutter struct {
	block  []byte
	blocks chan []byte // nil until there is more than one block
	free   chan []byte
	chunks []cloud.Chunk
	err    error
	done   chan struct{}
}

// NewCutter begins a cutter.
func NewCutter() *Cutter { return &Cutter{} }

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
			c.chunks, c.err = Cut(&blockReader{blocks: c.blocks, free: c.free})
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
		return Cut(bytes.NewReader(c.block))
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
