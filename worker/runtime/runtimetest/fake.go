// Package runtimetest holds an in-memory Runtime for tests of what stands on
// it, and the conformance suite that the fake and every real runtime pass.
package runtimetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Op names a method of Runtime, for failure injection and for call records.
type Op string

// The operations of a runtime.
const (
	OpEnsure   Op = "ensure"
	OpStop     Op = "stop"
	OpRemove   Op = "remove"
	OpPause    Op = "pause"
	OpUnpause  Op = "unpause"
	OpResize   Op = "resize"
	OpInspect  Op = "inspect"
	OpList     Op = "list"
	OpEvents   Op = "events"
	OpLogs     Op = "logs"
	OpHasImage Op = "has-image"
	OpInfo     Op = "info"
	OpVolumes  Op = "volumes"
)

// Call is one recorded use of a Fake. ID is zero where the method has none.
type Call struct {
	Op Op
	ID runtime.ID
}

// Fake is a Runtime over an Engine in memory. It knows the programs of
// package program; any other command runs until it is stopped.
type Fake struct {
	engine      *Engine
	chain, node string

	mu       sync.Mutex
	calls    []Call
	failures map[Op][]failure
	hook     func(Op, runtime.ID) error
	closed   bool
}

type failure struct {
	err  error
	left int // negative means for ever
}

var (
	_ runtime.Runtime = (*Fake)(nil)
	_ runtime.Keeping = (*Fake)(nil)
)

// NewFake returns a runtime over an engine of its own.
func NewFake(chain, node string) *Fake { return NewEngine().Open(chain, node) }

// Engine returns what the fake runs on, to add images or make things happen.
func (f *Fake) Engine() *Engine { return f.engine }

// FailNext lets the next times calls of op return err without effect; a
// negative number lets all of them.
func (f *Fake) FailNext(op Op, err error, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[op] = append(f.failures[op], failure{err: err, left: times})
}

// ClearFailures forgets what FailNext has queued.
func (f *Fake) ClearFailures() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = map[Op][]failure{}
}

// SetHook lets fn see every call first; an error of fn becomes the call's.
// It runs without locks, so it may block to order a test's steps.
func (f *Fake) SetHook(fn func(Op, runtime.ID) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = fn
}

// Calls returns what was called so far, in order.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// enter records a call and decides whether it may proceed.
func (f *Fake) enter(ctx context.Context, op Op, id runtime.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	f.calls = append(f.calls, Call{Op: op, ID: id})
	hook, closed := f.hook, f.closed
	err := f.takeFailure(op)
	f.mu.Unlock()
	switch {
	case closed:
		return fmt.Errorf("%w: closed", runtime.ErrUnavailable)
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	}
	if hook != nil {
		if err := hook(op, id); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if f.engine.isDown() {
		return fmt.Errorf("%s: %w", op, runtime.ErrUnavailable)
	}
	if id != (runtime.ID{}) && (id.Chain != f.chain || id.Node != f.node) {
		return fmt.Errorf("%w: %s on %s of %s", runtime.ErrForeign, id, id.Node, id.Chain)
	}
	return nil
}

func (f *Fake) takeFailure(op Op) error {
	queue := f.failures[op]
	for len(queue) > 0 && queue[0].left == 0 {
		queue = queue[1:]
	}
	f.failures[op] = queue
	if len(queue) == 0 {
		return nil
	}
	if queue[0].left > 0 {
		queue[0].left--
	}
	return queue[0].err
}

// Ensure implements runtime.Runtime.
func (f *Fake) Ensure(ctx context.Context, spec runtime.Spec) (runtime.State, error) {
	if err := spec.Validate(); err != nil {
		return runtime.State{}, err
	}
	if err := f.enter(ctx, OpEnsure, spec.ID); err != nil {
		return runtime.State{}, err
	}
	return f.engine.ensure(spec)
}

// EnsureFilled implements runtime.Keeping.
func (f *Fake) EnsureFilled(ctx context.Context, spec runtime.Spec, fill runtime.Fill) (runtime.State, error) {
	if err := spec.Validate(); err != nil {
		return runtime.State{}, err
	}
	if err := f.enter(ctx, OpEnsure, spec.ID); err != nil {
		return runtime.State{}, err
	}
	return f.engine.ensureFilled(ctx, spec, fill)
}

// Volumes implements runtime.Keeping.
func (f *Fake) Volumes(ctx context.Context, id runtime.ID) (map[string]string, error) {
	if err := f.enter(ctx, OpVolumes, id); err != nil {
		return nil, err
	}
	return f.engine.volumesOf(id)
}

// Stop implements runtime.Runtime. The fake never waits.
func (f *Fake) Stop(ctx context.Context, id runtime.ID, _ time.Duration) error {
	if err := f.enter(ctx, OpStop, id); err != nil {
		return err
	}
	return f.engine.stop(id)
}

// Remove implements runtime.Runtime.
func (f *Fake) Remove(ctx context.Context, id runtime.ID, _ time.Duration) error {
	if err := f.enter(ctx, OpRemove, id); err != nil {
		return err
	}
	f.engine.remove(id)
	return nil
}

// Pause implements runtime.Runtime.
func (f *Fake) Pause(ctx context.Context, id runtime.ID) error {
	if err := f.enter(ctx, OpPause, id); err != nil {
		return err
	}
	return f.engine.freeze(id, true)
}

// Unpause implements runtime.Runtime.
func (f *Fake) Unpause(ctx context.Context, id runtime.ID) error {
	if err := f.enter(ctx, OpUnpause, id); err != nil {
		return err
	}
	return f.engine.freeze(id, false)
}

// Resize implements runtime.Runtime.
func (f *Fake) Resize(ctx context.Context, id runtime.ID, limits runtime.Limits) error {
	if err := limits.Validate(); err != nil {
		return err
	}
	if err := f.enter(ctx, OpResize, id); err != nil {
		return err
	}
	return f.engine.resize(id, limits)
}

// Inspect implements runtime.Runtime.
func (f *Fake) Inspect(ctx context.Context, id runtime.ID) (runtime.State, error) {
	if err := f.enter(ctx, OpInspect, id); err != nil {
		return runtime.State{}, err
	}
	return f.engine.inspect(id)
}

// List implements runtime.Runtime.
func (f *Fake) List(ctx context.Context) ([]runtime.State, error) {
	if err := f.enter(ctx, OpList, runtime.ID{}); err != nil {
		return nil, err
	}
	return f.engine.list(f.chain, f.node), nil
}

// Events implements runtime.Runtime.
func (f *Fake) Events(ctx context.Context) (<-chan runtime.Event, error) {
	if err := f.enter(ctx, OpEvents, runtime.ID{}); err != nil {
		return nil, err
	}
	return f.engine.subscribe(ctx, f.chain, f.node), nil
}

// Logs implements runtime.Runtime.
func (f *Fake) Logs(ctx context.Context, id runtime.ID, opts runtime.LogOptions) (io.ReadCloser, error) {
	if err := f.enter(ctx, OpLogs, id); err != nil {
		return nil, err
	}
	return f.engine.logs(id, opts)
}

// HasImage implements runtime.Runtime.
func (f *Fake) HasImage(ctx context.Context, image string) (bool, error) {
	if err := f.enter(ctx, OpHasImage, runtime.ID{}); err != nil {
		return false, err
	}
	return f.engine.hasImage(image), nil
}

// Info implements runtime.Runtime.
func (f *Fake) Info(ctx context.Context) (runtime.Info, error) {
	if err := f.enter(ctx, OpInfo, runtime.ID{}); err != nil {
		return runtime.Info{}, err
	}
	return runtime.Info{
		Engine: "fake", Version: "1", APIVersion: "1", CgroupVersion: "2",
		Storage: runtime.StorageQuota, Runtimes: []string{"runc"}, CPUs: 4, MemoryMiB: 8192,
		Bounds: []runtime.Bound{{Limit: "memory", Held: runtime.Fully, Detail: "by make-believe", Vital: true}},
	}, nil
}

// Close implements runtime.Runtime; what runs on the engine stays.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}
