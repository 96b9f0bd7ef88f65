// Package reconciler makes what runs here be what the chain says should run
// here. Every pass compares the two and closes the difference; a restart, a
// crash, a missed event and a reboot are all the same case.
package reconciler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Catalogue describes images as the chain holds them.
type Catalogue interface {
	Image(ctx context.Context, name string) (uaitypes.Image, error)
}

// Images brings an image into the engine and returns its local reference.
// permanent is true when trying again cannot help.
type Images interface {
	Resolve(ctx context.Context, image uaitypes.Image) (local string, permanent bool, err error)
}

// Sender puts messages into a block.
type Sender interface {
	Send(ctx context.Context, msgs ...sdk.Msg) error
}

// Store remembers decisions before they are acted on.
type Store interface {
	All() ([]journal.Record, error)
	Update(id leasetypes.PlacementID, change func(*journal.Record)) (journal.Record, error)
}

// Config is what a reconciler is told once.
type Config struct {
	ChainID string
	Node    sunstypes.NodeID
	Agent   string
	// Limits says what a share of SUNS is on this machine.
	Limits func(bundle sunstypes.Capacity, milliSuns uint64) (runtime.Limits, error)
	// Devices are the machine's accelerators; nil offers none.
	Devices Devices
	// Published is the address tenants reach this machine at.
	Published string
	// OCIRuntime of every container; empty is the engine's default.
	OCIRuntime string
	StopGrace  time.Duration
	// Parallel bounds how many placements start at once.
	Parallel int
	// MaxFailures in a row, then a placement is given back.
	MaxFailures int
	// Clock is monotonic.
	Clock func() time.Duration
	Log   *slog.Logger
}

// Reconciler runs placements. Pass is called by one goroutine; what takes
// long runs in others, one at a time for each placement.
type Reconciler struct {
	cfg       Config
	rt        runtime.Runtime
	images    Images
	catalogue Catalogue
	sender    Sender
	store     Store

	slots chan struct{}
	wake  chan struct{}
	work  sync.WaitGroup

	mu      sync.Mutex
	memory  map[runtime.ID]*memory
	flights map[runtime.ID]*flight
	last    []runtime.State
	// passed is true once a pass has followed the chain's word.
	passed bool
	known  map[string]uaitypes.Image
}

// memory is Memory with what only the reconciler needs.
type memory struct {
	Memory
	failures int
	// misses is how often in a row a device of it was not found.
	misses int
	run    journal.Run
	// witnessed is true once this worker has started the container or seen it
	// run: an end before that, such as a reboot's, is nobody's failure.
	witnessed bool
	// ended is the run whose end has been counted.
	ended journal.Run
	// held is true while the engine may hold something of it: more than its
	// container, which others may remove without the rest.
	held bool
	// removeAfter is when a removal that failed is tried again.
	removeAfter time.Duration
}

// flight is work under way for one placement.
type flight struct {
	kind   Kind
	cancel context.CancelFunc
}

// New loads the decisions of earlier workers.
func New(cfg Config, rt runtime.Runtime, images Images, catalogue Catalogue, sender Sender, store Store) (*Reconciler, error) {
	r := &Reconciler{
		cfg: cfg, rt: rt, images: images, catalogue: catalogue, sender: sender, store: store,
		slots: make(chan struct{}, cfg.Parallel), wake: make(chan struct{}, 1),
		memory: map[runtime.ID]*memory{}, flights: map[runtime.ID]*flight{}, known: map[string]uaitypes.Image{},
	}
	records, err := store.All()
	if err != nil {
		return nil, fmt.Errorf("reconciler: %w", err)
	}
	for _, record := range records {
		m := r.remember(r.containerID(record.ID))
		m.Intent, m.Reason, m.failures = record.Intent, record.Reason, record.Failures
		m.held = true
	}
	return r, nil
}

func (r *Reconciler) containerID(id leasetypes.PlacementID) runtime.ID {
	return runtime.ID{
		Chain: r.cfg.ChainID, Node: r.cfg.Node.String(),
		Lease: id.Lease().String(), Replica: id.Replica, Generation: id.Generation,
	}
}

// Wake says when another pass is worth making before the next regular one.
func (r *Reconciler) Wake() <-chan struct{} { return r.wake }

func (r *Reconciler) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Containers is what the last pass saw, for the status.
func (r *Reconciler) Containers() []runtime.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Failures is how often a placement has failed in a row, for the status.
func (r *Reconciler) Failures(id leasetypes.PlacementID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.memory[r.containerID(id)]; ok {
		return m.failures
	}
	return 0
}

// Empty says that nothing of any placement is here, as the last pass saw it,
// and that nothing is under way.
func (r *Reconciler) Empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed && len(r.last) == 0 && len(r.memory) == 0 && len(r.flights) == 0
}

// Pass makes one comparison and begins what it calls for. A nil view means
// that the chain has not answered since the worker started.
func (r *Reconciler) Pass(ctx context.Context, view *chain.View, mode Mode) error {
	touched := r.inFlight()
	actual, err := r.rt.List(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var desired Desired
	if view != nil {
		desired = DesiredOf(*view, r.cfg.ChainID, r.cfg.Node.String(), r.shape(view.Params.Suns.Bundle))
	}
	now := r.cfg.Clock()
	r.observe(actual, desired, touched, now)
	r.mu.Lock()
	memories := make(map[runtime.ID]Memory, len(r.memory))
	for id, m := range r.memory {
		memories[id] = m.Memory
	}
	r.last = actual
	r.mu.Unlock()
	for _, action := range Plan(mode, desired, actual, memories, now) {
		if touched[action.ID] && !ends(action.Kind) {
			continue // what was seen is out of date; the end of that step calls for another pass
		}
		r.begin(ctx, action, desired[action.ID])
	}
	r.cancelUnwanted(desired, mode)
	r.mu.Lock()
	r.passed = r.passed || desired != nil
	r.mu.Unlock()
	for _, id := range r.forget(desired, actual) {
		r.begin(ctx, Action{Kind: Remove, ID: id, Reason: "its container is gone"}, Wanted{})
	}
	return nil
}

// shape computes what a container of a placement looks like. A placement that
// is out of range gets no limits and fails at its start, where it is rejected.
func (r *Reconciler) shape(bundle sunstypes.Capacity) func(leasetypes.NodePlacement) Wanted {
	return func(p leasetypes.NodePlacement) Wanted {
		limits, err := r.cfg.Limits(bundle, p.Placement.GeneralMilliSuns)
		if err != nil {
			r.cfg.Log.Warn("placement has no valid size", "placement", p.Placement.ID.String(), "error", err)
		}
		return Wanted{Placement: p, Limits: limits, Published: r.cfg.Published}
	}
}

// inFlight gives the placements that something is under way for.
func (r *Reconciler) inFlight() map[runtime.ID]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make(map[runtime.ID]bool, len(r.flights))
	for id := range r.flights {
		ids[id] = true
	}
	return ids
}

// observe updates the memory from what the engine says: since when each
// container runs, and which have ended since. touched are those that something
// was under way for when the engine was asked.
func (r *Reconciler) observe(actual []runtime.State, desired Desired, touched map[runtime.ID]bool, now time.Duration) {
	for _, state := range actual {
		run := journal.Run{ContainerID: state.ContainerID, StartedAt: state.StartedAt}
		r.mu.Lock()
		m := r.remember(state.ID)
		m.held = true
		if !m.run.Same(run) {
			m.run, m.UpSince = run, now
		}
		up := now - m.UpSince
		// What ends while something is done to it is judged when that is done:
		// the worker itself may have stopped it.
		died := state.Status == runtime.StatusExited && !m.ended.Same(run) && !touched[state.ID]
		if died {
			m.ended = run
		}
		if state.Status == runtime.StatusRunning {
			m.witnessed = true
			if up >= stable {
				m.failures = 0
			}
		}
		witnessed := m.witnessed
		r.mu.Unlock()
		if _, wanted := desired[state.ID]; died && wanted && witnessed {
			r.exited(state, up)
		}
	}
}

// remember runs with the lock held, or before anybody else knows r.
func (r *Reconciler) remember(id runtime.ID) *memory {
	m, ok := r.memory[id]
	if !ok {
		m = &memory{}
		r.memory[id] = m
	}
	return m
}

// begin runs an action in its own goroutine, unless something is under way
// for the same placement already; the next pass will see to it then.
func (r *Reconciler) begin(ctx context.Context, action Action, want Wanted) {
	r.mu.Lock()
	if f, busy := r.flights[action.ID]; busy {
		// A start or a message must not delay the end of a container.
		if ends(action.Kind) && !ends(f.kind) {
			f.cancel()
		}
		r.mu.Unlock()
		return
	}
	if m, ok := r.memory[action.ID]; ok && action.Kind == Remove && r.cfg.Clock() < m.removeAfter {
		r.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r.flights[action.ID] = &flight{kind: action.Kind, cancel: cancel}
	r.mu.Unlock()
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		r.act(ctx, action, want)
		cancel()
		r.mu.Lock()
		delete(r.flights, action.ID)
		r.mu.Unlock()
		r.poke()
	}()
}

func ends(k Kind) bool { return k == Remove || k == Pause }

// cancelUnwanted ends starts, perhaps in the middle of a long download, of
// what the chain has taken away or the mode forbids.
func (r *Reconciler) cancelUnwanted(desired Desired, mode Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, f := range r.flights {
		_, wanted := desired[id]
		if f.kind == Start && (mode != Active || (desired != nil && !wanted)) {
			f.cancel()
		}
	}
}

// forget drops what neither side knows any more. left are those whose
// container somebody else removed: their network and disks are still there.
func (r *Reconciler) forget(desired Desired, actual []runtime.State) (left []runtime.ID) {
	if desired == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	present := make(map[runtime.ID]bool, len(actual))
	for _, state := range actual {
		present[state.ID] = true
	}
	for id, m := range r.memory {
		_, wanted := desired[id]
		_, busy := r.flights[id]
		switch {
		case wanted, busy, present[id]:
		case m.held:
			left = append(left, id)
		default:
			delete(r.memory, id)
		}
	}
	return left
}

// Wait returns when no work is under way; cancel the passes' context first.
func (r *Reconciler) Wait() { r.work.Wait() }
