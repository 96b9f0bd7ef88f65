package peer

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// gate decides whom this host dials. libp2p would dial whatever a peer tells
// of; this host dials whom somebody here asked for, its relays, and who is
// connected already.
type gate struct {
	// private: addresses of private ranges are dialed too. Without, a contact
	// on chain cannot make machines knock at each other's neighbours.
	private bool

	mu        sync.Mutex
	wanted    map[peer.ID]int
	connected func(peer.ID) bool
}

// want lets a peer be dialed until done is called.
func (g *gate) want(id peer.ID) (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wanted[id]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.wanted[id]--; g.wanted[id] == 0 {
			delete(g.wanted, id)
		}
	}
}

// knows is set once there is a host that has connections.
func (g *gate) knows(connected func(peer.ID) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.connected = connected
}

// usable tells whether an address may be dialed and is worth telling others.
func (g *gate) usable(address ma.Multiaddr) bool {
	return g.private || manet.IsPublicAddr(address) || isName(address)
}

// isName: the address is a name yet; what it resolves to is asked again.
func isName(address ma.Multiaddr) bool {
	if len(address) == 0 {
		return false
	}
	switch address[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return true
	}
	return false
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(id peer.ID) bool {
	g.mu.Lock()
	wanted, connected := g.wanted[id] > 0, g.connected
	g.mu.Unlock()
	return wanted || connected != nil && connected(id)
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gate) InterceptAddrDial(_ peer.ID, address ma.Multiaddr) bool { return g.usable(address) }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater. Who asks for something
// must be an account; relays and those that test our reachability need not.
func (g *gate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool { return true }

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// slots bound the requests that are served at once, for each peer and
// together. Connections are bounded for each network address besides, so few
// machines cannot take them all by having many keys.
type slots struct {
	total, each int

	mu   sync.Mutex
	all  int
	held map[peer.ID]int
}

func newSlots(total, each int) *slots {
	return &slots{total: total, each: each, held: map[peer.ID]int{}}
}

// take takes a slot for a peer if there is one.
func (s *slots) take(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.total || s.held[id] >= s.each {
		return false
	}
	s.all++
	s.held[id]++
	return true
}

func (s *slots) free(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.held[id]--; s.held[id] == 0 {
		delete(s.held, id)
	}
}
