package peer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/identity"
)

// A test that needs networks of its own runs in a process of its own: the
// kernel takes the namespaces away with it, whatever happens.
const (
	insideEnv = "ISUN_TEST_NETNS"
	skipEnv   = "ISUN_SKIP_NETNS"
)

// TestNodesThatCannotReachEachOtherUseARelay has a node and a tenant on two
// networks that only a third machine is on both of, and which passes no
// packets on. Each is a process: a process has one network.
func TestNodesThatCannotReachEachOtherUseARelay(t *testing.T) {
	switch os.Getenv(insideEnv) {
	case "relay":
		beRelay(t)
		return
	case "node":
		beNode(t)
		return
	case "tenant":
		beTenant(t)
		return
	}
	if os.Getenv(skipEnv) != "" {
		t.Skip(skipEnv + " is set")
	}
	out, err := inNamespace(t, "relay").CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err, "this test makes network namespaces: run it as root, or allow unprivileged user namespaces; "+
		"it needs ip (apt-get install iproute2) and the kernel's veth; %s=1 skips it", skipEnv)
}

// inNamespace runs this test in another role, on a network of its own.
func inNamespace(t *testing.T, role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 { // a user namespace gives the rights over one's own networks
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

func ip(t *testing.T, format string, args ...any) {
	t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	out, err := exec.Command("ip", words...).CombinedOutput()
	require.NoError(t, err, "ip %s: %s", strings.Join(words, " "), out)
}

// machine is another process on a network that is linked to this one.
type machine struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newMachine(t *testing.T, role, near string) *machine {
	m := &machine{cmd: inNamespace(t, role)}
	var err error
	m.in, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	m.out, m.cmd.Stderr = bufio.NewScanner(out), os.Stderr
	require.NoError(t, m.cmd.Start())
	ip(t, "link add %s type veth peer name far%s", role, role)
	ip(t, "link set far%s netns %d", role, m.cmd.Process.Pid)
	ip(t, "address add %s/30 dev %s", near, role)
	ip(t, "link set %s up", role)
	return m
}

// hear returns the next line that begins with a word.
func (m *machine) hear(t *testing.T, word string) string {
	t.Helper()
	for m.out.Scan() {
		if rest, found := strings.CutPrefix(m.out.Text(), word+" "); found {
			return rest
		}
		t.Log(m.out.Text())
	}
	t.Fatalf("%s never said %q", m.cmd.Args, word)
	return ""
}

func (m *machine) end(t *testing.T) {
	t.Helper()
	require.NoError(t, m.in.Close())
	for m.out.Scan() {
		t.Log(m.out.Text())
	}
	require.NoError(t, m.cmd.Wait())
}

const heldInNamespace = 40 * piece

func beRelay(t *testing.T) {
	ip(t, "link set lo up")
	node, tenant := newMachine(t, "node", "11.0.1.1"), newMachine(t, "tenant", "11.0.2.1")
	relay := startHost(t, Config{
		Key: identity.NewKey().Private().Key, ServeRelay: true,
		Listen: []string{"/ip4/11.0.1.1/tcp/9470", "/ip4/11.0.2.1/tcp/9470"},
	}, hurried())
	fmt.Fprintf(node.in, "/ip4/11.0.1.1/tcp/9470/p2p/%s\n", relay.ID())
	// A relay has one public address; this one has one on each network.
	contact := strings.ReplaceAll(node.hear(t, "contact"), "11.0.1.1/", "11.0.2.1/")
	fmt.Fprintln(tenant.in, contact)
	require.Equal(t, "relayed", tenant.hear(t, "read"))
	tenant.end(t)
	node.end(t)
}

// readLine reads what the relay's process says, once the link is there.
func readLine(t *testing.T, role, far string) string {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	require.NoError(t, err)
	ip(t, "address add %s/30 dev far%s", far, role)
	ip(t, "link set far%s up", role)
	return strings.TrimSpace(line)
}

func beNode(t *testing.T) {
	relay := readLine(t, "node", "11.0.1.2")
	h := startHost(t, Config{
		Key: identity.NewKey().Private().Key, Library: newShelf(content(heldInNamespace)), Relays: []string{relay},
		Listen: []string{"/ip4/11.0.1.2/tcp/9470"},
	}, hurried())
	require.Eventually(t, func() bool { return strings.Contains(strings.Join(h.Addresses(), " "), "p2p-circuit") },
		waitLong, 10*time.Millisecond, "the relay listens for the node")
	contact, err := json.Marshal(contactOf(h))
	require.NoError(t, err)
	fmt.Printf("\ncontact %s\n", contact)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func beTenant(t *testing.T) {
	var contact Contact
	require.NoError(t, json.Unmarshal([]byte(readLine(t, "tenant", "11.0.2.2")), &contact))
	p := hurried()
	p.punch = 200 * time.Millisecond // nothing to wait for
	h := startHost(t, Config{Key: identity.NewKey().Private().Key}, p)
	s, err := h.Source(t.Context(), contact)
	require.NoError(t, err)
	want := content(heldInNamespace)
	got, err := readAll(t.Context(), s, digestOf(want))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	way := map[bool]string{true: "relayed", false: "directly"}
	for _, c := range h.host.Network().Conns() {
		if id, _ := AddressOf(c.RemotePeer()); id == contact.Agent {
			fmt.Printf("\nread %s\n", way[c.Stat().Limited])
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
