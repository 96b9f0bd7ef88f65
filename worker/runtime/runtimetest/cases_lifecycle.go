package runtimetest

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func testEnsureIdempotent(t *testing.T, b *bench) {
	spec := hangSpec(b)
	first := b.ensure(t, spec)
	require.Equal(t, runtime.StatusRunning, first.Status)
	require.NotEmpty(t, first.ContainerID)
	require.NotZero(t, first.PID)
	require.False(t, first.StartedAt.IsZero())
	require.Equal(t, spec.Limits, first.Limits)

	second := b.ensure(t, spec)
	require.Equal(t, first, second)
}

func testEnsureConcurrent(t *testing.T, b *bench) {
	const replicas, callers = 3, 3
	var group errgroup.Group
	for replica := range uint32(replicas) {
		for range callers {
			group.Go(func() error {
				spec := hangSpec(b)
				spec.ID.Replica = replica
				_, err := b.rt.Ensure(b.ctx, spec)
				return err
			})
		}
	}
	require.NoError(t, group.Wait())

	states, err := b.rt.List(b.ctx)
	require.NoError(t, err)
	require.Len(t, states, replicas)
	for i, s := range states {
		require.Equal(t, uint32(i), s.ID.Replica, "the list is sorted")
		require.Equal(t, runtime.StatusRunning, s.Status)
		require.Zero(t, s.Restarts)
	}
}

func testIsolation(t *testing.T, b *bench) {
	otherNode, other := b.open(t, uniqueNode())
	mine := hangSpec(b)
	theirs := mine
	theirs.ID.Node = otherNode
	b.ensure(t, mine)
	_, err := other.Ensure(b.ctx, theirs)
	require.NoError(t, err)

	for _, c := range []struct {
		rt   runtime.Runtime
		want runtime.ID
	}{{b.rt, mine.ID}, {other, theirs.ID}} {
		states, err := c.rt.List(b.ctx)
		require.NoError(t, err)
		require.Len(t, states, 1)
		require.Equal(t, c.want, states[0].ID)
	}

	foreign := theirs.ID
	_, err = b.rt.Ensure(b.ctx, theirs)
	require.ErrorIs(t, err, runtime.ErrForeign)
	_, err = b.rt.Inspect(b.ctx, foreign)
	require.ErrorIs(t, err, runtime.ErrForeign)
	_, err = b.rt.Logs(b.ctx, foreign, runtime.LogOptions{})
	require.ErrorIs(t, err, runtime.ErrForeign)
	require.ErrorIs(t, b.rt.Stop(b.ctx, foreign, 0), runtime.ErrForeign)
	require.ErrorIs(t, b.rt.Pause(b.ctx, foreign), runtime.ErrForeign)
	require.ErrorIs(t, b.rt.Unpause(b.ctx, foreign), runtime.ErrForeign)
	require.ErrorIs(t, b.rt.Resize(b.ctx, foreign, mine.Limits), runtime.ErrForeign)
	require.ErrorIs(t, b.rt.Remove(b.ctx, foreign, 0), runtime.ErrForeign)

	state, err := other.Inspect(b.ctx, foreign)
	require.NoError(t, err)
	require.Equal(t, runtime.StatusRunning, state.Status)
}

func testReopen(t *testing.T, b *bench) {
	spec := hangSpec(b)
	before := b.ensure(t, spec)

	again := b.harness.Open(t, b.node)
	after, err := again.Inspect(b.ctx, spec.ID)
	require.NoError(t, err)
	require.Equal(t, before, after)
	after, err = again.Ensure(b.ctx, spec)
	require.NoError(t, err)
	require.Equal(t, before, after)

	require.NoError(t, again.Close())
	require.Equal(t, before, b.ensure(t, spec), "closing stops nothing")
}

func testExitAndLogs(t *testing.T, b *bench) {
	spec := b.spec(program.Exit, "3", "told you")
	state := b.outcome(t, spec)
	require.Equal(t, 3, state.ExitCode)
	require.False(t, state.OOMKilled)
	require.Zero(t, state.PID)

	require.ElementsMatch(t, []string{"told you", "error: told you"}, b.logLines(t, spec.ID, runtime.LogOptions{}))
	require.Equal(t, []string{"told you"}, b.logLines(t, spec.ID, runtime.LogOptions{NoStderr: true}))
	require.Equal(t, []string{"error: told you"}, b.logLines(t, spec.ID, runtime.LogOptions{NoStdout: true}))
	require.Len(t, b.logLines(t, spec.ID, runtime.LogOptions{Tail: 1}), 1)

	absent := spec.ID
	absent.Replica++
	_, err := b.rt.Logs(b.ctx, absent, runtime.LogOptions{})
	require.ErrorIs(t, err, runtime.ErrNotFound)
}

// awaitReady waits until a program hears signals: a machine with much to do
// may ask it to stop before it got so far.
func (b *bench) awaitReady(t *testing.T, id runtime.ID) {
	require.Eventually(t, func() bool {
		return slices.Contains(b.logLines(t, id, runtime.LogOptions{}), program.Ready)
	}, caseTimeout, 20*time.Millisecond)
}

func (b *bench) logLines(t *testing.T, id runtime.ID, opts runtime.LogOptions) []string {
	stream, err := b.rt.Logs(b.ctx, id, opts)
	require.NoError(t, err)
	defer stream.Close()
	text, err := io.ReadAll(stream)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func testRestart(t *testing.T, b *bench) {
	spec := hangSpec(b)
	spec.Ports = []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080}}
	first := b.ensure(t, spec)
	require.NoError(t, b.rt.Stop(b.ctx, spec.ID, time.Second))
	b.awaitExit(t, spec.ID)

	again := b.ensure(t, spec)
	require.Equal(t, runtime.StatusRunning, again.Status)
	require.Equal(t, first.ContainerID, again.ContainerID)
	require.Equal(t, 1, again.Restarts)
	require.Equal(t, first.Endpoints, again.Endpoints, "a placement stays where its tenant was told")
	require.False(t, again.StartedAt.Before(first.StartedAt))
}

func testConflict(t *testing.T, b *bench) {
	spec := hangSpec(b)
	b.ensure(t, spec)

	bigger := spec
	bigger.Limits.MemoryMiB *= 2
	b.ensure(t, bigger) // Resize is for that

	other := spec
	other.Env = []string{"COLOUR=blue"}
	_, err := b.rt.Ensure(b.ctx, other)
	require.ErrorIs(t, err, runtime.ErrConflict)
}

func testImageMissing(t *testing.T, b *bench) {
	spec := hangSpec(b)
	spec.Image = "isun/nobody-has-this:1"
	has, err := b.rt.HasImage(b.ctx, spec.Image)
	require.NoError(t, err)
	require.False(t, has)
	_, err = b.rt.Ensure(b.ctx, spec)
	require.ErrorIs(t, err, runtime.ErrImageMissing)
	_, err = b.rt.Inspect(b.ctx, spec.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound, "a failed creation leaves nothing")

	has, err = b.rt.HasImage(b.ctx, b.harness.Image)
	require.NoError(t, err)
	require.True(t, has)
}

func testStop(t *testing.T, b *bench) {
	polite := hangSpec(b)
	b.ensure(t, polite)
	b.awaitReady(t, polite.ID)
	require.NoError(t, b.rt.Stop(b.ctx, polite.ID, 10*time.Second))
	require.Equal(t, 0, b.awaitExit(t, polite.ID).ExitCode)
	require.NoError(t, b.rt.Stop(b.ctx, polite.ID, 0), "stopping twice succeeds")

	stubborn := b.spec(program.Stubborn)
	stubborn.ID.Replica = 1
	stubborn.StopGrace = time.Second
	b.ensure(t, stubborn)
	b.awaitReady(t, stubborn.ID)
	require.NoError(t, b.rt.Stop(b.ctx, stubborn.ID, -1))
	require.Equal(t, 137, b.awaitExit(t, stubborn.ID).ExitCode)

	paused := b.spec(program.Stubborn)
	paused.ID.Replica = 2
	b.ensure(t, paused)
	require.NoError(t, b.rt.Pause(b.ctx, paused.ID))
	require.NoError(t, b.rt.Stop(b.ctx, paused.ID, 0))
	b.awaitExit(t, paused.ID)

	absent := polite.ID
	absent.Replica = 9
	require.ErrorIs(t, b.rt.Stop(b.ctx, absent, 0), runtime.ErrNotFound)
}

func testRemove(t *testing.T, b *bench) {
	spec := hangSpec(b)
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, time.Second), "nothing is there yet")
	b.ensure(t, spec)
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, time.Second))
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, time.Second))

	state, err := b.rt.Inspect(b.ctx, spec.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound)
	require.Equal(t, runtime.State{ID: spec.ID, Status: runtime.StatusMissing}, state)
	states, err := b.rt.List(b.ctx)
	require.NoError(t, err)
	require.Empty(t, states)

	require.NoError(t, b.rt.Pause(b.ctx, b.ensure(t, spec).ID))
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, 0), "a paused one goes too")
}

func testPause(t *testing.T, b *bench) {
	spec := hangSpec(b)
	require.ErrorIs(t, b.rt.Pause(b.ctx, spec.ID), runtime.ErrNotFound)
	require.ErrorIs(t, b.rt.Unpause(b.ctx, spec.ID), runtime.ErrNotFound)
	b.ensure(t, spec)
	for range 2 {
		require.NoError(t, b.rt.Pause(b.ctx, spec.ID))
		require.Equal(t, runtime.StatusPaused, b.ensure(t, spec).Status, "ensure leaves it paused")
	}
	for range 2 {
		require.NoError(t, b.rt.Unpause(b.ctx, spec.ID))
		require.Equal(t, runtime.StatusRunning, b.ensure(t, spec).Status)
	}
	require.NoError(t, b.rt.Stop(b.ctx, spec.ID, 0))
	b.awaitExit(t, spec.ID)
	require.ErrorIs(t, b.rt.Pause(b.ctx, spec.ID), runtime.ErrNotRunning)
	require.ErrorIs(t, b.rt.Unpause(b.ctx, spec.ID), runtime.ErrNotRunning)
}

func testEvents(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(b.ctx)
	events, err := b.rt.Events(ctx)
	require.NoError(t, err)
	spec := b.spec(program.Exit, "0")
	b.ensure(t, spec)
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, 0))

	want := []runtime.EventType{runtime.EventStarted, runtime.EventDied, runtime.EventRemoved}
	for _, kind := range want {
		e := nextEvent(t, b, events)
		require.Equal(t, kind, e.Type)
		require.Equal(t, spec.ID, e.ID)
	}
	cancel()
	for range events { // drains until it is closed
	}
}

func nextEvent(t *testing.T, b *bench, events <-chan runtime.Event) runtime.Event {
	select {
	case e, open := <-events:
		require.True(t, open)
		return e
	case <-b.ctx.Done():
		require.FailNow(t, "no event")
		return runtime.Event{}
	}
}

func testEndpoints(t *testing.T, b *bench) {
	spec := b.spec(program.Serve, "8080")
	spec.Ports = []runtime.Port{
		{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080},
		{Name: "other", Protocol: runtime.ProtocolUDP, ContainerPort: 9090},
	}
	state := b.ensure(t, spec)
	require.Len(t, state.Endpoints, 2)
	web := state.Endpoints[0]
	require.Equal(t, "web", web.Name)
	require.Equal(t, runtime.ProtocolHTTP, web.Protocol)
	require.EqualValues(t, 8080, web.ContainerPort)
	require.Equal(t, "other", state.Endpoints[1].Name)
	require.NotEqual(t, web.HostPort, state.Endpoints[1].HostPort)

	body := b.get(t, web)
	require.Contains(t, body, "hello from")

	// A paused placement answers again once it is thawed.
	require.NoError(t, b.rt.Pause(b.ctx, spec.ID))
	require.NoError(t, b.rt.Unpause(b.ctx, spec.ID))
	require.Contains(t, b.get(t, web), "hello from")
}

// get asks until the server inside has come up; nothing announces that.
func (b *bench) get(t *testing.T, ep runtime.Endpoint) string {
	url := "http://" + net.JoinHostPort(ep.HostIP, strconv.Itoa(int(ep.HostPort)))
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var body string
	require.Eventually(t, func() bool {
		response, err := client.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		body = string(text)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	return body
}
