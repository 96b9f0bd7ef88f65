package peer

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// Bounds of connections. A node talks to a few dozen others at once; the
// memory is that of the windows of streams, and of nothing else.
const (
	connsLow, connsHigh = 64, 128 // idle ones are trimmed from the second to the first
	connsIn, connsMost  = 192, 320
	connsEach           = 8
	streamsEach         = 64
	streamsMost         = 1024
	windowsMost         = 96 << 20 // bytes
	windowsEach         = 32 << 20 // bytes
)

// Bounds of one relayed connection: enough for a node behind a router that
// cannot be got past to be asked for a layer, and not for it to live on.
const (
	relayedFor   = 30 * time.Minute
	relayedBytes = 1 << 30
)

// start makes the libp2p host, and what bounds it.
func start(options []libp2p.Option, listen []ma.Multiaddr) (host.Host, error) {
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits()), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("limits of peers: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(20*time.Second))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("limits of connections: %w", err), resources.Close())
	}
	h, err := libp2p.New(append(options, libp2p.ResourceManager(resources), libp2p.ConnectionManager(conns))...)
	if err != nil {
		return nil, errors.Join(err, conns.Close(), resources.Close())
	}
	// Told to listen by an option, it would leave goroutines behind on failing.
	if err := h.Network().Listen(listen...); len(listen) > 0 && err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// options turns the configuration into libp2p's.
func (h *Host) options() ([]libp2p.Option, error) {
	key, err := privateKey(h.config.Key)
	if err != nil {
		return nil, err
	}
	announce, err := multiaddrs("announce", h.config.Announce)
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key), libp2p.UserAgent("isuncoin"), libp2p.DisableMetrics(), libp2p.Ping(false),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport), libp2p.Security(noise.ID, noise.New),
		libp2p.ConnectionGater(h.gate), libp2p.NoListenAddrs, // start listens
		libp2p.EnableRelay(), libp2p.EnableHolePunching(), libp2p.WithDialTimeout(h.patience.dial),
		libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr { return append(own, announce...) }),
	}
	if h.config.MapPorts {
		options = append(options, libp2p.NATPortMap())
	}
	if h.config.ServeRelay {
		resources := relay.DefaultResources()
		resources.Limit = &relay.RelayLimit{Duration: relayedFor, Data: relayedBytes}
		options = append(options, libp2p.EnableRelayService(relay.WithResources(resources)), libp2p.EnableNATService(),
			libp2p.ForceReachabilityPublic())
	}
	return h.withRelays(options)
}

// withRelays has relays listen for us.
func (h *Host) withRelays(options []libp2p.Option) ([]libp2p.Option, error) {
	if len(h.config.Relays) == 0 {
		return options, nil
	}
	if h.config.ServeRelay {
		return nil, fmt.Errorf("a machine that needs relays cannot be one: set either")
	}
	var relays []peer.AddrInfo
	for _, text := range h.config.Relays {
		id, address, err := parseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		h.gate.want(id) // for as long as the host lives
		relays = append(relays, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{address}})
	}
	return append(options, libp2p.EnableAutoRelayWithStaticRelays(relays), libp2p.ForceReachabilityPrivate()), nil
}

func multiaddrs(name string, texts []string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is no multiaddr such as /ip4/0.0.0.0/tcp/9470: %w", name, text, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// limits bounds what peers may take of this process. What is not said here is
// libp2p's default for a small machine.
func limits() rcmgr.ConcreteLimitConfig {
	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	all := rcmgr.ResourceLimits{
		Conns: connsMost, ConnsInbound: connsIn, ConnsOutbound: connsMost, FD: connsMost,
		Streams: 2 * streamsMost, StreamsInbound: streamsMost, StreamsOutbound: streamsMost, Memory: windowsMost,
	}
	each := rcmgr.ResourceLimits{
		Conns: connsEach, ConnsInbound: connsEach, ConnsOutbound: connsEach, FD: connsEach,
		Streams: 2 * streamsEach, StreamsInbound: streamsEach, StreamsOutbound: streamsEach, Memory: windowsEach,
	}
	partial := rcmgr.PartialLimitConfig{System: all, PeerDefault: each}
	return partial.Build(defaults.Scale(windowsMost, connsMost))
}
