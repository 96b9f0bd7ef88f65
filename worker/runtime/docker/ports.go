package docker

import (
	"bufio"
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// choosePorts finds a free host port for each port of a placement. They are
// fixed at creation, not left to the engine, so that a container that starts
// again is still where its tenant was told. The search begins where the
// placement's key says, so that even one whose container was removed by
// somebody else most likely comes back there; a later attempt begins elsewhere.
func (r *Runtime) choosePorts(ctx context.Context, spec runtime.Spec, attempt int) (map[string]uint16, error) {
	ports := spec.Ports
	if len(ports) == 0 {
		return nil, nil
	}
	// A stopped container keeps its ports, although nobody listens on them.
	reserved, err := r.reservedPorts(ctx)
	if err != nil {
		return nil, err
	}
	chosen := make(map[string]uint16, len(ports))
	span := int(r.cfg.PortLast) - int(r.cfg.PortFirst) + 1
	next, tried := firstPort(spec.ID, span, attempt), 0
	for _, p := range ports {
		for {
			if tried == span {
				return nil, fmt.Errorf("%w: no free host port in %d to %d", runtime.ErrUnavailable, r.cfg.PortFirst, r.cfg.PortLast)
			}
			port := r.cfg.PortFirst + uint16((next+tried)%span)
			tried++
			if !reserved[port] && r.portIsFree(ctx, p.Protocol.Transport(), port) {
				chosen[p.Name] = port
				break
			}
		}
	}
	return chosen, nil
}

// firstPort is where the search begins, counted from the first port.
func firstPort(id runtime.ID, span, attempt int) int {
	hash := fnv.New32a()
	fmt.Fprintf(hash, "%s/%d", id.Key(), attempt)
	return int(uint64(hash.Sum32()) * uint64(span) >> 32)
}

// reservedPorts lists host ports bound by any container of the engine, of
// whatever status; reading foreign containers is not touching them.
func (r *Runtime) reservedPorts(ctx context.Context) (map[uint16]bool, error) {
	reserved := map[uint16]bool{}
	list, err := r.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	for _, c := range list {
		for _, p := range c.Ports {
			reserved[p.PublicPort] = true
		}
	}
	states, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		for _, ep := range s.Endpoints {
			reserved[ep.HostPort] = true
		}
	}
	return reserved, nil
}

func (r *Runtime) portIsFree(ctx context.Context, transport string, port uint16) bool {
	address := net.JoinHostPort(r.cfg.HostIP, strconv.Itoa(int(port)))
	var config net.ListenConfig
	if transport == "udp" {
		conn, err := config.ListenPacket(ctx, "udp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// defaultRouteMTU is the packet size of the interface that leads out, 0 if
// there is none. A bridge with a larger one makes big transfers hang.
func defaultRouteMTU() int {
	file, err := os.Open("/proc/net/route")
	if err != nil {
		return 0
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		if ifc, err := net.InterfaceByName(fields[0]); err == nil {
			return ifc.MTU
		}
	}
	return 0
}

// addressOf reads an address that the engine reports for a binding.
func addressOf(text, otherwise string) string {
	if _, err := netip.ParseAddr(text); err != nil {
		return otherwise
	}
	return text
}
