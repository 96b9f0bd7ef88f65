package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// A worker that stays away for longer than the silence limit loses its placement, and its tenant pays nothing for the gap. When
// it comes back it removes what it finds, and nothing of what ran there meanwhile is paid.
func TestWorkerLost(t *testing.T) {
	f := newFixture(t)
	home := f.join("worker-1", "operator", "1000000")
	other := f.join("worker-2", "operator2", "1200000")
	f.publish()
	before := f.holdings()
	var lease stack.Lease
	f.step("killed while it makes the container", func(f *fixture) { lease = f.testKilledAtCreation(home) })
	f.step("lost", func(f *fixture) { f.testLost(lease, home, other) })
	f.step("back", func(f *fixture) { f.testBack(lease, home, other) })
	f.step("a container removed as its lease ends", func(f *fixture) {
		// Nothing lists what it leaves.
		require.NoError(f.t, f.docker.RemoveContainer(f.ctx, f.awaitContainers(other.Node, 1)[0]))
		closed := f.close(lease.Lease)
		f.requirePaid(before, f.holdings(), []stack.Bill{closed.Bill})
	})
}

// testKilledAtCreation orders a replica and kills its worker between the intent and the deed: when the placement's network is
// there and its container most likely not yet.
func (f *fixture) testKilledAtCreation(w *stack.Worker) stack.Lease {
	var lease stack.Lease
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref(), "--max-price", maxPrice, "--deposit", "5",
		"--env", "GREETING="+greeting, "--wait=false"))
	for begun := false; !begun; {
		networks, err := f.docker.Networks(f.ctx, f.Chain.ChainID)
		require.NoError(f.t, err)
		begun = len(networks) > 0
	}
	require.NoError(f.t, w.Kill())
	require.NoError(f.t, w.Start())
	lease = f.await(lease.Lease, "it runs", func(l stack.Lease) bool { return len(l.On(w.Node)) == 1 })
	require.EqualValues(f.t, 1, lease.Running()[0].Generation, "nothing was given back")
	f.awaitAnswer(lease.Running()[0])
	f.awaitContainers("", 1)
	networks, err := f.docker.Networks(f.ctx, f.Chain.ChainID)
	require.NoError(f.t, err)
	require.Len(f.t, networks, 1)
	f.requireDisks(1)
	return lease
}

// requireDisks wants the disks of so many placements, each an image, a loop device and a mount.
func (f *fixture) requireDisks(placements int) {
	f.t.Helper()
	left, err := f.Leftovers()
	require.NoError(f.t, err)
	require.Len(f.t, left, 3*placements, "%v", left)
}

func (f *fixture) testLost(lease stack.Lease, w, other *stack.Worker) {
	f.await(lease.Lease, "an hour is billed", func(l stack.Lease) bool { return l.Bill.Periods >= 1 })
	container := f.awaitContainers(w.Node, 1)[0]
	require.NoError(f.t, w.Kill())
	killed := time.Now()
	after := f.await(lease.Lease, "the replica moves", func(l stack.Lease) bool { return len(l.On(other.Node)) == 1 })
	gap := time.Since(killed)
	require.Greater(f.t, gap, silence-2*time.Second, "not before the limit")
	f.awaitAnswer(after.On(other.Node)[0])
	f.awaitStatus(container, "running") // nobody is there to stop it

	// The old placement ended when the limit was over, and was paid up to the kill at most.
	f.await(lease.Lease, "the old one is settled", func(stack.Lease) bool { return f.oldest(lease).Billing.BilledSeconds > 0 })
	old := f.oldest(lease)
	ran := time.Duration(old.Placement.EndedMs-old.Placement.StartedMs) * time.Millisecond
	unpaid := ran - time.Duration(old.Billing.BilledSeconds)*time.Second
	require.Greater(f.t, unpaid, silence-2*time.Second, "%+v", old)
	require.Less(f.t, unpaid, gap+lagMost, "%+v", old)
}

// oldest is the first placement of a lease.
func (f *fixture) oldest(lease stack.Lease) onChain {
	f.t.Helper()
	placements := f.placementsOf(lease)
	first := placements[0]
	for _, p := range placements {
		if p.Placement.ID.Generation < first.Placement.ID.Generation {
			first = p
		}
	}
	return first
}

func (f *fixture) testBack(lease stack.Lease, w, other *stack.Worker) {
	was := f.oldest(lease)
	placement := f.inspect(lease.Lease).On(other.Node)[0]
	require.NoError(f.t, w.Start())
	f.awaitMode(w, "active")
	f.awaitContainers(w.Node, 0)
	require.NoError(f.t, stack.Eventually(f.ctx, patience, func() (bool, error) { return nodeStatus(f, w) == "active", nil }))
	hours := f.inspect(lease.Lease).Bill.Periods
	f.await(lease.Lease, "hours go on", func(l stack.Lease) bool { return l.Bill.Periods >= hours+2 })
	require.Equal(f.t, was, f.oldest(lease), "nothing was added to what has ended")
	f.same(placement, lease.Lease)
	f.awaitAnswer(placement)
	f.awaitContainers("", 1)
	f.requireDisks(1)
}
