package probe

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
)

// CPU is what the machine computes with.
type CPU struct {
	Model string `json:"model"`
	// Cores are physical, Threads what the kernel schedules on.
	Cores   int `json:"cores"`
	Threads int `json:"threads"`
	// Usable is how many threads this process may run on.
	Usable int `json:"usable_threads"`
	// MilliCPU is the most this process may take: 1000 is one thread. It is
	// below 1000 · Usable when a cgroup sets a quota.
	MilliCPU int64 `json:"milli_cpu"`
}

func (h Host) probeCPU(ctx context.Context, out *CPU, groups []group, note notef) {
	if info, err := cpu.InfoWithContext(ctx); err != nil {
		note("cpu.model", Failed, "%v", err)
	} else if len(info) > 0 {
		out.Model = strings.TrimSpace(info[0].ModelName)
	}
	if out.Model == "" {
		note("cpu.model", Absent, "the kernel names none")
	}
	threads, err := cpu.CountsWithContext(ctx, true)
	if err != nil || threads == 0 {
		note("cpu.threads", Failed, "no processor found: %v", err)
		return
	}
	out.Threads = threads
	if out.Cores, err = cpu.CountsWithContext(ctx, false); err != nil || out.Cores == 0 {
		// Virtual machines often hide the topology; then every thread counts.
		note("cpu.cores", Absent, "the kernel shows no topology")
		out.Cores = threads
	}
	if out.Usable, err = h.affinity(); err != nil {
		note("cpu.affinity", Failed, "%v", err)
		out.Usable = threads
	}
	out.MilliCPU = int64(out.Usable) * 1000
	quota, err := cpuQuota(groups)
	switch {
	case err != nil:
		note("cpu.quota", Failed, "%v", err)
	case quota == 0:
		note("cpu.quota", Absent, "no cgroup limits processor time")
	case quota < out.MilliCPU:
		out.MilliCPU = quota
	}
}

// affinity counts the threads in Cpus_allowed_list of /proc/self/status.
func (h Host) affinity() (int, error) {
	path := filepath.Join(h.Proc, "self/status")
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if list, ok := strings.CutPrefix(lines.Text(), "Cpus_allowed_list:"); ok {
			return countList(strings.TrimSpace(list))
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("%s has no Cpus_allowed_list", path)
}

// countList counts a kernel list such as "0-3,8".
func countList(list string) (int, error) {
	count := 0
	for _, part := range strings.Split(list, ",") {
		low, high, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		if err != nil {
			return 0, fmt.Errorf("processor list %q: %w", list, err)
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(high); err != nil {
				return 0, fmt.Errorf("processor list %q: %w", list, err)
			}
		}
		if to < from {
			return 0, fmt.Errorf("processor list %q runs backwards", list)
		}
		count += to - from + 1
	}
	return count, nil
}
