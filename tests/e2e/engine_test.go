package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// apart is set to the engine's folder in the process that has a network and an engine of its own. Its name does not begin with
// ISUN_, as those are forgotten at the start.
const apart = "E2E_APART"

// enter begins a process in namespaces of its own: nothing mounted in there is seen outside, and all of it ends with its first
// process, whatever becomes of the test. The shell stays, as the first process has to bury the others' children.
const enter = `mount --make-rprivate / && mount -t proc proc /proc && ip link set lo up && "$0" "$@"; exit $?`

// An engine that is stopped or killed under a running worker, with its containers or without, comes back to the same placements.
// The test has an engine of its own, in a network of its own: others use the machine's.
func TestEngineFaults(t *testing.T) {
	dir := os.Getenv(apart)
	if dir == "" {
		t.Parallel()
		requireDocker(t)
		runApart(t)
		return
	}
	engine := stack.NewEngine(dir)
	require.NoError(t, os.Setenv("DOCKER_HOST", engine.Host))
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop()) })
	f := newFixture(t)
	worker := f.join("worker-1", "operator", "1000000")
	f.publish()
	before := f.holdings("operator")
	lease := f.deploy(1, "5")
	for _, fault := range []struct {
		name string
		end  func() error
		// next is how it is started after the fault.
		next []string
	}{
		{"stopped", engine.Stop, nil},
		{"killed", engine.Kill, nil},
		{"killed, its containers live on", engine.Kill, []string{liveRestore}}, // the next engine decides
		{"stopped, its containers live on", engine.Stop, []string{liveRestore}},
	} {
		f.step(fault.name, func(f *fixture) { f.testEngine(lease, worker, engine, fault.end, fault.next) })
	}
	f.step("money", func(f *fixture) {
		closed := f.close(lease.Lease)
		f.requirePaid(before, f.holdings("operator"), []stack.Bill{closed.Bill}, "operator")
	})
}

// liveRestore is dockerd's flag for containers that outlive it.
const liveRestore = "--live-restore"

func (f *fixture) testEngine(lease stack.Lease, w *stack.Worker, engine *stack.Engine, end func() error, next []string) {
	f.awaitServed(w)
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	started, err := f.docker.Started(f.ctx, container)
	require.NoError(f.t, err)
	require.NoError(f.t, end())
	require.NoError(f.t, engine.Start(f.ctx, next...))
	f.awaitAnswer(placement)
	require.Equal(f.t, []string{container}, f.awaitContainers(w.Node, 1))
	f.awaitServed(w)
	f.same(placement, lease.Lease)
	f.requireDisks(1)
	again, err := f.docker.Started(f.ctx, container)
	require.NoError(f.t, err)
	require.Equal(f.t, len(next) > 0, again == started, "it was started at %s, and now at %s", started, again)
}

// runApart runs the same test in a process with a network of its own.
func runApart(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	dir, err := os.MkdirTemp("", "isun-engine-") // a short path: sockets are in there
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) }) // what was mounted in there has gone with the namespace
	child := exec.CommandContext(ctx, "sh", "-c", enter, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+testTime.String())
	child.Env = append(os.Environ(), apart+"="+dir, "ISUN_BIN="+shared.bin)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	require.NoError(t, err, "an engine of its own needs root and namespaces:\n%s", out)
	t.Logf("%s", out)
}
