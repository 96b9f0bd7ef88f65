package docker

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// bestSlice is the most processor time that a group used in one slice: other
// programs on the machine take time from most slices, but hardly from all.
func bestSlice(t *testing.T, g group) time.Duration {
	t.Helper()
	const slices, length = 10, 300 * time.Millisecond
	best := time.Duration(0)
	for range slices {
		before, start := g.usage(t), time.Now()
		time.Sleep(length)
		// A slice that was read late is not longer for that.
		best = max(best, (g.usage(t)-before)*length/time.Since(start))
	}
	return best
}

// TestANeighbourKeepsItsShare lets one placement work alone, and then beside
// others that take all they can get of everything.
func TestANeighbourKeepsItsShare(t *testing.T) {
	f := newFixture(t)
	worker := f.spec(program.Spin, "1")
	worker.Limits.MilliCPU, worker.Limits.BandwidthMbps, worker.Limits.MemoryMiB = 400, 20, 64
	state, _ := f.runs(t, worker)
	g := groupOf(t, state.PID)
	alone := bestSlice(t, g)

	listener, _ := sinkHere(t)
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	greedy := [][]string{
		{program.Spin, "32"},
		{program.Flood, net.JoinHostPort(program.Gateway, port), "4"},
		{program.Bomb, "200"},
	}
	var hogs []runtime.State
	for i, args := range greedy {
		spec := f.spec(args...)
		spec.ID.Replica = uint32(i + 1)
		spec.Limits.MilliCPU, spec.Limits.BandwidthMbps, spec.Limits.Pids = 200, 20, 256
		hog, _ := f.runs(t, spec)
		hogs = append(hogs, hog)
	}
	flooder := f.spec(program.Flood, net.JoinHostPort(program.Gateway, port), "1")
	flooder.ID.Replica = 9
	flooder.Limits.MilliCPU, flooder.Limits.BandwidthMbps = 200, 10
	neighbour, _ := f.runs(t, flooder)

	beside := bestSlice(t, g)
	t.Logf("alone %s, beside %s", alone, beside)
	require.GreaterOrEqual(t, beside, alone*9/10)
	// Each is held to its own, and has all of it.
	_, before := traffic(t, neighbour.PID)
	start := time.Now()
	time.Sleep(time.Second)
	_, after := traffic(t, neighbour.PID)
	sent := float64(after-before) * 8 / 1e6 / time.Since(start).Seconds()
	require.InDelta(t, 10, sent, 1, "Mbit/s beside a flood of 20")
	for _, hog := range hogs {
		require.LessOrEqual(t, groupOf(t, hog.PID).number(t, "pids/pids.current", "pids.current"), int64(256))
	}
}

// TestANeighbourKeepsItsMemoryAndDisk: what one has stays, whatever another
// wants.
func TestANeighbourKeepsItsMemoryAndDisk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	keeper := f.spec(program.Fill, "/dev/shm")
	keeper.Limits.MemoryMiB, keeper.Limits.StorageMiB = 128, 32
	state, _ := f.runs(t, keeper)
	g := groupOf(t, state.PID)
	held := g.number(t, "memory/memory.usage_in_bytes", "memory.current")
	require.Greater(t, held, int64(shmBytes))
	root := filepath.Join(f.placementDir(keeper.ID.Key()), scratchDisk, "0")
	var before, after syscall.Statfs_t
	require.NoError(t, syscall.Statfs(root, &before))

	hog := f.spec(program.Hog, program.HogAnonymous, program.HogShared, program.HogCache)
	hog.ID.Replica, hog.Limits.MemoryMiB, hog.Limits.StorageMiB = 1, 128, 300
	f.runs(t, hog)
	filler := f.spec(program.Fill, "/tmp")
	filler.ID.Replica = 2
	f.runs(t, filler)

	require.GreaterOrEqual(t, g.number(t, "memory/memory.usage_in_bytes", "memory.current"), held*99/100)
	require.NoError(t, syscall.Statfs(root, &after))
	require.Equal(t, before.Bavail, after.Bavail)
	file, err := os.Create(filepath.Join(root, "mine"))
	require.NoError(t, err)
	defer file.Close()
	block := make([]byte, mib)
	for left := int64(before.Bavail)*before.Bsize - mib; left > 0; left -= mib {
		_, err := file.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, file.Sync())
}
