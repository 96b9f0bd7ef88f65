package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/identity"
)

const waitLong = 20 * time.Second

// hurried is the patience of tests that wait for it to end.
func hurried() patience {
	p := defaultPatience()
	p.request, p.stall, p.beat, p.silence, p.wait = time.Second, 2*time.Second, 50*time.Millisecond, time.Second, time.Second
	return p
}

// shelf is a library in memory, cut every 64 KiB.
type shelf struct {
	blobs map[uai.Digest][]byte
	reads atomic.Int64
}

const piece = 64 << 10

func newShelf(contents ...[]byte) *shelf {
	s := &shelf{blobs: map[uai.Digest][]byte{}}
	for _, c := range contents {
		s.blobs[digestOf(c)] = c
	}
	return s
}

func digestOf(content []byte) uai.Digest {
	sum := sha256.Sum256(content)
	return uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (s *shelf) Stat(d uai.Digest) (int64, error) {
	c, held := s.blobs[d]
	if !held {
		return 0, cloud.ErrNotHeld
	}
	return int64(len(c)), nil
}

func (s *shelf) Outline(d uai.Digest) (cloud.Outline, error) {
	c, held := s.blobs[d]
	if !held {
		return cloud.Outline{}, cloud.ErrNotHeld
	}
	o := cloud.Outline{Blob: cloud.Blob{Digest: d, Size: int64(len(c))}}
	for len(c) > 0 {
		n := min(piece, len(c))
		o.Chunks = append(o.Chunks, cloud.Chunk{Sum: sha256.Sum256(c[:n]), Size: uint32(n)})
		c = c[n:]
	}
	return o, nil
}

type open struct{ *bytes.Reader }

func (open) Close() error { return nil }

func (s *shelf) Open(d uai.Digest) (cloud.Content, error) {
	c, held := s.blobs[d]
	if !held {
		return nil, cloud.ErrNotHeld
	}
	s.reads.Add(1)
	return open{bytes.NewReader(c)}, nil
}

// content is bytes that do not repeat.
func content(n int) []byte {
	out := make([]byte, n)
	state := uint64(n) + 1
	for i := range out {
		state = state*6364136223846793005 + 1442695040888963407
		out[i] = byte(state >> 56)
	}
	return out
}

func localConfig(library cloud.Library) Config {
	return Config{
		Key: identity.NewKey().Private().Key, Private: true, Library: library,
		Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
	}
}

func startHost(t *testing.T, c Config, p patience) *Host {
	t.Helper()
	h, err := newHost(c, p)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// newPeer is a host on loopback that serves a library.
func newPeer(t *testing.T, library cloud.Library) *Host {
	t.Helper()
	return startHost(t, localConfig(library), hurried())
}

// newTenant is a host that only dials.
func newTenant(t *testing.T, library cloud.Library) *Host {
	t.Helper()
	c := localConfig(library)
	c.Listen = nil
	return startHost(t, c, hurried())
}

func contactOf(h *Host) Contact { return Contact{Agent: h.Address(), Addresses: h.Addresses()} }

func sourceOf(t *testing.T, from, to *Host) cloud.Source {
	t.Helper()
	s, err := from.Source(t.Context(), contactOf(to))
	require.NoError(t, err)
	return s
}

// readAll reads a whole blob the way fetch does.
func readAll(ctx context.Context, s cloud.Source, d uai.Digest) ([]byte, error) {
	o, err := s.Outline(ctx, d)
	if err != nil {
		return nil, err
	}
	r, err := s.Chunks(ctx, d, 0, len(o.Chunks))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// requireServes proves that a host is alive to an honest peer.
func requireServes(t *testing.T, h *Host, want []byte) {
	t.Helper()
	got, err := readAll(t.Context(), sourceOf(t, newTenant(t, nil), h), digestOf(want))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

// rawStream is a stream that a hostile peer does as it likes with.
func rawStream(t *testing.T, from, to *Host, id protocol.ID) network.Stream {
	t.Helper()
	info, err := from.resolve(contactOf(to))
	require.NoError(t, err)
	s, err := from.open(t.Context(), info, false, id)
	require.NoError(t, err)
	return s.Stream
}

// requireNoLeak runs something and waits for its goroutines to end.
func requireNoLeak(t *testing.T, run func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	run()
	// Not require.Eventually, which has goroutines of its own.
	for deadline := time.Now().Add(waitLong); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			all := make([]byte, 1<<20)
			t.Fatalf("goroutines are left, %d were there before:\n%s", before, all[:runtime.Stack(all, true)])
		}
		time.Sleep(time.Millisecond)
	}
}
