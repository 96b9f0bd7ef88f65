package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/system"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// soundHost holds everything but the speed of its disk, which nothing holds.
func soundHost() hostFacts {
	return hostFacts{
		engine: system.Info{
			CgroupVersion: "2", MemoryLimit: true, SwapLimit: true, CPUCfsQuota: true, PidsLimit: true, MemTotal: 16 << 30,
		},
		swap: true, pidMax: 4194304, threadsMax: 4194304, fileMax: 1 << 62, storage: runtime.StorageLoop,
		scheduler: "bfq", device: "sda",
	}
}

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*hostFacts)
		limit string
		held  runtime.Held
		says  string
		vital bool
	}{
		"cpu":                {limit: "cpu", held: runtime.Fully, says: "version 2", vital: true},
		"no quota, 1":        {func(f *hostFacts) { f.engine.CPUCfsQuota, f.engine.CgroupVersion = false, "1" }, "cpu", runtime.NotAt, "CONFIG_CFS_BANDWIDTH", true},
		"no quota, 2":        {func(f *hostFacts) { f.engine.CPUCfsQuota = false }, "cpu", runtime.NotAt, "echo +cpu >", true},
		"memory":             {limit: "memory", held: runtime.Fully, vital: true},
		"no memory limit":    {func(f *hostFacts) { f.engine.MemoryLimit = false }, "memory", runtime.NotAt, "cgroup_enable=memory", true},
		"swap":               {limit: "swap", held: runtime.Fully, says: "none"},
		"swap uncounted, 1":  {func(f *hostFacts) { f.engine.SwapLimit, f.engine.CgroupVersion = false, "1" }, "swap", runtime.Partly, "swapaccount=1", false},
		"swap uncounted, 2":  {func(f *hostFacts) { f.engine.SwapLimit = false }, "swap", runtime.NotAt, "swapaccount=1", false},
		"no swap to count":   {func(f *hostFacts) { f.engine.SwapLimit, f.swap = false, false }, "swap", runtime.Fully, "this machine has none", false},
		"sockets":            {limit: "sockets", held: runtime.Fully},
		"sockets, 1":         {func(f *hostFacts) { f.engine.CgroupVersion, f.sockets = "1", true }, "sockets", runtime.Fully, "memory / 32", false},
		"sockets unheld":     {func(f *hostFacts) { f.engine.CgroupVersion = "1" }, "sockets", runtime.NotAt, "unified_cgroup_hierarchy", false},
		"pids":               {limit: "pids", held: runtime.Fully, vital: true},
		"no pids limit":      {func(f *hostFacts) { f.engine.PidsLimit = false }, "pids", runtime.NotAt, "CONFIG_CGROUP_PIDS", true},
		"too few pids":       {func(f *hostFacts) { f.pidMax = 32768 }, "pids", runtime.Partly, "sysctl -w kernel.pid_max=4194304", true},
		"too few threads":    {func(f *hostFacts) { f.threadsMax = 32768 }, "pids", runtime.Partly, "kernel.threads-max=", true},
		"pids just enough":   {func(f *hostFacts) { f.pidMax = 9*(10*512+256) + 4096 }, "pids", runtime.Fully, "", true},
		"pids one too few":   {func(f *hostFacts) { f.pidMax = 9*(10*512+256) + 4095 }, "pids", runtime.Partly, "", true},
		"files":              {limit: "files", held: runtime.Fully, says: "by memory"},
		"too few files":      {func(f *hostFacts) { f.fileMax = 1 << 20 }, "files", runtime.Partly, "fs.file-max=", false},
		"disk":               {limit: "disk", held: runtime.Fully, says: "set aside", vital: true},
		"disk by quota":      {func(f *hostFacts) { f.storage = runtime.StorageQuota }, "disk", runtime.Fully, "quota", true},
		"disk in memory":     {func(f *hostFacts) { f.storage = runtime.StorageTmpfs }, "disk", runtime.Partly, "e2fsprogs", true},
		"disk sparse":        {func(f *hostFacts) { f.sparse = true }, "disk", runtime.Partly, "reserve_disk_mib", true},
		"disk speed":         {limit: "disk speed", held: runtime.Partly, says: "bfq"},
		"disk speed, 1":      {func(f *hostFacts) { f.engine.CgroupVersion = "1" }, "disk speed", runtime.Partly, "nobody waits", false},
		"disk speed unheld":  {func(f *hostFacts) { f.scheduler = "mq-deadline" }, "disk speed", runtime.NotAt, "echo bfq > /sys/block/sda/", false},
		"disk speed unknown": {func(f *hostFacts) { f.scheduler, f.device = "", "" }, "disk speed", runtime.NotAt, "a disk of its own", false},
		"logs":               {limit: "logs", held: runtime.Partly, says: "CPUWeight"},
		"bandwidth":          {limit: "bandwidth", held: runtime.Fully},
		"no tc":              {func(f *hostFacts) { f.unshapable = errNoShaping }, "bandwidth", runtime.NotAt, "apt-get install iproute2", false},
	} {
		f := soundHost()
		if c.spoil != nil {
			c.spoil(&f)
		}
		var info runtime.Info
		info.Bounds = f.bounds()
		found := false
		for _, b := range info.Bounds {
			require.Equal(t, b.Held == runtime.Fully, b.Mend == "", "%s: %+v", name, b)
			if b.Limit != c.limit {
				continue
			}
			found = true
			require.Equal(t, c.held, b.Held, "%s: %+v", name, b)
			require.Equal(t, c.vital, b.Vital, name)
			require.Contains(t, b.Detail+b.Mend, c.says, name)
		}
		require.True(t, found, name)
		if c.vital && c.held == runtime.NotAt {
			require.ErrorIs(t, info.Bounded(), runtime.ErrUnbounded, name)
			require.ErrorContains(t, info.Bounded(), c.limit)
		} else {
			require.NoError(t, info.Bounded(), name)
		}
	}
}

// TestFacts reads a host from a tree of its own.
func TestFacts(t *testing.T) {
	root, state := t.TempDir(), t.TempDir()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(state, &st))
	number := filepath.Join("sys/dev/block", majorMinor(st.Dev))
	for name, text := range map[string]string{
		"proc/swaps":                              "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb2 partition 1 0 -2\n",
		"proc/sys/kernel/pid_max":                 "32768\n",
		"proc/sys/kernel/threads-max":             "190000\n",
		"proc/sys/fs/file-max":                    "18446744073709551615\n",
		"sys/devices/sdb/queue/scheduler":         "none [bfq] mq-deadline\n",
		"sys/devices/sdb/sdb1/partition":          "1\n",
		"sys/fs/cgroup/memory/" + socketLimitFile: "9\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, number)), 0o755))
	require.NoError(t, os.Symlink("../../devices/sdb/sdb1", filepath.Join(root, number)))

	r := &Runtime{storage: &loopStorage{sparse: true}, cfg: Config{
		StateDir: state, Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"),
	}}
	f := r.facts(system.Info{})
	require.True(t, f.swap)
	require.Equal(t, os.Geteuid() == 0, f.sockets)
	require.True(t, f.sparse)
	require.EqualValues(t, 32768, f.pidMax)
	require.EqualValues(t, 190000, f.threadsMax)
	require.Positive(t, f.fileMax, "the largest number there is, and not below nothing")
	require.Equal(t, "bfq", f.scheduler)
	require.Equal(t, "sdb", f.device)

	require.NoError(t, os.RemoveAll(filepath.Join(root, "sys")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "proc/swaps"), []byte("Filename\tType\n"), 0o600))
	f = r.facts(system.Info{})
	require.False(t, f.swap)
	require.False(t, f.sockets)
	require.Empty(t, f.device)
}
