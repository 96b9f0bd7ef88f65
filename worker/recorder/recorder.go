// Package recorder counts what placements use: it looks at the containers
// once a second, adds what it sees to the journal's figures, and decides which
// seconds count as served. Only those do in which the chain says that the
// placement runs and two looks in a row found the same process running.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// maxGap is the longest time between two looks that still counts as served:
// longer, nobody can say what happened in between.
const maxGap = 30 * time.Second

// Containers lists what runs.
type Containers interface {
	List(ctx context.Context) ([]runtime.State, error)
}

// Meter reads a running container's counters since the start of its run.
type Meter interface {
	Read(ctx context.Context, state runtime.State) (journal.Counters, error)
}

// Store is the journal.
type Store interface {
	All() ([]journal.Record, error)
	UpdateAll(ids []leasetypes.PlacementID, change func(*journal.Record)) ([]journal.Record, error)
	Delete(ids ...leasetypes.PlacementID) error
}

// Chain knows what was attested of a placement before; zero if nothing was.
type Chain interface {
	Usage(ctx context.Context, id leasetypes.PlacementID) (journal.Usage, error)
}

// Clock is monotonic and stands still while the machine sleeps: a sleeping
// machine serves nobody.
type Clock func() time.Duration

// Recorder counts. It is safe for concurrent use.
type Recorder struct {
	containers Containers
	meter      Meter
	store      Store
	chain      Chain
	clock      Clock
	log        *slog.Logger

	// looking keeps looks at the containers in order.
	looking sync.Mutex

	mu      sync.Mutex
	tracked map[leasetypes.PlacementID]*tracked
}

// tracked is one placement. The record's usage is the truth; the journal
// follows it at each Flush.
type tracked struct {
	record journal.Record
	// known is true once the chain has said what it holds; until then nothing
	// may be attested.
	known bool
	// served is the part of the usage that is less than a millisecond.
	served time.Duration
	// observed is how long it was seen running.
	observed time.Duration
	running  bool
	present  bool
	lastLook time.Duration
	run      journal.Run
	dirty    bool
}

// New loads what the journal knows.
func New(c Containers, m Meter, s Store, ch Chain, clock Clock, log *slog.Logger) (*Recorder, error) {
	records, err := s.All()
	if err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	r := &Recorder{
		containers: c, meter: m, store: s, chain: ch, clock: clock, log: log,
		tracked: make(map[leasetypes.PlacementID]*tracked, len(records)),
	}
	for _, record := range records {
		// The journal may be an older state than was attested, where a disk
		// forgot its last writes or a backup was put back: then its figures
		// would fall, and the chain would refuse them until they had caught up.
		r.tracked[record.ID] = &tracked{record: record}
	}
	return r, nil
}

// Sample looks at every container once.
func (r *Recorder) Sample(ctx context.Context) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	states, err := r.containers.List(ctx)
	if err != nil {
		return fmt.Errorf("sample usage: %w", err)
	}
	now := r.clock()
	r.mu.Lock()
	for _, t := range r.tracked {
		t.present = false
	}
	var metered []*tracked
	var running []runtime.State
	for _, state := range states {
		id, err := PlacementID(state.ID)
		if err != nil {
			continue // the runtime refuses such ids, so it made no such container
		}
		t := r.track(id)
		t.look(state, now)
		if t.running && !t.record.Ended {
			metered, running = append(metered, t), append(running, state)
		}
	}
	for _, t := range r.tracked {
		if !t.present {
			t.running = false
		}
	}
	r.mu.Unlock()

	var errs []error
	for i, state := range running {
		counters, err := r.meter.Read(ctx, state)
		switch {
		case errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrNotFound):
			continue // it ended between the two
		case err != nil:
			errs = append(errs, fmt.Errorf("meter %s: %w", state.ID, err))
			continue
		}
		r.mu.Lock()
		metered[i].record.Add(runOf(state), counters)
		metered[i].dirty = true
		r.mu.Unlock()
	}
	return errors.Join(errs...)
}

// look counts the time since the last look, if the same process ran at both,
// where tenants reach it.
func (t *tracked) look(state runtime.State, now time.Duration) {
	running, run := state.Status == runtime.StatusRunning && !state.Detached, runOf(state)
	if since := now - t.lastLook; running && t.running && t.run.Same(run) && since <= maxGap {
		t.observed += since
		if t.record.Started && !t.record.Ended {
			t.serve(since)
		}
	}
	t.running, t.run, t.lastLook, t.present = running, run, now, true
}

// serve counts time, and for each accelerator as much: it is held whole,
// whether it is used or not.
func (t *tracked) serve(d time.Duration) {
	t.served += d
	whole := uint64(t.served / time.Millisecond)
	t.record.Usage.ServedMs += whole
	t.record.Usage.AcceleratorMs += whole * t.record.Devices
	t.served %= time.Millisecond
	t.dirty = true
}

// Apply heeds what the chain says: placements that run begin to count, those
// that ended count no more, those it has forgotten are forgotten here.
func (r *Recorder) Apply(ctx context.Context, view chain.View) error {
	var errs []error
	listed := make(map[leasetypes.PlacementID]bool, len(view.Placements))
	for _, p := range view.Placements {
		listed[p.Placement.ID] = true
		if err := r.apply(ctx, p.Placement, view.NowMs); err != nil {
			errs = append(errs, err)
		}
	}
	r.mu.Lock()
	var gone []leasetypes.PlacementID
	for id, t := range r.tracked {
		if !listed[id] && !t.present {
			gone = append(gone, id)
			delete(r.tracked, id)
		}
	}
	r.mu.Unlock()
	if len(gone) > 0 {
		errs = append(errs, r.store.Delete(gone...))
	}
	return errors.Join(errs...)
}

func (r *Recorder) apply(ctx context.Context, p leasetypes.Placement, nowMs uint64) error {
	r.mu.Lock()
	t := r.track(p.ID) // also what never starts: decisions about it are forgotten with it
	if held := uint64(len(p.Devices)); t.record.Devices != held {
		t.record.Devices, t.dirty = held, true
	}
	known := t.known
	r.mu.Unlock()
	if p.StartedMs == 0 {
		return nil // nothing to count yet
	}
	if !known {
		before, err := r.chain.Usage(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("usage of %s so far: %w", p.ID, err)
		}
		r.mu.Lock()
		t.adopt(before)
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !t.record.Started {
		t.begin(nowMs - min(nowMs, p.StartedMs))
	}
	if !chain.Live(p) && !t.record.Ended {
		t.end(nowMs - min(nowMs, p.EndedMs))
	}
	return nil
}

// adopt raises the figures to what the chain already holds: where the journal
// is lost, or older than that, they must go on from there, or they would fall.
func (t *tracked) adopt(before journal.Usage) {
	if before.ServedMs > 0 || before.CPUMs > 0 {
		// Whatever ran until now is in the chain's figures, or lost with the
		// journal: only what comes counts.
		t.observed = 0
	}
	t.record.Usage = t.record.Usage.Max(before)
	t.record.Attested = t.record.Attested.Max(before)
	t.known, t.dirty = true, true
}

// begin counts what was served between the block that started the placement
// and the news of it, as far as the container was seen running.
func (t *tracked) begin(sinceStartMs uint64) {
	t.record.Started = true
	if t.record.Usage.ServedMs == 0 {
		t.serve(min(t.observed, time.Duration(sinceStartMs)*time.Millisecond))
	}
	t.dirty = true
}

// end takes back what was counted after the placement's end, before the news
// of it came.
func (t *tracked) end(sinceEndMs uint64) {
	t.record.Ended, t.dirty = true, true
	if t.running {
		usage, attested := &t.record.Usage, t.record.Attested
		back := min(sinceEndMs, usage.ServedMs-min(usage.ServedMs, attested.ServedMs))
		usage.ServedMs -= back
		usage.AcceleratorMs -= min(back*t.record.Devices, usage.AcceleratorMs-min(usage.AcceleratorMs, attested.AcceleratorMs))
	}
}

// Refresh brings the figures up to this moment and into the journal. Without
// an answer of the engine they stay as they were at the last look.
func (r *Recorder) Refresh(ctx context.Context) error {
	if err := r.Sample(ctx); err != nil && ctx.Err() == nil {
		r.log.Debug("figures are those of the last look", "error", err)
	}
	return r.Flush()
}

// Flush writes what changed to the journal. Only what is there is attested.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []leasetypes.PlacementID
	for id, t := range r.tracked {
		if t.dirty {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := r.store.UpdateAll(ids, func(stored *journal.Record) {
		mine := r.tracked[stored.ID].record
		stored.Usage, stored.Attested = mine.Usage, mine.Attested
		stored.Run, stored.Last = mine.Run, mine.Last
		stored.Started, stored.Ended, stored.Devices = mine.Started, mine.Ended, mine.Devices
	})
	if err != nil {
		return fmt.Errorf("record usage: %w", err)
	}
	for _, id := range ids {
		r.tracked[id].dirty = false
	}
	return nil
}

// Records returns what is known of placements that have begun, by id.
func (r *Recorder) Records() map[leasetypes.PlacementID]journal.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	records := make(map[leasetypes.PlacementID]journal.Record, len(r.tracked))
	for id, t := range r.tracked {
		if t.known && t.record.Started {
			records[id] = t.record
		}
	}
	return records
}

// AskAgain has Apply ask the chain once more what it holds of every placement;
// until then nothing is attested. An attestation may have been on its way
// when the worker was killed, and have come after the chain was asked first.
func (r *Recorder) AskAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracked {
		t.known = false
	}
}

// MarkAttested remembers what the chain has confirmed.
func (r *Recorder) MarkAttested(attested map[leasetypes.PlacementID]journal.Usage) error {
	r.mu.Lock()
	for id, usage := range attested {
		if t, ok := r.tracked[id]; ok {
			t.record.Attested, t.dirty = t.record.Attested.Max(usage), true
		}
	}
	r.mu.Unlock()
	return r.Flush()
}

// track runs with the lock held.
func (r *Recorder) track(id leasetypes.PlacementID) *tracked {
	t, ok := r.tracked[id]
	if !ok {
		t = &tracked{record: journal.Record{ID: id}}
		r.tracked[id] = t
	}
	return t
}

func runOf(s runtime.State) journal.Run {
	return journal.Run{ContainerID: s.ContainerID, StartedAt: s.StartedAt}
}

// PlacementID is the chain's name of what the runtime calls by its own.
func PlacementID(id runtime.ID) (leasetypes.PlacementID, error) {
	tenant, number, err := runtime.SplitLease(id.Lease)
	if err != nil {
		return leasetypes.PlacementID{}, err
	}
	return leasetypes.PlacementID{Tenant: tenant, Number: number, Replica: id.Replica, Generation: id.Generation}, nil
}
