package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// Whatever happens to a worker, the tenant keeps a running replica and pays no second twice.
func TestWorkerFaults(t *testing.T) {
	f := newFixture(t)
	home := f.join("worker-1", "operator", "1000000")
	other := f.join("worker-2", "operator2", "1200000")
	f.publish()
	before := f.holdings()
	lease := f.deploy(1, "5")
	require.Len(t, lease.On(home.Node), 1)

	f.step("a container stopped behind the worker's back", func(f *fixture) { f.testStopped(lease, home) })
	f.step("a worker killed and started again", func(f *fixture) { f.testKilled(lease, home) })
	f.step("pause and resume", func(f *fixture) { f.testPause(lease, home) })
	f.step("drain and resume", func(f *fixture) { f.testDrain(lease, home, other) })
	f.step("retire", func(f *fixture) { f.testRetire(lease, other, home) })
	f.step("money", func(f *fixture) {
		closed := f.close(lease.Lease)
		f.requirePaid(before, f.holdings(), []stack.Bill{closed.Bill})
	})
}

// same requires that a lease's only replica is still the placement it was.
func (f *fixture) same(want stack.Placement, id string) {
	f.t.Helper()
	running := f.inspect(id).Running()
	require.Len(f.t, running, 1)
	require.Equal(f.t, want.Node, running[0].Node)
	require.Equal(f.t, want.Generation, running[0].Generation)
	require.Equal(f.t, want.URL(), running[0].URL())
}

// awaitStatus waits until the engine says so of a container.
func (f *fixture) awaitStatus(container, want string) {
	f.t.Helper()
	var status string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		var err error
		status, err = f.docker.Status(f.ctx, container)
		return status == want, err
	})
	require.NoError(f.t, err, "container %s is %s, not %s", container, status, want)
}

func (f *fixture) testStopped(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	require.NoError(f.t, f.docker.Stop(f.ctx, container))
	f.awaitAnswer(placement)
	f.awaitContainers(w.Node, 1)
	f.same(placement, lease.Lease)
}

func (f *fixture) testKilled(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	require.NoError(f.t, w.Kill())
	f.awaitAnswer(placement) // nobody minds it, but it runs
	out, err := w.Run(f.ctx, "status")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "not running")
	require.NoError(f.t, w.Start())
	f.awaitMode(w, "active")
	require.Equal(f.t, []string{container}, f.awaitContainers(w.Node, 1))
	f.same(placement, lease.Lease)
	// It is billed on, by the worker that found it again.
	billed := f.inspect(lease.Lease).Bill.BilledSeconds
	after := f.await(lease.Lease, "hours go on", func(l stack.Lease) bool { return l.Bill.BilledSeconds > billed+8 })
	f.requireServedOnce(after)
	f.same(placement, lease.Lease)
}

// awaitMode waits until a running worker says so of itself.
func (f *fixture) awaitMode(w *stack.Worker, want string) {
	f.t.Helper()
	var status struct {
		Worker struct{ Mode string } `json:"worker"`
	}
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		err := w.JSON(f.ctx, &status, "status")
		return status.Worker.Mode == want, err
	})
	require.NoError(f.t, err, "mode is %q, not %q", status.Worker.Mode, want)
}

func (f *fixture) testPause(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	var paused struct{ Paused, Changed bool }
	require.NoError(f.t, w.JSON(f.ctx, &paused, "pause"))
	require.True(f.t, paused.Paused && paused.Changed)
	f.awaitStatus(container, "paused")
	out, err := w.Run(f.ctx, "resume")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "resumed")
	f.awaitStatus(container, "running")
	f.awaitAnswer(placement)
	f.awaitMode(w, "active")
	f.same(placement, lease.Lease)
}

func (f *fixture) testDrain(lease stack.Lease, from, to *stack.Worker) {
	before := lease.Running()[0]
	_, err := from.Run(f.ctx, "drain")
	require.ErrorContains(f.t, err, "--operator-key")
	_, err = from.Run(f.ctx, append([]string{"drain"}, from.OperatorFlags()...)...)
	require.NoError(f.t, err)
	require.Equal(f.t, "draining", nodeStatus(f, from))

	after := f.await(lease.Lease, "the replica moves", func(l stack.Lease) bool { return len(l.On(to.Node)) == 1 })
	moved := after.On(to.Node)[0]
	require.Greater(f.t, moved.Generation, before.Generation)
	f.awaitAnswer(moved)
	f.awaitContainers(from.Node, 0)
	f.awaitContainers(to.Node, 1)

	// Without the operator's key the worker says what is missing; with it the drain ends.
	out, err := from.Run(f.ctx, "resume")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "the node drains on the chain")
	_, err = from.Run(f.ctx, append([]string{"resume"}, from.OperatorFlags()...)...)
	require.NoError(f.t, err)
	require.Equal(f.t, "active", nodeStatus(f, from))
	f.same(moved, lease.Lease)
}

func (f *fixture) testRetire(lease stack.Lease, from, to *stack.Worker) {
	_, err := from.Run(f.ctx, append([]string{"retire"}, from.KeyFlags()...)...)
	require.ErrorContains(f.t, err, "--yes")
	_, err = from.Run(f.ctx, append([]string{"retire"}, from.OperatorFlags()...)...)
	require.NoError(f.t, err)
	require.Equal(f.t, "retired", nodeStatus(f, from))
	after := f.await(lease.Lease, "the replica moves", func(l stack.Lease) bool { return len(l.On(to.Node)) == 1 })
	f.awaitAnswer(after.On(to.Node)[0])
	f.awaitContainers(from.Node, 0)
	_, err = from.Run(f.ctx, append([]string{"retire"}, from.OperatorFlags()...)...)
	require.ErrorContains(f.t, err, "retired")
}
