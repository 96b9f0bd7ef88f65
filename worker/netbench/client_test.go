package netbench

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func quick() Options { return Options{Seed: 7, Duration: MinDuration, Streams: 2} }

func TestMeasureOverLoopback(t *testing.T) {
	_, address := serve(t, DefaultLimits())
	result, err := Measure(context.Background(), address, quick())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", result.PublicAddress.String())
	require.Len(t, result.Measurements, 3)
	for i, name := range []string{Latency, Download, Upload} {
		m := result.Measurements[i]
		require.Equal(t, name, m.Name)
		require.Equal(t, address, m.Device)
		require.Positive(t, m.Value, name)
		require.Positive(t, m.Delivered, name)
		require.Positive(t, m.Samples, name)
	}
	down, up := result.Measurements[1], result.Measurements[2]
	require.Equal(t, "Mbit/s", down.Unit)
	require.Equal(t, "us", result.Measurements[0].Unit)
	// The same on every machine: the payload of seed 7.
	require.Equal(t, "19e27a3520d8f83323478c966c220cd2e433ef8bdb378b8bf7d4a8b8588d7bc9", down.Digest)
	require.Equal(t, down.Digest, up.Digest)
	require.EqualValues(t, 7, up.Seed)
}

func TestMeasureSaysWhenItWasNotAlone(t *testing.T) {
	s, address := serve(t, DefaultLimits())
	// Two from one address are refused, so one that is in already stands for
	// another address.
	defer s.end(s.begin(context.Background(), origin(loopback), 1))
	result, err := Measure(context.Background(), address, quick())
	require.NoError(t, err)
	for _, m := range result.Measurements {
		require.True(t, m.Disturbed, m.Name)
	}
}

func TestMeasureStaysWithinWhatASessionMayMove(t *testing.T) {
	limits := DefaultLimits()
	limits.Bytes = 64 << 20
	_, address := serve(t, limits)
	opts := quick()
	opts.Streams = 1
	began := time.Now()
	result, err := Measure(context.Background(), address, opts)
	require.NoError(t, err, "the client ends before the server ends it")
	require.Less(t, time.Since(began), MinDuration+warmUp, "a loopback moves it in less than the time it was given")
	require.Len(t, result.Measurements, 3)
	for _, m := range result.Measurements {
		require.Positive(t, m.Value, m.Name)
		require.Positive(t, m.Delivered, m.Name)
		require.Positive(t, m.Samples, m.Name)
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	_, address := serve(t, DefaultLimits())
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Measure(ctx, address, Options{Duration: 10 * time.Second})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestMeasureTellsWhatIsWrong(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, tc := range map[string]struct {
		endpoint string
		opts     Options
		text     string
	}{
		"no port":          {"example.org", Options{}, "want host:port"},
		"nobody there":     {closed.Addr().String(), Options{}, "is `isun-worker bench serve` running there"},
		"too short":        {"127.0.0.1:1", Options{Duration: time.Millisecond}, "want 1s to 30s"},
		"too many streams": {"127.0.0.1:1", Options{Streams: 99}, "want 1 to 16"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Measure(context.Background(), tc.endpoint, tc.opts)
			require.ErrorContains(t, err, tc.text)
		})
	}
}

// impostor answers every connection with the same bytes, and then closes it.
func impostor(t *testing.T, answer []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(answer)
			_, _, _ = readFrame(conn, make([]byte, maxFrame))
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	return listener.Addr().String()
}

func TestMeasureTakesNothingFromAnImpostor(t *testing.T) {
	frame := func(kind frameType, payload string) []byte {
		return append(appendHeader(nil, kind, len(payload)), payload...)
	}
	for name, answer := range map[string][]byte{
		"it hangs up":             nil,
		"a web server":            []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"a huge frame":            {byte(frameWelcome), 0xff, 0xff, 0xff, 0xff},
		"a short welcome":         frame(frameWelcome, "x"),
		"an address that is none": frame(frameWelcome, "0123456789abcdef01234567"+"no address"),
		"another frame":           frame(frameSummary, "\x01"),
		"half a refusal":          frame(frameRefused, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Measure(context.Background(), impostor(t, answer), quick())
			require.ErrorIs(t, err, ErrProtocol)
		})
	}
}

func TestReceiverRefusesAnAlteredPayload(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	altered := append(ring{}, newRing(1)...)
	altered[blockSize+3] ^= 1
	sender := stream{conn: there, ring: altered, spend: func(int) error { return nil }}
	sent := make(chan error, 1)
	go func() { sent <- sender.send([32]byte{}) }()
	blocks := 0
	receiver := stream{conn: here, ring: newRing(1), spend: func(int) error { blocks++; return nil }}
	require.ErrorIs(t, receiver.receive(), ErrCorrupt)
	require.Equal(t, 1, blocks)
	require.NoError(t, here.Close())
	require.Error(t, <-sent)
}
