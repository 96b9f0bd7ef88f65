// Package chain is the worker's window on the chain: what it reads there, in
// the shape its parts need, and how its messages get there.
package chain

import (
	"time"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Params are those of all modules that a worker heeds.
type Params struct {
	Suns  sunstypes.Params
	Lease leasetypes.Params
	Audit audittypes.Params
}

// Epoch is the running epoch in chain-clock milliseconds.
type Epoch struct {
	Number  uint64
	StartMs uint64
	EndsMs  uint64
}

// View is what the chain says of this node at one moment.
type View struct {
	Node       sunstypes.NodeInfo
	Params     Params
	Epoch      Epoch
	Placements []leasetypes.NodePlacement
	// NowMs is the chain clock of the block that was asked.
	NowMs uint64
	// Seen is when the answer came, by the worker's monotonic clock.
	Seen time.Duration
}

// ClockMs is about what the chain clock shows at a later time of the worker's
// clock.
func (v View) ClockMs(now time.Duration) uint64 {
	if now <= v.Seen {
		return v.NowMs
	}
	return v.NowMs + uint64((now-v.Seen)/time.Millisecond)
}

// Live says whether a placement is to run.
func Live(p leasetypes.Placement) bool {
	return p.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED || p.Status == leasetypes.PLACEMENT_STATUS_RUNNING
}
