package netbench

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A test that needs a network of its own runs in a process of its own: the
// kernel takes the namespaces away with it, whatever happens.
const (
	insideEnv = "ISUN_TEST_NETNS"
	skipEnv   = "ISUN_SKIP_NETNS"
)

func TestAShapedLinkIsMeasuredAsItIs(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		shapedLink(t)
		return
	}
	if os.Getenv(skipEnv) != "" {
		t.Skip(skipEnv + " is set")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAShapedLinkIsMeasuredAsItIs$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 { // a user namespace gives the rights over one's own networks
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err, "this test makes network namespaces: run it as root, or allow unprivileged user namespaces; "+
		"it needs ip and tc (apt-get install iproute2) and the kernel's veth and tbf; %s=1 skips it", skipEnv)
}

// shapedLink joins two namespaces by a pair of interfaces that let 50 Mbit/s
// pass each way.
func shapedLink(t *testing.T) {
	const mbps = 50.0
	run := func(format string, args ...any) {
		t.Helper()
		words := strings.Fields(fmt.Sprintf(format, args...))
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", strings.Join(words, " "), out)
	}
	far := newNamespace(t)
	run("ip link add near type veth peer name far")
	run("ip link set far netns %d", far.tid)
	run("ip address add 198.18.0.1/30 dev near")
	run("ip link set near up")
	run("tc qdisc add dev near root tbf rate %gmbit burst 16kb latency 50ms", mbps)
	var listener net.Listener
	far.do(func() {
		run("ip address add 198.18.0.2/30 dev far")
		run("ip link set far up")
		run("tc qdisc add dev far root tbf rate %gmbit burst 16kb latency 50ms", mbps)
		var err error
		listener, err = net.Listen("tcp4", "198.18.0.2:0")
		require.NoError(t, err)
	})
	server, err := NewServer(DefaultLimits(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	defer func() { cancel(); require.NoError(t, <-ended) }()

	result, err := Measure(ctx, listener.Addr().String(), Options{Seed: 1, Duration: 3 * time.Second})
	require.NoError(t, err)
	require.Equal(t, "198.18.0.1", result.PublicAddress.String())
	for _, m := range result.Measurements {
		t.Logf("%s: %.2f %s, delivered %.2f, spread %.3f, %d samples", m.Name, m.Value, m.Unit, m.Delivered, m.Spread, m.Samples)
		if m.Unit == "Mbit/s" {
			require.InEpsilon(t, mbps, m.Value, 0.1, m.Name)
			require.InEpsilon(t, mbps, m.Delivered, 0.1, m.Name)
		}
	}
}

// namespace is a network of its own that a thread lives in.
type namespace struct {
	tid  int
	work chan func()
}

func newNamespace(t *testing.T) namespace {
	t.Helper()
	n, ready := namespace{work: make(chan func())}, make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- err
			return
		}
		n.tid = unix.Gettid()
		ready <- nil
		for f := range n.work {
			f()
		}
	}()
	require.NoError(t, <-ready, "a second network namespace")
	t.Cleanup(func() { close(n.work) })
	_, err := os.Stat("/proc/" + strconv.Itoa(os.Getpid()) + "/task/" + strconv.Itoa(n.tid) + "/ns/net")
	require.NoError(t, err)
	return n
}

// do runs f in the namespace: sockets and processes that f makes are there.
func (n namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}
