// Package netguard fences lease networks in with the host's packet filter: a
// container reaches the internet, and neither its host, nor the host's
// neighbours, nor another lease. Ports that a lease publishes keep answering,
// from the host and from outside.
//
// The fence is two chains of our own, entered for packets that come in from a
// bridge whose name begins with the prefix of lease bridges:
//
//	DOCKER-USER -i isun+ -> ISUN-FORWARD   what is to be routed
//	INPUT       -i isun+ -> ISUN-INPUT     what is for the host itself
//
// Docker keeps DOCKER-USER over restarts and passes every routed packet
// through it first. The rules name no lease, so all workers of a machine share
// them, and a new lease needs no change.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Sentinels that doctor explains.
var (
	// ErrUnavailable: the packet filter cannot be read or changed: not
	// installed, or not allowed.
	ErrUnavailable = errors.New("packet filter is not available")
	// ErrNoDockerChain: there is no DOCKER-USER to hook into: no engine has
	// run, or it was told to leave the packet filter alone.
	ErrNoDockerChain = errors.New("chain DOCKER-USER does not exist: is the Docker engine running, with its iptables option on?")
	// ErrInUse: lease bridges exist, so the fence stays.
	ErrInUse = errors.New("lease networks still exist")
)

// MaxConnections is how many connections to the internet one container may
// have at a time. The kernel's table of connections is the whole machine's: a
// container that fills it cuts everybody off.
const MaxConnections = 4096

// DefaultBridgePrefix begins the names of lease bridges, as in package docker.
const DefaultBridgePrefix = "isun"

// blocked is what is not the internet: RFC 6890 special-purpose networks,
// among them all private ones, and multicast.
var blocked = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // cloud metadata lives here
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// Config says what to fence in and off.
type Config struct {
	// BridgePrefix begins the names of lease bridges; empty is the default.
	BridgePrefix string
	// Blocked adds networks to those that are never the internet. A machine
	// whose own network has public addresses should name it here: see
	// ConnectedNetworks.
	Blocked []netip.Prefix
	// Allowed makes exceptions, such as a resolver in the LAN.
	Allowed []netip.Prefix
	// Runner executes the tools; nil executes the system's.
	Runner Runner
	// Bridges lists the host's interface names; nil asks the kernel.
	Bridges func() ([]string, error)
	// IPv6 says whether the host speaks it; nil asks the kernel. Leases get no
	// IPv6, so there the fence simply drops everything.
	IPv6 func() bool
}

// Guard installs, checks and removes the fence.
type Guard struct {
	cfg Config
}

// New returns a guard; it changes nothing yet.
func New(cfg Config) (*Guard, error) {
	if cfg.BridgePrefix == "" {
		cfg.BridgePrefix = DefaultBridgePrefix
	}
	if strings.ContainsAny(cfg.BridgePrefix, " \t\n+/!-") || len(cfg.BridgePrefix) > 11 {
		return nil, fmt.Errorf("netguard: bridge prefix %q", cfg.BridgePrefix)
	}
	for _, p := range append(append([]netip.Prefix(nil), cfg.Blocked...), cfg.Allowed...) {
		if !p.IsValid() || !p.Addr().Is4() {
			return nil, fmt.Errorf("netguard: network %s is not IPv4", p)
		}
	}
	if cfg.Runner == nil {
		cfg.Runner = systemRunner{}
	}
	if cfg.Bridges == nil {
		cfg.Bridges = interfaceNames
	}
	if cfg.IPv6 == nil {
		cfg.IPv6 = hostHasIPv6
	}
	return &Guard{cfg: cfg}, nil
}

// Install puts the fence up, or mends it. It may be repeated at any time, also
// while leases run: chains are replaced in one step, and packets of existing
// connections pass before and after.
func (g *Guard) Install(ctx context.Context) error {
	for _, f := range g.families() {
		err := f.install(ctx, g.cfg.Runner)
		var refused *ExitError
		if errors.As(err, &refused) && f.without != nil {
			// A kernel that cannot count connections still fences; Check tells.
			err = f.without().install(ctx, g.cfg.Runner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Check says what of the fence is missing or altered, one sentence each; none
// means it stands. It needs the same rights as Install.
func (g *Guard) Check(ctx context.Context) ([]string, error) {
	var problems []string
	for _, f := range g.families() {
		found, err := f.check(ctx, g.cfg.Runner)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// Remove takes the fence down. Other workers of the machine share it, so
// ErrInUse is returned while any lease bridge exists.
func (g *Guard) Remove(ctx context.Context) error {
	names, err := g.cfg.Bridges()
	if err != nil {
		return fmt.Errorf("netguard: list interfaces: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, g.cfg.BridgePrefix) {
			return fmt.Errorf("%w: %s", ErrInUse, name)
		}
	}
	for _, f := range g.families() {
		if err := f.remove(ctx, g.cfg.Runner); err != nil {
			return err
		}
	}
	return nil
}

// families lists the packet filters that must agree.
func (g *Guard) families() []family {
	list := []family{g.ipv4()}
	if g.cfg.IPv6() {
		list = append(list, g.ipv6())
	}
	return list
}

// chainName follows the bridges' prefix, so that fences of different prefixes
// stand beside each other.
func (g *Guard) chainName(what string) string {
	return strings.ToUpper(g.cfg.BridgePrefix) + "-" + what
}

func (g *Guard) ipv4() family {
	ours := g.cfg.BridgePrefix + "+"
	established := []string{"-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN"}
	// Between leases packets vanish: an answer would show that there is one.
	forward := [][]string{established, {"-o", ours, "-j", "DROP"}}
	for _, p := range g.cfg.Allowed {
		forward = append(forward, []string{"-d", p.Masked().String(), "-j", "RETURN"})
	}
	for _, p := range g.blockedNetworks() {
		// An answer, so that a program does not wait for a time-out.
		forward = append(forward, []string{"-d", p.String(), "-j", "REJECT", "--reject-with", "icmp-net-prohibited"})
	}
	limit := []string{
		"-m", "connlimit", "--connlimit-above", strconv.Itoa(MaxConnections), "--connlimit-mask", "32",
		"--connlimit-saddr", "-j", "DROP",
	}
	rules := func(forward [][]string) family {
		return family{
			tool: "iptables",
			chains: []chain{
				{name: g.chainName("FORWARD"), hook: "DOCKER-USER", in: ours, rules: forward},
				{name: g.chainName("INPUT"), hook: "INPUT", in: ours, rules: [][]string{established, {"-j", "DROP"}}},
			},
		}
	}
	bounded := rules(append(slices.Clone(forward), limit))
	bounded.without = func() family { return rules(forward) }
	return bounded
}

func (g *Guard) ipv6() family {
	ours := g.cfg.BridgePrefix + "+"
	drop := [][]string{{"-j", "DROP"}}
	return family{
		tool: "ip6tables",
		chains: []chain{
			{name: g.chainName("FORWARD"), hook: "FORWARD", in: ours, rules: drop},
			{name: g.chainName("INPUT"), hook: "INPUT", in: ours, rules: drop},
		},
	}
}

// blockedNetworks leaves out what another one covers already.
func (g *Guard) blockedNetworks() []netip.Prefix {
	out := append([]netip.Prefix(nil), blocked...)
	for _, p := range g.cfg.Blocked {
		if p = p.Masked(); !covered(p, out) {
			out = append(out, p)
		}
	}
	return out
}

func covered(p netip.Prefix, by []netip.Prefix) bool {
	for _, b := range by {
		if b.Bits() <= p.Bits() && b.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// ConnectedNetworks lists the IPv4 networks the host's interfaces are in, for
// Config.Blocked: on a machine with public addresses they are its neighbours.
// Loopback and networks that are blocked anyway are left out.
func ConnectedNetworks() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("netguard: list addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() || p.Bits() == 0 {
			continue
		}
		if p = p.Masked(); !covered(p, blocked) && !covered(p, out) {
			out = append(out, p)
		}
	}
	return out, nil
}

func interfaceNames() ([]string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, ifc := range list {
		names[i] = ifc.Name
	}
	return names, nil
}

// hostHasIPv6: the kernel lists addresses only where the protocol is on.
func hostHasIPv6() bool {
	raw, err := os.ReadFile("/proc/net/if_inet6")
	return err == nil && len(raw) > 0
}
