package probe

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree is a machine as files.
type tree map[string]string

const (
	twoCores = "processor\t: 0\nmodel name\t: Example CPU 9000\nphysical id\t: 0\ncore id\t: 0\n\n" +
		"processor\t: 1\nmodel name\t: Example CPU 9000\nphysical id\t: 0\ncore id\t: 1\n\n"
	memInfo = "MemTotal:        8388608 kB\nMemFree:         1048576 kB\nMemAvailable:    4194304 kB\n"
	status  = "Name:\tisun-worker\nCpus_allowed_list:\t0-1\n"
)

func machine(extra tree) tree {
	t := tree{
		"proc/cpuinfo": twoCores, "proc/meminfo": memInfo, "proc/self/status": status,
		"proc/stat": "cpu  1 1 1 1 1 1 1 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\ncpu1 1 1 1 1 1 1 1 0 0 0\n",
	}
	for name, text := range extra {
		t[name] = text
	}
	return t
}

func (tr tree) host(t *testing.T) Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range tr {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return Host{
		Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"),
		DataDir: filepath.Join(root, "not", "made", "yet"), Arch: "arm64",
	}
}

func TestProbeFixtures(t *testing.T) {
	const v2, v1 = "sys/fs/cgroup/", "sys/fs/cgroup/"
	for name, tc := range map[string]struct {
		tree     tree
		milliCPU int64
		usable   int
		memory   uint64
		failed   []string
		absent   []string
	}{
		"bare metal": {
			tree: machine(nil), milliCPU: 2000, usable: 2, memory: 8192,
			absent: []string{"cpu.quota", "memory.limit"},
		},
		"cgroup v2 with limits on a folder above": {
			tree: machine(tree{
				"proc/self/cgroup":             "0::/owner/worker\n",
				v2 + "owner/cpu.max":           "150000 100000\n",
				v2 + "owner/worker/cpu.max":    "max 100000\n",
				v2 + "owner/memory.max":        "2147483648\n",
				v2 + "owner/worker/memory.max": "max\n",
			}), milliCPU: 1500, usable: 2, memory: 2048,
		},
		"cgroup v1": {
			tree: machine(tree{
				"proc/self/cgroup":                     "4:cpu,cpuacct:/w\n3:memory:/w\n",
				v1 + "cpu,cpuacct/w/cpu.cfs_quota_us":  "50000\n",
				v1 + "cpu,cpuacct/w/cpu.cfs_period_us": "100000\n",
				v1 + "cpu,cpuacct/cpu.cfs_quota_us":    "-1\n",
				v1 + "memory/w/memory.limit_in_bytes":  "1073741824\n",
				v1 + "memory/memory.limit_in_bytes":    "9223372036854771712\n",
			}), milliCPU: 500, usable: 2, memory: 1024,
		},
		"pinned to one thread": {
			tree:     machine(tree{"proc/self/status": "Cpus_allowed_list:\t1\n"}),
			milliCPU: 1000, usable: 1, memory: 8192, absent: []string{"cpu.quota", "memory.limit"},
		},
		"quota that is no number": {
			tree: machine(tree{
				"proc/self/cgroup": "0::/w\n", v2 + "w/cpu.max": "lots 100000\n",
			}), milliCPU: 2000, usable: 2, memory: 8192, failed: []string{"cpu.quota"}, absent: []string{"memory.limit"},
		},
		"no memory information": {
			tree:     tree{"proc/cpuinfo": twoCores, "proc/self/status": status, "proc/stat": machine(nil)["proc/stat"]},
			milliCPU: 2000, usable: 2, failed: []string{"memory.total"}, absent: []string{"cpu.quota"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			facts, err := Probe(context.Background(), tc.tree.host(t))
			require.NoError(t, err)
			require.Equal(t, "arm64", facts.Architecture)
			require.Equal(t, "Example CPU 9000", facts.CPU.Model)
			require.Equal(t, 2, facts.CPU.Threads)
			require.Equal(t, tc.usable, facts.CPU.Usable)
			require.Equal(t, tc.milliCPU, facts.CPU.MilliCPU)
			require.Equal(t, tc.memory, facts.Memory.UsableMiB)
			require.Positive(t, facts.Disk.FreeMiB)
			states := map[State][]string{}
			for _, n := range facts.Notes {
				if slices.Contains(measured, n.Fact) {
					states[n.State] = append(states[n.State], n.Fact)
				}
			}
			require.ElementsMatch(t, tc.failed, states[Failed])
			require.ElementsMatch(t, tc.absent, states[Absent])
			require.Len(t, facts.Failures(), len(tc.failed))
		})
	}
}

func TestProbeThisMachine(t *testing.T) {
	facts, err := Probe(context.Background(), Host{Proc: "/proc", Sys: "/sys", DataDir: t.TempDir()})
	require.NoError(t, err)
	require.Empty(t, facts.Failures())
	require.Positive(t, facts.CPU.MilliCPU)
	require.Positive(t, facts.Memory.UsableMiB)
	require.Positive(t, facts.Disk.FreeMiB)
}

func TestProbeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Probe(ctx, machine(nil).host(t))
	require.ErrorIs(t, err, context.Canceled)
}

func TestParseList(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3": 4, "0-3,8": 5, "1,3,5": 3} {
		got, err := parseList(list)
		require.NoError(t, err)
		require.Len(t, got, want, list)
	}
	for _, list := range []string{"", "x", "0-", "3-1", "0,,1", "0-4294967295", "-1"} {
		_, err := parseList(list)
		require.Error(t, err, list)
	}
}
