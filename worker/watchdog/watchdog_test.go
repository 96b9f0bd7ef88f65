package watchdog

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/journal"
)

func fixture(t *testing.T) (*bootclock.Fake, *journal.Journal) {
	t.Helper()
	j, _, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return bootclock.NewFake(), j
}

// limit is a minute for a busy node, whose margin is 12 s, and three for an
// idle one.
var limit = Limits{Busy: time.Minute, Idle: 3 * time.Minute}

func TestSilentBeforeTheChainActs(t *testing.T) {
	clock, store := fixture(t)
	w, err := New(clock, store)
	require.NoError(t, err)
	require.True(t, w.Silent(), "never heard of: nothing may run yet")

	sent := w.Now()
	clock.Advance(3 * time.Second) // the block came later, the count begins at sending
	require.NoError(t, w.Confirm(sent, limit))
	require.Equal(t, 45*time.Second, w.Left())
	clock.Advance(45*time.Second - 1)
	require.False(t, w.Silent())
	clock.Advance(1)
	require.True(t, w.Silent(), "12 s before the chain moves anything")

	require.NoError(t, w.Confirm(w.Now(), limit))
	require.False(t, w.Silent())
	require.NoError(t, w.Confirm(sent, limit))
	require.Equal(t, 48*time.Second, w.Left(), "an older confirmation shortens nothing")
}

func TestRestartKnowsHowLongItWasSilent(t *testing.T) {
	clock, store := fixture(t)
	w, err := New(clock, store)
	require.NoError(t, err)
	require.NoError(t, w.Confirm(w.Now(), limit))

	clock.Advance(30 * time.Second) // the worker was down
	w, err = New(clock, store)
	require.NoError(t, err)
	require.Equal(t, 18*time.Second, w.Left())

	clock.Reboot("boot-2")
	w, err = New(clock, store)
	require.NoError(t, err)
	require.True(t, w.Silent(), "a clock of another boot says nothing")
}

func TestMargin(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		3 * time.Second:  1500 * time.Millisecond,
		6 * time.Second:  2 * time.Second,
		time.Minute:      12 * time.Second,
		10 * time.Minute: 30 * time.Second,
	} {
		require.Equal(t, want, Margin(limit), limit)
	}
}

func TestAnIdleNodeMayBeSilentForLonger(t *testing.T) {
	clock, store := fixture(t)
	w, err := New(clock, store)
	require.NoError(t, err)
	w.Idle(w.Now())
	require.True(t, w.Silent(), "seen idle, but never confirmed")

	require.NoError(t, w.Confirm(w.Now(), limit))
	clock.Advance(100 * time.Second)
	require.True(t, w.Silent(), "something may have been placed here right after the confirmation")
	w.Idle(w.Now())
	require.Equal(t, 48*time.Second, w.Left(), "what is placed from now on has the whole limit")
	clock.Advance(60 * time.Second)
	w.Idle(w.Now())
	require.Equal(t, 8*time.Second, w.Left(), "but no longer than an idle node has")
	require.NoError(t, w.Confirm(w.Now(), limit))
	require.Equal(t, 48*time.Second, w.Left())
}
