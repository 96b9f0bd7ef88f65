package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/recorder"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// stable is how long a run must last to count as a success.
	stable = time.Minute
	// Back-off between starts doubles from min to max.
	backoffMin = time.Second
	backoffMax = 30 * time.Second
	// removeRetry is how long a removal that failed waits for whatever is in
	// its way.
	removeRetry = 2 * time.Second
	// engineTimeout bounds one call to the engine that should be quick.
	engineTimeout = time.Minute
	// sendTimeout bounds a message's way into a block.
	sendTimeout = time.Minute
)

// act does one step and logs what came of it.
func (r *Reconciler) act(ctx context.Context, action Action, want Wanted) {
	log := r.cfg.Log.With("action", action.Kind, "lease", action.ID.Lease,
		"replica", action.ID.Replica, "generation", action.ID.Generation)
	log.Debug("reconcile", "reason", action.Reason)
	var err error
	switch action.Kind {
	case Start:
		err = r.start(ctx, action.ID, want)
	case Report:
		err = r.report(ctx, action.ID, want)
	case Reject:
		err = r.reject(ctx, action.ID, action.Reason)
	case Remove:
		err = r.remove(ctx, action.ID)
	case Resize:
		err = r.quickly(ctx, func(ctx context.Context) error { return r.rt.Resize(ctx, action.ID, want.Limits) })
	case Pause:
		err = r.quickly(ctx, func(ctx context.Context) error { return r.rt.Pause(ctx, action.ID) })
	case Unpause:
		err = r.quickly(ctx, func(ctx context.Context) error { return r.rt.Unpause(ctx, action.ID) })
	}
	switch {
	case err == nil:
		log.Info("done", "reason", action.Reason)
	case ctx.Err() != nil:
		log.Debug("given up, no longer wanted", "error", err)
	default:
		log.Warn("failed", "reason", action.Reason, "error", err)
	}
}

func (r *Reconciler) quickly(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	return call(ctx)
}

// start brings the image and runs the container. Only so many do so at once.
func (r *Reconciler) start(ctx context.Context, id runtime.ID, want Wanted) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := r.intend(id, journal.IntentRun, ""); err != nil {
		return err
	}
	spec, permanent, err := r.prepare(ctx, id, want)
	launched := err == nil
	if launched {
		err = r.launch(ctx, spec)
		permanent = hopeless(err)
	}
	switch {
	case err == nil:
		time.AfterFunc(settle, r.poke) // then the chain may hear of it
		return nil
	case ctx.Err() != nil:
		return err
	case errors.Is(err, runtime.ErrUnavailable), errors.Is(err, errChain):
		r.later(id, backoffMax/6) // nothing the placement could help
		return err
	case launched && !permanent && r.hasExited(ctx, id):
		return err // it ended while it was started; the next pass counts that
	}
	return errors.Join(err, r.failed(id, err.Error(), permanent))
}

func (r *Reconciler) hasExited(ctx context.Context, id runtime.ID) bool {
	state, err := r.rt.Inspect(ctx, id)
	return err == nil && state.Status == runtime.StatusExited
}

// errChain marks what failed for want of the chain's answer.
var errChain = errors.New("the chain did not answer")

// prepare brings together what a container is made of. permanent is true when
// trying again cannot help.
func (r *Reconciler) prepare(ctx context.Context, id runtime.ID, want Wanted) (spec runtime.Spec, permanent bool, err error) {
	p := want.Placement.Placement
	if want.Limits == (runtime.Limits{}) {
		return spec, true, fmt.Errorf("%w: %d milli-SUNS are no size for this machine", runtime.ErrInvalidSpec, p.GeneralMilliSuns)
	}
	devices, err := r.devices(ctx, p) // first: an image may take an hour
	if err != nil {
		// One that ran here before may be back when the machine has started.
		return spec, errors.Is(err, accel.ErrNoDevice) && p.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED, err
	}
	image, err := r.image(ctx, p)
	if err != nil {
		return spec, false, err
	}
	local, permanent, err := r.images.Resolve(ctx, image)
	if err != nil {
		return spec, permanent, fmt.Errorf("image %s: %w", p.Image, err)
	}
	spec, err = Spec(id, want.Placement, image, local, want.Limits, devices, r.cfg.OCIRuntime, r.cfg.StopGrace)
	return spec, err != nil, err
}

// launch makes the container run.
func (r *Reconciler) launch(ctx context.Context, spec runtime.Spec) error {
	r.mu.Lock()
	m := r.remember(spec.ID)
	m.witnessed, m.held = true, true
	r.mu.Unlock()
	state, err := r.rt.Ensure(ctx, spec)
	if errors.Is(err, runtime.ErrConflict) {
		// Another worker version shaped it differently; what it wrote is
		// the placement's own, and a placement may be restarted at any time.
		if err := r.rt.Remove(ctx, spec.ID, -1); err != nil {
			return err
		}
		state, err = r.rt.Ensure(ctx, spec)
	}
	if err == nil {
		r.mu.Lock()
		m := r.remember(spec.ID)
		m.run = journal.Run{ContainerID: state.ContainerID, StartedAt: state.StartedAt}
		m.UpSince = r.cfg.Clock()
		r.mu.Unlock()
	}
	return err
}

// hopeless errors stay, however often a start is tried.
func hopeless(err error) bool {
	return errors.Is(err, runtime.ErrInvalidSpec) || errors.Is(err, runtime.ErrNoSpace) || errors.Is(err, runtime.ErrNoDevice)
}

// image looks the image up once: a tag never changes on the chain. The digest
// is the placement's own, fixed when it was matched.
func (r *Reconciler) image(ctx context.Context, p leasetypes.Placement) (uaitypes.Image, error) {
	key := p.Image + "@" + p.Digest
	r.mu.Lock()
	image, ok := r.known[key]
	r.mu.Unlock()
	if ok {
		return image, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	image, err := r.catalogue.Image(ctx, p.Image)
	if err != nil {
		return uaitypes.Image{}, fmt.Errorf("%w: image %s: %w", errChain, p.Image, err)
	}
	image.Digest = p.Digest
	r.mu.Lock()
	r.known[key] = image
	r.mu.Unlock()
	return image, nil
}

// report tells the chain where the placement answers.
func (r *Reconciler) report(ctx context.Context, id runtime.ID, want Wanted) error {
	state, err := r.rt.Inspect(ctx, id)
	if err != nil {
		return err
	}
	if state.Status != runtime.StatusRunning {
		return fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	return r.send(ctx, id, &leasetypes.MsgStartPlacement{
		Agent: r.cfg.Agent, ID: want.Placement.Placement.ID, Endpoints: Endpoints(state, want.Published),
	})
}

// reject gives the placement back. The decision is on disk first, so that a
// worker killed now does not begin it again.
func (r *Reconciler) reject(ctx context.Context, id runtime.ID, reason string) error {
	placement, err := recorder.PlacementID(id)
	if err != nil {
		return err
	}
	if err := r.intend(id, journal.IntentReject, reason); err != nil {
		return err
	}
	return r.send(ctx, id, &leasetypes.MsgRejectPlacement{
		Agent: r.cfg.Agent, ID: placement, Reason: clip(sunstypes.Shown(reason), leasetypes.MaxReasonBytes),
	})
}

// send waits for the block. Whether it helped shows in the next view, which a
// second later has come; until then the message is not repeated.
func (r *Reconciler) send(ctx context.Context, id runtime.ID, msg sdk.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := r.sender.Send(ctx, msg)
	r.later(id, 2*time.Second)
	return err
}

func (r *Reconciler) remove(ctx context.Context, id runtime.ID) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.StopGrace+engineTimeout)
	defer cancel()
	err := r.rt.Remove(ctx, id, r.cfg.StopGrace)
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.remember(id)
	m.held, m.removeAfter = err != nil, 0
	if err != nil {
		m.removeAfter = r.cfg.Clock() + removeRetry
	}
	return err
}

// exited counts a run's end against the placement and says when to try again.
func (r *Reconciler) exited(state runtime.State, up time.Duration) {
	reason := fmt.Sprintf("it ended with exit code %d", state.ExitCode)
	if state.OOMKilled {
		reason = fmt.Sprintf("it needed more than its %d MiB of memory", state.Limits.MemoryMiB)
	}
	if up >= stable {
		r.mu.Lock()
		r.remember(state.ID).failures = 0
		r.mu.Unlock()
	}
	if err := r.failed(state.ID, reason, false); err != nil {
		r.cfg.Log.Error("remember a failure", "error", err)
	}
}

// failed counts a failure, and decides to give the placement back after too
// many of them, or at once when trying again cannot help.
func (r *Reconciler) failed(id runtime.ID, reason string, permanent bool) error {
	r.mu.Lock()
	m := r.remember(id)
	m.failures++
	failures := m.failures
	m.NotBefore = r.cfg.Clock() + backoff(failures)
	r.mu.Unlock()
	intent := journal.IntentRun
	if permanent || failures >= r.cfg.MaxFailures {
		intent = journal.IntentReject
		if !permanent {
			reason = fmt.Sprintf("failed %d times in a row, the last time: %s", failures, reason)
		}
		r.later(id, 0)
	}
	r.cfg.Log.Warn("placement failed", "lease", id.Lease, "replica", id.Replica, "generation", id.Generation,
		"failures", failures, "reason", reason, "next", intent)
	return r.intend(id, intent, reason)
}

// intend writes a decision to the journal before it is acted on.
func (r *Reconciler) intend(id runtime.ID, intent journal.Intent, reason string) error {
	placement, err := recorder.PlacementID(id)
	if err != nil {
		return err
	}
	r.mu.Lock()
	m := r.remember(id)
	m.Intent, m.Reason = intent, reason
	failures := m.failures
	r.mu.Unlock()
	_, err = r.store.Update(placement, func(record *journal.Record) {
		record.Intent, record.Reason, record.Failures = intent, reason, failures
	})
	return err
}

// later postpones the next step of a placement.
func (r *Reconciler) later(id runtime.ID, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(id).NotBefore = r.cfg.Clock() + d
}

func backoff(failures int) time.Duration {
	d := backoffMin
	for range failures - 1 {
		if d *= 2; d >= backoffMax {
			return backoffMax
		}
	}
	return d
}

// clip cuts text to at most so many bytes without cutting a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
