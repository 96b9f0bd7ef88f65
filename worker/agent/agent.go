// Package agent is the running worker: it wires the parts together and keeps
// them going until it is told to stop. Each part runs in a loop of its own, so
// that a chain that does not answer delays no container, and an engine that
// hangs delays no sign of life.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/worker/attester"
	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/reconciler"
	"github.com/isuncoin/isuncoin/worker/recorder"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/sender"
	"github.com/isuncoin/isuncoin/worker/watchdog"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Chain is all that the worker asks of the chain.
type Chain interface {
	View(ctx context.Context) (chain.View, error)
	recorder.Chain
	reconciler.Catalogue
	attester.Chain
}

// Options are what an agent is made of.
type Options struct {
	Node    identity.Node
	Chain   Chain
	Runtime runtime.Runtime
	Images  reconciler.Images
	Meter   recorder.Meter
	// Sender puts the agent's messages into blocks; Run runs it.
	Sender  *sender.Sender
	Journal *journal.Journal
	Switch  control.Switch
	// Boot is the clock that silence is judged by, Clock the one that counts
	// service.
	Boot  bootclock.Clock
	Clock func() time.Duration
	// Limits says what a share of SUNS is on this machine.
	Limits func(bundle sunstypes.Capacity, milliSuns uint64) (runtime.Limits, error)
	// Devices are the machine's accelerators; nil offers none.
	Devices reconciler.Devices
	// Published is the address tenants reach the machine at.
	Published    string
	OCIRuntime   string
	StopGrace    time.Duration
	Parallel     int
	MaxFailures  int
	PollEvery    time.Duration
	SampleEvery  time.Duration
	PersistEvery time.Duration
	// Blocks tells of new blocks as they come, until the channel is closed; nil
	// leaves it at asking every PollEvery.
	Blocks func(ctx context.Context) (<-chan int64, error)
	// Endpoint names the chain's node in use, and Engine the engine, for the
	// status; nil if unknown.
	Endpoint func() string
	Engine   string
	Log      *slog.Logger
}

// Agent is a worker. Run it once.
type Agent struct {
	o          Options
	recorder   *recorder.Recorder
	reconciler *reconciler.Reconciler
	attester   *attester.Attester
	sender     *sender.Sender
	watchdog   *watchdog.Watchdog
	since      time.Time

	// block, reconcile and attest wake their loops; views go to the recorder.
	block     chan struct{}
	reconcile chan struct{}
	attest    chan struct{}
	views     chan chain.View

	mu   sync.Mutex
	view *chain.View
	// asked counts the questions for a view; viewAsked is the one that the
	// view answers, and after silence only from trustFrom on.
	asked, viewAsked, trustFrom uint64
	silent                      bool
	mode                        reconciler.Mode
	chainErr                    error
}

// New puts an agent together.
func New(o Options) (*Agent, error) {
	a := &Agent{
		o: o, since: time.Now(), block: make(chan struct{}, 1),
		reconcile: make(chan struct{}, 1), attest: make(chan struct{}, 1), views: make(chan chain.View, 1),
	}
	var err error
	if a.recorder, err = recorder.New(o.Runtime, o.Meter, o.Journal, o.Chain, o.Clock, o.Log); err != nil {
		return nil, err
	}
	if a.watchdog, err = watchdog.New(o.Boot, o.Journal); err != nil {
		return nil, err
	}
	a.sender = o.Sender
	a.attester = attester.New(o.Node.Agent, a.recorder, o.Journal, o.Chain, a.sender, a.watchdog, o.Clock, o.Log)
	a.reconciler, err = reconciler.New(reconciler.Config{
		ChainID: o.Node.ChainID, Node: o.Node.ID(), Agent: o.Node.Agent,
		Limits: o.Limits, Devices: o.Devices, Published: o.Published, OCIRuntime: o.OCIRuntime, StopGrace: o.StopGrace,
		Parallel: o.Parallel, MaxFailures: o.MaxFailures, Clock: o.Clock, Log: o.Log,
	}, o.Runtime, o.Images, o.Chain, a.sender, o.Journal)
	return a, err
}

// ErrRetired: the node was retired and nothing of it is left to do.
var ErrRetired = errors.New("the node is retired and nothing runs here any more")

// finalAttest bounds the last attestation of a worker that is told to stop.
const finalAttest = 10 * time.Second

// Run works until ctx ends, or until the node is retired and nothing of it is
// left, which is ErrRetired. Containers run on after it: a worker that is
// restarted finds them again. What they used until now is attested first.
func (a *Agent) Run(ctx context.Context) error {
	sendCtx, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var sending errgroup.Group
	sending.Go(func() error { return a.sender.Run(sendCtx) })

	loops, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(context.Context) error{a.followBlocks, a.poll, a.sample, a.reconcileLoop, a.attestLoop, a.watch, a.checkDevices} {
		loops.Go(func() error { return loop(ctx) })
	}
	err := loops.Wait()
	a.reconciler.Wait()
	final, cancel := context.WithTimeout(sendCtx, finalAttest)
	defer cancel()
	err = errors.Join(err, a.finish(final))
	stopSending()
	return errors.Join(err, sending.Wait())
}

// finish leaves nothing served unsaid.
func (a *Agent) finish(ctx context.Context) error {
	if err := a.recorder.Flush(); err != nil {
		return err
	}
	a.mu.Lock()
	view, lost := a.view, a.chainErr != nil
	a.mu.Unlock()
	if view == nil || lost || a.o.Switch.Paused() {
		return nil
	}
	if err := a.attester.Final(ctx, *view); err != nil {
		a.o.Log.Warn("last attestation failed; the next worker makes up for it", "error", err)
	}
	return nil
}

// blocksRetry is how often a node that tells of no blocks is asked for them.
const blocksRetry = 5 * time.Second

// followBlocks has the chain looked at when there is something new, so that
// a placement does not wait for the next regular look.
func (a *Agent) followBlocks(ctx context.Context) error {
	if a.o.Blocks == nil {
		return nil
	}
	for ctx.Err() == nil {
		blocks, err := a.o.Blocks(ctx)
		if err != nil {
			a.o.Log.Debug("no news of blocks; asking for them from time to time", "error", err)
		} else {
			for range blocks {
				wake(a.block)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(blocksRetry):
		}
	}
	return nil
}

// heardFactor is how much later the next regular look is after one that a
// block called for: the next block comes first, as a rule.
const heardFactor = 2

// poll asks the chain again and again.
func (a *Agent) poll(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := a.o.PollEvery
		select {
		case <-ctx.Done():
			return nil
		case <-a.block:
			wait *= heardFactor
		case <-timer.C:
		}
		a.look(ctx)
		if a.retired() {
			return ErrRetired
		}
		timer.Reset(wait)
	}
}

// retired says that the chain wants nothing of this machine any more and has
// settled what it wanted, and that nothing is left here.
func (a *Agent) retired() bool {
	a.mu.Lock()
	over := a.view != nil && a.chainErr == nil &&
		a.view.Node.Node.Status == sunstypes.NODE_STATUS_RETIRED && len(a.view.Placements) == 0
	a.mu.Unlock()
	return over && a.reconciler.Empty()
}

// look asks the chain once and tells everybody.
func (a *Agent) look(ctx context.Context) {
	a.mu.Lock()
	a.asked++
	asked := a.asked
	a.mu.Unlock()
	askedAt := a.o.Boot.Now()
	view, err := a.o.Chain.View(ctx)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	before := a.chainErr
	a.chainErr = err
	if err == nil && a.view != nil && view.NowMs < a.view.NowMs {
		// Another endpoint, some blocks behind: what it says is history.
		a.mu.Unlock()
		a.o.Log.Debug("an endpoint lags", "behind_ms", a.view.NowMs-view.NowMs)
		return
	}
	if err == nil {
		if status := view.Node.Node.Status; a.view == nil || a.view.Node.Node.Status != status {
			a.o.Log.Info("the chain's word on this node", "status", status)
		}
		a.view, a.viewAsked = &view, asked
	}
	a.mu.Unlock()
	if err == nil && len(view.Placements) == 0 {
		a.watchdog.Idle(askedAt)
	}
	switch {
	case err != nil && before == nil:
		a.o.Log.Warn("the chain does not answer; placements run on until the silence limit", "error", err)
	case err == nil && before != nil:
		a.o.Log.Info("the chain answers again")
	}
	wake(a.reconcile) // also without an answer: time has passed
	wake(a.attest)
	if err != nil {
		return
	}
	select {
	case <-a.views: // an older one nobody took yet
	default:
	}
	a.views <- view
}

// sample counts usage. It alone calls the recorder's Sample and Apply, since
// an Apply must follow a look at the containers.
func (a *Agent) sample(ctx context.Context) error {
	sample, persist := time.NewTicker(a.o.SampleEvery), time.NewTicker(a.o.PersistEvery)
	defer sample.Stop()
	defer persist.Stop()
	look, keep := a.reporter("count usage"), a.reporter("write usage to the journal")
	for {
		var err error
		report := look
		select {
		case <-ctx.Done():
			return nil
		case <-sample.C:
			err = a.recorder.Sample(ctx)
		case view := <-a.views:
			if err = a.recorder.Sample(ctx); err == nil {
				err = a.recorder.Apply(ctx, view)
			}
			sample.Reset(heardFactor * a.o.SampleEvery) // this was one; the next view mostly comes first
		case <-persist.C:
			err, report = a.recorder.Flush(), keep
		}
		if ctx.Err() == nil {
			report(err)
		}
	}
}

// reconcileLoop compares and closes the difference whenever something may
// have changed, and at the moment silence begins.
func (a *Agent) reconcileLoop(ctx context.Context) error {
	report := a.reporter("reconcile")
	for {
		left := max(a.watchdog.Left(), a.o.PollEvery)
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.reconcile:
		case <-a.reconciler.Wake():
		case <-timer.C:
		}
		timer.Stop()
		view, mode := a.decide()
		if err := a.reconciler.Pass(ctx, view, mode); ctx.Err() == nil {
			report(err)
		}
	}
}

// decide says what the worker may do now. After silence it may only act again
// on a view that was asked for after the chain had confirmed the node: an
// older one may name placements that have moved since.
func (a *Agent) decide() (*chain.View, reconciler.Mode) {
	a.mu.Lock()
	defer a.mu.Unlock()
	silent := a.watchdog.Silent()
	if a.silent && !silent {
		a.trustFrom = a.asked + 1
	}
	a.silent = silent
	mode := reconciler.Active
	switch {
	case a.o.Switch.Paused():
		mode = reconciler.Paused
	case silent, a.viewAsked < a.trustFrom:
		mode = reconciler.Silent
	}
	if a.mode != mode {
		a.o.Log.Info("mode", "now", mode, "before", a.mode)
		a.mode = mode
	}
	return a.view, mode
}

// attestTick lets an attestation that is due at an hour's end go out at once.
const attestTick = 250 * time.Millisecond

// attestLoop sends signs of life. While the owner has paused the machine it
// says nothing, so the chain moves on what it cannot run.
func (a *Agent) attestLoop(ctx context.Context) error {
	ticker := time.NewTicker(attestTick)
	defer ticker.Stop()
	report := a.reporter("sign of life")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.attest:
		case <-ticker.C:
		}
		a.mu.Lock()
		view := a.view
		a.mu.Unlock()
		if view == nil || a.o.Switch.Paused() {
			continue
		}
		if acted, err := a.attester.Step(ctx, *view); acted && ctx.Err() == nil {
			report(err)
		}
	}
}

// watch turns the engine's hints into looks.
func (a *Agent) watch(ctx context.Context) error {
	const pause = 2 * time.Second
	report := a.reporter("engine events")
	for ctx.Err() == nil {
		events, err := a.o.Runtime.Events(ctx)
		report(err)
		if err == nil {
			for range events {
				wake(a.reconcile)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// devicesEvery is how often devices that placements hold are looked for.
const devicesEvery = 30 * time.Second

// checkDevices looks whether what tenants pay for is still in the machine. It
// asks no driver while nobody has rented a device.
func (a *Agent) checkDevices(ctx context.Context) error {
	if a.o.Devices == nil {
		return nil
	}
	ticker := time.NewTicker(devicesEvery)
	defer ticker.Stop()
	report := a.reporter("look for rented devices")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		a.mu.Lock()
		view := a.view
		a.mu.Unlock()
		if view == nil {
			continue
		}
		if err := a.reconciler.CheckDevices(ctx, *view); ctx.Err() == nil {
			report(err)
		}
	}
}

// repeatEvery is how often an error that goes on is logged again.
const repeatEvery = time.Minute

// reporter logs errors of a loop: when they begin, when they change, once a
// minute while they last, and when they are over.
func (a *Agent) reporter(what string) func(error) {
	var last string
	var at time.Duration
	return func(err error) {
		now := a.o.Clock()
		switch {
		case err == nil && last == "":
		case err == nil:
			a.o.Log.Info(what + " works again")
			last = ""
		case err.Error() != last || now-at >= repeatEvery:
			a.o.Log.Warn(what+" failed; trying again", "error", err)
			last, at = err.Error(), now
		}
	}
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// SwitchChanged implements control.Agent.
func (a *Agent) SwitchChanged() {
	wake(a.reconcile)
	wake(a.attest)
}

// String names the node, for logs.
func (a *Agent) String() string { return fmt.Sprintf("node %s of %s", a.o.Node.ID(), a.o.Node.ChainID) }
