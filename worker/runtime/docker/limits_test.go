package docker

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// group is a container's control groups as the kernel keeps their accounts.
type group struct{ v1, v2 map[string]string }

// groupOf finds the groups of a process: a folder for each controller in
// version 1, one for all in version 2.
func groupOf(t testing.TB, pid int) group {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	require.NoError(t, err)
	g := group{map[string]string{}, map[string]string{}}
	for line := range strings.Lines(string(raw)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		require.Len(t, fields, 3, line)
		if fields[1] == "" {
			g.v2[""] = filepath.Join("/sys/fs/cgroup", fields[2])
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			g.v1[controller] = filepath.Join("/sys/fs/cgroup", controller, fields[2])
		}
	}
	return g
}

// number reads an account by its names in both versions, "controller/file" and
// "file"; a field of a file is behind a colon. It is 0 where there is none.
func (g group) number(t testing.TB, v1, v2 string) int64 {
	t.Helper()
	controller, file, _ := strings.Cut(v1, "/")
	dir, ok := g.v1[controller]
	if !ok {
		dir, file = g.v2[""], v2
	}
	if file == "" {
		return 0
	}
	file, field, hasField := strings.Cut(file, ":")
	raw, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(t, err)
	text := strings.TrimSpace(string(raw))
	if hasField {
		_, text, ok = strings.Cut("\n"+text, "\n"+field+" ")
		require.True(t, ok, "%s has no %s: %s", file, field, raw)
		text, _, _ = strings.Cut(text, "\n")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

// usage is the processor time a group has used.
func (g group) usage(t testing.TB) time.Duration {
	if _, ok := g.v1["cpuacct"]; ok {
		return time.Duration(g.number(t, "cpuacct/cpuacct.usage", ""))
	}
	return time.Duration(g.number(t, "", "cpu.stat:usage_usec")) * time.Microsecond
}

// runs starts a program that is greedy and waits until it is Done; it returns
// what the program said. It asks again and again: the engine loses sight of a
// log that is full twice before it has been followed.
func (f *fixture) runs(t *testing.T, spec runtime.Spec) (runtime.State, []string) {
	t.Helper()
	f.ensure(t, spec)
	for {
		state, err := f.Inspect(f.ctx, spec.ID)
		require.NoError(t, err)
		said := f.said(t, spec.ID)
		if last := len(said) - 1; last >= 0 && said[last] == program.Done {
			require.Equal(t, runtime.StatusRunning, state.Status)
			return state, said[:last]
		}
		require.Equal(t, runtime.StatusRunning, state.Status, "it ended: %v %+v", said, state)
		time.Sleep(50 * time.Millisecond) // nothing announces a line
	}
}

// said is the end of a placement's log.
func (f *fixture) said(t *testing.T, id runtime.ID) []string {
	t.Helper()
	stream, err := f.Logs(f.ctx, id, runtime.LogOptions{Tail: 100})
	require.NoError(t, err)
	defer stream.Close()
	text, err := io.ReadAll(stream)
	require.NoError(t, err)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func TestMemoryIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const limit = 48
	spec := f.spec(program.Hog, program.HogAnonymous, program.HogLocked, program.HogShared, program.HogNames,
		program.HogCache, program.HogSockets)
	spec.Limits.MemoryMiB, spec.Limits.StorageMiB, spec.Limits.MilliCPU = limit, 300, 1000
	state, said := f.runs(t, spec)
	t.Log(said)
	require.Contains(t, said, program.HogAnonymous+" signal: killed")
	g := groupOf(t, state.PID)
	require.LessOrEqual(t, g.number(t, "memory/memory.max_usage_in_bytes", "memory.peak"), int64(limit*mib+memorySlack))
	require.GreaterOrEqual(t, g.number(t, "memory/memory.max_usage_in_bytes", "memory.peak"), int64(limit*mib*9/10),
		"it took all it could")
	requireNoSwap(t, g, limit)
}

// memorySlack: the kernel charges some pages at a time.
const memorySlack = mib / 4

// requireNoSwap wants memory of so much and no swap beyond it, and the buffers
// of connections bounded.
func requireNoSwap(t *testing.T, g group, memoryMiB int64) {
	t.Helper()
	require.Equal(t, memoryMiB*mib, g.number(t, "memory/memory.limit_in_bytes", "memory.max"))
	if _, v1 := g.v1["memory"]; !v1 {
		require.Zero(t, g.number(t, "", "memory.swap.max"))
		return
	}
	require.Zero(t, g.number(t, "memory/memory.swappiness", ""))
	// The kernel bounds memory and swap together, where it counts swap.
	if both := filepath.Join(g.v1["memory"], "memory.memsw.limit_in_bytes"); exists(both) {
		require.Equal(t, memoryMiB*mib, g.number(t, "memory/memory.memsw.limit_in_bytes", ""))
		require.LessOrEqual(t, g.number(t, "memory/memory.memsw.max_usage_in_bytes", ""), memoryMiB*mib+memorySlack)
	}
	tcp := g.number(t, "memory/memory.kmem.tcp.limit_in_bytes", "")
	require.EqualValues(t, max(memoryMiB*mib/socketPart, minSocketMemory), tcp)
	// Beyond its limit every connection still gets a few pages.
	require.LessOrEqual(t, g.number(t, "memory/memory.kmem.tcp.max_usage_in_bytes", ""), tcp+12*mib)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// slack is what a reading may be late by, and one period of the quota.
const slack = 150 * time.Millisecond

func TestProcessorTimeIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Spin, "16")
	spec.Limits.MilliCPU = 250
	state, _ := f.runs(t, spec)
	g := groupOf(t, state.PID)
	require.EqualValues(t, 256, cpuShares(250))
	if _, v1 := g.v1["cpu"]; v1 {
		require.EqualValues(t, 256, g.number(t, "cpu/cpu.shares", ""))
	}
	throttled, before, start := g.number(t, "cpu/cpu.stat:nr_throttled", "cpu.stat:nr_throttled"), g.usage(t), time.Now()
	time.Sleep(2 * time.Second)
	used, took := g.usage(t)-before, time.Since(start)
	t.Logf("%s in %s", used, took)
	require.LessOrEqual(t, used, (took+slack)/4*105/100)
	require.Greater(t, g.number(t, "cpu/cpu.stat:nr_throttled", "cpu.stat:nr_throttled"), throttled, "it wanted more")
}

func TestProcessesAreHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Bomb, "1000")
	spec.Limits.Pids = 64
	state, said := f.runs(t, spec)
	t.Log(said)
	require.Contains(t, said[len(said)-1], "refused true")
	g := groupOf(t, state.PID)
	require.LessOrEqual(t, g.number(t, "pids/pids.current", "pids.current"), int64(64))
	require.EqualValues(t, 64, g.number(t, "pids/pids.max", "pids.max"))
}

func TestDescriptorsAreHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, said := f.runs(t, f.spec(program.Descriptors))
	n, err := strconv.ParseInt(said[0], 10, 64)
	require.NoError(t, err)
	require.LessOrEqual(t, n, nofileLimit())
}

// TestDiskIsHeld fills whatever can be written to: with bytes, with names and
// behind holes.
func TestDiskIsHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	onDisk := []string{"/tmp", "/var/tmp", "/data", runtimetest.ImageVolume}
	inMemory := []string{"/dev/shm", "/run", "/dev"}
	readOnly := []string{"/", "/etc", "/sys", "/proc", "/sys/fs/cgroup"}
	spec := f.spec(append([]string{program.Fill}, append(append(onDisk, inMemory...), readOnly...)...)...)
	spec.Limits.StorageMiB, spec.Limits.MemoryMiB, spec.Limits.MilliCPU = 40, 256, 1000
	spec.Volumes = []runtime.Volume{{Name: "data", Path: "/data", SizeMiB: 16}}
	state, said := f.runs(t, spec)
	written := map[string]int64{}
	for _, line := range said {
		var dir string
		var bytes, files int64
		_, err := fmt.Sscan(line, &dir, &bytes, &files)
		require.NoError(t, err, line)
		written[dir] = bytes
		t.Log(line)
	}
	var total int64
	for _, dir := range onDisk {
		total += written[dir]
	}
	require.LessOrEqual(t, total, (spec.Limits.StorageMiB-spec.LogMiB())*mib)
	require.GreaterOrEqual(t, total, spec.Limits.StorageMiB*mib*3/4, "it had most of what was sold, beside the tables")
	for _, dir := range readOnly {
		require.Zero(t, written[dir], dir)
	}
	g := groupOf(t, state.PID)
	require.LessOrEqual(t, g.number(t, "memory/memory.usage_in_bytes", "memory.current"), int64(256*mib))

	// On the host nothing has grown: the blocks were taken at the beginning.
	images, err := filepath.Glob(filepath.Join(f.placementDir(spec.ID.Key()), "*"+imageSuffix))
	require.NoError(t, err)
	require.Len(t, images, 2)
	var size int64
	for _, image := range images {
		info, err := os.Stat(image)
		require.NoError(t, err)
		blocks := info.Sys().(*syscall.Stat_t).Blocks * 512
		require.GreaterOrEqual(t, blocks, info.Size())
		size += info.Size()
	}
	require.Equal(t, (spec.Limits.StorageMiB-spec.LogMiB())*mib, size)
}

func TestLogsAreHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Shout, "6")
	f.runs(t, spec)
	found, err := f.find(f.ctx, spec.ID)
	require.NoError(t, err)
	var kept int64
	require.NoError(t, filepath.WalkDir(filepath.Dir(found.LogPath), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // rotated away meanwhile
		}
		info, err := d.Info()
		if err == nil {
			kept += info.Size()
		}
		return nil
	}))
	// The engine's own notes on a container are some 10 KiB.
	require.LessOrEqual(t, kept, spec.LogMiB()*mib+128<<10)
	require.Greater(t, kept, spec.LogMiB()*mib/3)
}

func TestLimitsCannotBeUndone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Escape)
	spec.Limits.BandwidthMbps = 20
	state, said := f.runs(t, spec)
	require.Empty(t, said)
	require.Contains(t, f.queueInside(t, state.PID), "rate 20Mbit")
}

// TestResizeKeepsTheBounds: smaller, larger and smaller again.
func TestResizeKeepsTheBounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec := f.spec(program.Hang)
	spec.Limits.MemoryMiB = 64
	state := f.ensure(t, spec)
	g := groupOf(t, state.PID)
	for _, limits := range []runtime.Limits{
		{MilliCPU: 250, MemoryMiB: 32, Pids: 32},
		{MilliCPU: 1500, MemoryMiB: 256, Pids: 600},
		{MilliCPU: 100, MemoryMiB: 48, Pids: 40},
	} {
		require.NoError(t, f.Resize(f.ctx, spec.ID, limits))
		if _, v1 := g.v1["memory"]; v1 {
			require.Zero(t, g.number(t, "memory/memory.swappiness", ""))
			if exists(filepath.Join(g.v1["memory"], "memory.memsw.limit_in_bytes")) {
				require.Equal(t, limits.MemoryMiB*mib, g.number(t, "memory/memory.memsw.limit_in_bytes", ""))
			}
			require.Equal(t, max(limits.MemoryMiB*mib/socketPart, minSocketMemory), g.number(t, "memory/"+socketLimitFile, ""))
			require.Equal(t, limits.MilliCPU*100, g.number(t, "cpu/cpu.cfs_quota_us", ""))
			require.Equal(t, cpuShares(limits.MilliCPU), g.number(t, "cpu/cpu.shares", ""))
		} else {
			require.Zero(t, g.number(t, "", "memory.swap.max"))
		}
		require.Equal(t, limits.MemoryMiB*mib, g.number(t, "memory/memory.limit_in_bytes", "memory.max"))
		require.Equal(t, limits.Pids, g.number(t, "pids/pids.max", "pids.max"))
	}
}

// TestWhatWasSoldStaysWhenTheDiskFills: the owner, or anybody, fills the
// host's disk to the last byte after a placement was made.
func TestWhatWasSoldStaysWhenTheDiskFills(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 96)
	f := newFixture(t)
	require.NoError(t, f.Runtime.Close())
	f.dir = filepath.Join(dir, "state")
	f.Runtime = newRuntime(t, f.dir, f.cfg.Node)
	first := f.spec(program.Fill, "/tmp")
	first.Limits.StorageMiB = 41
	second := first
	second.ID.Replica = 1
	f.ensure(t, f.hanging(first))
	_, err := f.Ensure(f.ctx, f.hanging(second))
	if err == nil { // tables of the small disk left room for two, never for three
		second.ID.Replica = 2
		_, err = f.Ensure(f.ctx, f.hanging(second))
	}
	require.ErrorIs(t, err, runtime.ErrNoSpace)

	junk, err := os.Create(filepath.Join(dir, "junk"))
	require.NoError(t, err)
	defer junk.Close()
	block := make([]byte, mib)
	for err == nil {
		_, err = junk.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, junk.Sync())

	root := filepath.Join(f.placementDir(first.ID.Key()), scratchDisk, "0")
	var st syscall.Statfs_t
	require.NoError(t, syscall.Statfs(root, &st))
	wanted := int64(st.Bavail) * st.Bsize
	file, err := os.Create(filepath.Join(root, "mine"))
	require.NoError(t, err)
	for left := wanted - mib; left > 0; left -= mib {
		_, err := file.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, file.Sync(), "every block that was sold is there")
	require.NoError(t, file.Close())
}

func (f *fixture) hanging(spec runtime.Spec) runtime.Spec {
	spec.Args = []string{program.Hang}
	return spec
}

// smallDisk mounts a file system of so many MiB.
func smallDisk(t *testing.T, sizeMiB int64) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "disk")
	require.NoError(t, createSparse(image, sizeMiB*mib))
	require.NoError(t, run(t.Context(), "mkfs.ext4", "-q", "-F", "-m", "0", image))
	point := filepath.Join(dir, "mounted")
	require.NoError(t, os.Mkdir(point, 0o700))
	require.NoError(t, run(t.Context(), "mount", "-o", "loop", image, point))
	t.Cleanup(func() { require.NoError(t, run(context.Background(), "umount", point)) })
	return point
}
