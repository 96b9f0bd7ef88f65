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
	SwapTotalMiB uint64 `json:"swap_total_mib"`
	// SwapUsableMiB is below SwapTotalMiB when a cgroup sets a limit.
	SwapUsableMiB uint64 `json:"swap_usable_mib"`
	SwapFreeMiB   uint64 `json:"swap_free_mib"`
}

func (h Host) probeMemory(ctx context.Context, out *Memory, limits *Limits, groups []group, note notef) {
	vm, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil || vm.Total == 0 {
		note("memory.total", Failed, "the kernel gives no total: %v", err)
		return
	}
	*out = Memory{
		TotalMiB: vm.Total / MiB, UsableMiB: vm.Total / MiB, AvailableMiB: vm.Available / MiB,
		SwapTotalMiB: vm.SwapTotal / MiB, SwapUsableMiB: vm.SwapTotal / MiB, SwapFreeMiB: vm.SwapFree / MiB,
	}
	limit, err := memoryLimit(groups)
	switch {
	case err != nil:
		note("memory.limit", Failed, "%v", err)
		return
	case limit == 0:
		note("memory.limit", Absent, "no cgroup limits memory")
		limit = vm.Total // of swap and memory together, the rest is swap
	default:
		limits.MemoryMiB = limit / MiB
		out.UsableMiB = min(out.UsableMiB, limits.MemoryMiB)
		out.AvailableMiB = min(out.AvailableMiB, out.UsableMiB)
	}
	if vm.SwapTotal == 0 {
		note("memory.swap", Absent, "the machine has none")
	}
	swap, limited, err := swapLimit(groups, limit)
	switch {
	case err != nil:
		note("memory.swap_limit", Failed, "%v", err)
	case limited:
		mib := swap / MiB
		limits.SwapMiB = &mib
		out.SwapUsableMiB = min(out.SwapUsableMiB, mib)
		out.SwapFreeMiB = min(out.SwapFreeMiB, out.SwapUsableMiB)
	}
}
