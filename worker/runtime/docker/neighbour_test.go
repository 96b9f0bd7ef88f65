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

// growth is what grows in a moment, per second.
func growth(read func() float64) float64 {
	before, start := read(), time.Now()
	time.Sleep(300 * time.Millisecond)
	return (read() - before) / time.Since(start).Seconds()
}

// TestANeighbourKeepsItsShare lets one placement work beside others that take
// all they can get, and alone while those are frozen, in turns. The best turns
// count: other programs on the machine take time from most, but hardly from
// all. On a busy machine there are more turns until a good one was beside.
func TestANeighbourKeepsItsShare(t *testing.T) {
	f := newFixture(t)
	listener, _ := sinkHere(t)
	sink := net.JoinHostPort(program.Gateway, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	run := func(replica uint32, milliCPU, mbps int64, args ...string) runtime.State {
		spec := f.spec(args...)
		spec.ID.Replica, spec.Limits.MilliCPU, spec.Limits.BandwidthMbps, spec.Limits.Pids = replica, milliCPU, mbps, 256
		state, _ := f.runs(t, spec)
		return state
	}
	worker := groupOf(t, run(0, 300, 0, program.Spin, "1").PID)
	sender := run(1, 100, 10, program.Flood, sink, "1")
	greedy := []runtime.State{
		run(2, 200, 20, program.Spin, "32"),
		run(3, 200, 20, program.Flood, sink, "8"),
	}
	readings := map[string]func() float64{
		"processor time": func() float64 { return worker.usage(t).Seconds() },
		"Mbit/s":         func() float64 { _, out := traffic(t, sender.PID); return float64(out) * 8 / 1e6 },
	}
	alone, beside := map[string]float64{}, map[string]float64{}
	kept := func(what string) bool { return beside[what] >= alone[what]*0.9 }
	for turn := 0; turn < 4 || turn < 16 && !(kept("processor time") && kept("Mbit/s")); turn++ {
		for what, read := range readings {
			beside[what] = max(beside[what], growth(read))
		}
		for _, g := range greedy {
			require.NoError(t, f.Pause(f.ctx, g.ID))
		}
		for what, read := range readings {
			alone[what] = max(alone[what], growth(read))
		}
		for _, g := range greedy {
			require.NoError(t, f.Unpause(f.ctx, g.ID))
		}
	}
	t.Logf("alone %v, beside %v", alone, beside)
	for what := range readings {
		require.True(t, kept(what), what)
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
