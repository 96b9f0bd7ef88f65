package docker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/netguard"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// testBridges keeps the fence of the tests apart from that of a worker.
const testBridges = "istt"

// fenced is a runtime behind a real fence.
type fenced struct {
	*Runtime
	image string
	ctx   context.Context
	next  uint32
}

func newFenced(t *testing.T) *fenced {
	ref := dockertest.ProbeImage(t, dockertest.Client(t))
	connected, err := netguard.ConnectedNetworks()
	require.NoError(t, err)
	guard, err := netguard.New(netguard.Config{BridgePrefix: testBridges, Blocked: connected})
	require.NoError(t, err)
	require.NoError(t, guard.Install(t.Context()), "the fence needs root and iptables")
	t.Cleanup(func() { require.NoError(t, guard.Remove(context.Background())) })
	problems, err := guard.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, problems)

	r := newRuntime(t, t.TempDir(), fmt.Sprintf("fence%d/1", os.Getpid()), func(c *Config) {
		c.BridgePrefix, c.HostIP = testBridges, "0.0.0.0"
	})
	t.Cleanup(func() { removeAll(t, r) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return &fenced{Runtime: r, image: ref, ctx: ctx}
}

// removeAll takes away what a test made and closes the runtime.
func removeAll(t testing.TB, r *Runtime) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	states, err := r.List(ctx)
	require.NoError(t, err)
	for _, s := range states {
		require.NoError(t, r.Remove(ctx, s.ID, 0))
	}
	require.NoError(t, r.Close())
}

func (f *fenced) spec(args ...string) runtime.Spec {
	f.next++
	return runtime.Spec{
		ID:     runtime.ID{Chain: runtimetest.Chain, Node: f.cfg.Node, Lease: "tenant/1", Replica: f.next, Generation: 1},
		Image:  f.image,
		Args:   args,
		Limits: runtime.Limits{MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 8},
	}
}

// outcome runs a program to its end and returns its exit code.
func (f *fenced) outcome(t *testing.T, args ...string) int {
	spec := f.spec(args...)
	_, err := f.Ensure(f.ctx, spec)
	require.NoError(t, err)
	var state runtime.State
	require.Eventually(t, func() bool {
		state, err = f.Inspect(f.ctx, spec.ID)
		return err == nil && state.Status == runtime.StatusExited
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, f.Remove(f.ctx, spec.ID, 0))
	return state.ExitCode
}

func TestContainersReachNeitherHostNorEachOther(t *testing.T) {
	f := newFenced(t)
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer listener.Close()
	hostPort := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)

	serving := f.spec(program.Serve, "8080")
	serving.Ports = []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080}}
	state, err := f.Ensure(f.ctx, serving)
	require.NoError(t, err)
	published := fmt.Sprint(state.Endpoints[0].HostPort)
	inspected, err := f.find(f.ctx, serving.ID)
	require.NoError(t, err)
	neighbour := inspected.NetworkSettings.Networks[objectName(serving.ID)].IPAddress

	// From the host the published port answers, on loopback and on every
	// address of its own: the second goes the way a stranger's packets go.
	requireAnswers(t, net.JoinHostPort("127.0.0.1", published))
	hostAddress := hostAddress(t)
	requireAnswers(t, net.JoinHostPort(hostAddress, published))

	for name, target := range map[string]string{
		"the host by its bridge":      net.JoinHostPort(program.Gateway, hostPort),
		"the host by its own address": net.JoinHostPort(hostAddress, hostPort),
		"another lease directly":      net.JoinHostPort(neighbour, "8080"),
		"another lease as published":  net.JoinHostPort(hostAddress, published),
		"the same through its bridge": net.JoinHostPort(program.Gateway, published),
		"the host's neighbour":        net.JoinHostPort(neighbourOf(t, hostAddress), "80"),
		"a cloud's metadata":          "169.254.169.254:80",
	} {
		require.Equal(t, program.ExitUnreachable, f.outcome(t, program.Dial, target), name)
	}
}

// TestFenceIsWhatStopsThem shows that the test above measures the fence:
// without it the host answers.
func TestFenceIsWhatStopsThem(t *testing.T) {
	ref := dockertest.ProbeImage(t, dockertest.Client(t))
	r := newRuntime(t, t.TempDir(), fmt.Sprintf("open%d/1", os.Getpid()), func(c *Config) { c.BridgePrefix = "isto" })
	t.Cleanup(func() { removeAll(t, r) })
	f := &fenced{Runtime: r, image: ref, ctx: t.Context()}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer listener.Close()
	port := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	require.Zero(t, f.outcome(t, program.Dial, net.JoinHostPort(program.Gateway, port)))
}

func requireAnswers(t *testing.T, address string) {
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			return false
		}
		answer := make([]byte, 64)
		n, _ := conn.Read(answer)
		return strings.HasPrefix(string(answer[:n]), "HTTP/1.0 200")
	}, 20*time.Second, 50*time.Millisecond, address)
}

// hostAddress is an address of the host that is not loopback's and not one of
// a container bridge.
func hostAddress(t *testing.T) string {
	list, err := net.Interfaces()
	require.NoError(t, err)
	for _, ifc := range list {
		if ifc.Flags&net.FlagUp == 0 || ifc.Flags&net.FlagLoopback != 0 || strings.HasPrefix(ifc.Name, "docker") ||
			strings.HasPrefix(ifc.Name, "is") || strings.HasPrefix(ifc.Name, "br-") {
			continue
		}
		addrs, err := ifc.Addrs()
		require.NoError(t, err)
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				return p.Addr().String()
			}
		}
	}
	t.Fatal("this machine has no address but loopback's; the test needs a network interface")
	return ""
}

// neighbourOf is the address after the host's: whether anybody is there or
// not, the fence must answer first.
func neighbourOf(t *testing.T, address string) string {
	a, err := netip.ParseAddr(address)
	require.NoError(t, err)
	return a.Next().String()
}

// TestConnectionsAreHeld: the kernel's table of connections is the machine's.
func TestConnectionsAreHeld(t *testing.T) {
	f := newFenced(t)
	spec := f.spec(program.Dots, "203.0.113.7", strconv.Itoa(netguard.MaxConnections*2))
	_, err := f.Ensure(f.ctx, spec)
	require.NoError(t, err)
	fixture := &fixture{Runtime: f.Runtime, ctx: f.ctx}
	fixture.runs(t, spec)
	inspected, err := f.find(f.ctx, spec.ID)
	require.NoError(t, err)
	address := inspected.NetworkSettings.Networks[objectName(spec.ID)].IPAddress
	table, err := os.ReadFile("/proc/net/nf_conntrack")
	require.NoError(t, err)
	held := strings.Count(string(table), " src="+address+" dst=203.0.113.7 ")
	require.LessOrEqual(t, held, netguard.MaxConnections+1)
	require.Greater(t, held, netguard.MaxConnections/2)
}
