// Package probe finds out what a machine has: processors, memory, disk and
// architecture, limited to what the worker's own process may use. Every root
// it reads below can be set, so that a test can point it at a fixture tree.
//
// A fact that the machine does not have (no cgroup limit, say) is absent; one
// that could not be read has failed, and a report made from it is refused.
package probe

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/shirou/gopsutil/v4/common"
)

// Host says where to look.
type Host struct {
	Proc string // usually /proc
	Sys  string // usually /sys
	// DataDir is the folder whose disk placements will live on.
	DataDir string
	// Arch is the architecture; empty is the one this program runs on.
	Arch string
}

// Facts are what was found.
type Facts struct {
	Architecture string `json:"architecture"`
	CPU          CPU    `json:"cpu"`
	Memory       Memory `json:"memory"`
	Disk         Disk   `json:"disk"`
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

// Failures are the notes of facts that could not be read.
func (f Facts) Failures() []Note {
	return slices.DeleteFunc(slices.Clone(f.Notes), func(n Note) bool { return n.State != Failed })
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
	host.probeCPU(ctx, &facts.CPU, groups, note)
	host.probeMemory(ctx, &facts.Memory, groups, note)
	host.probeDisk(ctx, &facts.Disk, note)
	if err := ctx.Err(); err != nil {
		return Facts{}, fmt.Errorf("probe: %w", err)
	}
	return facts, nil
}

// notef records a fact that was not found.
type notef func(fact string, state State, format string, args ...any)
