package docker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// looksAge is how long the engine's answer may be taken for its next one while
// its events tell of no change: one may have been lost.
const looksAge = 10 * time.Second

// looks remembers what the engine said of this node's containers until its
// events, or a call of ours, say that they have changed. Looking at fifty
// containers several times a second would keep the engine and the worker busy
// for nothing. While no events are followed nothing is remembered.
type looks struct {
	// listing keeps lists in order: the second takes what the first brought.
	listing sync.Mutex

	mu sync.Mutex
	// streams counts the streams of events that are followed; epoch, how often
	// one began or broke.
	streams, epoch int
	// known are states by the container's name; complete is true while they
	// are all there are. The oldest is of the time since.
	known    map[string]runtime.State
	complete bool
	since    time.Time
	// changed are the containers that changed while a list was being made.
	changed map[string]bool
}

// follow says that a stream of events has begun, and unfollow that it broke.
func (l *looks) follow()   { l.turn(1) }
func (l *looks) unfollow() { l.turn(-1) }

func (l *looks) turn(streams int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams += streams
	l.epoch++
	l.forget()
}

// forget runs with the lock held.
func (l *looks) forget() { l.known, l.complete = nil, false }

// touch says that a container may have changed.
func (l *looks) touch(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, name)
	l.complete = false
	if l.changed != nil {
		l.changed[name] = true
	}
}

// begin gives what is still known at the beginning of a list, and whether that
// is everything. The epoch is for end.
func (l *looks) begin(now time.Time) (known map[string]runtime.State, complete bool, epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams == 0 || now.Sub(l.since) > looksAge {
		l.forget()
		l.since = now
	}
	l.changed = map[string]bool{}
	return maps.Clone(l.known), l.complete, l.epoch
}

// end keeps what a list brought, but for what has changed meanwhile.
func (l *looks) end(states map[string]runtime.State, epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.changed
	l.changed = nil
	if l.streams == 0 || l.epoch != epoch {
		return
	}
	l.known, l.complete = make(map[string]runtime.State, len(states)), len(changed) == 0
	for name, state := range states {
		if !changed[name] {
			l.known[name] = state
		}
	}
}

// change locks a placement for a call that changes it; what it returns unlocks.
func (r *Runtime) change(id runtime.ID) func() {
	unlock := r.locks.lock(id)
	return func() {
		r.looks.touch(objectName(id))
		unlock()
	}
}

// List implements runtime.Runtime.
func (r *Runtime) List(ctx context.Context) ([]runtime.State, error) {
	r.looks.listing.Lock()
	defer r.looks.listing.Unlock()
	known, complete, epoch := r.looks.begin(time.Now())
	if !complete {
		var err error
		if known, err = r.list(ctx, known); err != nil {
			return nil, err
		}
		r.looks.end(known, epoch)
	}
	out := make([]runtime.State, 0, len(known))
	for _, state := range known {
		out = append(out, state)
	}
	slices.SortFunc(out, func(a, b runtime.State) int { return a.ID.Compare(b.ID) })
	return out, nil
}

// list asks the engine which containers there are, and for the states of those
// that are not known.
func (r *Runtime) list(ctx context.Context, known map[string]runtime.State) (map[string]runtime.State, error) {
	list, err := r.api.ContainerList(ctx, container.ListOptions{All: true, Filters: r.scopeFilter()})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	var mu sync.Mutex
	states := make(map[string]runtime.State, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectParallel)
	for _, c := range list {
		if state, ok := known[nameOf(c)]; ok && state.ContainerID == c.ID {
			mu.Lock()
			states[nameOf(c)] = state
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			state, ours, err := r.inspectListed(ctx, c.ID)
			if err != nil || !ours {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			states[objectName(state.ID)] = state
			return nil
		})
	}
	return states, group.Wait()
}

func nameOf(c container.Summary) string {
	if len(c.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// inspectListed looks at one container; ours is false if it has gone since it
// was listed, or was not made by us.
func (r *Runtime) inspectListed(ctx context.Context, containerID string) (state runtime.State, ours bool, err error) {
	found, err := r.api.ContainerInspect(ctx, containerID)
	if cerrdefs.IsNotFound(err) {
		return state, false, nil
	}
	if err != nil {
		return state, false, engineError("inspect container", err)
	}
	id, err := ownedID(found)
	if err != nil || id.Chain != r.cfg.Chain || id.Node != r.cfg.Node {
		return state, false, nil //nolint:nilerr // somebody else's container is no error
	}
	return r.state(id, found), true, nil
}
