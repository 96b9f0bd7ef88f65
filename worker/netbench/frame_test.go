package netbench

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	h := hello{version: 1, role: roleUpload, stream: 3, seed: 1 << 60, duration: 3500 * time.Millisecond, token: token{1, 2}}
	back, err := parseHello(h.encode())
	require.NoError(t, err)
	require.Equal(t, h, back)
	w := welcome{token: token{9}, maxBytes: 1 << 40, address: netip.MustParseAddr("2001:db8::7")}
	got, err := parseWelcome(w.encode())
	require.NoError(t, err)
	require.Equal(t, w, got)
}

// FuzzReadFrame feeds a parser what a stranger may send, and every message's
// parser what passes.
func FuzzReadFrame(f *testing.F) {
	for _, frame := range []struct {
		kind    frameType
		payload []byte
	}{
		{frameHello, hello{version: 1, role: roleControl}.encode()},
		{frameWelcome, welcome{address: loopback}.encode()},
		{framePing, make([]byte, numberSize)},
		{frameBlock, make([]byte, maxFrame)},
		{frameDone, nil},
		{frameSummary, []byte{1}},
		{frameRefused, refusal{retry: time.Second, text: "busy"}.encode()},
	} {
		f.Add(append(appendHeader(nil, frame.kind, len(frame.payload)), frame.payload...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{byte(frameBlock), 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, buf := bytes.NewReader(raw), make([]byte, maxFrame)
		for {
			kind, payload, err := readFrame(r, buf)
			if err != nil {
				return
			}
			limit, known := maxPayload(kind)
			require.True(t, known)
			require.LessOrEqual(t, len(payload), limit)
			if h, err := parseHello(payload); err == nil {
				require.Equal(t, payload, h.encode())
			}
			if w, err := parseWelcome(payload); err == nil {
				require.True(t, w.address.IsValid())
			}
			if no, err := parseRefusal(payload); err == nil {
				require.Error(t, no.err())
			}
			_, _ = parseNumber(payload)
		}
	})
}
