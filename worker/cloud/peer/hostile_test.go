package peer

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// hostile is a peer that answers as a test says.
func hostile(t *testing.T, do func(s network.Stream)) *Host {
	t.Helper()
	h := newPeer(t, nil)
	for _, id := range []protocol.ID{protocolCloud, protocolHold, protocolKey} {
		h.host.SetStreamHandler(id, func(s network.Stream) {
			var ignored any
			_ = s.SetReadDeadline(time.Now().Add(waitLong))
			_ = readMessage(s, &ignored)
			do(s)
		})
	}
	return h
}

// endless writes until nobody takes it.
func endless(s network.Stream, text string) {
	junk := []byte(strings.Repeat(text, 1+block/len(text)))
	for {
		if _, err := s.Write(junk); err != nil {
			return
		}
	}
}

func TestHostileAnswersAreNotBelieved(t *testing.T) {
	d := digestOf([]byte("x"))
	stat := func(ctx context.Context, s cloud.Source) error { _, err := s.Stat(ctx, []uai.Digest{d}); return err }
	outline := func(ctx context.Context, s cloud.Source) error { _, err := s.Outline(ctx, d); return err }
	chunks := func(ctx context.Context, s cloud.Source) error {
		r, err := s.Chunks(ctx, d, 0, 2)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	}
	type ask func(context.Context, cloud.Source) error
	zeros := strings.Repeat("\x00", entry)
	for name, tc := range map[string]struct {
		ask  ask
		send string
		want error
	}{
		"an oversized header":        {stat, "\xff\xff\xff\xff", errMalformed},
		"an unknown field":           {stat, message(`{"sizes":[1],"owner":"me"}`), errMalformed},
		"an unknown error":           {stat, message(`{"error":"pay first"}`), errMalformed},
		"too few sizes":              {stat, message(`{}`), cloud.ErrLied},
		"too many sizes":             {stat, message(`{"sizes":[1,2]}`), cloud.ErrLied},
		"a negative size":            {stat, message(`{"sizes":[-2]}`), cloud.ErrLied},
		"garbage after a stat":       {stat, message(`{"sizes":[1]}`) + "x", cloud.ErrLied},
		"nothing":                    {stat, "", io.ErrUnexpectedEOF},
		"a header cut short":         {stat, "\x00\x00\x00\x10{", io.ErrUnexpectedEOF},
		"an outline of no size":      {outline, message(`{"size":0,"bytes":36}`) + zeros, cloud.ErrLied},
		"a negative outline":         {outline, message(`{"size":-1,"bytes":-36}`), cloud.ErrLied},
		"an outline out of step":     {outline, message(`{"size":100,"bytes":35}`), cloud.ErrLied},
		"an outline of tiny chunks":  {outline, message(`{"size":100,"bytes":3600}`), cloud.ErrLied},
		"an outline too long":        {outline, message(`{"size":9223372036854775807,"bytes":37748772}`), cloud.ErrLied},
		"an outline too short":       {outline, message(`{"size":1000000,"bytes":36}`), cloud.ErrLied},
		"chunks of no size":          {outline, message(`{"size":100,"bytes":36}`) + zeros, cloud.ErrLied},
		"chunks that do not add up":  {outline, message(`{"size":100,"bytes":36}`) + zeros[:35] + "\x63", cloud.ErrLied},
		"garbage after an outline":   {outline, message(`{"size":100,"bytes":36}`) + zeros[:35] + "\x64!", cloud.ErrLied},
		"an outline cut short":       {outline, message(`{"size":100,"bytes":36}`) + zeros[:20], io.ErrUnexpectedEOF},
		"no content":                 {chunks, message(`{}`), cloud.ErrLied},
		"negative content":           {chunks, message(`{"bytes":-5}`), cloud.ErrLied},
		"more content than asked":    {chunks, message(`{"bytes":9223372036854775807}`), cloud.ErrLied},
		"content cut short":          {chunks, message(`{"bytes":5}`) + "four", io.ErrUnexpectedEOF},
		"garbage after the content":  {chunks, message(`{"bytes":4}`) + "four!", cloud.ErrLied},
		"an error of the other side": {chunks, message(`{"error":"failed"}`), errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, func(s network.Stream) { _, _ = s.Write([]byte(tc.send)); _ = s.Close() })
			err := tc.ask(t.Context(), sourceOf(t, newTenant(t, nil), h))
			require.Error(t, err)
			if !errors.Is(tc.want, errors.ErrUnsupported) {
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func TestEndlessAnswersEnd(t *testing.T) {
	d := digestOf([]byte("x"))
	for name, begin := range map[string]string{
		"of a stat":    message(`{"sizes":[1]}`),
		"of content":   message(`{"bytes":1000}`),
		"of a header":  "\x00\x00\x40\x00",
		"of an answer": "",
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			h := hostile(t, func(s network.Stream) { defer close(ended); _, _ = s.Write([]byte(begin)); endless(s, "y") })
			s := sourceOf(t, newTenant(t, nil), h)
			if r, err := s.Chunks(t.Context(), d, 0, 2); err == nil {
				_, err = io.Copy(io.Discard, r)
				require.ErrorIs(t, err, cloud.ErrLied)
				require.NoError(t, r.Close())
			}
			select {
			case <-ended:
			case <-time.After(waitLong):
				t.Fatal("the stream goes on")
			}
		})
	}
}

func TestAPeerThatSaysNothingIsGivenUp(t *testing.T) {
	for name, begin := range map[string]string{"at all": "", "after its answer": message(`{"size":100,"bytes":36}`)} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, func(s network.Stream) { _, _ = s.Write([]byte(begin)); _, _ = io.Copy(io.Discard, s) })
			began := time.Now()
			_, err := sourceOf(t, newTenant(t, nil), h).Outline(t.Context(), digestOf(nil))
			require.Error(t, err)
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}

func TestAnOutlineThatTricklesIsGivenUp(t *testing.T) {
	h := hostile(t, func(s network.Stream) {
		_, _ = s.Write([]byte(message(`{"size":100,"bytes":36}`)))
		for tick := time.NewTicker(200 * time.Millisecond); ; <-tick.C {
			if _, err := s.Write([]byte{1}); err != nil {
				return
			}
		}
	})
	began := time.Now()
	_, err := sourceOf(t, newTenant(t, nil), h).Outline(t.Context(), digestOf(nil))
	require.Error(t, err)
	require.Less(t, time.Since(began), 5*time.Second, "36 bytes at this pace take longer")
}

func TestAPromisedOutlineTakesNoMemory(t *testing.T) {
	h := hostile(t, func(s network.Stream) {
		_, _ = s.Write([]byte(message(`{"size":68719476736,"bytes":37748736}`)))
		_ = s.Close()
	})
	s := sourceOf(t, newTenant(t, nil), h)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		_, err := s.Outline(t.Context(), digestOf(nil))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "20 outlines of 36 MiB were promised")
}

func TestTextOfOthersCannotMoveATerminal(t *testing.T) {
	h := hostile(t, func(s network.Stream) {
		_ = writeMessage(s, answer{Error: codeRefused, Message: "no\x1b[2J\r\nway" + strings.Repeat("!", 1000)})
		_ = s.Close()
	})
	_, err := sourceOf(t, newTenant(t, nil), h).Stat(t.Context(), []uai.Digest{digestOf(nil)})
	require.ErrorIs(t, err, cloud.ErrRefused)
	require.Contains(t, err.Error(), "no[2Jway")
	require.Less(t, len(err.Error()), 500)
}
