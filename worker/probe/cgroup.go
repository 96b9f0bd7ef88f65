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

// memoryLimit is the tightest limit in bytes, 0 for none.
func memoryLimit(groups []group) (uint64, error) {
	var tightest uint64
	for _, g := range groups {
		if !g.has("memory") {
			continue
		}
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			text, ok, err := g.read(name)
			if err != nil {
				return 0, err
			}
			if !ok || text == "max" {
				continue
			}
			limit, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("memory limit of %s: %w", g.dir, err)
			}
			// Version 1 says "no limit" as the largest multiple of a page.
			if limit < 1<<60 && (tightest == 0 || limit < tightest) {
				tightest = limit
			}
		}
	}
	return tightest, nil
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
