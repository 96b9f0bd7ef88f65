// Package sizing turns what a tenant rented, in SUNS, into what a container
// may take of this machine.
package sizing

import (
	"errors"
	"fmt"

	"github.com/isuncoin/isuncoin/worker/runtime"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// pidsPerSuns on top of the runtime's default lets a big placement run a
	// thread per connection while a fork bomb stays small.
	pidsPerSuns = 256
	maxPids     = 32768
)

// ErrOutOfRange: the placement is larger than any machine, or too small to be
// held to its size: the least that a container starts in would be more than
// was sold, and many of them more than the machine has.
var ErrOutOfRange = errors.New("placement is out of range")

// Machine is what sizing needs to know of this machine.
type Machine struct {
	// PointsPerThread is what one thread measured, in CPU points.
	PointsPerThread uint64
	// Threads is how many there are: no quota is above all of them.
	Threads int
}

// Limits are the container's bounds: what the chain's arithmetic says that
// many general milli-SUNS are, with CPU points as time on this machine's
// threads.
//
// All placements that the chain fits on a node stay within what it offers, in
// memory, storage and bandwidth exactly: the chain's sums and this round down.
// Processor time is rounded up, so that a tenant gets at least what was
// rented: by less than a thousandth of a thread for each placement, which is
// 1 % where all are of the smallest size (100 milli-SUNS) and a thread has
// 1,000 points, and comes out of the owner's share. Rounded down, every tenant
// would miss as much all the time.
//
// A placement of devices alone has no general resources. It gets the least
// that a container starts in, also out of the owner's share, and there are
// only as many as there are devices.
func Limits(bundle sunstypes.Capacity, milliSuns uint64, m Machine) (runtime.Limits, error) {
	if milliSuns > sunstypes.MaxNodeMilliSuns {
		return runtime.Limits{}, fmt.Errorf("%w: %d milli-SUNS", ErrOutOfRange, milliSuns)
	}
	c := sunstypes.ResourcesOf(bundle, milliSuns)
	if err := c.Validate(); err != nil { // also keeps what follows within 64 bits
		return runtime.Limits{}, fmt.Errorf("%w: %w", ErrOutOfRange, err)
	}
	if milliSuns > 0 && int64(c.MemoryMiB) < runtime.MinMemoryMiB {
		return runtime.Limits{}, fmt.Errorf("%w: %d milli-SUNS are %d MiB of memory, and a container needs %d",
			ErrOutOfRange, milliSuns, c.MemoryMiB, runtime.MinMemoryMiB)
	}
	perThread := max(m.PointsPerThread, 1)
	milliCPU := (c.CpuPoints*1000 + perThread - 1) / perThread
	if m.Threads > 0 {
		milliCPU = min(milliCPU, uint64(m.Threads)*1000)
	}
	return runtime.Limits{
		MilliCPU:      max(int64(milliCPU), runtime.MinMilliCPU),
		MemoryMiB:     max(int64(c.MemoryMiB), runtime.MinMemoryMiB),
		StorageMiB:    int64(c.StorageMiB),
		BandwidthMbps: max(int64(c.BandwidthMbps), 1),
		Pids:          min(runtime.DefaultPids+int64(milliSuns*pidsPerSuns/1000), maxPids),
	}, nil
}
