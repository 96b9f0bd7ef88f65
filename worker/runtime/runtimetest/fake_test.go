package runtimetest_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func TestFakeConformance(t *testing.T) {
	engine := runtimetest.NewEngine()
	engine.AddImage("isun/probe:1")
	engine.SetVolumes(t.TempDir())
	var nodes atomic.Int64
	t.Run("suite", func(t *testing.T) {
		runtimetest.Conformance(t, runtimetest.Harness{
			Image: "isun/probe:1",
			Open:  func(_ *testing.T, node string) runtime.Runtime { return engine.Open(runtimetest.Chain, node) },
			Node: func(*testing.T) (string, func()) {
				node := fmt.Sprintf("/dev/card%d", nodes.Add(1))
				engine.Plug(node)
				return node, func() { engine.Unplug(node) }
			},
		})
	})
	require.Zero(t, engine.Len())
}

func fakeSpec() runtime.Spec {
	return runtime.Spec{
		ID:     runtime.ID{Chain: "c-1", Node: "op/1", Lease: "tenant/1", Generation: 1},
		Image:  "img",
		Args:   []string{program.Hang},
		Limits: runtime.Limits{MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 16},
	}
}

func TestFakeFailures(t *testing.T) {
	fake := runtimetest.NewFake("c-1", "op/1")
	boom := errors.New("boom")
	fake.FailNext(runtimetest.OpEnsure, boom, 2)
	for range 2 {
		_, err := fake.Ensure(t.Context(), fakeSpec())
		require.ErrorIs(t, err, boom)
	}
	_, err := fake.Ensure(t.Context(), fakeSpec())
	require.NoError(t, err)
	require.Len(t, fake.Calls(), 3)

	fake.FailNext(runtimetest.OpList, boom, -1)
	_, err = fake.List(t.Context())
	require.ErrorIs(t, err, boom)
	fake.ClearFailures()
	_, err = fake.List(t.Context())
	require.NoError(t, err)

	fake.Engine().SetDown(true)
	_, err = fake.List(t.Context())
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	fake.Engine().SetDown(false)

	fake.SetHook(func(op runtimetest.Op, id runtime.ID) error {
		if op == runtimetest.OpStop && id == fakeSpec().ID {
			return boom
		}
		return nil
	})
	require.ErrorIs(t, fake.Stop(t.Context(), fakeSpec().ID, 0), boom)
}

func TestFakeThingsThatHappen(t *testing.T) {
	fake := runtimetest.NewFake("c-1", "op/1")
	spec := fakeSpec()
	_, err := fake.Ensure(t.Context(), spec)
	require.NoError(t, err)

	require.NoError(t, fake.Engine().OOM(spec.ID))
	state, err := fake.Inspect(t.Context(), spec.ID)
	require.NoError(t, err)
	require.True(t, state.OOMKilled)
	require.Equal(t, 137, state.ExitCode)
	require.ErrorIs(t, fake.Engine().Exit(spec.ID, 1), runtime.ErrNotRunning)

	state, err = fake.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.False(t, state.OOMKilled)
	fake.Engine().Reboot()
	state, err = fake.Inspect(t.Context(), spec.ID)
	require.NoError(t, err)
	require.Equal(t, runtime.StatusExited, state.Status)
}
