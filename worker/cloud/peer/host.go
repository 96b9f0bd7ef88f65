package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Config is what a host is made of.
type Config struct {
	// Key is the account's secp256k1 key, 32 bytes.
	Key []byte
	// Listen are the multiaddrs to listen at, such as "/ip4/0.0.0.0/tcp/9470"
	// and "/ip4/0.0.0.0/udp/9470/quic-v1". None: the host only dials.
	Listen []string
	// Announce are multiaddrs at which others reach this machine, where it
	// cannot see them itself, such as those of a forwarded port.
	Announce []string
	// Relays are multiaddrs, each ending in "/p2p/" and an id, of machines that
	// pass connections on. Who names any takes this machine to be behind a
	// router that lets nobody in.
	Relays []string
	// ServeRelay passes others' connections on, within limits, and tells others
	// whether they can be reached.
	ServeRelay bool
	// MapPorts asks the router to forward the ports (UPnP, NAT-PMP).
	MapPorts bool
	// Private dials and announces addresses of private ranges too, for networks
	// of one's own.
	Private bool
	// UploadMbps caps what all peers together read, in megabits a second. Zero
	// sets no cap.
	UploadMbps float64
	// Library is what others may read. Nil: nothing.
	Library cloud.Library
	// Authority decides whether somebody may ask for a hold; its error, wrapping
	// cloud.ErrRefused, is told to the asker. Nil lets everybody ask.
	Authority func(context.Context, From, HoldRequest) error
	// Logger defaults to none.
	Logger *slog.Logger
}

// From is who asks.
type From struct {
	// Address is the account, bech32.
	Address string
	// Source reads what the asker serves, over the connection it came by.
	Source cloud.Source
}

// Host is this machine among its peers. It is safe for concurrent use.
type Host struct {
	config   Config
	host     host.Host
	gate     *gate
	log      *slog.Logger
	address  string
	upload   *rate.Limiter
	outlines *outlineCache
	patience patience
	tags     atomic.Uint64 // one for each use of a connection that must not be trimmed

	// over ends with the host, and every stream with it.
	over   context.Context
	end    context.CancelFunc
	mu     sync.Mutex // guards closed and additions to served
	closed bool
	served sync.WaitGroup
}

// Streams served at once. A read holds one block of memory.
const (
	readsTotal, readsEach = 256, 16
	holdsTotal, holdsEach = 64, 4
	keysTotal, keysEach   = 32, 2
)

// New starts a host. Close ends it.
func New(config Config) (*Host, error) { return newHost(config, defaultPatience()) }

func newHost(config Config, patience patience) (*Host, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.UploadMbps < 0 {
		return nil, fmt.Errorf("upload cap of %g Mbit/s: give a number above zero, or zero for none", config.UploadMbps)
	}
	h := &Host{
		config: config, log: config.Logger, patience: patience, outlines: newOutlineCache(),
		gate: &gate{private: config.Private, wanted: map[peer.ID]int{}}, upload: rate.NewLimiter(rate.Inf, block),
	}
	if config.UploadMbps > 0 {
		h.upload = rate.NewLimiter(rate.Limit(config.UploadMbps*1e6/8), block)
	}
	options, err := h.options()
	if err != nil {
		return nil, err
	}
	listen, err := multiaddrs("listen", config.Listen)
	if err != nil {
		return nil, err
	}
	if h.host, err = start(options, listen); err != nil {
		return nil, fmt.Errorf("peer to peer: %w", err)
	}
	h.gate.knows(func(id peer.ID) bool { return h.host.Network().Connectedness(id) != network.NotConnected })
	h.over, h.end = context.WithCancel(context.Background())
	if h.address, err = AddressOf(h.host.ID()); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if config.Library != nil {
		h.serve(protocolCloud, newSlots(readsTotal, readsEach), h.read)
	}
	return h, nil
}

// Close ends all streams and connections, and waits for them.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	err := h.host.Close()
	h.served.Wait()
	return err
}

// ID is this host's id among peers.
func (h *Host) ID() peer.ID { return h.host.ID() }

// Address is this host's account, bech32.
func (h *Host) Address() string { return h.address }

// Addresses are where others reach this host, as the chain takes them: at most
// 8, those that cost nobody a relay first. They change as relays and routers
// come and go.
func (h *Host) Addresses() []string {
	own, relayed := []string{}, []string{}
	for _, a := range h.host.Addrs() {
		text := a.String() + "/p2p/" + h.host.ID().String()
		switch {
		case !h.gate.usable(a) || len(text) > maxAddressSize:
		case isRelayed(a):
			relayed = append(relayed, text)
		default:
			own = append(own, text)
		}
	}
	slices.Sort(own)
	slices.Sort(relayed)
	// One place is kept for a relay: where nothing else gets through, it does.
	if len(relayed) > 0 {
		own = own[:min(len(own), maxAddresses-1)]
	}
	all := append(own, relayed...)
	return all[:min(len(all), maxAddresses)]
}

func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// relayOf is who passes connections on to an address.
func relayOf(a ma.Multiaddr) (peer.ID, bool) {
	for i, part := range a {
		if part.Protocol().Code == ma.P_CIRCUIT {
			_, id := peer.SplitAddr(a[:i])
			return id, id != ""
		}
	}
	return "", false
}

// handler serves one stream; what it returns ends it as broken.
type handler func(ctx context.Context, from From, s network.Stream) error

// serve has handle answer streams of a protocol, within slots.
func (h *Host) serve(id protocol.ID, places *slots, handle handler) {
	h.host.SetStreamHandler(id, func(s network.Stream) {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			_ = s.ResetWithError(network.StreamShutdown)
			return
		}
		h.served.Add(1)
		h.mu.Unlock()
		defer h.served.Done()
		remote := s.Conn().RemotePeer()
		if !places.take(remote) {
			_ = s.ResetWithError(network.StreamRateLimited)
			return
		}
		defer places.free(remote)
		defer h.protect(remote)()
		if err := h.answer(s, handle); err != nil {
			h.log.Debug("a peer's request ended", "peer", remote, "protocol", id, "error", err)
		}
	})
}

// answer runs one handler, and ends the stream the way it went.
func (h *Host) answer(s network.Stream, handle handler) error {
	address, err := AddressOf(s.Conn().RemotePeer())
	if err != nil {
		_ = s.ResetWithError(network.StreamGated)
		return err
	}
	ctx, cancel := context.WithCancel(h.over)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	from := From{Address: address, Source: &source{host: h, name: address, info: peer.AddrInfo{ID: s.Conn().RemotePeer()}, here: true}}
	err = handle(ctx, from, s)
	if err != nil && !errors.Is(err, errMalformed) {
		_ = s.ResetWithError(network.StreamProtocolViolation)
		return err
	}
	return errors.Join(err, s.Close()) // what is malformed has had its answer, and that must arrive
}

// protect keeps a connection from being trimmed until done is called.
func (h *Host) protect(id peer.ID) (done func()) {
	tag := strconv.FormatUint(h.tags.Add(1), 10)
	h.host.ConnManager().Protect(id, tag)
	return func() { h.host.ConnManager().Unprotect(id, tag) }
}

// connect reaches a peer, and prefers a way without a relay.
func (h *Host) connect(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, h.patience.dial)
	defer cancel()
	defer h.gate.want(info.ID)()
	for _, a := range info.Addrs {
		if relay, relayed := relayOf(a); relayed {
			defer h.gate.want(relay)()
		}
	}
	if err := h.host.Connect(network.WithAllowLimitedConn(ctx, "content"), info); err != nil {
		return fmt.Errorf("reach %s: %w", info.ID, err)
	}
	if h.host.Network().Connectedness(info.ID) != network.Limited {
		return nil
	}
	// The other side tries to get past both routers; its relay will do if it
	// cannot.
	news, err := h.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return fmt.Errorf("reach %s: %w", info.ID, err)
	}
	defer news.Close()
	ctx, cancel = context.WithTimeout(ctx, h.patience.punch)
	defer cancel()
	for h.host.Network().Connectedness(info.ID) == network.Limited {
		select {
		case <-news.Out():
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// resolve finds the peer of a contact, and that it may be dialed.
func (h *Host) resolve(contact Contact) (peer.AddrInfo, error) {
	info, err := contact.dialable()
	if err != nil {
		return info, err
	}
	if info.ID == h.host.ID() {
		return info, fmt.Errorf("%s is this machine", contact.Agent)
	}
	info.Addrs = slices.DeleteFunc(info.Addrs, func(a ma.Multiaddr) bool { return !h.gate.usable(a) })
	if len(info.Addrs) == 0 {
		return info, fmt.Errorf("%s has private addresses only: allow them, if both are in one network of yours", contact.Agent)
	}
	return info, nil
}

// stream is a stream to a peer that this host opened.
type stream struct {
	network.Stream
	release func()
}

// finish ends a stream: broken unless everything was as it should be.
func (s *stream) finish(clean bool) {
	defer s.release()
	if !clean {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// open opens a stream to a peer, which ends with ctx.
func (h *Host) open(ctx context.Context, info peer.AddrInfo, here bool, id protocol.ID) (*stream, error) {
	if here {
		ctx = network.WithNoDial(ctx, "the peer came to us")
	} else if err := h.connect(ctx, info); err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "content"), h.patience.request)
	defer cancel()
	raw, err := h.host.NewStream(opening, info.ID, id)
	if err != nil {
		return nil, fmt.Errorf("open a stream to %s: %w", info.ID, streamError(err))
	}
	unprotect := h.protect(info.ID)
	stop := context.AfterFunc(ctx, func() { _ = raw.Reset() })
	return &stream{Stream: raw, release: sync.OnceFunc(func() { stop(); unprotect() })}, nil
}

// streamError has a peer that is busy say so in the words of callers.
func streamError(err error) error {
	var broken *network.StreamError
	if errors.As(err, &broken) && broken.Remote {
		switch broken.ErrorCode {
		case network.StreamRateLimited, network.StreamResourceLimitExceeded:
			return fmt.Errorf("%w: the peer is busy, try again later", cloud.ErrRefused)
		}
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
