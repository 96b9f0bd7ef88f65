package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

	f.step("containers taken away behind the worker's back", func(f *fixture) { f.testTakenAway(lease, home) })
	f.step("a second worker of the node", func(f *fixture) { f.testSecondWorker(home) })
	f.step("a worker killed and started again", func(f *fixture) { f.testKilled(lease, home) })
	f.step("a journal whose last write is torn", func(f *fixture) { f.testTornJournal(lease, home) })
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

// testTakenAway does to a container what its engine lets anybody do. Each time the same placement answers again at the same
// address, and what it did not run is not paid.
func (f *fixture) testTakenAway(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	for _, fault := range []struct {
		name string
		do   func(id string) error
	}{
		{"stopped", func(id string) error { return f.docker.Stop(f.ctx, id) }},
		{"killed", func(id string) error { return f.docker.Kill(f.ctx, id) }},
		{"paused", func(id string) error { return f.docker.Pause(f.ctx, id) }},
		{"disconnected", func(id string) error { return f.docker.Disconnect(f.ctx, id, false) }},
		{"disconnected, and its network removed", func(id string) error { return f.docker.Disconnect(f.ctx, id, true) }},
		{"removed", func(id string) error { return f.docker.RemoveContainer(f.ctx, id) }},
	} {
		f.step(fault.name, func(f *fixture) {
			require.NoError(f.t, fault.do(f.awaitContainers(w.Node, 1)[0]))
			f.awaitAnswer(placement)
			f.awaitContainers(w.Node, 1)
			f.awaitServed(w) // an hour of the tests is short: one with no second served ends the placement
			f.same(placement, lease.Lease)
		})
	}
}

// testSecondWorker starts another worker with the same key: in the same home, and in a copy of it.
func (f *fixture) testSecondWorker(w *stack.Worker) {
	out := command(f.t, "isun-worker", "start", "--home", w.Home)
	require.Equal(f.t, 1, out.code)
	require.Contains(f.t, out.stderr, "a worker is running in this home already")
	copied := filepath.Join(f.Dir, "copied")
	require.NoError(f.t, os.MkdirAll(copied, 0o700))
	for _, name := range []string{"config.toml", "agent_key.json", "node.json", "report.json"} {
		copyFile(f.t, filepath.Join(w.Home, name), filepath.Join(copied, name))
	}
	out = command(f.t, "isun-worker", "start", "--home", copied)
	require.Equal(f.t, 1, out.code)
	require.Contains(f.t, out.stderr, "a worker of this node is running on this machine already")
}

// unserved is how much of a running placement's time the chain has not been told to be served, and the chain's time.
func (f *fixture) unserved(w *stack.Worker) time.Duration {
	f.t.Helper()
	operator, count, _ := strings.Cut(w.Node, "/")
	var answer struct {
		Placements []onChain
		NowMs      number `json:"now_ms"`
	}
	require.NoError(f.t, f.Query(f.ctx, &answer, "lease", "node-placements", operator, count))
	require.Len(f.t, answer.Placements, 1)
	p := answer.Placements[0]
	require.Zero(f.t, p.Placement.EndedMs)
	return time.Duration(answer.NowMs-p.Placement.StartedMs-p.Billing.ServedMs) * time.Millisecond
}

// downtime is how long the tests leave a worker dead in the middle of an hour.
const downtime = 4 * time.Second

// lagMost is what a worker may lose beyond the time until it was back: what it had not written down, its start, its first
// look, and the wait for a block before and after.
const lagMost = 6 * time.Second

func (f *fixture) testKilled(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	lost := f.unserved(w)
	require.NoError(f.t, w.Kill())
	killed := time.Now()
	f.awaitAnswer(placement) // nobody minds it, but it runs
	out, err := w.Run(f.ctx, "status")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "not running")
	time.Sleep(time.Until(killed.Add(downtime))) // the fault itself
	dead := time.Since(killed)
	require.NoError(f.t, w.Start())
	f.awaitMode(w, "active")
	back := time.Since(killed) // a busy machine takes its time to start a worker, and that is lost too
	require.Equal(f.t, []string{container}, f.awaitContainers(w.Node, 1))
	f.same(placement, lease.Lease)
	// It is billed on, by the worker that found it again.
	billed := f.inspect(lease.Lease).Bill.BilledSeconds
	after := f.await(lease.Lease, "hours go on", func(l stack.Lease) bool { return l.Bill.BilledSeconds > billed+8 })
	f.requireServedOnce(after)
	f.same(placement, lease.Lease)
	// What ran while nobody looked stays unpaid, and nothing else does.
	lost = f.unserved(w) - lost
	require.Greater(f.t, lost, dead-2*time.Second)
	require.Less(f.t, lost, back+lagMost)
}

// testTornJournal tears the journal's end as a power cut may, in several ways: the worker starts all the same, keeps the
// container, and goes on from what the chain holds.
func (f *fixture) testTornJournal(lease stack.Lease, w *stack.Worker) {
	placement := lease.Running()[0]
	container := f.awaitContainers(w.Node, 1)[0]
	journal := filepath.Join(w.Home, "journal.db")
	for _, tear := range []struct {
		name string
		do   func(content []byte) []byte
	}{
		{"cut short", func(c []byte) []byte { return c[:len(c)/2+100] }},
		{"zeroes at the end", func(c []byte) []byte { return append(c[:len(c)/3], make([]byte, len(c)-len(c)/3)...) }},
		{"noise in the middle", func(c []byte) []byte {
			for i := len(c) / 4; i < len(c)/2; i++ {
				c[i] = byte(i * 31)
			}
			return c
		}},
		{"empty", func([]byte) []byte { return nil }},
	} {
		f.step(tear.name, func(f *fixture) {
			require.NoError(f.t, w.Kill())
			content, err := os.ReadFile(journal)
			require.NoError(f.t, err)
			require.NoError(f.t, os.WriteFile(journal, tear.do(content), 0o600))
			require.NoError(f.t, w.Start())
			f.awaitMode(w, "active")
			f.awaitServed(w)
			f.awaitAnswer(placement)
			require.Equal(f.t, []string{container}, f.awaitContainers(w.Node, 1))
			f.same(placement, lease.Lease)
		})
	}
	aside, err := filepath.Glob(journal + ".damaged-*")
	require.NoError(f.t, err)
	require.NotEmpty(f.t, aside, "what was damaged is kept")
	require.NotContains(f.t, w.Log(), "the chain refused")
}

// awaitServed waits until more of a node's only placement is attested.
func (f *fixture) awaitServed(w *stack.Worker) {
	f.t.Helper()
	before := f.attested(w)
	err := stack.Eventually(f.ctx, patience, func() (bool, error) { return f.attested(w) > before+500, nil })
	require.NoError(f.t, err, "nothing more is attested than %d ms", before)
}

// attested is what the chain holds of a node's only placement, in milliseconds served.
func (f *fixture) attested(w *stack.Worker) number {
	f.t.Helper()
	operator, count, _ := strings.Cut(w.Node, "/")
	var answer struct{ Placements []onChain }
	require.NoError(f.t, f.Query(f.ctx, &answer, "lease", "node-placements", operator, count))
	require.Len(f.t, answer.Placements, 1)
	return answer.Placements[0].Billing.ServedMs
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
	// With nothing left to do its worker ends by itself, and so does one that is started again.
	for range 2 {
		code, err := from.Wait(patience)
		require.NoError(f.t, err)
		require.Zero(f.t, code, from.Log())
		require.Contains(f.t, from.Log(), "the node is retired and nothing runs here any more")
		require.NoError(f.t, from.Start())
	}
	_, err = from.Wait(patience)
	require.NoError(f.t, err)
}
