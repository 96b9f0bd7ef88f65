package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func TestAPeerReadsWhatAnotherHolds(t *testing.T) {
	small, large := content(1000), content(5*piece+17)
	h := newPeer(t, newShelf(small, large))
	for _, transport := range []string{"/tcp/", "/quic-v1"} {
		t.Run(transport, func(t *testing.T) {
			contact := Contact{Agent: h.Address()}
			for _, a := range h.Addresses() {
				if strings.Contains(a, transport) {
					contact.Addresses = append(contact.Addresses, a)
				}
			}
			s, err := newTenant(t, nil).Source(t.Context(), contact)
			require.NoError(t, err)
			require.Equal(t, h.Address(), s.Name())
			absent := digestOf([]byte("absent"))
			sizes, err := s.Stat(t.Context(), []uai.Digest{digestOf(small), absent, digestOf(large)})
			require.NoError(t, err)
			require.Equal(t, map[uai.Digest]int64{digestOf(small): 1000, digestOf(large): 5*piece + 17}, sizes)

			got, err := s.Outline(t.Context(), digestOf(large))
			require.NoError(t, err)
			want, _ := newShelf(large).Outline(digestOf(large))
			require.Equal(t, want, got)
			r, err := s.Chunks(t.Context(), digestOf(large), 2, 2)
			require.NoError(t, err)
			middle, err := io.ReadAll(r)
			require.NoError(t, err)
			require.True(t, bytes.Equal(large[2*piece:4*piece], middle))
			require.NoError(t, r.Close())
			whole, err := readAll(t.Context(), s, digestOf(large))
			require.NoError(t, err)
			require.True(t, bytes.Equal(large, whole))

			_, err = s.Outline(t.Context(), absent)
			require.ErrorIs(t, err, cloud.ErrNotHeld)
			_, err = s.Chunks(t.Context(), absent, 0, 1)
			require.ErrorIs(t, err, cloud.ErrNotHeld)
			_, err = s.Chunks(t.Context(), digestOf(large), 5, 2)
			require.ErrorIs(t, err, cloud.ErrRefused, "past the end")
		})
	}
}

func TestAStatOfManyBlobsIsAskedInParts(t *testing.T) {
	var contents [][]byte
	var digests []uai.Digest
	for i := range 2*maxStat + 5 {
		contents = append(contents, fmt.Append(nil, i))
		digests = append(digests, digestOf(contents[i]))
	}
	sizes, err := sourceOf(t, newTenant(t, nil), newPeer(t, newShelf(contents...))).Stat(t.Context(), digests)
	require.NoError(t, err)
	require.Len(t, sizes, len(digests))
}

func TestAReaderMayStopInTheMiddle(t *testing.T) {
	large := content(64 * piece)
	h := newPeer(t, newShelf(large))
	s := sourceOf(t, newTenant(t, nil), h)
	for range 3 * readsEach { // slots come back
		r, err := s.Chunks(t.Context(), digestOf(large), 0, 64)
		require.NoError(t, err)
		_, err = io.ReadFull(r, make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, r.Close())
		_, err = r.Read(make([]byte, 1))
		require.Error(t, err)
		// The other side learns of it in its own time.
		require.Eventually(t, func() bool { return h.idle() }, waitLong, time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Chunks(ctx, digestOf(large), 0, 64)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
}

// serving is how many streams of ours are open with a peer.
func (h *Host) serving(id peer.ID) int {
	n := 0
	for _, c := range h.host.Network().ConnsToPeer(id) {
		for _, s := range c.GetStreams() {
			if strings.HasPrefix(string(s.Protocol()), "/isun/") {
				n++
			}
		}
	}
	return n
}

// idle tells whether none is open with anybody.
func (h *Host) idle() bool {
	return !slices.ContainsFunc(h.host.Network().Peers(), func(id peer.ID) bool { return h.serving(id) > 0 })
}

func message(body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

func TestHostileRequestsAreRefused(t *testing.T) {
	held := content(3 * piece)
	h := newPeer(t, newShelf(held))
	d := string(digestOf(held))
	many := strings.Repeat(`"`+d+`",`, maxStat)
	from := newTenant(t, nil)
	for name, body := range map[string]string{
		"an oversized header":      "\xff\xff\xff\xff",
		"a header past the limit":  string(binary.BigEndian.AppendUint32(nil, maxMessage+1)),
		"an empty header":          "\x00\x00\x00\x00",
		"a header cut short":       "\x00\x00\x01\x00{",
		"no JSON":                  message("GET / HTTP/1.1"),
		"null":                     message("null"),
		"two values":               message(`{"op":"outline","digests":["` + d + `"]}{}`),
		"deep nesting":             message(strings.Repeat("[", maxMessage)),
		"an unknown field":         message(`{"op":"outline","digests":["` + d + `"],"also":1}`),
		"an unknown operation":     message(`{"op":"remove","digests":["` + d + `"]}`),
		"no digest":                message(`{"op":"outline","digests":[]}`),
		"two digests":              message(`{"op":"outline","digests":["` + d + `","` + d + `"]}`),
		"too many digests":         message(`{"op":"stat","digests":[` + many + `"` + d + `"]}`),
		"a path as digest":         message(`{"op":"outline","digests":["../../etc/passwd"]}`),
		"a range in a stat":        message(`{"op":"stat","digests":["` + d + `"],"count":1}`),
		"a negative first":         message(`{"op":"chunks","digests":["` + d + `"],"first":-1,"count":1}`),
		"a negative count":         message(`{"op":"chunks","digests":["` + d + `"],"first":0,"count":-1}`),
		"no chunks":                message(`{"op":"chunks","digests":["` + d + `"],"first":0,"count":0}`),
		"an absurd count":          message(`{"op":"chunks","digests":["` + d + `"],"first":0,"count":9223372036854775807}`),
		"an absurd first":          message(`{"op":"chunks","digests":["` + d + `"],"first":9223372036854775807,"count":1}`),
		"a count beyond a machine": message(`{"op":"chunks","digests":["` + d + `"],"first":0,"count":1e99}`),
		"a first past the end":     message(`{"op":"chunks","digests":["` + d + `"],"first":3,"count":1}`),
		"a range past the end":     message(`{"op":"chunks","digests":["` + d + `"],"first":1,"count":3}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := rawStream(t, from, h, protocolCloud)
			_, err := s.Write([]byte(body))
			require.NoError(t, err)
			_ = s.CloseWrite()
			var a answer
			require.NoError(t, s.SetReadDeadline(time.Now().Add(waitLong)))
			if err := readMessage(s, &a); err == nil {
				require.Contains(t, []string{codeRefused, codeFailed}, a.Error)
				require.Zero(t, a.Bytes)
				_, err = s.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF, "and nothing after it")
			}
			_ = s.Reset()
		})
	}
	require.Zero(t, h.config.Library.(*shelf).reads.Load())
	requireServes(t, h, held)
}

func TestASlowRequestLosesItsStream(t *testing.T) {
	h := newPeer(t, newShelf(content(1)))
	s := rawStream(t, newTenant(t, nil), h, protocolCloud)
	began := time.Now()
	_, err := s.Write([]byte{0, 0})
	require.NoError(t, err)
	require.NoError(t, s.SetReadDeadline(began.Add(waitLong)))
	_, err = io.ReadAll(s)
	var timeout interface{ Timeout() bool }
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server ended it")
	require.Less(t, time.Since(began), 10*h.patience.request)
	require.Eventually(t, h.idle, waitLong, 5*time.Millisecond)
}

func TestSlowReadersHoldNeitherMemoryNorSlots(t *testing.T) {
	large := content(128 * piece) // 8 MiB
	h := newPeer(t, newShelf(large))
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 3 {
		from := newTenant(t, nil)
		for range readsEach {
			s := rawStream(t, from, h, protocolCloud)
			require.NoError(t, writeMessage(s, request{Op: opChunks, Digests: []uai.Digest{digestOf(large)}, Count: 128}))
		}
	}
	require.Eventually(t, func() bool { return h.config.Library.(*shelf).reads.Load() == 3*readsEach }, waitLong, time.Millisecond)
	runtime.ReadMemStats(&during)
	require.Less(t, int64(during.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20), "for 384 MiB that were asked for")
	require.Eventually(t, h.idle, waitLong, 5*time.Millisecond, "who does not read loses the stream")
	requireServes(t, h, large)
}

func TestAFloodOfStreamsTakesNobodyElsesPlace(t *testing.T) {
	held := content(2 * piece)
	h := startHost(t, localConfig(newShelf(held)), defaultPatience())
	flooder := newTenant(t, nil)
	var streams []network.Stream
	for range readsEach { // as many as it may have, and it says nothing on them
		s := rawStream(t, flooder, h, protocolCloud)
		_, err := s.Write([]byte{0})
		require.NoError(t, err)
		streams = append(streams, s)
	}
	require.Eventually(t, func() bool { return h.serving(flooder.ID()) == readsEach }, waitLong, time.Millisecond)
	_, err := sourceOf(t, flooder, h).Stat(t.Context(), []uai.Digest{digestOf(held)})
	require.ErrorIs(t, err, cloud.ErrRefused)
	require.ErrorContains(t, err, "busy", "one more is told why")
	refused := 0
	for range 4 * streamsEach {
		info, err := flooder.resolve(contactOf(h))
		require.NoError(t, err)
		s, err := flooder.open(t.Context(), info, false, protocolCloud)
		if err != nil {
			refused++
			continue
		}
		streams = append(streams, s.Stream)
	}
	require.Positive(t, refused, "the bound holds on both sides")
	requireServes(t, h, held)
	for _, s := range streams {
		_ = s.Reset()
	}
	require.Eventually(t, h.idle, waitLong, 5*time.Millisecond)
}

func TestAFloodOfConnectionsIsBounded(t *testing.T) {
	held := content(piece)
	h := newPeer(t, newShelf(held))
	c := localConfig(nil)
	c.Listen = nil
	for range 3 * connsEach { // many machines with one key
		flooder := startHost(t, c, hurried())
		_, _ = flooder.Source(t.Context(), contactOf(h))
	}
	id := startHost(t, c, hurried()).ID()
	require.LessOrEqual(t, len(h.host.Network().ConnsToPeer(id)), connsEach)
	requireServes(t, h, held)
}

func TestUploadsKeepToTheCap(t *testing.T) {
	held := content(16 * piece) // 1 MiB
	c := localConfig(newShelf(held))
	c.UploadMbps = 16 // 2 MB/s together
	h := startHost(t, c, hurried())
	s := sourceOf(t, newTenant(t, nil), h)
	began := time.Now()
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			got, err := readAll(context.Background(), s, digestOf(held))
			if err != nil || !bytes.Equal(held, got) {
				t.Errorf("read %d bytes: %v", len(got), err)
			}
		})
	}
	readers.Wait()
	require.Greater(t, time.Since(began), 900*time.Millisecond, "2 MiB at 2 MB/s, less one block at once")
}

func TestNothingIsLeftOfAHostThatIsClosed(t *testing.T) {
	requireNoLeak(t, func() {
		large := content(256 * piece)
		a, err := newHost(localConfig(newShelf(large)), defaultPatience())
		require.NoError(t, err)
		b, err := newHost(localConfig(nil), defaultPatience())
		require.NoError(t, err)
		s := sourceOf(t, b, a)
		_, err = readAll(t.Context(), s, digestOf(large))
		require.NoError(t, err)
		r, err := s.Chunks(t.Context(), digestOf(large), 0, 256)
		require.NoError(t, err)
		require.NoError(t, a.Close(), "while somebody reads")
		_, err = io.ReadAll(r)
		require.Error(t, err)
		require.NoError(t, r.Close())
		require.NoError(t, b.Close())
	})
}
