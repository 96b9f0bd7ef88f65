package runtimetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Engine is the container engine a Fake talks to. Several fakes of different
// chains and nodes may share one, as workers share a Docker daemon.
type Engine struct {
	mu         sync.Mutex
	now        func() time.Time
	down       bool
	anyImage   bool
	images     map[string]bool
	nodes      map[string]bool
	containers map[runtime.ID]*container
	watchers   map[*watcher]struct{}
	// volumes is where volumes are, none if it is empty; filling orders those
	// who fill them.
	volumes  string
	filling  sync.Mutex
	nextPort uint16
	nextPID  int
	created  int
}

type container struct {
	spec    runtime.Spec
	digest  string
	state   runtime.State
	output  []line
	process *process
}

type line struct {
	stderr bool
	text   string
}

type watcher struct {
	chain, node string
	out         chan runtime.Event
}

// NewEngine returns an engine that accepts any image until AddImage is called.
func NewEngine() *Engine {
	return &Engine{
		now:        time.Now,
		anyImage:   true,
		images:     map[string]bool{},
		nodes:      map[string]bool{},
		containers: map[runtime.ID]*container{},
		watchers:   map[*watcher]struct{}{},
		nextPort:   32768,
		nextPID:    1000,
	}
}

// Open connects a runtime for one chain and node, as a worker's start does.
func (e *Engine) Open(chain, node string) *Fake {
	return &Fake{engine: e, chain: chain, node: node, failures: map[Op][]failure{}}
}

// SetClock gives the engine another clock for StartedAt and event times.
func (e *Engine) SetClock(now func() time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = now
}

// SetDown makes every call fail with ErrUnavailable, or ends that. What runs
// runs on, as under a daemon with live restore.
func (e *Engine) SetDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// AddImage makes a reference startable; from the first call on, only added
// ones are.
func (e *Engine) AddImage(refs ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.anyImage = false
	for _, ref := range refs {
		e.images[ref] = true
	}
}

// RequireImages makes HasImage true for added images only, even before any is.
func (e *Engine) RequireImages() { e.AddImage() }

// RemoveImage forgets an image; containers made from it stay.
func (e *Engine) RemoveImage(ref string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.images, ref)
}

// Plug makes a device node appear.
func (e *Engine) Plug(node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes[node] = true
}

// Unplug takes a device node away; containers that have it run on.
func (e *Engine) Unplug(node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.nodes, node)
}

// Exit ends a placement's process as if by itself.
func (e *Engine) Exit(id runtime.ID, code int) error {
	return e.end(id, code, false)
}

// OOM ends a placement as the kernel does for want of memory.
func (e *Engine) OOM(id runtime.ID) error {
	return e.end(id, exitKilled, true)
}

// Detach takes a running placement's network away, behind its worker's back.
func (e *Engine) Detach(id runtime.ID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	c.state.Detached = c.state.Status == runtime.StatusRunning
	return nil
}

// Unbound takes limits of a running placement away, as somebody does who
// starts its container by hand.
func (e *Engine) Unbound(id runtime.ID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	c.state.Unbounded = c.state.Status == runtime.StatusRunning
	return nil
}

// Reboot ends all processes of all nodes, as a power failure does: nothing
// reports an event, and everything is found exited.
func (e *Engine) Reboot() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.state.Status == runtime.StatusRunning || c.state.Status == runtime.StatusPaused {
			c.end(exitKilled, false)
		}
	}
}

// Spec returns what a placement was made from.
func (e *Engine) Spec(id runtime.ID) (runtime.Spec, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return runtime.Spec{}, false
	}
	return c.spec, true
}

// Len counts all containers of all chains and nodes.
func (e *Engine) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.containers)
}

func (e *Engine) isDown() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}

func (e *Engine) hasImage(ref string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.anyImage || e.images[ref]
}

func (e *Engine) ensure(spec runtime.Spec) (runtime.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[spec.ID]
	if ok && c.digest != spec.Digest() {
		return c.state, fmt.Errorf("%w: %s", runtime.ErrConflict, spec.ID)
	}
	if !ok {
		for _, node := range spec.DeviceNodes() {
			if !e.nodes[node] {
				return runtime.State{}, fmt.Errorf("%w: %s is not plugged in", runtime.ErrNoDevice, node)
			}
		}
		if !e.anyImage && !e.images[spec.Image] {
			return runtime.State{}, fmt.Errorf("%w: %s", runtime.ErrImageMissing, spec.Image)
		}
		if err := e.makeVolumes(spec); err != nil {
			return runtime.State{}, err
		}
		e.created++
		c = &container{spec: spec, digest: spec.Digest()}
		c.state = runtime.State{
			ID: spec.ID, ContainerID: fmt.Sprintf("%s%044d", spec.ID.Key(), e.created),
			Status: runtime.StatusCreated, Limits: spec.Limits,
		}
		for _, p := range spec.Ports {
			e.nextPort++
			c.state.Endpoints = append(c.state.Endpoints, runtime.Endpoint{
				Name: p.Name, Protocol: p.Protocol, HostIP: "127.0.0.1",
				HostPort: e.nextPort, ContainerPort: p.ContainerPort,
			})
		}
		e.containers[spec.ID] = c
	}
	if c.state.Detached {
		c.end(exitKilled, false)
		e.emit(c, runtime.EventDied)
	}
	c.state.Unbounded = false
	switch c.state.Status {
	case runtime.StatusExited:
		c.state.Restarts++
		e.start(c)
	case runtime.StatusCreated:
		e.start(c)
	}
	return c.copyState(), nil
}

// start runs with the lock held.
func (e *Engine) start(c *container) {
	e.nextPID++
	c.state.Status, c.state.PID = runtime.StatusRunning, e.nextPID
	c.state.StartedAt, c.state.ExitCode, c.state.OOMKilled = e.now(), 0, false
	e.emit(c, runtime.EventStarted)
	c.process = startProcess(c)
	e.writeFile(c)
	if p := c.process; p.ends {
		c.end(p.code, p.oom)
		if p.oom {
			e.emit(c, runtime.EventOOM)
		}
		e.emit(c, runtime.EventDied)
	}
}

func (e *Engine) stop(id runtime.ID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if c.state.PID != 0 {
		c.end(c.process.code, false)
		e.emit(c, runtime.EventDied)
	}
	return nil
}

func (e *Engine) end(id runtime.ID, code int, oom bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if c.state.Status != runtime.StatusRunning && c.state.Status != runtime.StatusPaused {
		return fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	c.end(code, oom)
	if oom {
		e.emit(c, runtime.EventOOM)
	}
	e.emit(c, runtime.EventDied)
	return nil
}

func (e *Engine) remove(id runtime.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return
	}
	if c.state.PID != 0 {
		c.end(exitKilled, false)
		e.emit(c, runtime.EventDied)
	}
	delete(e.containers, id)
	e.dropVolumes(id)
	e.emit(c, runtime.EventRemoved)
}

func (e *Engine) freeze(id runtime.ID, pause bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	want, kind := runtime.StatusRunning, runtime.EventUnpaused
	if pause {
		want, kind = runtime.StatusPaused, runtime.EventPaused
	}
	switch c.state.Status {
	case want:
		return nil
	case runtime.StatusRunning, runtime.StatusPaused:
		c.state.Status = want
		e.emit(c, kind)
		return nil
	default:
		return fmt.Errorf("%w: %s is %s", runtime.ErrNotRunning, id, c.state.Status)
	}
}

func (e *Engine) resize(id runtime.ID, limits runtime.Limits) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	c.state.Limits.MilliCPU = limits.MilliCPU
	c.state.Limits.MemoryMiB = limits.MemoryMiB
	c.state.Limits.Pids = limits.Pids
	return nil
}

func (e *Engine) inspect(id runtime.ID) (runtime.State, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return runtime.State{ID: id, Status: runtime.StatusMissing}, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	return c.copyState(), nil
}

func (e *Engine) list(chain, node string) []runtime.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	var states []runtime.State
	for id, c := range e.containers {
		if id.Chain == chain && id.Node == node {
			states = append(states, c.copyState())
		}
	}
	slices.SortFunc(states, func(a, b runtime.State) int { return a.ID.Compare(b.ID) })
	return states
}

func (e *Engine) logs(id runtime.ID, opts runtime.LogOptions) (io.ReadCloser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	var lines []string
	for _, l := range c.output {
		if (l.stderr && opts.NoStderr) || (!l.stderr && opts.NoStdout) {
			continue
		}
		lines = append(lines, l.text+"\n")
	}
	if opts.Tail > 0 && len(lines) > opts.Tail {
		lines = lines[len(lines)-opts.Tail:]
	}
	return io.NopCloser(strings.NewReader(strings.Join(lines, ""))), nil
}

// subscribe hands out hints; a watcher that does not read loses some, which
// the contract allows.
func (e *Engine) subscribe(ctx context.Context, chain, node string) <-chan runtime.Event {
	w := &watcher{chain: chain, node: node, out: make(chan runtime.Event, 256)}
	e.mu.Lock()
	e.watchers[w] = struct{}{}
	e.mu.Unlock()
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, w)
		close(w.out)
	})
	return w.out
}

// emit runs with the lock held.
func (e *Engine) emit(c *container, kind runtime.EventType) {
	for w := range e.watchers {
		if w.chain != c.spec.ID.Chain || w.node != c.spec.ID.Node {
			continue
		}
		select {
		case w.out <- runtime.Event{Type: kind, ID: c.spec.ID, ContainerID: c.state.ContainerID, Time: e.now()}:
		default:
		}
	}
}

// end runs with the engine's lock held.
func (c *container) end(code int, oom bool) {
	c.state.Status, c.state.PID, c.state.Detached, c.state.Unbounded = runtime.StatusExited, 0, false, false
	c.state.ExitCode, c.state.OOMKilled = code, oom
	c.process.close()
}

func (c *container) copyState() runtime.State {
	s := c.state
	s.Endpoints = slices.Clone(s.Endpoints)
	return s
}
