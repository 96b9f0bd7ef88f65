package meter_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/meter"
	"github.com/isuncoin/isuncoin/worker/runtime"
)

var containerID = "3f2a" + strings.Repeat("0", 60)

func fixture(name string) *meter.Host {
	return meter.NewHost(filepath.Join("testdata", name, "proc"), filepath.Join("testdata", name, "sys"))
}

func TestFigures(t *testing.T) {
	want := meter.Figures{CPU: 1500 * time.Millisecond, MemoryBytes: 60 << 20, BytesIn: 1300, BytesOut: 5700}
	for _, name := range []string{"v1", "v2", "hybrid", "mixed"} {
		got, err := fixture(name).Figures(t.Context(), 42, containerID)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestFiguresOfWhatHasGone(t *testing.T) {
	for name, c := range map[string]struct {
		pid int
		id  string
	}{
		"never started":             {0, containerID},
		"process ended":             {43, containerID},
		"number is another's now":   {42, "abcd" + strings.Repeat("0", 60)},
		"no container":              {42, ""},
		"number that cannot be one": {-1, containerID},
	} {
		_, err := fixture("v2").Figures(t.Context(), c.pid, c.id)
		require.ErrorIs(t, err, runtime.ErrNotRunning, name)
	}
}

// copyFixture makes a tree that a test may damage.
func copyFixture(t *testing.T, name string) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))))
	return dir
}

func TestDamagedFiles(t *testing.T) {
	scope := "sys/fs/cgroup/system.slice/docker-" + containerID + ".scope/"
	for file, content := range map[string]string{
		scope + "cpu.stat":       "user_usec 1\n",
		scope + "memory.current": "max\n",
		scope + "memory.stat":    "inactive_file x\n",
		"proc/42/net/dev":        "eth0: 1 2 3\n",
	} {
		dir := copyFixture(t, "v2")
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
		_, err := meter.NewHost(filepath.Join(dir, "proc"), filepath.Join(dir, "sys")).Figures(t.Context(), 42, containerID)
		require.Error(t, err, file)
		require.NotErrorIs(t, err, runtime.ErrNotRunning, "damage must not look like an end")

		require.NoError(t, os.Remove(filepath.Join(dir, file)))
		_, err = meter.NewHost(filepath.Join(dir, "proc"), filepath.Join(dir, "sys")).Figures(t.Context(), 42, containerID)
		require.ErrorIs(t, err, runtime.ErrNotRunning)
	}
}

// fakeSource gives what a test says.
type fakeSource struct {
	figures meter.Figures
	err     error
}

func (f *fakeSource) Figures(context.Context, int, string) (meter.Figures, error) {
	return f.figures, f.err
}

func TestRead(t *testing.T) {
	source, now := &fakeSource{}, time.Duration(0)
	m := meter.New(source, func() time.Duration { return now })
	state := runtime.State{
		ID: runtime.ID{Lease: "tenant/1"}, ContainerID: containerID, PID: 42, StartedAt: time.Unix(100, 0),
	}
	read := func(at time.Duration, f meter.Figures) journal.Counters {
		now, source.figures = at, f
		counters, err := m.Read(t.Context(), state)
		require.NoError(t, err)
		return counters
	}
	const mib = 1 << 20

	require.Equal(t, journal.Counters{CPUMs: 250, BytesIn: 1, BytesOut: 2},
		read(0, meter.Figures{CPU: 250 * time.Millisecond, MemoryBytes: 100 * mib, BytesIn: 1, BytesOut: 2}))
	// (100 + 200) / 2 MiB for 10 s.
	require.EqualValues(t, 1500, read(10*time.Second, meter.Figures{MemoryBytes: 200 * mib}).MemoryMiBSeconds)
	// Fractions are carried: 10 times 100 ms at 205 MiB on average is 205.
	at := 10 * time.Second
	for range 10 {
		at += 100 * time.Millisecond
		read(at, meter.Figures{MemoryBytes: 205 * mib})
	}
	counters := read(at, meter.Figures{MemoryBytes: 205 * mib})
	require.EqualValues(t, 1500+204, counters.MemoryMiBSeconds, "202.5 for 0.1 s, then 205 for 0.9 s")
	require.EqualValues(t, 250, counters.CPUMs, "counters of a run never fall")

	// Both sides of the longest gap.
	before := read(at+30*time.Second, meter.Figures{MemoryBytes: 205 * mib}).MemoryMiBSeconds
	require.EqualValues(t, 1704+205*30, before)
	require.Equal(t, before, read(at+60*time.Second+time.Millisecond, meter.Figures{MemoryBytes: 205 * mib}).MemoryMiBSeconds)

	// A new run begins at zero.
	state.StartedAt = time.Unix(200, 0)
	require.Equal(t, journal.Counters{CPUMs: 10}, read(at+61*time.Second, meter.Figures{CPU: 10 * time.Millisecond, MemoryBytes: 50 * mib}))

	source.err = runtime.ErrNotRunning
	_, err := m.Read(t.Context(), state)
	require.ErrorIs(t, err, runtime.ErrNotRunning)
}

// manyContainers makes a host with n of them.
func manyContainers(b *testing.B, n int) (*meter.Host, []runtime.State) {
	dir := b.TempDir()
	write := func(name, content string) {
		full := filepath.Join(dir, name)
		require.NoError(b, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(b, os.WriteFile(full, []byte(content), 0o600))
	}
	write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
	states := make([]runtime.State, n)
	for i := range states {
		id := fmt.Sprintf("%064x", i+1)
		group := "/system.slice/docker-" + id + ".scope"
		proc := fmt.Sprintf("proc/%d/", i+1)
		write(proc+"cgroup", "0::"+group+"\n")
		write(proc+"net/dev", "a|b\nface|c\n  lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\neth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n")
		write("sys/fs/cgroup"+group+"/cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0\n")
		write("sys/fs/cgroup"+group+"/memory.current", "1048576\n")
		write("sys/fs/cgroup"+group+"/memory.stat", strings.Repeat("anon 1\n", 20)+"inactive_file 0\n")
		states[i] = runtime.State{ID: runtime.ID{Lease: "t/1", Replica: uint32(i)}, ContainerID: id, PID: i + 1}
	}
	return meter.NewHost(filepath.Join(dir, "proc"), filepath.Join(dir, "sys")), states
}

// BenchmarkRead100 is one look at a hundred containers.
func BenchmarkRead100(b *testing.B) {
	host, states := manyContainers(b, 100)
	start := time.Now()
	m := meter.New(host, func() time.Duration { return time.Since(start) })
	for b.Loop() {
		for _, s := range states {
			if _, err := m.Read(b.Context(), s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
