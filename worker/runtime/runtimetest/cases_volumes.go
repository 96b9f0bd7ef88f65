package runtimetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func testVolumes(t *testing.T, b *bench) {
	rt, ok := b.rt.(runtime.Keeping)
	require.True(t, ok, "a placement's state can only outlive it where its volumes can be reached")
	spec := b.spec(program.Write, "/data/written", "2")
	spec.Limits.StorageMiB = 32
	spec.Volumes = []runtime.Volume{{Name: "data", Path: "/data", SizeMiB: 16}, {Name: "empty", Path: "/empty", SizeMiB: 4}}
	_, err := rt.Volumes(b.ctx, spec.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound)

	broken := errors.New("a snapshot that is no good")
	_, err = rt.EnsureFilled(b.ctx, spec, func(context.Context, map[string]string) error { return broken })
	if errors.Is(err, runtime.ErrNoVolumes) {
		b.ensure(t, spec)
		_, err = rt.Volumes(b.ctx, spec.ID)
		require.ErrorIs(t, err, runtime.ErrNoVolumes)
		return
	}
	require.ErrorIs(t, err, broken)
	_, err = b.rt.Inspect(b.ctx, spec.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound, "a failed filling leaves nothing")

	fills := 0
	fill := func(_ context.Context, volumes map[string]string) error {
		fills++
		require.Len(t, volumes, 2)
		_, err := b.rt.Inspect(b.ctx, spec.ID)
		require.ErrorIs(t, err, runtime.ErrNotFound, "there is no container yet")
		for _, folder := range volumes {
			names, err := os.ReadDir(folder)
			require.NoError(t, err)
			require.Empty(t, names)
		}
		return os.WriteFile(filepath.Join(volumes["data"], "restored"), []byte("state"), 0o644)
	}
	_, err = rt.EnsureFilled(b.ctx, spec, fill)
	require.NoError(t, err)
	require.Zero(t, b.awaitExit(t, spec.ID).ExitCode)
	_, err = rt.EnsureFilled(b.ctx, spec, fill)
	require.NoError(t, err)
	b.awaitExit(t, spec.ID)
	require.Equal(t, 1, fills, "what runs, or has run, is not filled again")

	volumes, err := rt.Volumes(b.ctx, spec.ID)
	require.NoError(t, err)
	require.Len(t, volumes, 2)
	restored, err := os.ReadFile(filepath.Join(volumes["data"], "restored"))
	require.NoError(t, err)
	require.Equal(t, "state", string(restored))
	written, err := os.Stat(filepath.Join(volumes["data"], "written"))
	require.NoError(t, err)
	require.Equal(t, int64(2<<20), written.Size(), "the host sees what the placement wrote")

	foreign := spec.ID
	foreign.Node = "else/1"
	_, err = rt.Volumes(b.ctx, foreign)
	require.ErrorIs(t, err, runtime.ErrForeign)
	require.NoError(t, b.rt.Remove(b.ctx, spec.ID, 0))
	_, err = os.Stat(volumes["data"])
	require.ErrorIs(t, err, os.ErrNotExist)
}
