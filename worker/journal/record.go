package journal

import (
	"time"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// Record is what the worker knows of one placement.
type Record struct {
	ID leasetypes.PlacementID `json:"id"`
	// Intent is what was decided, before it is done.
	Intent Intent `json:"intent,omitempty"`
	// Reason explains a rejection, for people.
	Reason string `json:"reason,omitempty"`
	// Failures in a row.
	Failures int `json:"failures,omitempty"`
	// Usage since the placement's start; no figure of it ever falls.
	Usage Usage `json:"usage"`
	// Run and Last say up to where the container's counters are in Usage.
	Run  Run      `json:"run"`
	Last Counters `json:"last"`
	// Devices is how many accelerators it holds, all the time it is served.
	Devices uint64 `json:"devices,omitempty"`
	// Attested is the usage that the chain has confirmed.
	Attested Usage `json:"attested"`
	// Started is true once the chain has said that it runs.
	Started bool `json:"started,omitempty"`
	// Ended is true once the chain has said that it ended: Usage is final.
	Ended bool `json:"ended,omitempty"`
}

// Intent is a decision about a placement.
type Intent string

// The decisions.
const (
	IntentRun    Intent = "run"
	IntentReject Intent = "reject"
	IntentRemove Intent = "remove"
)

// Usage is cumulative since the placement's start.
type Usage struct {
	ServedMs         uint64 `json:"served_ms"`
	CPUMs            uint64 `json:"cpu_ms"`
	AcceleratorMs    uint64 `json:"accelerator_ms"`
	MemoryMiBSeconds uint64 `json:"memory_mib_seconds"`
	BytesIn          uint64 `json:"bytes_in"`
	BytesOut         uint64 `json:"bytes_out"`
}

// Max is the larger of each figure.
func (u Usage) Max(o Usage) Usage {
	return Usage{
		ServedMs:         max(u.ServedMs, o.ServedMs),
		CPUMs:            max(u.CPUMs, o.CPUMs),
		AcceleratorMs:    max(u.AcceleratorMs, o.AcceleratorMs),
		MemoryMiBSeconds: max(u.MemoryMiBSeconds, o.MemoryMiBSeconds),
		BytesIn:          max(u.BytesIn, o.BytesIn),
		BytesOut:         max(u.BytesOut, o.BytesOut),
	}
}

// Entry is the usage as it is attested.
func (u Usage) Entry(id leasetypes.PlacementID) audittypes.UsageEntry {
	return audittypes.UsageEntry{
		ID: id, ServedMs: u.ServedMs, CpuMs: u.CPUMs, AcceleratorMs: u.AcceleratorMs,
		MemoryMiBSeconds: u.MemoryMiBSeconds, BytesIn: u.BytesIn, BytesOut: u.BytesOut,
	}
}

// UsageOf is the inverse of Entry.
func UsageOf(e audittypes.UsageEntry) Usage {
	return Usage{
		ServedMs: e.ServedMs, CPUMs: e.CpuMs, AcceleratorMs: e.AcceleratorMs,
		MemoryMiBSeconds: e.MemoryMiBSeconds, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
	}
}

// Run is one run of a container: counters begin again with the next one.
type Run struct {
	ContainerID string    `json:"container_id,omitempty"`
	StartedAt   time.Time `json:"started_at,omitzero"`
}

// Same says whether two name the same run.
func (r Run) Same(o Run) bool {
	return r.ContainerID == o.ContainerID && r.StartedAt.Equal(o.StartedAt)
}

// Counters are a container's own, since the start of its run.
type Counters struct {
	CPUMs            uint64 `json:"cpu_ms"`
	AcceleratorMs    uint64 `json:"accelerator_ms"`
	MemoryMiBSeconds uint64 `json:"memory_mib_seconds"`
	BytesIn          uint64 `json:"bytes_in"`
	BytesOut         uint64 `json:"bytes_out"`
}

// Add counts new readings of a run. Counters that fell have begun again.
func (r *Record) Add(run Run, now Counters) {
	if !r.Run.Same(run) {
		r.Run, r.Last = run, Counters{}
	}
	r.Usage.CPUMs += rise(r.Last.CPUMs, now.CPUMs)
	r.Usage.AcceleratorMs += rise(r.Last.AcceleratorMs, now.AcceleratorMs)
	r.Usage.MemoryMiBSeconds += rise(r.Last.MemoryMiBSeconds, now.MemoryMiBSeconds)
	r.Usage.BytesIn += rise(r.Last.BytesIn, now.BytesIn)
	r.Usage.BytesOut += rise(r.Last.BytesOut, now.BytesOut)
	r.Last = now
}

func rise(last, now uint64) uint64 {
	if now < last {
		return now
	}
	return now - last
}
