package docker

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// two are the states of a list.
func two() map[string]runtime.State {
	return map[string]runtime.State{"isun-a": {ContainerID: "1"}, "isun-b": {ContainerID: "2"}}
}

func TestWithoutEventsNothingIsRemembered(t *testing.T) {
	var l looks
	now := time.Now()
	_, _, epoch := l.begin(now)
	l.end(two(), epoch)
	known, complete, _ := l.begin(now)
	require.Empty(t, known)
	require.False(t, complete)
}

func TestWhatChangesIsLookedAtAgain(t *testing.T) {
	var l looks
	now := time.Now()
	l.follow()
	_, complete, epoch := l.begin(now)
	require.False(t, complete)
	l.end(two(), epoch)
	known, complete, _ := l.begin(now.Add(looksAge))
	require.True(t, complete)
	require.Equal(t, two(), known)

	l.touch("isun-a")
	known, complete, epoch = l.begin(now)
	require.False(t, complete)
	require.Contains(t, known, "isun-b")
	require.NotContains(t, known, "isun-a")
	l.touch("isun-b") // while the list is made
	l.end(two(), epoch)
	known, complete, epoch = l.begin(now)
	require.False(t, complete)
	require.Contains(t, known, "isun-a")
	require.NotContains(t, known, "isun-b")

	l.end(two(), epoch)
	_, complete, _ = l.begin(now)
	require.True(t, complete)
}

func TestWhatIsRememberedGrowsOld(t *testing.T) {
	var l looks
	now := time.Now()
	l.follow()
	_, _, epoch := l.begin(now)
	l.end(two(), epoch)
	known, complete, _ := l.begin(now.Add(looksAge + 1))
	require.Empty(t, known)
	require.False(t, complete)
}

func TestABrokenStreamForgets(t *testing.T) {
	var l looks
	now := time.Now()
	l.follow()
	_, _, epoch := l.begin(now)
	l.unfollow()
	l.follow()
	l.end(two(), epoch) // begun before the gap
	known, _, epoch := l.begin(now)
	require.Empty(t, known)
	l.end(two(), epoch)
	l.unfollow()
	known, _, _ = l.begin(now)
	require.Empty(t, known)
}

func TestListFollowsWhatOthersDo(t *testing.T) {
	ref := dockertest.ProbeImage(t, dockertest.Client(t))
	r := newRuntime(t, t.TempDir(), fmt.Sprintf("looks%d/1", os.Getpid()))
	t.Cleanup(func() { removeAll(t, r) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := r.Events(ctx)
	require.NoError(t, err)
	id := runtime.ID{Chain: runtimetest.Chain, Node: r.cfg.Node, Lease: "tenant/1", Generation: 1}
	state, err := r.Ensure(ctx, runtime.Spec{
		ID: id, Image: ref, Args: []string{program.Hang},
		Limits: runtime.Limits{MilliCPU: 500, MemoryMiB: 64, StorageMiB: 64},
	})
	require.NoError(t, err)
	require.Equal(t, runtime.StatusRunning, onlyOne(t, r).Status)
	require.Equal(t, runtime.StatusRunning, onlyOne(t, r).Status)

	require.NoError(t, r.api.ContainerPause(ctx, state.ContainerID))
	awaitEvent(t, events, runtime.EventPaused)
	require.Equal(t, runtime.StatusPaused, onlyOne(t, r).Status)
	require.NoError(t, r.api.ContainerRemove(ctx, state.ContainerID, container.RemoveOptions{Force: true}))
	awaitEvent(t, events, runtime.EventRemoved)
	states, err := r.List(ctx)
	require.NoError(t, err)
	require.Empty(t, states)
	require.NoError(t, r.Remove(ctx, id, 0), "what the container leaves behind")
}

func onlyOne(t *testing.T, r *Runtime) runtime.State {
	t.Helper()
	states, err := r.List(t.Context())
	require.NoError(t, err)
	require.Len(t, states, 1)
	return states[0]
}

func awaitEvent(t *testing.T, events <-chan runtime.Event, kind runtime.EventType) {
	t.Helper()
	for e := range events {
		if e.Type == kind {
			return
		}
	}
	require.FailNow(t, "no event "+string(kind))
}
