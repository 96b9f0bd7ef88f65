package reconciler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func TestADetachedContainerIsStartedAgain(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.advance(backoffMax)
	require.NoError(t, f.engine.Detach(container(0, 1)))
	f.settled(Active)
	state, err := f.rt.Inspect(context.Background(), container(0, 1))
	require.NoError(t, err)
	require.False(t, state.Detached)
	require.Equal(t, 1, state.Restarts)
	require.Equal(t, runtime.StatusRunning, state.Status)
	require.Zero(t, f.r.Failures(f.chainStatus(0).ID), "that was not the placement's fault")
}

func TestAnUnboundedContainerIsBoundedAgain(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.advance(backoffMax)
	require.NoError(t, f.engine.Unbound(container(0, 1)))
	f.settled(Active)
	state, err := f.rt.Inspect(context.Background(), container(0, 1))
	require.NoError(t, err)
	require.False(t, state.Unbounded)
	require.Zero(t, state.Restarts, "nothing was restarted for it")
}

// What a look finds in the middle of a step is the step's doing.
func TestWhatTheWorkerStopsHasNotFailed(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.advance(backoffMax)
	require.NoError(t, f.engine.Detach(container(0, 1)))
	stopped, looked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.rt.SetHook(func(op runtimetest.Op, _ runtime.ID) error {
		if op == runtimetest.OpEnsure {
			once.Do(func() {
				require.NoError(t, f.engine.Exit(container(0, 1), 0))
				close(stopped)
				<-looked
			})
		}
		return nil
	})
	f.pass(Active)
	<-stopped
	f.pass(Active)
	close(looked)
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
	require.Zero(t, f.r.Failures(f.chainStatus(0).ID))
}

// Whoever removes a container leaves its network and its disks, which no list of containers shows.
func TestWhatARemovedContainerLeavesGoes(t *testing.T) {
	for name, again := range map[string]func(f *fixture){
		"by the same worker": func(*fixture) {},
		"by the next worker": (*fixture).restart,
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.place(0, 1)
			f.settled(Active)
			require.NoError(t, f.rt.Remove(context.Background(), container(0, 1), 0)) // stands for docker rm
			f.view.Placements = nil
			before := f.removals()
			again(f)
			f.rt.FailNext(runtimetest.OpRemove, errors.New("something else uses its network"), 1)
			f.settled(Active)
			require.Equal(t, before+1, f.removals(), "one that fails is not tried all the time")
			f.advance(removeRetry)
			f.settled(Active)
			require.Equal(t, before+2, f.removals())
			require.Empty(t, f.r.memory)
			f.settled(Active)
			require.Equal(t, before+2, f.removals(), "once")
		})
	}
}

func (f *fixture) removals() int {
	count := 0
	for _, call := range f.rt.Calls() {
		if call.Op == runtimetest.OpRemove {
			count++
		}
	}
	return count
}

// crash ends a worker at one of its steps: before the step has any effect, or after it, with nobody left to hear the answer.
type crash struct {
	at    int
	after bool

	mu    sync.Mutex
	steps int
	dead  bool
	where string
}

var errDead = errors.New("the worker is dead")

func (c *crash) step(what string, do func() error) error {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return errDead
	}
	c.steps++
	now := c.steps == c.at
	if now {
		c.dead, c.where = true, what
	}
	c.mu.Unlock()
	if now && !c.after {
		return errDead
	}
	if err := do(); err != nil {
		return err
	}
	if now {
		return errDead
	}
	return nil
}

func (c *crash) died() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// crashingRuntime, crashingImages, crashingSender and crashingStore are all that a reconciler acts through.
type crashingRuntime struct {
	runtime.Runtime
	c *crash
}

func (r crashingRuntime) List(ctx context.Context) (states []runtime.State, err error) {
	err = r.c.step("list", func() (err error) { states, err = r.Runtime.List(ctx); return err })
	return states, err
}

func (r crashingRuntime) Inspect(ctx context.Context, id runtime.ID) (state runtime.State, err error) {
	err = r.c.step("inspect", func() (err error) { state, err = r.Runtime.Inspect(ctx, id); return err })
	return state, err
}

func (r crashingRuntime) Ensure(ctx context.Context, spec runtime.Spec) (state runtime.State, err error) {
	err = r.c.step("ensure", func() (err error) { state, err = r.Runtime.Ensure(ctx, spec); return err })
	return state, err
}

func (r crashingRuntime) Remove(ctx context.Context, id runtime.ID, grace time.Duration) error {
	return r.c.step("remove", func() error { return r.Runtime.Remove(ctx, id, grace) })
}

func (r crashingRuntime) Pause(ctx context.Context, id runtime.ID) error {
	return r.c.step("pause", func() error { return r.Runtime.Pause(ctx, id) })
}

func (r crashingRuntime) Unpause(ctx context.Context, id runtime.ID) error {
	return r.c.step("unpause", func() error { return r.Runtime.Unpause(ctx, id) })
}

func (r crashingRuntime) Resize(ctx context.Context, id runtime.ID, limits runtime.Limits) error {
	return r.c.step("resize", func() error { return r.Runtime.Resize(ctx, id, limits) })
}

type crashingImages struct {
	f *fixture
	c *crash
}

func (i crashingImages) Resolve(ctx context.Context, image uaitypes.Image) (local string, permanent bool, err error) {
	err = i.c.step("resolve", func() (err error) { local, permanent, err = i.f.Resolve(ctx, image); return err })
	return local, permanent, err
}

type crashingSender struct {
	f *fixture
	c *crash
}

func (s crashingSender) Send(ctx context.Context, msgs ...sdk.Msg) error {
	return s.c.step(fmt.Sprintf("send %T", msgs[0]), func() error { return s.f.Send(ctx, msgs...) })
}

type crashingStore struct {
	*journal.Journal
	c *crash
}

func (s crashingStore) Update(id leasetypes.PlacementID, change func(*journal.Record)) (r journal.Record, err error) {
	err = s.c.step("journal", func() (err error) { r, err = s.Journal.Update(id, change); return err })
	return r, err
}

// A worker killed before or after any of its steps, from a placement's first hour to its end, is followed by one that brings
// about the same: one container for each placement that is to run, none else, and nothing given back.
func TestKilledAtEveryStep(t *testing.T) {
	steps := 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			c := &crash{at: at, after: after}
			where := fmt.Sprintf("step %d, after it: %v", at, after)
			if !t.Run(where, func(t *testing.T) { life(t, c) }) {
				t.Log("killed at:", c.where)
			}
			if !c.died() {
				steps += at - 1
				break
			}
		}
	}
	t.Log("killed at", steps, "steps")
	require.Greater(t, steps, 60)
}

// life is that of a placement which a worker runs, loses, pauses, changes and ends.
func life(t *testing.T, c *crash) {
	f := setup(t)
	f.begin(crashingRuntime{f.rt, c}, crashingImages{f, c}, crashingSender{f, c}, crashingStore{f.journal, c})
	restarted := false
	rest := func(mode Mode) {
		t.Helper()
		for range 20 {
			f.mu.Lock()
			view := f.view
			view.Placements = append(view.Placements[:0:0], view.Placements...)
			f.mu.Unlock()
			_ = f.r.Pass(context.Background(), &view, mode) // a dead worker's fails
			f.r.Wait()
			f.advance(backoffMin)
			if c.died() && !restarted {
				restarted = true
				f.restart()
			}
		}
	}
	runsHere := func(ids ...runtime.ID) {
		t.Helper()
		require.Equal(t, len(ids), f.engine.Len(), "killed at %s", c.where)
		for _, id := range ids {
			require.Equal(t, runtime.StatusRunning, f.status(id), "killed at %s", c.where)
		}
	}
	f.place(0, 1)
	rest(Active)
	runsHere(container(0, 1))
	require.Equal(t, runs, f.chainStatus(0).Status)
	require.NoError(t, f.engine.Exit(container(0, 1), 3))
	rest(Active)
	runsHere(container(0, 1))
	rest(Silent)
	require.Equal(t, runtime.StatusPaused, f.status(container(0, 1)))
	rest(Active)
	runsHere(container(0, 1))

	// The tenant changes the image: another generation comes, the old one ends.
	f.mu.Lock()
	f.change(placement(0, 1, assigned).ID, func(p *leasetypes.Placement) { p.Status = ended })
	f.mu.Unlock()
	f.place(0, 2)
	rest(Active)
	runsHere(container(0, 2))
	require.Equal(t, runs, f.chainStatus(1).Status)
	f.mu.Lock()
	f.change(placement(0, 2, assigned).ID, func(p *leasetypes.Placement) { p.Status = ended })
	f.mu.Unlock()
	rest(Active)
	runsHere()
	for _, m := range f.sent {
		require.IsType(t, &leasetypes.MsgStartPlacement{}, m, "killed at %s", c.where)
	}
}
