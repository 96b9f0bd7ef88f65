// Package attester tells the chain that the node lives and what its
// placements have used. What it sends is in the journal first, so sending
// twice is harmless and a restart goes on where the last worker ended.
package attester

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/sender"
	"github.com/isuncoin/isuncoin/worker/watchdog"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// entryVersion is the form of the entries.
const entryVersion = 1

const (
	// maxEntries bounds one message; more are split over several.
	maxEntries = 50
	// Back-off between failed attempts; the longest is below any sensible
	// attestation interval.
	backoffMin = 500 * time.Millisecond
	backoffMax = 8 * time.Second
)

// Usage is where the figures come from.
type Usage interface {
	// Refresh brings them up to this moment and into the journal.
	Refresh(ctx context.Context) error
	Records() map[leasetypes.PlacementID]journal.Record
	MarkAttested(attested map[leasetypes.PlacementID]journal.Usage) error
	// AskAgain has the chain asked what it holds before anything more is
	// attested.
	AskAgain()
}

// Sequences numbers attestations.
type Sequences interface {
	NextSequence(chain, n uint64) (first uint64, err error)
}

// Chain knows where the node's attestations stand.
type Chain interface {
	Attestation(ctx context.Context) (audittypes.NodeAttestation, error)
}

// Sender puts messages into a block.
type Sender interface {
	Send(ctx context.Context, msgs ...sdk.Msg) error
}

// Watchdog is told of every confirmed sign of life.
type Watchdog interface {
	Now() time.Duration
	Confirm(sentAt time.Duration, limits watchdog.Limits) error
}

// Status is where the attester stands.
type Status struct {
	Sequence uint64 `json:"sequence"`
	// SignedMs and AttestedMs are in chain-clock milliseconds.
	SignedMs   uint64 `json:"last_sign_of_life_ms"`
	AttestedMs uint64 `json:"last_attestation_ms"`
	Attested   uint64 `json:"attestations"`
	CheckIns   uint64 `json:"check_ins"`
	Failures   uint64 `json:"failures"`
	LastError  string `json:"last_error,omitempty"`
}

// Attester signs for one agent.
type Attester struct {
	agent    string
	usage    Usage
	seq      Sequences
	chain    Chain
	sender   Sender
	watchdog Watchdog
	clock    func() time.Duration
	log      *slog.Logger

	mu     sync.Mutex
	status Status
	// wait and notBefore are the back-off after failures.
	wait      time.Duration
	notBefore time.Duration
	// chainSequence is what the chain last said; stale is true when it has to
	// be asked again.
	chainSequence uint64
	stale         bool
}

// New returns an attester; clock is the worker's monotonic one.
func New(agent string, u Usage, q Sequences, c Chain, s Sender, w Watchdog, clock func() time.Duration, log *slog.Logger) *Attester {
	return &Attester{
		agent: agent, usage: u, seq: q, chain: c, sender: s, watchdog: w, clock: clock, log: log, stale: true,
	}
}

// Status returns where it stands.
func (a *Attester) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Step sends what is due by the view; acted is false if nothing was, or if an
// earlier failure makes it wait. Its error has been counted and will be tried
// again.
func (a *Attester) Step(ctx context.Context, view chain.View) (acted bool, err error) {
	now := a.clock()
	a.mu.Lock()
	signed, attested, notBefore := a.status.SignedMs, a.status.AttestedMs, a.notBefore
	a.mu.Unlock()
	if now < notBefore {
		return false, nil
	}
	plan := Next(Situation{
		View: view, Records: a.usage.Records(), NowMs: view.ClockMs(now),
		SignedMs: signed, AttestedMs: attested,
	})
	switch plan.Kind {
	case None:
		return false, nil
	case CheckIn:
		err = a.checkIn(ctx, view)
	case Attest:
		err = a.attest(ctx, view)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.wait, a.notBefore, a.status.LastError = 0, 0, ""
		a.log.Debug("sign of life confirmed", "kind", plan.Kind, "reason", plan.Reason, "entries", len(plan.Entries))
		return true, nil
	}
	if ctx.Err() != nil {
		return true, nil // the worker is ending
	}
	a.stale = true
	a.wait = min(max(2*a.wait, backoffMin), backoffMax)
	a.notBefore = a.clock() + a.wait/2 + rand.N(a.wait/2+1) // so that nodes do not come back all at once
	if overtaken(err) {
		a.log.Info("the chain holds more than was known here; asking it again", "detail", err)
		return true, nil
	}
	a.status.Failures++
	a.status.LastError = err.Error()
	return true, fmt.Errorf("%s (%s): %w", plan.Kind, plan.Reason, err)
}

// overtaken says that an attestation got onto the chain which this worker did
// not know of when it asked: one that was still on its way when the worker
// was killed.
func overtaken(err error) bool {
	return errors.Is(err, audittypes.ErrUsageWentBackwards) || errors.Is(err, audittypes.ErrStaleSequence)
}

// limits are the chain's rule of when a node counts as silent.
func limits(params sunstypes.Params) watchdog.Limits {
	return watchdog.Limits{Busy: params.SilenceLimit, Idle: 2 * params.EpochDuration}
}

// Final attests what is left, due or not: the worker is about to stop.
func (a *Attester) Final(ctx context.Context, view chain.View) error { return a.attest(ctx, view) }

func (a *Attester) checkIn(ctx context.Context, view chain.View) error {
	sentAt, clockAt := a.watchdog.Now(), view.ClockMs(a.clock())
	if err := a.sender.Send(ctx, &sunstypes.MsgCheckIn{Agent: a.agent}); err != nil {
		return err
	}
	a.mu.Lock()
	a.status.SignedMs = max(a.status.SignedMs, clockAt)
	a.status.CheckIns++
	a.mu.Unlock()
	return a.watchdog.Confirm(sentAt, limits(view.Params.Suns))
}

// attest brings the figures up to date and into the journal, takes sequence numbers for them
// there, and only then sends them.
func (a *Attester) attest(ctx context.Context, view chain.View) error {
	if err := a.usage.Refresh(ctx); err != nil {
		return err
	}
	entries, _ := Situation{View: view, Records: a.usage.Records()}.entries()
	if len(entries) == 0 {
		return nil
	}
	sentAt, clockAt := a.watchdog.Now(), view.ClockMs(a.clock())
	sent, err := a.sendEntries(ctx, entries)
	if overtaken(err) {
		a.usage.AskAgain()
	}
	if len(sent) == 0 {
		return err
	}
	if err != nil {
		a.log.Error("the chain refused to count some usage; the rest was attested", "error", err)
	}
	confirmed := make(map[leasetypes.PlacementID]journal.Usage, len(sent))
	for _, e := range sent {
		confirmed[e.ID] = journal.UsageOf(e)
	}
	if err := a.usage.MarkAttested(confirmed); err != nil {
		return err
	}
	// The block's own time is better than ours at sending; without an answer
	// ours, which is earlier, only leads to one attestation more.
	if at, err := a.chain.Attestation(ctx); err == nil {
		clockAt = max(clockAt, at.AttestedMs)
	}
	a.mu.Lock()
	a.status.SignedMs, a.status.AttestedMs = max(a.status.SignedMs, clockAt), max(a.status.AttestedMs, clockAt)
	a.status.Attested++
	a.mu.Unlock()
	return a.watchdog.Confirm(sentAt, limits(view.Params.Suns))
}

// sendEntries sends all entries in one transaction. If the chain refuses it,
// one entry is at fault and must not keep the others from being paid: then
// each goes alone.
func (a *Attester) sendEntries(ctx context.Context, entries []audittypes.UsageEntry) (sent []audittypes.UsageEntry, err error) {
	var batches [][]audittypes.UsageEntry
	for rest := entries; len(rest) > 0; {
		n := min(len(rest), maxEntries)
		batches, rest = append(batches, rest[:n]), rest[n:]
	}
	err = a.send(ctx, batches)
	if err == nil {
		return entries, nil
	}
	if !errors.Is(err, sender.ErrRefused) || len(entries) == 1 {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		if err := a.send(ctx, [][]audittypes.UsageEntry{{e}}); err != nil {
			errs = append(errs, fmt.Errorf("placement %s: %w", e.ID, err))
			continue
		}
		sent = append(sent, e)
	}
	return sent, errors.Join(errs...)
}

func (a *Attester) send(ctx context.Context, batches [][]audittypes.UsageEntry) error {
	last, err := a.lastSequence(ctx)
	if err != nil {
		return err
	}
	first, err := a.seq.NextSequence(last, uint64(len(batches)))
	if err != nil {
		return err
	}
	msgs := make([]sdk.Msg, len(batches))
	for i, batch := range batches {
		msgs[i] = &audittypes.MsgAttestUsage{
			Agent: a.agent, Version: entryVersion, Sequence: first + uint64(i), Entries: batch,
		}
	}
	if err := a.sender.Send(ctx, msgs...); err != nil {
		a.mu.Lock()
		a.stale = true
		a.mu.Unlock()
		return err
	}
	a.mu.Lock()
	a.chainSequence = first + uint64(len(batches)) - 1
	a.status.Sequence = a.chainSequence
	a.mu.Unlock()
	return nil
}

// lastSequence asks the chain when the journal alone may not know: at the
// start, and after a failure.
func (a *Attester) lastSequence(ctx context.Context) (uint64, error) {
	a.mu.Lock()
	last, stale := a.chainSequence, a.stale
	a.mu.Unlock()
	if !stale {
		return last, nil
	}
	at, err := a.chain.Attestation(ctx)
	if err != nil {
		return 0, fmt.Errorf("last attestation: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.chainSequence, a.stale = at.Sequence, false
	return at.Sequence, nil
}
