// Package watchdog keeps one placement from running in two places. A node
// that the chain has not heard of for its silence limit loses its placements
// to other nodes; the watchdog says so a little earlier, by a clock of this
// machine, and the reconciler pauses what runs until the chain is heard again.
package watchdog

import (
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/journal"
)

// Store remembers the last confirmation across restarts of the worker.
type Store interface {
	Confirmed() (journal.Confirmed, bool, error)
	SetConfirmed(journal.Confirmed) error
}

// Watchdog judges silence. It is safe for concurrent use.
type Watchdog struct {
	clock bootclock.Clock
	store Store

	mu    sync.Mutex
	last  journal.Confirmed
	known bool
	// idleAt is when the chain was last seen to have placed nothing here.
	idleAt time.Duration
}

// New begins where the last worker of this boot ended. After a reboot nothing
// is known, so the node counts as silent until the chain confirms it.
func New(clock bootclock.Clock, store Store) (*Watchdog, error) {
	last, ok, err := store.Confirmed()
	if err != nil {
		return nil, err
	}
	return &Watchdog{clock: clock, store: store, last: last, known: ok && last.Boot == clock.Boot()}, nil
}

// Now is the clock that Confirm's argument is read from.
func (w *Watchdog) Now() time.Duration { return w.clock.Now() }

// Limits are how long the chain waits for a node.
type Limits struct {
	// Busy is how long one with placements may be silent.
	Busy time.Duration
	// Idle is how long one without any may be.
	Idle time.Duration
}

// Idle says that the chain had placed nothing here when it was asked at a
// time of Now. A placement made later gives the node the silence limit anew,
// as long as it has not been silent for too long even for an idle one.
func (w *Watchdog) Idle(askedAt time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idleAt = max(w.idleAt, askedAt)
}

// Confirm says that the chain accepted a sign of life that was sent at a time
// of Now: the chain's own count begins no earlier than that.
func (w *Watchdog) Confirm(sentAt time.Duration, limits Limits) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known && sentAt < w.last.At {
		return nil // an older one, confirmed late
	}
	w.last = journal.Confirmed{Boot: w.clock.Boot(), At: sentAt, Limit: limits.Busy, Idle: limits.Idle}
	w.known = true
	return w.store.SetConfirmed(w.last)
}

// Silent says whether the chain may soon place elsewhere what runs here.
func (w *Watchdog) Silent() bool { return w.Left() <= 0 }

// Left is how long until Silent; 0 or less when it is.
func (w *Watchdog) Left() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return 0
	}
	silentAt := w.last.At + w.last.Limit
	if w.idleAt > w.last.At {
		silentAt = max(silentAt, min(w.idleAt+w.last.Limit, w.last.At+w.last.Idle))
	}
	return silentAt - Margin(w.last.Limit) - w.clock.Now()
}

// Margin is how much earlier than the chain the worker acts: enough to pause
// every container on a slow engine, and never more than half of the limit.
func Margin(limit time.Duration) time.Duration {
	return min(max(limit/5, 2*time.Second), 30*time.Second, limit/2)
}
