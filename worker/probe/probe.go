// Package probe finds out what a machine has: processors, memory, disks,
// network and what runs on it, and how much of that the worker's own process
// may use. Accelerators are package accel's. Every root it reads below can be
// set, so that a test can point it at a fixture tree.
//
// A fact that the machine does not have (no cgroup limit, say) is absent; one
// that could not be read has failed, and a report made from it is refused if a
// capacity depends on it.
//
// The digest of the facts is public and the facts stay with the owner. Still
// there is nothing in them that tells one machine from all others for ever: no
// serial number, machine id, host name or hardware address.
package probe

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/disk"
)

// Host says where to look.
type Host struct {
	Proc string // usually /proc
	Sys  string // usually /sys
	// DataDir is the folder whose disk placements will live on.
	DataDir string
	// Arch is the architecture; empty is the one this program runs on.
	Arch string
	// Root is what the paths of DataDir, /etc and /run are below; empty is /.
	Root string
	// Usage and Addresses ask the kernel what no file tells: how full the file
	// system of a folder is, and what addresses an interface has. nil asks
	// this machine's.
	Usage     func(ctx context.Context, dir string) (*disk.UsageStat, error)
	Addresses func(name string) ([]netip.Prefix, error)
}

func (h Host) root() string {
	if h.Root == "" {
		return "/"
	}
	return h.Root
}

// Facts are what was found.
type Facts struct {
	Architecture string `json:"architecture"`
	CPU          CPU    `json:"cpu"`
	Memory       Memory `json:"memory"`
	Disk         Disk   `json:"disk"`
	// Limits hold this process below what the machine has; CPU and Memory say
	// what that leaves.
	Limits  Limits  `json:"limits"`
	Network Network `json:"network"`
	System  System  `json:"system"`
	// Notes say which facts are absent or failed.
	Notes []Note `json:"notes"`
}

// State tells a fact that is not there from one that could not be read.
type State string

// The states of a fact that was not found.
const (
	Absent State = "absent"
	Failed State = "failed"
)

// Note says what became of a fact that was not found.
type Note struct {
	Fact   string `json:"fact"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
}

// measured are the facts that a capacity is made of.
var measured = []string{
	"cgroup", "cpu.threads", "cpu.affinity", "cpu.quota", "memory.total", "memory.limit", "disk",
}

// Failures are the notes of facts that a capacity is made of and that could
// not be read. Without the others a report only says less.
func (f Facts) Failures() []Note {
	return slices.DeleteFunc(slices.Clone(f.Notes), func(n Note) bool {
		return n.State != Failed || !slices.Contains(measured, n.Fact)
	})
}

// MiB is 2^20 bytes.
const MiB = 1 << 20

// Probe gathers all facts. It fails only when ctx ends; everything else is in
// the notes.
func Probe(ctx context.Context, host Host) (Facts, error) {
	facts := Facts{Architecture: host.Arch, Notes: []Note{}}
	if facts.Architecture == "" {
		facts.Architecture = runtime.GOARCH
	}
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: host.Proc,
		common.HostSysEnvKey:  host.Sys,
	})
	note := func(fact string, state State, format string, args ...any) {
		facts.Notes = append(facts.Notes, Note{Fact: fact, State: state, Detail: fmt.Sprintf(format, args...)})
	}
	groups, err := host.cgroups()
	if err != nil {
		note("cgroup", Failed, "%v", err)
	}
	facts.Limits.Cgroups = cgroupVersion(groups)
	info := host.probeCPU(&facts.CPU, &facts.Limits, groups, note)
	host.probeMemory(ctx, &facts.Memory, &facts.Limits, groups, note)
	if facts.Limits.Processes, _, err = tightest(groups, "pids", "pids.max"); err != nil {
		note("limits.processes", Failed, "%v", err)
	}
	host.probeDisk(ctx, &facts.Disk, note)
	host.probeNetwork(&facts.Network, note)
	host.probeSystem(&facts.System, info, note)
	host.probeEngines(ctx, &facts.System, note)
	if err := ctx.Err(); err != nil {
		return Facts{}, fmt.Errorf("probe: %w", err)
	}
	return facts, nil
}

// notef records a fact that was not found.
type notef func(fact string, state State, format string, args ...any)
