package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// source reads what a peer serves.
type source struct {
	host *Host
	name string
	info peer.AddrInfo
	// here: the peer connected to us, and we know no other way to it.
	here bool
}

// Source reaches a peer, whose key must be the contact's account, and reads
// what it serves. The connection is made again when it is lost.
func (h *Host) Source(ctx context.Context, contact Contact) (cloud.Source, error) {
	info, err := h.resolve(contact)
	if err != nil {
		return nil, err
	}
	if err := h.connect(ctx, info); err != nil {
		return nil, err
	}
	return &source{host: h, name: contact.Agent, info: info}, nil
}

// Name implements cloud.Source: the account, bech32.
func (s *source) Name() string { return s.name }

// ask sends a request and reads the answer's message. Content may follow.
func (s *source) ask(ctx context.Context, r request) (*stream, answer, error) {
	out, err := s.host.open(ctx, s.info, s.here, protocolCloud)
	if err != nil {
		return nil, answer{}, err
	}
	var a answer
	if err = out.exchange(r, &a, s.host.patience.request); err == nil {
		err = a.err()
	}
	if err != nil {
		out.finish(false)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, answer{}, fmt.Errorf("%s from %s: %w", r.Op, s.name, err)
	}
	return out, a, nil
}

// exchange sends a request, says that there is no more, and reads the answer.
func (s *stream) exchange(request, answer any, patience time.Duration) error {
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	err := writeMessage(s, request)
	if err == nil {
		err = s.CloseWrite()
	}
	// A peer that refuses may close before it has read everything, so what it
	// says counts more than that it did not listen.
	if readErr := readMessage(s, answer); readErr != nil {
		return streamError(errors.Join(err, readErr))
	}
	return nil
}

// ended makes sure that a peer sends nothing after its answer.
func (s *stream) ended(patience time.Duration) error {
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var more [1]byte
	n, err := io.ReadFull(s, more[:])
	switch {
	case n > 0:
		return fmt.Errorf("%w: more bytes than announced", cloud.ErrLied)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return streamError(err)
	}
}

// Stat implements cloud.Source.
func (s *source) Stat(ctx context.Context, digests []uai.Digest) (map[uai.Digest]int64, error) {
	sizes := make(map[uai.Digest]int64, len(digests))
	for some := range slices.Chunk(digests, maxStat) {
		if err := s.stat(ctx, some, sizes); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

func (s *source) stat(ctx context.Context, digests []uai.Digest, sizes map[uai.Digest]int64) (err error) {
	out, a, err := s.ask(ctx, request{Op: opStat, Digests: digests})
	if err != nil {
		return err
	}
	defer func() { out.finish(err == nil) }()
	if len(a.Sizes) != len(digests) || a.Size != 0 || a.Bytes != 0 {
		return fmt.Errorf("stat from %s: %w: %d sizes for %d blobs", s.name, cloud.ErrLied, len(a.Sizes), len(digests))
	}
	for i, size := range a.Sizes {
		switch {
		case size >= 0:
			sizes[digests[i]] = size
		case size != -1:
			return fmt.Errorf("stat from %s: %w: a size of %d", s.name, cloud.ErrLied, size)
		}
	}
	return out.ended(s.host.patience.request)
}

// Outline implements cloud.Source.
func (s *source) Outline(ctx context.Context, digest uai.Digest) (o cloud.Outline, err error) {
	out, a, err := s.ask(ctx, request{Op: opOutline, Digests: []uai.Digest{digest}})
	if err != nil {
		return cloud.Outline{}, err
	}
	defer func() {
		out.finish(err == nil)
		if err != nil {
			err = fmt.Errorf("outline of %s from %s: %w", digest, s.name, err)
		}
	}()
	n, err := outlineChunks(a.Size, a.Bytes)
	if err != nil {
		return cloud.Outline{}, err
	}
	// Bytes that trickle are no better than none.
	patience := s.host.patience.stall
	defer time.AfterFunc(patience*time.Duration(1+a.Bytes/block), func() { _ = out.Reset() }).Stop()
	body := &body{ctx: ctx, stream: out, left: a.Bytes, patience: patience}
	chunks, err := readOutline(bufio.NewReaderSize(body, block), a.Size, n)
	if err != nil {
		return cloud.Outline{}, err
	}
	return cloud.Outline{Blob: cloud.Blob{Digest: digest, Size: a.Size}, Chunks: chunks}, out.ended(s.host.patience.request)
}

// Chunks implements cloud.Source. The reader ends with io.EOF after the bytes
// that the peer announced, and with cloud.ErrLied if it sends more.
func (s *source) Chunks(ctx context.Context, digest uai.Digest, first, count int) (io.ReadCloser, error) {
	out, a, err := s.ask(ctx, request{Op: opChunks, Digests: []uai.Digest{digest}, First: first, Count: count})
	if err != nil {
		return nil, err
	}
	if a.Bytes <= 0 || a.Bytes > int64(count)*chunk.Max {
		out.finish(false)
		return nil, fmt.Errorf("chunks from %s: %w: %d bytes for %d chunks", s.name, cloud.ErrLied, a.Bytes, count)
	}
	return &body{ctx: ctx, stream: out, left: a.Bytes, patience: s.host.patience.stall}, nil
}

// body is the content that follows an answer.
type body struct {
	ctx      context.Context // the caller's, which ended the stream if the stream was ended here
	stream   *stream
	left     int64 // bytes
	patience time.Duration
	done     error // what every further read gives
}

// Read implements io.Reader. A peer that gives nothing for a while is gone.
func (b *body) Read(p []byte) (int, error) {
	if b.done != nil {
		return 0, b.done
	}
	if b.left == 0 {
		if b.done = b.stream.ended(b.patience); b.done == nil {
			b.done = io.EOF
		}
		return 0, b.done
	}
	if err := b.stream.SetReadDeadline(time.Now().Add(b.patience)); err != nil {
		return 0, err
	}
	n, err := b.stream.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && (b.left > 0 || !errors.Is(err, io.EOF)) {
		b.done = streamError(err)
		if b.ctx.Err() != nil {
			b.done = b.ctx.Err()
		}
		return n, b.done
	}
	return n, nil
}

// Close implements io.Closer. Before the end it tells the peer to stop.
func (b *body) Close() error {
	b.stream.finish(errors.Is(b.done, io.EOF))
	if b.done == nil || errors.Is(b.done, io.EOF) {
		b.done = io.ErrClosedPipe
	}
	return nil
}
