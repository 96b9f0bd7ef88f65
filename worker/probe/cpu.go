package probe

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CPU is what the machine computes with.
type CPU struct {
	// Model is the maker's name of it; on arm64 that of its cores.
	Model string `json:"model"`
	// Vendor is as the processor names it, such as "AuthenticAMD" or "ARM".
	Vendor string `json:"vendor"`
	// Sockets are the packages on the board, and NUMANodes the parts of memory
	// that are near to some threads and far from others.
	Sockets   int `json:"sockets"`
	NUMANodes int `json:"numa_nodes"`
	// Cores are physical, Threads what the kernel schedules on.
	Cores   int `json:"cores"`
	Threads int `json:"threads"`
	// Usable is how many threads this process may run on.
	Usable int `json:"usable_threads"`
	// MilliCPU is the most this process may take: 1000 is one thread. It is
	// below 1000 · Usable when a cgroup sets a quota.
	MilliCPU int64 `json:"milli_cpu"`
	// MaxMHz is the highest clock, or where the kernel does not name that (in
	// most virtual machines) the present one; 0 if it names neither.
	MaxMHz uint64  `json:"max_mhz"`
	Caches []Cache `json:"caches"`
	// Flags are the extensions of the instruction set, as the kernel names
	// them, sorted.
	Flags []string `json:"flags"`
}

func (h Host) probeCPU(out *CPU, limits *Limits, groups []group, note notef) cpuinfo {
	info, err := h.cpuinfo()
	if err != nil || len(info.threads) == 0 {
		note("cpu.threads", Failed, "no processor found: %v", err)
		return info
	}
	out.Threads = len(info.threads)
	if out.Model, out.Vendor = info.models(); out.Model == "" {
		note("cpu.model", Absent, "the kernel names none")
	}
	out.Flags = info.flags()
	allowed, err := h.affinity()
	if err != nil {
		note("cpu.affinity", Failed, "%v", err)
		out.Usable = out.Threads
	} else {
		out.Usable, limits.Affinity = countList(allowed), allowed
	}
	h.probeTopology(out, info, allowed, note)
	out.MilliCPU = int64(out.Usable) * 1000
	quota, err := cpuQuota(groups)
	switch {
	case err != nil:
		note("cpu.quota", Failed, "%v", err)
	case quota == 0:
		note("cpu.quota", Absent, "no cgroup limits processor time")
	default:
		limits.MilliCPU = quota
		out.MilliCPU = min(out.MilliCPU, quota)
	}
	return info
}

func (h Host) probeTopology(out *CPU, info cpuinfo, allowed string, note notef) {
	may, _ := parseList(allowed) // affinity has been checked, and may be unknown
	shown := h.shown(out.Threads, may)
	out.Sockets, out.Cores = h.topology(shown)
	if out.Cores == 0 {
		out.Sockets, out.Cores = info.topology()
	}
	if out.Cores == 0 {
		// Virtual machines often hide the topology; then every thread counts.
		note("cpu.cores", Absent, "the kernel shows no topology")
		out.Cores = out.Threads
	}
	out.Sockets = max(out.Sockets, 1)
	if out.NUMANodes = h.numaNodes(shown); out.NUMANodes == 0 {
		note("cpu.numa", Absent, "the kernel shows no nodes")
		out.NUMANodes = 1
	}
	var err error
	if out.Caches, err = h.caches(shown); err != nil {
		note("cpu.caches", Failed, "%v", err)
	} else if len(out.Caches) == 0 {
		note("cpu.caches", Absent, "the kernel shows none")
	}
	if out.MaxMHz = h.maxMHz(shown); out.MaxMHz == 0 {
		out.MaxMHz = info.megahertz()
	}
	if out.MaxMHz == 0 {
		note("cpu.frequency", Absent, "the kernel names none")
	}
}

// affinity is Cpus_allowed_list of /proc/self/status: the cpuset of the
// cgroup, and what of it this process is bound to.
func (h Host) affinity() (string, error) {
	path := filepath.Join(h.Proc, "self/status")
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if list, ok := strings.CutPrefix(lines.Text(), "Cpus_allowed_list:"); ok {
			list = strings.TrimSpace(list)
			_, err := parseList(list)
			return list, err
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%s has no Cpus_allowed_list", path)
}

// countList counts a list that has been checked.
func countList(list string) int {
	numbers, _ := parseList(list)
	return len(numbers)
}
