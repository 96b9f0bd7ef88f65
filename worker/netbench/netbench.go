// Package netbench measures the network between two machines: throughput both
// ways over several parallel TCP connections, and latency.
//
// A session is one control connection, over which the client pings, and the
// streams it opens for each direction with the token it was given. What flows
// is drawn from a seed, so the receiver checks every byte of it. A sender is
// never more than a window ahead of what the receiver has proved it read: each
// block carries a number that only its reader knows, and the receiver sends
// the number back. So a server pours nothing at somebody who does not read it,
// and both directions are timed by the client's clock alone.
//
// Figures are those of the payload, as of other tools: a line's nominal rate
// is some 4 % above, which headers take.
package netbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// Version of the protocol and of how its figures are taken.
const Version uint16 = 1

// The names of the measurements.
const (
	Download = "network.download" // Mbit/s, from the endpoint to here
	Upload   = "network.upload"   // Mbit/s, from here to the endpoint
	Latency  = "network.latency"  // us, there and back
)

// What Options may hold.
const (
	DefaultDuration = 3 * time.Second
	DefaultStreams  = 4
	MinDuration     = time.Second
	MaxDuration     = 30 * time.Second
	MaxStreams      = 16
)

var (
	// ErrBusy: the endpoint measures as many others as it can, or has measured
	// this address too often. The text says when to try again.
	ErrBusy = errors.New("the endpoint is busy")
	// ErrRefused: the endpoint does not serve what was asked for.
	ErrRefused = errors.New("the endpoint refused")
	// ErrProtocol: the other side does not speak this protocol.
	ErrProtocol = errors.New("not the measuring protocol")
	// ErrCorrupt: what arrived is not what was sent.
	ErrCorrupt = errors.New("the payload was altered on its way")
	// ErrTooMuch: a session moved more than the server allows it.
	ErrTooMuch = errors.New("more than a session may move")
)

// Options say how to measure. The zero value takes the defaults.
type Options struct {
	// Seed chooses the payload.
	Seed uint64
	// Duration is how long to take for each direction; latency takes at most
	// half as long.
	Duration time.Duration
	// Streams is how many connections carry a direction at once: one alone is
	// often bound by its window, not by the line.
	Streams int

	// dial opens a connection.
	dial func(ctx context.Context, address string) (net.Conn, error)
}

// Result is what was found out.
type Result struct {
	// PublicAddress is this machine's address as the endpoint sees it.
	PublicAddress netip.Addr `json:"public_address"`
	// Measurements are Latency, Download and Upload.
	Measurements []measure.Measurement `json:"measurements"`
}

func (o Options) withDefaults() (Options, error) {
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	if o.Streams == 0 {
		o.Streams = DefaultStreams
	}
	if o.Duration < MinDuration || o.Duration > MaxDuration {
		return o, fmt.Errorf("measuring the network for %s: want %s to %s", o.Duration, MinDuration, MaxDuration)
	}
	if o.Streams < 1 || o.Streams > MaxStreams {
		return o, fmt.Errorf("measuring the network with %d streams: want 1 to %d", o.Streams, MaxStreams)
	}
	if o.dial == nil {
		o.dial = func(ctx context.Context, address string) (net.Conn, error) {
			d := net.Dialer{Timeout: handshakeTimeout}
			return d.DialContext(ctx, "tcp", address)
		}
	}
	return o, nil
}

const (
	// handshakeTimeout bounds connecting and greeting, each.
	handshakeTimeout = 5 * time.Second
	// stallTimeout is how long a stream may stand still: a line slower than a
	// block in that time is of no use to a tenant.
	stallTimeout = 5 * time.Second
	// warmUp is left out of the figures: TCP starts slowly.
	warmUp = 500 * time.Millisecond
)
