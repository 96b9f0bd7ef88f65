package netbench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serve runs a server on loopback until the test ends, and then insists that
// every handler has ended too.
func serve(t *testing.T, limits Limits, change ...func(*Server)) (*Server, string) {
	t.Helper()
	s, err := NewServer(limits, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, c := range change {
		c(s)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		require.Empty(t, s.sessions)
		require.Zero(t, s.gate.active)
		require.Zero(t, s.gate.greeting)
	})
	return s, listener.Addr().String()
}

func impatient(s *Server) { s.handshake, s.stall = 100*time.Millisecond, 200*time.Millisecond }

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// greetAs sends a hello and returns the welcome.
func greetAs(t *testing.T, conn net.Conn, h hello) (welcome, error) {
	t.Helper()
	if h.version == 0 {
		h.version = Version
	}
	if h.duration == 0 {
		h.duration = 2 * time.Second
	}
	require.NoError(t, writeFrame(conn, frameHello, h.encode()))
	payload, err := expectFrame(conn, make([]byte, maxFrame), frameWelcome)
	if err != nil {
		return welcome{}, err
	}
	return parseWelcome(payload)
}

// ends reads until the server closes and returns how much it sent.
func ends(t *testing.T, conn net.Conn) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server still holds the connection")
	return n
}

func TestServerHangsUpOnWhatIsNoGreeting(t *testing.T) {
	_, address := serve(t, DefaultLimits(), impatient)
	for name, sent := range map[string][]byte{
		"nothing at all":          nil,
		"half a header":           {byte(frameHello), 0},
		"a web request":           []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a huge length":           binary.BigEndian.AppendUint32([]byte{byte(frameHello)}, 1<<32-1),
		"a ping first":            append(appendHeader(nil, framePing, 8), make([]byte, 8)...),
		"a hello that is cut":     append(appendHeader(nil, frameHello, helloSize), hello{version: 1, role: 1}.encode()[:9]...),
		"another magic":           append(appendHeader(nil, frameHello, helloSize), make([]byte, helloSize)...),
		"a purpose nobody has":    append(appendHeader(nil, frameHello, helloSize), hello{version: 1, role: 9}.encode()...),
		"a frame type nobody has": appendHeader(nil, 200, 0),
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address)
			_, err := conn.Write(sent)
			require.NoError(t, err)
			require.Zero(t, ends(t, conn), "a stranger is told nothing")
		})
	}
}

func TestServerEndsAGreetingThatDribbles(t *testing.T) {
	_, address := serve(t, DefaultLimits(), impatient)
	conn := dial(t, address)
	began := time.Now()
	for _, b := range append(appendHeader(nil, frameHello, helloSize), hello{role: roleControl}.encode()...) {
		if _, err := conn.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // slowness is what is tested
	}
	require.Zero(t, ends(t, conn))
	require.Less(t, time.Since(began), 3*time.Second)
}

func TestServerRefusesWithAReason(t *testing.T) {
	limits := DefaultLimits()
	limits.Streams = 1
	_, address := serve(t, limits)
	refused := func(h hello, want error, text string) {
		t.Helper()
		_, err := greetAs(t, dial(t, address), h)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, text)
	}
	refused(hello{version: 9, role: roleControl}, ErrRefused, "version 1 of the protocol, not 9")
	refused(hello{role: roleDownload}, ErrRefused, "no such session")
	control := dial(t, address)
	hi, err := greetAs(t, control, hello{role: roleControl})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", hi.address.String())
	refused(hello{role: roleControl}, ErrBusy, "measuring already; try again in 5s")
	refused(hello{role: roleUpload, token: token{1}}, ErrRefused, "no such session")
	refused(hello{role: roleUpload, token: hi.token, duration: time.Hour}, ErrRefused, "at most 12s")
	first := dial(t, address)
	_, err = greetAs(t, first, hello{role: roleUpload, token: hi.token})
	require.NoError(t, err)
	refused(hello{role: roleUpload, token: hi.token}, ErrRefused, "at most 1 streams")
	// The end of the session is the end of its streams.
	require.NoError(t, control.Close())
	ends(t, first)
}

func TestServerSendsNoMoreThanAWindowToWhoConfirmsNothing(t *testing.T) {
	_, address := serve(t, DefaultLimits(), impatient)
	control := dial(t, address)
	hi, err := greetAs(t, control, hello{role: roleControl})
	require.NoError(t, err)
	conn := dial(t, address)
	_, err = greetAs(t, conn, hello{role: roleDownload, token: hi.token})
	require.NoError(t, err)
	require.LessOrEqual(t, ends(t, conn), int64(window*(headerSize+maxFrame)))
}

func TestServerEndsAStreamThatForges(t *testing.T) {
	for name, tc := range map[string]struct {
		role role
		sent []byte
	}{
		"the number of a block": {roleDownload, append(appendHeader(nil, frameAck, 8), make([]byte, 8)...)},
		"the payload":           {roleUpload, append(appendHeader(nil, frameBlock, maxFrame), make([]byte, maxFrame)...)},
		"a shorter block":       {roleUpload, append(appendHeader(nil, frameBlock, 9), make([]byte, 9)...)},
		"the type of a frame":   {roleUpload, append(appendHeader(nil, framePing, 8), make([]byte, 8)...)},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := serve(t, DefaultLimits())
			control := dial(t, address)
			hi, err := greetAs(t, control, hello{role: roleControl})
			require.NoError(t, err)
			conn := dial(t, address)
			_, err = greetAs(t, conn, hello{role: tc.role, token: hi.token})
			require.NoError(t, err)
			began := time.Now()
			_, err = conn.Write(tc.sent)
			require.NoError(t, err)
			ends(t, conn)
			require.Less(t, time.Since(began), stallTimeout, "it was ended for what it sent, not for standing still")
		})
	}
}

func TestServerEndsWhoStandsStill(t *testing.T) {
	_, address := serve(t, DefaultLimits(), impatient)
	control := dial(t, address)
	hi, err := greetAs(t, control, hello{role: roleControl})
	require.NoError(t, err)
	uploads := dial(t, address) // never sends
	_, err = greetAs(t, uploads, hello{role: roleUpload, token: hi.token})
	require.NoError(t, err)
	downloads := dial(t, address) // never reads
	_, err = greetAs(t, downloads, hello{role: roleDownload, token: hi.token})
	require.NoError(t, err)
	ends(t, uploads)
	require.Eventually(t, func() bool { // writing to a closed connection fails sooner or later
		_, err := downloads.Write([]byte{0})
		return err != nil
	}, 5*time.Second, 50*time.Millisecond)
}

func TestServerEndsASessionThatMovesTooMuch(t *testing.T) {
	limits := DefaultLimits()
	limits.Bytes = 1 << 20
	_, address := serve(t, limits)
	hi, err := greetAs(t, dial(t, address), hello{role: roleControl, seed: 5})
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, hi.maxBytes)
	conn := dial(t, address)
	_, err = greetAs(t, conn, hello{role: roleUpload, token: hi.token, seed: 5})
	require.NoError(t, err)
	r, sent := newRing(5), 0
	for ; sent < 16<<20; sent += blockSize {
		at := sent % ringSize
		frame := append(appendHeader(nil, frameBlock, maxFrame), make([]byte, numberSize)...)
		if _, err := conn.Write(append(frame, r[at:at+blockSize]...)); err != nil {
			break
		}
	}
	acked := ends(t, conn) / (headerSize + numberSize)
	require.LessOrEqual(t, acked, int64(64))
}

func TestServerEndsASessionThatPingsForever(t *testing.T) {
	_, address := serve(t, DefaultLimits())
	conn := dial(t, address)
	_, err := greetAs(t, conn, hello{role: roleControl})
	require.NoError(t, err)
	go func() {
		frame := append(appendHeader(nil, framePing, numberSize), make([]byte, numberSize)...)
		_, _ = conn.Write(bytes.Repeat(frame, 3*maxPings)) // fails when the server has had enough
	}()
	require.LessOrEqual(t, ends(t, conn), int64((maxPings+1)*(headerSize+numberSize)))
}

func TestServerBoundsGreetingsOfAnAddress(t *testing.T) {
	_, address := serve(t, DefaultLimits())
	var open []net.Conn
	for range maxGreetingEach {
		open = append(open, dial(t, address))
	}
	require.Zero(t, ends(t, dial(t, address)), "one too many is closed at once")
	for _, conn := range open {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		if writeFrame(conn, frameHello, hello{version: Version, role: roleControl}.encode()) != nil {
			return false
		}
		kind, _, err := readFrame(bufio.NewReader(conn), make([]byte, maxFrame))
		return err == nil && kind == frameWelcome
	}, 5*time.Second, 10*time.Millisecond)
}

func TestServerEndsWithItsContextWhileClientsHang(t *testing.T) {
	s, err := NewServer(DefaultLimits(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	dial(t, listener.Addr().String())
	_, err = greetAs(t, dial(t, listener.Addr().String()), hello{role: roleControl})
	require.NoError(t, err)
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("the server waits for its clients")
	}
}

func TestGateCountsSessionsOfAnAddressOverAMinute(t *testing.T) {
	now := time.Unix(1000, 0)
	g := gate{limits: DefaultLimits(), now: func() time.Time { return now }, visitors: map[netip.Prefix]*visitor{}}
	here, there := origin(netip.MustParseAddr("198.51.100.7")), origin(netip.MustParseAddr("2001:db8::1"))
	for range g.limits.PerMinute {
		require.Nil(t, g.open(here))
		g.close(here)
		now = now.Add(time.Second)
	}
	no := g.open(here)
	require.NotNil(t, no)
	require.Equal(t, 54*time.Second, no.retry)
	require.Nil(t, g.open(there))
	require.NotNil(t, g.open(origin(netip.MustParseAddr("2001:db8::2"))), "the same /64 is the same address")
	now = now.Add(no.retry)
	require.Nil(t, g.open(here))
}

func TestGateForgetsAddressesAndNeverKeepsMoreThanItMay(t *testing.T) {
	now := time.Unix(1000, 0)
	g := gate{limits: DefaultLimits(), now: func() time.Time { return now }, visitors: map[netip.Prefix]*visitor{}}
	address := netip.MustParseAddr("10.0.0.0")
	for range maxVisitors {
		address = address.Next()
		require.Nil(t, g.open(origin(address)))
		g.close(origin(address))
	}
	require.False(t, g.greet(origin(address.Next())), "all places are taken by addresses of this minute")
	now = now.Add(rateOver)
	require.True(t, g.greet(origin(address.Next())))
	require.Len(t, g.visitors, 1)
}

func TestLimitsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Limits){
		"no sessions":      func(l *Limits) { l.Sessions = 0 },
		"too many streams": func(l *Limits) { l.Streams = MaxStreams + 1 },
		"no time":          func(l *Limits) { l.Duration = time.Second },
		"an hour":          func(l *Limits) { l.Duration = time.Hour },
		"no bytes":         func(l *Limits) { l.Bytes = 0 },
		"no rate":          func(l *Limits) { l.PerMinute = 0 },
	} {
		limits := DefaultLimits()
		change(&limits)
		_, err := NewServer(limits, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "measuring others", name)
	}
}

func TestRefusalShowsNoControlCharacters(t *testing.T) {
	no, err := parseRefusal(refusal{text: "go\x1b[31m away\n"}.encode())
	require.NoError(t, err)
	require.Equal(t, "go?[31m away?", no.text)
	no, err = parseRefusal(refusal{text: strings.Repeat("x", 1000)}.encode())
	require.NoError(t, err)
	require.Len(t, no.text, maxText)
}
