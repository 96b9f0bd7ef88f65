package docker

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
)

// newRuntime connects for one node, with the state of that node in dir.
func newRuntime(t testing.TB, dir, node string, change ...func(*Config)) *Runtime {
	t.Helper()
	cfg := Config{Chain: runtimetest.Chain, Node: node, StateDir: dir}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(t.Context(), cfg)
	require.NoError(t, err)
	return r
}

func TestConformance(t *testing.T) {
	ref := dockertest.ProbeImage(t, dockertest.Client(t))
	for _, kind := range []runtime.Storage{runtime.StorageLoop, runtime.StorageTmpfs} {
		dir := t.TempDir()
		t.Run(string(kind), func(t *testing.T) {
			runtimetest.Conformance(t, runtimetest.Harness{
				Image: ref, Node: dockertest.Node,
				Open: func(t *testing.T, node string) runtime.Runtime {
					return newRuntime(t, dir, node, func(c *Config) { c.Storage = kind })
				},
			})
		})
		requireNothingLeft(t, dir)
	}
}

// requireNothingLeft wants neither mounts nor files of any placement.
func requireNothingLeft(t testing.TB, dir string) {
	points, err := mountsBelow(dir)
	require.NoError(t, err)
	require.Empty(t, points)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	for _, f := range files {
		require.Equal(t, lockFile, filepath.Base(f))
	}
}
