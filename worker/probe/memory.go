package probe

import (
	"context"

	"github.com/shirou/gopsutil/v4/mem"
)

// Memory is the machine's main memory in MiB.
type Memory struct {
	TotalMiB uint64 `json:"total_mib"`
	// UsableMiB is below TotalMiB when a cgroup sets a limit.
	UsableMiB uint64 `json:"usable_mib"`
	// AvailableMiB can be taken now without swapping.
	AvailableMiB uint64 `json:"available_mib"`
}

func (h Host) probeMemory(ctx context.Context, out *Memory, groups []group, note notef) {
	vm, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil || vm.Total == 0 {
		note("memory.total", Failed, "the kernel gives no total: %v", err)
		return
	}
	out.TotalMiB, out.AvailableMiB = vm.Total/MiB, vm.Available/MiB
	out.UsableMiB = out.TotalMiB
	limit, err := memoryLimit(groups)
	switch {
	case err != nil:
		note("memory.limit", Failed, "%v", err)
	case limit == 0:
		note("memory.limit", Absent, "no cgroup limits memory")
	case limit/MiB < out.UsableMiB:
		out.UsableMiB = limit / MiB
	}
}
