package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

const (
	// subnetBits: a /29 has room for the gateway, the container and a few
	// addresses that the engine has not taken back yet.
	subnetBits = 29
	// subnetAttempts outlasts several workers choosing at the same moment.
	subnetAttempts = 32
	// interfaceNameMax is the kernel's IFNAMSIZ less its final zero.
	interfaceNameMax = 15
)

// bridgeName is the host's interface of a placement's network. The firewall
// knows it by its prefix.
func (r *Runtime) bridgeName(id runtime.ID) string {
	name := r.cfg.BridgePrefix + id.Key()
	return name[:interfaceNameMax]
}

// createNetwork makes the placement's own bridge, or finds the one that an
// attempt before a crash has made.
func (r *Runtime) createNetwork(ctx context.Context, id runtime.ID) error {
	existing, err := r.networksOf(ctx, id)
	if err != nil {
		return err
	}
	if len(existing) > 0 {
		return nil
	}
	for attempt := 0; attempt < subnetAttempts; attempt++ {
		subnet, err := r.freeSubnet(ctx)
		if err != nil {
			return err
		}
		_, err = r.api.NetworkCreate(ctx, objectName(id), r.networkOptions(id, subnet))
		if err == nil {
			return nil
		}
		// The engine may still have been at work for a process that was killed.
		if existing, lookErr := r.networksOf(ctx, id); lookErr == nil && len(existing) > 0 {
			return nil
		}
		// Somebody took the subnet between the look and the leap.
		if !strings.Contains(err.Error(), "overlap") {
			return engineError("create network", err)
		}
	}
	return fmt.Errorf("%w: no free subnet in %s after %d attempts", runtime.ErrUnavailable, r.cfg.Subnets, subnetAttempts)
}

// attachNetwork gives a container that does not run the placement's network
// again if it has lost it. The engine remembers networks by their ids, so one
// that was made anew under the old name is not the one it looks for.
func (r *Runtime) attachNetwork(ctx context.Context, id runtime.ID, found container.InspectResponse) error {
	if err := r.createNetwork(ctx, id); err != nil {
		return err
	}
	networks, err := r.networksOf(ctx, id)
	if err != nil {
		return err
	}
	if len(networks) == 0 {
		return fmt.Errorf("%w: the network of %s went again", runtime.ErrUnavailable, id)
	}
	if found.NetworkSettings != nil {
		if end, ok := found.NetworkSettings.Networks[objectName(id)]; ok && end != nil {
			if end.NetworkID == "" || slices.Contains(networks, end.NetworkID) {
				return nil
			}
			if err := r.api.NetworkDisconnect(ctx, networks[0], found.ID, true); err != nil {
				return engineError("disconnect a network that is gone", err)
			}
		}
	}
	r.log.Info("giving a container its network again", "placement", id.String())
	return engineError("connect network", r.api.NetworkConnect(ctx, networks[0], found.ID, nil))
}

func (r *Runtime) networkOptions(id runtime.ID, subnet netip.Prefix) network.CreateOptions {
	noIPv6 := false
	options := map[string]string{
		"com.docker.network.bridge.name":                 r.bridgeName(id),
		"com.docker.network.bridge.enable_icc":           "false",
		"com.docker.network.bridge.enable_ip_masquerade": "true",
	}
	if mtu := defaultRouteMTU(); mtu > 0 {
		options["com.docker.network.driver.mtu"] = strconv.Itoa(mtu)
	}
	return network.CreateOptions{
		Driver:     "bridge",
		EnableIPv6: &noIPv6, // the firewall's rules are for IPv4
		IPAM:       &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: subnet.String()}}},
		Options:    options,
		Labels:     id.Labels(),
	}
}

// freeSubnet picks a subnet at random that neither the engine's networks nor
// the host's interfaces use: at random, because several workers draw from one
// pool and would all find the same first one.
func (r *Runtime) freeSubnet(ctx context.Context) (netip.Prefix, error) {
	taken, err := r.takenSubnets(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	count := uint32(1) << (subnetBits - r.cfg.Subnets.Bits())
	offset := rand.Uint32N(count)
	for i := range count {
		candidate := subnetAt(r.cfg.Subnets, (offset+i)%count)
		if !overlapsAny(candidate, taken) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%w: all %d subnets of %s are in use", runtime.ErrUnavailable, count, r.cfg.Subnets)
}

func subnetAt(pool netip.Prefix, index uint32) netip.Prefix {
	base := pool.Masked().Addr().As4()
	start := binary.BigEndian.Uint32(base[:]) + index<<(32-subnetBits)
	var out [4]byte
	binary.BigEndian.PutUint32(out[:], start)
	return netip.PrefixFrom(netip.AddrFrom4(out), subnetBits)
}

func overlapsAny(candidate netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if candidate.Overlaps(t) {
			return true
		}
	}
	return false
}

func (r *Runtime) takenSubnets(ctx context.Context) ([]netip.Prefix, error) {
	networks, err := r.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, engineError("list networks", err)
	}
	var taken []netip.Prefix
	for _, n := range networks {
		for _, c := range n.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				taken = append(taken, p)
			}
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list host addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			taken = append(taken, p.Masked())
		}
	}
	return taken, nil
}

// networksOf lists the networks labelled with exactly this id.
func (r *Runtime) networksOf(ctx context.Context, id runtime.ID) ([]string, error) {
	networks, err := r.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(id.Labels())})
	if err != nil {
		return nil, engineError("list networks", err)
	}
	var ids []string
	for _, n := range networks {
		if found, err := runtime.IDFromLabels(n.Labels); err == nil && found == id {
			ids = append(ids, n.ID)
		}
	}
	return ids, nil
}

func (r *Runtime) removeNetworks(ctx context.Context, id runtime.ID) error {
	ids, err := r.networksOf(ctx, id)
	if err != nil {
		return err
	}
	var errs []error
	for _, network := range ids {
		if err := r.api.NetworkRemove(ctx, network); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, engineError("remove network", err))
		}
	}
	return errors.Join(errs...)
}
