// Package meter reads what a container uses straight from the kernel's files:
// processor time and memory from its control group, in whichever version the
// host mounts, and network bytes from its network namespace. Asking the engine
// instead would take a second per container.
package meter

import (
	"context"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
)

// maxGap is the longest time between two readings over which memory is
// summed. Longer, the placement may have been paused or the worker away, and
// nobody can say what it held; nothing is charged for what was not seen.
const maxGap = 30 * time.Second

// byteMillisPerMiBSecond turns bytes times milliseconds into MiB-seconds.
const byteMillisPerMiBSecond = (1 << 20) * 1000

// Clock is monotonic.
type Clock func() time.Duration

// Source gives the figures of a container's processes at this moment.
type Source interface {
	Figures(ctx context.Context, pid int, containerID string) (Figures, error)
}

// Figures are what the kernel has counted since a container's start, and what
// it holds now.
type Figures struct {
	CPU time.Duration
	// MemoryBytes is the working set: what the kernel could not take back
	// without asking, as limits and schedulers in the field count it.
	MemoryBytes       uint64
	BytesIn, BytesOut uint64
}

// Meter turns figures into counters that only rise during a run. It is safe
// for concurrent use.
type Meter struct {
	source Source
	clock  Clock

	mu    sync.Mutex
	runs  map[runtime.ID]*run
	swept time.Duration
}

// run is one run of one container.
type run struct {
	which    journal.Run
	last     time.Duration
	memory   uint64 // bytes at the last reading
	byteMs   uint64 // less than a MiB-second
	counters journal.Counters
}

// New returns a meter; see NewHost for its usual source.
func New(source Source, clock Clock) *Meter {
	return &Meter{source: source, clock: clock, runs: map[runtime.ID]*run{}}
}

// Read returns a running placement's counters. Processor and network figures
// count from the start of the run; memory from the first reading of this run
// by this meter, so after a restart of the worker it begins at zero again.
// Carrying figures over restarts is the journal's part.
//
// runtime.ErrNotRunning if the processes have gone.
func (m *Meter) Read(ctx context.Context, state runtime.State) (journal.Counters, error) {
	figures, err := m.source.Figures(ctx, state.PID, state.ContainerID)
	if err != nil {
		return journal.Counters{}, err
	}
	now := m.clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	which := journal.Run{ContainerID: state.ContainerID, StartedAt: state.StartedAt}
	r, ok := m.runs[state.ID]
	if !ok || !r.which.Same(which) {
		r = &run{which: which, last: now, memory: figures.MemoryBytes}
		m.runs[state.ID] = r
	}
	r.add(figures, now)
	m.sweep(now)
	return r.counters, nil
}

// add sums memory as the mean of two readings over the time between them.
func (r *run) add(f Figures, now time.Duration) {
	if gap := now - r.last; gap > 0 && gap <= maxGap {
		mean := r.memory/2 + f.MemoryBytes/2
		r.byteMs += mean * uint64(gap.Milliseconds())
		r.counters.MemoryMiBSeconds += r.byteMs / byteMillisPerMiBSecond
		r.byteMs %= byteMillisPerMiBSecond
	}
	r.last, r.memory = now, f.MemoryBytes
	r.counters.CPUMs = max(r.counters.CPUMs, uint64(f.CPU.Milliseconds()))
	r.counters.BytesIn = max(r.counters.BytesIn, f.BytesIn)
	r.counters.BytesOut = max(r.counters.BytesOut, f.BytesOut)
}

// sweep forgets placements that nobody has asked about. One that comes back
// begins at zero, which the journal understands.
func (m *Meter) sweep(now time.Duration) {
	if now-m.swept < maxGap {
		return
	}
	m.swept = now
	for id, r := range m.runs {
		if now-r.last > maxGap {
			delete(m.runs, id)
		}
	}
}
