package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// read answers one request to read something of the library.
func (h *Host) read(ctx context.Context, _ From, s network.Stream) error {
	var r request
	if err := h.hear(s, &r); err != nil {
		return err
	}
	if err := r.validate(); err != nil {
		return h.fail(s, err)
	}
	switch r.Op {
	case opStat:
		return h.sendStat(s, r.Digests)
	case opOutline:
		return h.sendOutline(ctx, s, r.Digests[0])
	default:
		return h.sendChunks(ctx, s, r)
	}
}

// hear reads a request, for which a peer has little time.
func (h *Host) hear(s network.Stream, request any) error {
	if err := s.SetDeadline(time.Now().Add(h.patience.request)); err != nil {
		return err
	}
	err := readMessage(s, request)
	if errors.Is(err, errMalformed) {
		return errors.Join(err, h.fail(s, err))
	}
	return err
}

// fail tells the peer what is wrong, which ends its request in good order.
func (h *Host) fail(s network.Stream, err error) error {
	a := failure(err)
	h.log.Log(context.Background(), a.level(), "a request was not served", "peer", s.Conn().RemotePeer(), "error", err)
	return h.say(s, a)
}

// say sends a message to a peer that must take it soon.
func (h *Host) say(s network.Stream, message any) error {
	if err := s.SetWriteDeadline(time.Now().Add(h.patience.request)); err != nil {
		return err
	}
	return writeMessage(s, message)
}

func (h *Host) sendStat(s network.Stream, digests []uai.Digest) error {
	sizes := make([]int64, len(digests))
	for i, d := range digests {
		size, err := h.config.Library.Stat(d)
		switch {
		case err == nil:
			sizes[i] = size
		case errors.Is(err, cloud.ErrNotHeld):
			sizes[i] = -1
		default:
			return h.fail(s, err)
		}
	}
	return h.say(s, answer{Sizes: sizes})
}

func (h *Host) sendOutline(ctx context.Context, s network.Stream, digest uai.Digest) error {
	cut, err := h.outlines.get(digest, h.config.Library)
	if err != nil {
		return h.fail(s, err)
	}
	if err := h.say(s, answer{Size: cut.outline.Blob.Size, Bytes: int64(len(cut.outline.Chunks)) * entry}); err != nil {
		return err
	}
	const some = block / entry
	for first := 0; first < len(cut.outline.Chunks); first += some {
		part := cut.outline.Chunks[first:min(first+some, len(cut.outline.Chunks))]
		if err := h.sendBlock(ctx, s, encodeOutline(part)); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) sendChunks(ctx context.Context, s network.Stream, r request) error {
	cut, err := h.outlines.get(r.Digests[0], h.config.Library)
	if err != nil {
		return h.fail(s, err)
	}
	if n := len(cut.outline.Chunks); r.First >= n || r.Count > n-r.First {
		return h.fail(s, fmt.Errorf("%w: the blob has %d chunks, not %d from %d on", cloud.ErrRefused, n, r.Count, r.First))
	}
	content, err := h.config.Library.Open(r.Digests[0])
	if err != nil {
		return h.fail(s, err)
	}
	defer content.Close()
	begin, end := cut.offsets[r.First], cut.offsets[r.First+r.Count]
	if err := h.say(s, answer{Bytes: end - begin}); err != nil {
		return err
	}
	buf, _ := blocks.Get().(*[block]byte)
	defer blocks.Put(buf)
	for begin < end {
		part := buf[:min(block, end-begin)]
		if n, err := content.ReadAt(part, begin); err != nil && (n < len(part) || !errors.Is(err, io.EOF)) {
			h.log.Warn("a blob cannot be read", "digest", r.Digests[0], "error", err)
			return fmt.Errorf("read %s: %w", r.Digests[0], err)
		}
		if err := h.sendBlock(ctx, s, part); err != nil {
			return err
		}
		begin += int64(len(part))
	}
	return nil
}

var blocks = sync.Pool{New: func() any { return new([block]byte) }}

// sendBlock sends at most block bytes within the upload cap. Who does not take
// them in time, which is 3 kB a second, loses the stream.
func (h *Host) sendBlock(ctx context.Context, s network.Stream, part []byte) error {
	if err := h.upload.WaitN(ctx, len(part)); err != nil {
		return err
	}
	if err := s.SetWriteDeadline(time.Now().Add(h.patience.stall)); err != nil {
		return err
	}
	_, err := s.Write(part)
	return err
}

// cut is an outline with where each chunk begins, and the end of the last.
type cut struct {
	outline cloud.Outline
	offsets []int64
}

// outlineCache keeps the outlines that are asked for most lately: readers take
// a blob in many requests, and reading its outline for each would double the
// work on a slow disk. Content under a digest never changes.
type outlineCache struct {
	mu    sync.Mutex
	held  map[uai.Digest]*cut
	order []uai.Digest // oldest use first
	total int          // chunks
}

func newOutlineCache() *outlineCache { return &outlineCache{held: map[uai.Digest]*cut{}} }

// get gives the outline of a blob, from memory or from the library.
func (c *outlineCache) get(digest uai.Digest, library cloud.Library) (*cut, error) {
	c.mu.Lock()
	found := c.held[digest]
	if found != nil {
		c.touch(digest)
	}
	c.mu.Unlock()
	if found != nil {
		return found, nil
	}
	outline, err := library.Outline(digest)
	if err != nil {
		return nil, err
	}
	if len(outline.Chunks) > maxOutline {
		return nil, fmt.Errorf("%w: a blob of %d chunks is too large to send", cloud.ErrRefused, len(outline.Chunks))
	}
	found = &cut{outline: outline, offsets: make([]int64, len(outline.Chunks)+1)}
	for i, chunk := range outline.Chunks {
		found.offsets[i+1] = found.offsets[i] + int64(chunk.Size)
	}
	c.put(digest, found)
	return found, nil
}

// put keeps an outline, and lets go of the oldest beyond maxOutline chunks
// together, 44 MiB.
func (c *outlineCache) put(digest uai.Digest, one *cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[digest] != nil {
		return
	}
	c.held[digest] = one
	c.order = append(c.order, digest)
	c.total += len(one.offsets)
	for c.total > maxOutline && len(c.order) > 1 {
		c.total -= len(c.held[c.order[0]].offsets)
		delete(c.held, c.order[0])
		c.order = c.order[1:]
	}
}

func (c *outlineCache) touch(digest uai.Digest) {
	for i, d := range c.order {
		if d == digest {
			c.order = append(append(c.order[:i:i], c.order[i+1:]...), digest)
			return
		}
	}
}
