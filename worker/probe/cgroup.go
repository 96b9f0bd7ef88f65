package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// group is a cgroup folder this process is limited by: its own or one above.
type group struct {
	dir string
	// controllers are empty for cgroup v2, where a folder has all of them.
	controllers []string
}

func (g group) has(controller string) bool {
	return len(g.controllers) == 0 || slices.Contains(g.controllers, controller)
}

// cgroups lists the folders of this process, its own first, for both versions
// of cgroups and for machines that mix them.
func (h Host) cgroups() ([]group, error) {
	raw, err := os.ReadFile(filepath.Join(h.Proc, "self/cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without cgroups limits nothing
	}
	if err != nil {
		return nil, err
	}
	var groups []group
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %q of self/cgroup", line)
		}
		mount, controllers := h.mount(fields[1])
		// A process in a container sees its own group as the root, whatever
		// path the kernel names; the folders that exist are the ones that bind.
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			full := filepath.Join(mount, dir)
			if info, err := os.Stat(full); err == nil && info.IsDir() {
				groups = append(groups, group{dir: full, controllers: controllers})
			}
			if dir == "/" {
				break
			}
		}
	}
	return groups, nil
}

func (h Host) mount(list string) (dir string, controllers []string) {
	root := filepath.Join(h.Sys, "fs/cgroup")
	if list == "" { // version 2, perhaps beside version 1
		if _, err := os.Stat(filepath.Join(root, "unified")); err == nil {
			return filepath.Join(root, "unified"), nil
		}
		return root, nil
	}
	return filepath.Join(root, list), strings.Split(list, ",")
}

// cpuQuota is the tightest limit in thousandths of a thread, 0 for none.
func cpuQuota(groups []group) (int64, error) {
	var tightest int64
	for _, g := range groups {
		if !g.has("cpu") {
			continue
		}
		quota, err := g.cpuQuota()
		if err != nil {
			return 0, err
		}
		if quota > 0 && (tightest == 0 || quota < tightest) {
			tightest = quota
		}
	}
	return tightest, nil
}

func (g group) cpuQuota() (int64, error) {
	if text, ok, err := g.read("cpu.max"); err != nil || ok {
		if err != nil {
			return 0, err
		}
		quota, period, found := strings.Cut(text, " ")
		if !found || quota == "max" {
			return 0, nil
		}
		return milliCPU(g.dir, quota, period)
	}
	quota, ok, err := g.read("cpu.cfs_quota_us")
	if err != nil || !ok || strings.HasPrefix(quota, "-") {
		return 0, err
	}
	period, ok, err := g.read("cpu.cfs_period_us")
	if err != nil || !ok {
		return 0, err
	}
	return milliCPU(g.dir, quota, period)
}

func milliCPU(dir, quota, period string) (int64, error) {
	q, err1 := strconv.ParseInt(quota, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("processor quota of %s: %w", dir, err)
	}
	if p <= 0 || q <= 0 || q > math.MaxInt64/1000 {
		return 0, fmt.Errorf("processor quota of %s: %s in %s microseconds", dir, quota, period)
	}
	return q * 1000 / p, nil
}

// Limits are what holds this process below what the machine has. 0 and empty
// are no limit.
type Limits struct {
	// Cgroups is "v1", "v2", "hybrid" for both beside each other, or empty for
	// a kernel without.
	Cgroups string `json:"cgroups"`
	// Affinity lists the threads this process may run on, such as "0-3,8".
	Affinity string `json:"affinity"`
	// MilliCPU is the tightest quota of all groups above this process: 1000 is
	// one thread. So are the others.
	MilliCPU  int64  `json:"milli_cpu,omitempty"`
	MemoryMiB uint64 `json:"memory_mib,omitempty"`
	// SwapMiB is nil for no limit; 0 forbids swap.
	SwapMiB *uint64 `json:"swap_mib,omitempty"`
	// Processes counts threads as well.
	Processes uint64 `json:"processes,omitempty"`
}

// cgroupVersion is the text of Limits.Cgroups.
func cgroupVersion(groups []group) string {
	v1 := slices.ContainsFunc(groups, func(g group) bool { return len(g.controllers) > 0 })
	v2 := slices.ContainsFunc(groups, func(g group) bool { return len(g.controllers) == 0 })
	switch {
	case v1 && v2:
		return "hybrid"
	case v1:
		return "v1"
	case v2:
		return "v2"
	}
	return ""
}

// noLimit is from where on a version 1 limit is none: it is then the largest
// multiple of a page.
const noLimit = 1 << 60

// tightest is the smallest of the limits that the groups' files of these
// names set; ok is false for none.
func tightest(groups []group, controller string, files ...string) (limit uint64, ok bool, err error) {
	for _, g := range groups {
		if !g.has(controller) {
			continue
		}
		for _, name := range files {
			text, found, err := g.read(name)
			if err != nil {
				return 0, false, err
			}
			if !found || text == "max" {
				continue
			}
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, false, fmt.Errorf("%s of %s: %w", name, g.dir, err)
			}
			if n < noLimit && (!ok || n < limit) {
				limit, ok = n, true
			}
		}
	}
	return limit, ok, nil
}

// memoryLimit is in bytes, 0 for none. Above memory.high a group is slowed
// down until it is of no use, so that is a limit too.
func memoryLimit(groups []group) (uint64, error) {
	limit, _, err := tightest(groups, "memory", "memory.max", "memory.high", "memory.limit_in_bytes")
	return limit, err
}

// swapLimit is in bytes. Version 1 limits memory and swap together.
func swapLimit(groups []group, memory uint64) (limit uint64, ok bool, err error) {
	limit, ok, err = tightest(groups, "memory", "memory.swap.max")
	if ok || err != nil {
		return limit, ok, err
	}
	both, ok, err := tightest(groups, "memory", "memory.memsw.limit_in_bytes")
	if !ok || err != nil || both < memory {
		return 0, ok, err
	}
	return both - memory, true, nil
}

// read returns a file's text; ok is false when the group has no such file.
func (g group) read(name string) (text string, ok bool, err error) {
	raw, err := os.ReadFile(filepath.Join(g.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return strings.TrimSpace(string(raw)), true, nil
}
