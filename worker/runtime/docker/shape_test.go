package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// traffic is what an interface in a process's network has received and sent,
// in bytes, behind its queue.
func traffic(t *testing.T, pid int) (in, out int64) {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/net/dev", pid))
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		figures, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "eth0:")
		if !ok {
			continue
		}
		var skip int64
		_, err := fmt.Sscan(figures, &in, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &out)
		require.NoError(t, err)
		return in, out
	}
	require.FailNow(t, "no eth0")
	return 0, 0
}

// requireRate watches what passes for a while and wants it within a limit in
// Mbit/s and, as the test sends all it can, not far below.
func requireRate(t *testing.T, what string, mbps int64, read func() int64) {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // the first bucket is full
	before, start := read(), time.Now()
	time.Sleep(1500 * time.Millisecond)
	passed, took := read()-before, time.Since(start)
	allowed := float64(mbps) * 1e6 / 8 * (took + slack).Seconds()
	t.Logf("%s: %.1f Mbit/s", what, float64(passed)*8/1e6/took.Seconds())
	require.LessOrEqual(t, float64(passed), allowed*1.05+minBurstBytes, what)
	require.Greater(t, float64(passed), allowed/3, what)
}

// TestBandwidthIsHeld floods by TCP and UDP, in many flows: out of a placement
// and into it, by its address and by its published port through the engine's
// proxy.
func TestBandwidthIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const mbps = 20
	listener, packets := sinkHere(t)
	port := listener.Addr().(*net.TCPAddr).Port
	require.Equal(t, port, packets.LocalAddr().(*net.UDPAddr).Port)

	spec := f.spec(program.Flood, net.JoinHostPort(program.Gateway, fmt.Sprint(port)), "8")
	spec.Limits.BandwidthMbps = mbps
	state, _ := f.runs(t, spec)
	requireRate(t, "out", mbps, func() int64 { _, out := traffic(t, state.PID); return out })
	// There is no other way out: no interface but these two, and no IPv6.
	addresses, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/if_inet6", state.PID))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
		require.NotContains(t, string(addresses), "eth0")
	}
	require.NoError(t, f.Remove(f.ctx, spec.ID, 0))

	spec = f.spec(program.Sink, "7000")
	spec.Limits.BandwidthMbps = mbps
	spec.Ports = []runtime.Port{
		{Name: "tcp", Protocol: runtime.ProtocolTCP, ContainerPort: 7000},
		{Name: "udp", Protocol: runtime.ProtocolUDP, ContainerPort: 7000},
	}
	state, _ = f.runs(t, spec)
	inspected, err := f.find(f.ctx, spec.ID)
	require.NoError(t, err)
	address := inspected.NetworkSettings.Networks[objectName(spec.ID)].IPAddress
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	floodFrom(ctx, "tcp", net.JoinHostPort(address, "7000"))
	floodFrom(ctx, "udp", net.JoinHostPort(address, "7000"))
	for _, e := range state.Endpoints {
		floodFrom(ctx, e.Name, net.JoinHostPort(e.HostIP, fmt.Sprint(e.HostPort)))
	}
	requireRate(t, "in", mbps, func() int64 { in, _ := traffic(t, state.PID); return in })
}

// sinkHere takes whatever comes to a port of this machine.
func sinkHere(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	packets, err := net.ListenPacket("udp", fmt.Sprintf("0.0.0.0:%d", listener.Addr().(*net.TCPAddr).Port))
	require.NoError(t, err)
	t.Cleanup(func() { packets.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	return listener, packets
}

// floodFrom sends all it can until ctx ends.
func floodFrom(ctx context.Context, protocol, address string) {
	go func() {
		conn, err := (&net.Dialer{}).DialContext(ctx, protocol, address)
		if err != nil {
			return
		}
		defer conn.Close()
		context.AfterFunc(ctx, func() { conn.Close() })
		block := make([]byte, 1400)
		for ctx.Err() == nil {
			if _, err := conn.Write(block); err != nil && protocol == "tcp" {
				return
			}
		}
	}()
}

// TestBoundsComeBack: whatever somebody does to a container behind the
// worker's back, the limits that the engine does not set hold again, and
// nothing is restarted for it.
func TestBoundsComeBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Hang)
	spec.Limits.BandwidthMbps = 20
	state := f.ensure(t, spec)
	name := state.ContainerID
	now := 0
	for _, c := range []struct {
		what  string
		do    func() error
		noted bool // what is missing is noticed without a call of Ensure
	}{
		{"restarted by hand", func() error {
			return f.api.ContainerRestart(f.ctx, name, container.StopOptions{Timeout: &now})
		}, true},
		{"disconnected and connected again", func() error {
			if err := f.api.NetworkDisconnect(f.ctx, objectName(spec.ID), name, true); err != nil {
				return err
			}
			return f.api.NetworkConnect(f.ctx, objectName(spec.ID), name, &network.EndpointSettings{})
		}, true},
		{"a worker killed before it set them", func() error {
			if err := os.Remove(filepath.Join(f.placementDir(spec.ID.Key()), boundsFile)); err != nil {
				return err
			}
			state, err := f.Inspect(f.ctx, spec.ID)
			if err != nil {
				return err
			}
			names, err := f.interfaces(state.PID)
			for _, name := range names {
				err = errors.Join(err, run(f.ctx, "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", state.PID),
					"tc", "qdisc", "del", "dev", name, "root"))
			}
			f.reopen(t)
			return err
		}, true},
		{"ended and started by the worker, as after a restart of the engine", func() error {
			if err := f.api.ContainerKill(f.ctx, name, "KILL"); err != nil {
				return err
			}
			f.awaitExit(t, spec.ID)
			return nil
		}, false},
		{"a worker that starts again", func() error { f.reopen(t); return nil }, false},
	} {
		require.NoError(t, c.do(), c.what)
		found, err := f.Inspect(f.ctx, spec.ID)
		require.NoError(t, err)
		require.Equal(t, c.noted, found.Unbounded, c.what)
		restarts := found.Restarts
		state := f.ensure(t, spec)
		require.False(t, state.Unbounded, c.what)
		if c.noted {
			require.Equal(t, restarts, state.Restarts, c.what)
		}
		require.Contains(t, f.queueInside(t, state.PID), "rate 20Mbit", c.what)
		towards, err := exec.Command("tc", "qdisc", "show", "dev", f.bridgeName(spec.ID)).CombinedOutput()
		require.NoError(t, err, string(towards))
		require.Contains(t, string(towards), "rate 20Mbit", c.what)
		g := groupOf(t, state.PID)
		requireNoSwap(t, g, spec.Limits.MemoryMiB)
		require.EqualValues(t, runtime.DefaultPids, g.number(t, "pids/pids.max", "pids.max"))
	}
}
