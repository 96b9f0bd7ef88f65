package netbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// pings are how many round trips are timed, if time allows.
	pings = 500
	// fewestPings make a figure at all.
	fewestPings = 10
)

// errSpent: a direction has moved its part of what the session may. It ends
// the direction, and is no failure.
var errSpent = errors.New("this direction's part of the session is used up")

// client is one session against an endpoint.
type client struct {
	endpoint string
	opts     Options
	ring     ring
	control  net.Conn
	hi       welcome
}

// Measure takes the figures against an endpoint that a Server listens on.
// Errors: ErrBusy, ErrRefused, ErrProtocol, ErrCorrupt.
func Measure(ctx context.Context, endpoint string, opts Options) (Result, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return Result{}, err
	}
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		return Result{}, fmt.Errorf("measuring endpoint %q: want host:port: %w", endpoint, err)
	}
	result, err := measureAt(ctx, &client{endpoint: endpoint, opts: opts, ring: newRing(opts.Seed)})
	if ctx.Err() != nil {
		err = ctx.Err() // what broke meanwhile broke because of it
	}
	if err != nil {
		return Result{}, fmt.Errorf("measure the network to %s: %w", endpoint, err)
	}
	return result, nil
}

func measureAt(ctx context.Context, c *client) (Result, error) {
	conn, hi, err := c.greet(ctx, hello{role: roleControl})
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c.control, c.hi = conn, hi
	trips, err := c.ping()
	if err != nil {
		return Result{}, fmt.Errorf("latency: %w", err)
	}
	figures := []measure.Measurement{named(Latency, latency(trips))}
	for _, d := range []struct {
		name string
		role role
	}{{Download, roleDownload}, {Upload, roleUpload}} {
		samples, err := c.direction(ctx, d.role)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", d.name, err)
		}
		figure := named(d.name, throughput(samples))
		figure.Seed, figure.Digest = c.opts.Seed, c.ring.digest()
		figures = append(figures, figure)
	}
	shared, err := c.done()
	if err != nil {
		return Result{}, err
	}
	for i := range figures {
		figures[i].Device = c.endpoint
		figures[i].Disturbed = figures[i].Disturbed || shared
	}
	return Result{PublicAddress: hi.address, Measurements: figures}, nil
}

func named(name string, m measure.Measurement) measure.Measurement {
	m.Name = name
	return m
}

// greet opens a connection.
func (c *client) greet(ctx context.Context, h hello) (net.Conn, welcome, error) {
	conn, err := c.opts.dial(ctx, c.endpoint)
	if err != nil {
		return nil, welcome{}, fmt.Errorf("%w; is `isun-worker bench serve` running there, and its port open?", err)
	}
	h.version, h.seed, h.token, h.duration = Version, c.opts.Seed, c.hi.token, c.opts.Duration+warmUp
	hi, err := exchange(ctx, conn, h)
	if err != nil {
		_ = conn.Close()
		return nil, welcome{}, err
	}
	return conn, hi, nil
}

func exchange(ctx context.Context, conn net.Conn, h hello) (welcome, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return welcome{}, err
	}
	if err := writeFrame(conn, frameHello, h.encode()); err != nil {
		return welcome{}, err
	}
	payload, err := expectFrame(conn, make([]byte, maxFrame), frameWelcome)
	if errors.Is(err, io.EOF) {
		return welcome{}, fmt.Errorf("%w: it hung up; too many connections, or nothing of isun's listens there", ErrProtocol)
	}
	if err != nil {
		return welcome{}, err
	}
	return parseWelcome(payload)
}

// ping times round trips one after the other.
func (c *client) ping() ([]time.Duration, error) {
	began := time.Now()
	var trips []time.Duration
	buf, number := make([]byte, maxFrame), make([]byte, numberSize)
	for len(trips) < pings && (len(trips) < fewestPings || time.Since(began) < c.opts.Duration/2) {
		_, _ = rand.Read(number) // never fails
		if err := c.control.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
			return nil, err
		}
		sent := time.Now()
		if err := writeFrame(c.control, framePing, number); err != nil {
			return nil, err
		}
		payload, err := expectFrame(c.control, buf, framePong)
		if err != nil {
			return nil, err
		}
		if string(payload) != string(number) {
			return nil, ErrCorrupt
		}
		trips = append(trips, time.Since(sent))
	}
	return trips, nil
}

// done ends the session; shared says that the server measured others as well.
func (c *client) done() (shared bool, err error) {
	if err := c.control.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
		return false, err
	}
	if err := writeFrame(c.control, frameDone, nil); err != nil {
		return false, err
	}
	payload, err := expectFrame(c.control, make([]byte, maxFrame), frameSummary)
	if err != nil {
		return false, err
	}
	if len(payload) != 1 {
		return false, fmt.Errorf("%w: a summary of %d bytes", ErrProtocol, len(payload))
	}
	return payload[0] != 0, nil
}

// direction opens the streams, lets them run and samples their progress.
func (c *client) direction(ctx context.Context, r role) ([]sample, error) {
	conns, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	var moved, spent atomic.Int64
	var running sync.WaitGroup
	broken := make(chan error, len(conns))
	end := time.Now().Add(c.opts.Duration + warmUp + stallTimeout)
	for i, conn := range conns {
		running.Go(func() { broken <- c.carry(conn, r, uint16(i), end, &moved, &spent) })
	}
	samples, err := c.watch(ctx, &moved, broken)
	for _, conn := range conns {
		abort(conn)
	}
	running.Wait()
	return samples, err
}

// abort closes a connection without sending what is still queued: on a slow
// line that would disturb what is measured next.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // at worst the queue is sent
	}
	_ = conn.Close()
}

// open connects all streams of a direction at once.
func (c *client) open(ctx context.Context, r role) ([]net.Conn, error) {
	conns := make([]net.Conn, c.opts.Streams)
	group, ctx := errgroup.WithContext(ctx)
	for i := range conns {
		group.Go(func() (err error) {
			conns[i], _, err = c.greet(ctx, hello{role: r, stream: uint16(i)})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		for _, conn := range conns {
			if conn != nil {
				abort(conn)
			}
		}
		return nil, err
	}
	return conns, nil
}

// carry runs one stream until it is aborted, or all streams together have
// spent the direction's part of what the session may move.
func (c *client) carry(conn net.Conn, r role, number uint16, end time.Time, moved, spent *atomic.Int64) error {
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	most := int64(min(c.hi.maxBytes, 1<<60)) * 2 / 5 // the rest is for what is under way
	s := stream{ring: c.ring, offset: c.ring.start(number), spend: func(bytes int) error {
		if spent.Add(int64(bytes)) > most {
			return errSpent
		}
		return nil
	}}
	if r == roleDownload {
		s.conn = steady{Conn: conn, stall: stallTimeout, end: end, read: moved}
		return s.receive()
	}
	s.conn = steady{Conn: conn, stall: stallTimeout, end: end}
	s.acked = func(bytes int) { moved.Add(int64(bytes)) }
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return s.send(secret)
}

// watch samples progress until the time is over or a direction's part of what
// the session may move is used up, which a fast line can do between two looks:
// the figure is then that of the time until there.
func (c *client) watch(ctx context.Context, moved *atomic.Int64, broken <-chan error) ([]sample, error) {
	ticker := time.NewTicker(sliceEvery)
	defer ticker.Stop()
	began := time.Now()
	samples := []sample{{}}
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-broken:
			if over = errors.Is(err, errSpent); over {
				break
			}
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				err = fmt.Errorf("the endpoint ended it early: %w", err)
			}
			return nil, err
		case <-ticker.C:
		}
		now := sample{at: time.Since(began), bytes: moved.Load()}
		samples = append(samples, now)
		over = over || now.at >= warmUp+c.opts.Duration
	}
	if last := samples[len(samples)-1]; last.bytes == 0 {
		return nil, errors.New("nothing arrived: a firewall or a very slow line")
	}
	return settled(samples), nil
}
