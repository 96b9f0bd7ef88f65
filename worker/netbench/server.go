package netbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxPings is how many pings a session may send.
const maxPings = 2000

// Server answers clients that measure their line against this machine.
type Server struct {
	limits Limits
	log    *slog.Logger
	gate   gate
	// handshake and stall are handshakeTimeout and stallTimeout; tests have
	// less patience.
	handshake, stall time.Duration

	mu       sync.Mutex
	sessions map[token]*session
}

// session is one client's, from its control connection to its end.
type session struct {
	token token
	from  netip.Prefix
	seed  uint64
	ring  func() ring
	moved atomic.Uint64
	// shared says that another session ran meanwhile.
	shared  atomic.Bool
	streams atomic.Int32
	// over is done when the session ends: its streams end with it.
	over context.Context
}

// NewServer makes a server; nothing listens yet.
func NewServer(limits Limits, log *slog.Logger) (*Server, error) {
	if err := limits.Validate(); err != nil {
		return nil, fmt.Errorf("measuring others: %w", err)
	}
	return &Server{
		limits: limits, log: log, handshake: handshakeTimeout, stall: stallTimeout,
		gate:     gate{limits: limits, now: time.Now, visitors: map[netip.Prefix]*visitor{}},
		sessions: map[token]*session{},
	}, nil
}

// Listen serves an address, such as ":9465", until ctx ends.
func (s *Server) Listen(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("measuring.listen %s: %w", address, err)
	}
	return s.Serve(ctx, listener)
}

// Serve answers until ctx ends, and closes the listener and every connection.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	defer listener.Close()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			if !temporary(err) {
				return fmt.Errorf("measuring others: %w", err)
			}
			// Out of file descriptors, say: connections that end free some.
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		from, ok := peer(conn)
		if !ok || !s.gate.greet(from) {
			_ = conn.Close()
			continue
		}
		handlers.Go(func() { s.handle(ctx, conn, from) })
	}
}

// temporary errors of Accept are those of one connection or of too many.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func peer(conn net.Conn) (netip.Prefix, bool) {
	address, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	return origin(address.AddrPort().Addr().Unmap()), true
}

// handle greets a connection and serves what it is for.
func (s *Server) handle(ctx context.Context, conn net.Conn, from netip.Prefix) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	h, err := s.greeting(conn, from)
	switch {
	case err != nil:
		// Scanners find every open port; they are no news.
		s.log.Debug("a connection did not greet", "from", from, "error", err)
		return
	case h.version != Version:
		err = s.refuse(conn, refusal{text: fmt.Sprintf("this endpoint speaks version %d of the protocol, not %d", Version, h.version)})
	case h.role == roleControl:
		err = s.control(ctx, conn, from, h)
	default:
		err = s.stream(conn, from, h)
	}
	if err != nil {
		s.log.Debug("measuring ended", "from", from, "error", err)
	}
}

// greeting reads the first frame, from a client that has little time for it.
func (s *Server) greeting(conn net.Conn, from netip.Prefix) (hello, error) {
	defer s.gate.greeted(from)
	if err := conn.SetDeadline(time.Now().Add(s.handshake)); err != nil {
		return hello{}, err
	}
	payload, err := expectFrame(conn, make([]byte, maxFrame), frameHello)
	if err != nil {
		return hello{}, err
	}
	return parseHello(payload)
}

func (s *Server) refuse(conn net.Conn, no refusal) error {
	return errors.Join(no.err(), writeFrame(conn, frameRefused, no.encode()))
}

// control opens a session, answers pings and ends it.
func (s *Server) control(ctx context.Context, conn net.Conn, from netip.Prefix, h hello) error {
	if no := s.gate.open(from); no != nil {
		return s.refuse(conn, *no)
	}
	defer s.gate.close(from)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ses := s.begin(ctx, from, h.seed)
	defer s.end(ses)
	// Both directions, as long again for latency and opening streams.
	if err := conn.SetDeadline(time.Now().Add(4*s.limits.Duration + s.handshake)); err != nil {
		return err
	}
	address, _ := conn.RemoteAddr().(*net.TCPAddr) // peer has seen that it is one
	hi := welcome{token: ses.token, maxBytes: s.limits.Bytes, address: address.AddrPort().Addr().Unmap().WithZone("")}
	if err := writeFrame(conn, frameWelcome, hi.encode()); err != nil {
		return err
	}
	started := time.Now()
	err := answer(conn, ses)
	s.log.Info("measured a line", "from", from, "moved_bytes", ses.moved.Load(), "took", time.Since(started).Round(time.Millisecond))
	return err
}

// answer serves the control connection.
func answer(conn net.Conn, ses *session) error {
	buf := make([]byte, maxFrame)
	for range maxPings + 1 {
		t, payload, err := readFrame(conn, buf)
		if err != nil {
			return err
		}
		switch t {
		case framePing:
			if _, err := parseNumber(payload); err != nil {
				return err
			}
			if err := writeFrame(conn, framePong, payload); err != nil {
				return err
			}
		case frameDone:
			shared := byte(0)
			if ses.shared.Load() {
				shared = 1
			}
			return writeFrame(conn, frameSummary, []byte{shared})
		default:
			return fmt.Errorf("%w: a frame of type %d on the control connection", ErrProtocol, t)
		}
	}
	return fmt.Errorf("%w: more than %d pings", ErrTooMuch, maxPings)
}

func (s *Server) begin(ctx context.Context, from netip.Prefix, seed uint64) *session {
	ses := &session{from: from, seed: seed, over: ctx, ring: sync.OnceValue(func() ring { return newRing(seed) })}
	_, _ = rand.Read(ses.token[:]) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[ses.token] = ses
	if len(s.sessions) > 1 {
		for _, other := range s.sessions {
			other.shared.Store(true)
		}
	}
	return ses
}

func (s *Server) end(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ses.token)
}

// find is the session of a token, which is good from its own address only.
func (s *Server) find(t token, from netip.Prefix) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses, ok := s.sessions[t]; ok && ses.from == from {
		return ses
	}
	return nil
}

// stream carries one direction of a session.
func (s *Server) stream(conn net.Conn, from netip.Prefix, h hello) error {
	ses := s.find(h.token, from)
	if ses == nil {
		return s.refuse(conn, refusal{text: "no such session"})
	}
	defer ses.streams.Add(-1)
	if ses.streams.Add(1) > int32(s.limits.Streams) {
		return s.refuse(conn, refusal{text: fmt.Sprintf("a session has at most %d streams", s.limits.Streams)})
	}
	if h.duration > s.limits.Duration {
		return s.refuse(conn, refusal{text: fmt.Sprintf("a direction takes at most %s here, with %s to warm up", s.limits.Duration, warmUp)})
	}
	defer context.AfterFunc(ses.over, func() { _ = conn.Close() })()
	if err := writeFrame(conn, frameWelcome, welcome{maxBytes: s.limits.Bytes, address: from.Addr()}.encode()); err != nil {
		return err
	}
	// The client ends the stream; who does not is ended a little later.
	end := time.Now().Add(h.duration + s.stall)
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	carried := stream{
		conn: steady{Conn: conn, stall: s.stall, end: end}, ring: ses.ring(),
		spend: func(bytes int) error {
			if ses.moved.Add(uint64(bytes)) > s.limits.Bytes {
				return fmt.Errorf("%w: %d bytes", ErrTooMuch, s.limits.Bytes)
			}
			return nil
		},
	}
	carried.offset = carried.ring.start(h.stream)
	if h.role == roleUpload {
		return carried.receive()
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return carried.send(secret)
}
