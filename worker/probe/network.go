package probe

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// Network is how the machine is connected.
type Network struct {
	// Interfaces are those that lead out of the machine; container engines'
	// bridges and pairs are left out.
	Interfaces []Interface `json:"interfaces"`
	// Public is the address that others reach the machine at.
	Public PublicAddress `json:"public"`
}

// Interface is one network interface. Its hardware address is not read: it
// would tell one machine from all others for ever.
type Interface struct {
	Name string `json:"name"`
	// Kind is "ethernet", "wlan", "bridge", "bond", "vlan", "wireguard" and
	// so on, as the kernel calls it.
	Kind string `json:"kind"`
	// State is "up", "down", or "unknown" where the driver does not tell.
	State string `json:"state"`
	// SpeedMbps is the link's rate; nil where it has none, as in most virtual
	// machines.
	SpeedMbps *uint64        `json:"speed_mbps,omitempty"`
	MTU       uint64         `json:"mtu"`
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are the default routes through it.
	Gateways []netip.Addr `json:"gateways,omitempty"`
}

// PublicAddress is the address that others reach the machine at, as far as is
// known.
type PublicAddress struct {
	Address netip.Addr `json:"address,omitzero"`
	// Source is FromEndpoint or FromRoute.
	Source string `json:"source,omitempty"`
	// Scope says what kind of address it is.
	Scope Scope `json:"scope,omitempty"`
	// BehindNAT says that the machine cannot be reached without a router's
	// help: forward the ports of network.port_first to port_last there.
	BehindNAT bool `json:"behind_nat"`
}

// Where a PublicAddress comes from.
const (
	FromEndpoint = "endpoint" // a measuring endpoint saw the machine at it
	FromRoute    = "route"    // it is the one the default route goes out from
)

// Scope is from where an address can be reached.
type Scope string

// The scopes of an address.
const (
	ScopePublic  Scope = "public"
	ScopePrivate Scope = "private" // RFC 1918 and RFC 4193
	ScopeCGNAT   Scope = "cgnat"   // RFC 6598: the provider's own translation
	ScopeLocal   Scope = "local"   // this machine or this link only
	// ScopeReserved addresses are no one's: IANA keeps them for tests, examples
	// and uses of their own, so whoever has one is not reached from elsewhere.
	ScopeReserved Scope = "reserved"
)

var cgnat = netip.MustParsePrefix("100.64.0.0/10")

// reserved is what IANA's registries of special-purpose addresses (RFC 6890)
// call not globally reachable, beyond what has a scope of its own.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // examples
	netip.MustParsePrefix("198.18.0.0/15"),   // measuring devices
	netip.MustParsePrefix("198.51.100.0/24"), // examples
	netip.MustParsePrefix("203.0.113.0/24"),  // examples
	netip.MustParsePrefix("240.0.0.0/4"),     // future use, broadcast
	netip.MustParsePrefix("64:ff9b:1::/48"),  // translation within a network
	netip.MustParsePrefix("100::/64"),        // discarded
	netip.MustParsePrefix("2001:2::/48"),     // measuring devices
	netip.MustParsePrefix("2001:db8::/32"),   // examples
	netip.MustParsePrefix("3fff::/20"),       // examples
	netip.MustParsePrefix("5f00::/16"),       // segment identifiers
}

// ScopeOf says from where an address can be reached.
func ScopeOf(a netip.Addr) Scope {
	a = a.Unmap()
	switch {
	case a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || !a.IsValid():
		return ScopeLocal
	case a.IsPrivate():
		return ScopePrivate
	case cgnat.Contains(a):
		return ScopeCGNAT
	case slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) }):
		return ScopeReserved
	}
	return ScopePublic
}

// SeenAs takes note of the address that a measuring endpoint saw. What an
// endpoint of the same network sees says nothing about the rest of the world,
// so it changes nothing.
func (n *Network) SeenAs(a netip.Addr) {
	a = a.Unmap()
	if ScopeOf(a) != ScopePublic {
		return
	}
	own := slices.ContainsFunc(n.Interfaces, func(i Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
	n.Public = PublicAddress{Address: a, Source: FromEndpoint, Scope: ScopePublic, BehindNAT: !own}
}

func (h Host) probeNetwork(out *Network, note notef) {
	out.Interfaces = []Interface{}
	routes, err := h.defaultRoutes()
	if err != nil {
		note("network.route", Failed, "%v", err)
	} else if len(routes) == 0 {
		note("network.route", Absent, "the machine has no default route")
	}
	for _, name := range names(h.Sys, "class/net") {
		if containerOwned(name) {
			continue
		}
		i, err := h.networkInterface(name)
		if err != nil {
			note("network.interfaces", Failed, "%s: %v", name, err)
			continue
		}
		for _, r := range routes {
			if r.name == name && r.gateway.IsValid() {
				i.Gateways = append(i.Gateways, r.gateway)
			}
		}
		if h.matters(i) {
			out.Interfaces = append(out.Interfaces, i)
		}
	}
	if len(out.Interfaces) == 0 {
		note("network.interfaces", Absent, "none leads out of the machine")
	}
	if out.Public = fromRoute(out.Interfaces, routes); !out.Public.Address.IsValid() {
		note("network.public", Absent, "no address to go out from is known")
	}
}

// containerOwned tells by its name what a container engine, a hypervisor or
// this worker made: it comes and goes, and leads into the machine.
func containerOwned(name string) bool {
	return name == "lo" || slices.ContainsFunc([]string{
		"docker", "veth", "br-", "virbr", "vnet", "cni", "flannel", "cali", "kube-", "lxcbr", "lxdbr", "podman", "isun", "tap",
	}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// matters leaves out what is made of nothing and leads nowhere: the kernel
// has a spare of many kinds.
func (h Host) matters(i Interface) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "class/net", i.Name))
	virtual := err == nil && strings.Contains(real, "/devices/virtual/")
	return !virtual || i.State != "down" && len(i.Addresses) > 0
}

func (h Host) networkInterface(name string) (Interface, error) {
	dir := filepath.Join(h.Sys, "class/net", name)
	i := Interface{Name: name, State: textOf(dir, "operstate"), Kind: interfaceKind(dir)}
	if n, ok := numberOf(dir, "speed"); ok && n > 0 {
		mbps := uint64(n)
		i.SpeedMbps = &mbps
	}
	if n, ok := numberOf(dir, "mtu"); ok && n > 0 {
		i.MTU = uint64(n)
	}
	var err error
	i.Addresses, err = h.addresses(name)
	return i, err
}

// interfaceKind is what the kernel calls it; ethernet needs no name there.
func interfaceKind(dir string) string {
	for line := range strings.SplitSeq(textOf(dir, "uevent"), "\n") {
		if kind, ok := strings.CutPrefix(line, "DEVTYPE="); ok {
			return kind
		}
	}
	if exists(dir, "bonding") {
		return "bond"
	}
	const ether = 1 // ARPHRD_ETHER
	if n, ok := numberOf(dir, "type"); ok && n != ether {
		return "tunnel"
	}
	return "ethernet"
}

// addresses are sorted; those of the link alone are left out, as they are made
// of the hardware address.
func (h Host) addresses(name string) ([]netip.Prefix, error) {
	ask := h.Addresses
	if ask == nil {
		ask = kernelAddresses
	}
	all, err := ask(name)
	if err != nil {
		return nil, err
	}
	list := []netip.Prefix{}
	for _, p := range all {
		if !p.Addr().IsLinkLocalUnicast() && !eui64(p.Addr()) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return list, nil
}

// eui64 tells an IPv6 address that has the hardware address in it.
func eui64(a netip.Addr) bool {
	b := a.As16()
	return a.Is6() && b[11] == 0xff && b[12] == 0xfe
}

func kernelAddresses(name string) ([]netip.Prefix, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	all, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var list []netip.Prefix
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", a, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// fromRoute is the address that packets go out from: of the default route's
// interface, the one in the gateway's network, else any; IPv4 before IPv6, as
// everybody can reach that.
func fromRoute(interfaces []Interface, routes []route) PublicAddress {
	for _, r := range routes {
		at := slices.IndexFunc(interfaces, func(i Interface) bool { return i.Name == r.name })
		if at < 0 {
			continue
		}
		var found netip.Addr
		for _, p := range interfaces[at].Addresses {
			if p.Addr().Is4() != r.v4 {
				continue
			}
			if !found.IsValid() || r.gateway.IsValid() && p.Contains(r.gateway) {
				found = p.Addr()
			}
		}
		if found.IsValid() {
			scope := ScopeOf(found)
			return PublicAddress{Address: found, Source: FromRoute, Scope: scope, BehindNAT: scope != ScopePublic}
		}
	}
	return PublicAddress{}
}
