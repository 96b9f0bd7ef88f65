package measure_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// spin works for a while without asking the system for anything.
func spin(d time.Duration) func() error {
	return func() error {
		for begin := time.Now(); time.Since(begin) < d; {
		}
		return nil
	}
}

func TestCrewTakesSlicesOfEveryKind(t *testing.T) {
	crew := measure.Crew{Threads: 2, For: 60 * time.Millisecond, Pin: true}
	kinds, err := crew.Run(t.Context(), func(int) (measure.Work, error) {
		return measure.Work{spin(time.Millisecond), spin(2 * time.Millisecond)}, nil
	})
	require.NoError(t, err)
	require.Len(t, kinds, 2)
	for kind, threads := range kinds {
		require.Len(t, threads, 2)
		for _, taken := range threads {
			require.NotEmpty(t, taken)
			for _, s := range taken {
				require.GreaterOrEqual(t, s.Took, time.Duration(kind+1)*time.Millisecond)
			}
		}
	}
}

func TestCrewTakesOneSliceHoweverShortTheTime(t *testing.T) {
	for _, d := range []time.Duration{0, time.Nanosecond, time.Millisecond} {
		kinds, err := measure.Crew{Threads: 1, For: d}.Run(t.Context(), func(int) (measure.Work, error) {
			return measure.Work{spin(3 * time.Millisecond), spin(3 * time.Millisecond)}, nil
		})
		require.NoError(t, err)
		require.Len(t, kinds[0][0], 1)
		require.Len(t, kinds[1][0], 1)
	}
}

func TestCrewLeavesNoThreadBound(t *testing.T) {
	allowed := func() (all []string) {
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		require.NoError(t, err)
		for _, task := range tasks {
			raw, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended
			}
			_, list, _ := strings.Cut(string(raw), "Cpus_allowed_list:")
			list, _, _ = strings.Cut(list, "\n")
			all = append(all, strings.TrimSpace(list))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	before := allowed()
	for range 5 {
		_, err := measure.Crew{Threads: 4, For: time.Millisecond, Pin: true}.Run(t.Context(), func(int) (measure.Work, error) {
			return measure.Work{spin(time.Microsecond)}, nil
		})
		require.NoError(t, err)
	}
	require.Equal(t, before, allowed(), "or the next probe would see fewer processors")
}

func TestCrewEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var slices atomic.Int32
	_, err := measure.Crew{Threads: 2, For: time.Hour}.Run(ctx, func(int) (measure.Work, error) {
		return measure.Work{func() error {
			if slices.Add(1) == 10 {
				cancel()
			}
			return nil
		}}, nil
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestCrewEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := measure.Crew{Threads: 2, For: time.Hour}.Run(t.Context(), func(thread int) (measure.Work, error) {
		if thread == 1 {
			return nil, broken
		}
		return measure.Work{spin(time.Microsecond)}, nil
	})
	require.ErrorIs(t, err, broken)
	n := 0
	_, err = measure.Crew{Threads: 1, For: time.Hour}.Run(t.Context(), func(int) (measure.Work, error) {
		return measure.Work{func() error {
			if n++; n > 3 {
				return broken
			}
			return nil
		}}, nil
	})
	require.ErrorIs(t, err, broken)
	_, err = measure.Crew{}.Run(t.Context(), nil)
	require.ErrorContains(t, err, "at least 1")
}
