package docker

import (
	"fmt"
	"os"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// BenchmarkEnsure is a placement from nothing to running, with disk, network,
// port and bandwidth limit, and its removal outside the time.
func BenchmarkEnsure(b *testing.B) {
	r, spec := benchPlacement(b)
	for b.Loop() {
		spec.ID.Generation++
		_, err := r.Ensure(b.Context(), spec)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, r.Remove(b.Context(), spec.ID, 0))
		b.StartTimer()
	}
}

// BenchmarkBareRun is the same image created and started without any fence,
// on the engine's default network, to compare with.
func BenchmarkBareRun(b *testing.B) {
	r, spec := benchPlacement(b)
	for b.Loop() {
		created, err := r.api.ContainerCreate(b.Context(), &container.Config{Image: spec.Image, Cmd: spec.Args}, nil, nil, nil, "")
		require.NoError(b, err)
		require.NoError(b, r.api.ContainerStart(b.Context(), created.ID, container.StartOptions{}))
		b.StopTimer()
		require.NoError(b, r.api.ContainerRemove(b.Context(), created.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		b.StartTimer()
	}
}

// BenchmarkList looks at ten placements.
func BenchmarkList(b *testing.B) {
	r, spec := benchPlacement(b)
	for replica := range uint32(10) {
		spec.ID.Replica = replica
		_, err := r.Ensure(b.Context(), spec)
		require.NoError(b, err)
	}
	for b.Loop() {
		states, err := r.List(b.Context())
		require.NoError(b, err)
		require.Len(b, states, 10)
	}
}

func benchPlacement(b *testing.B) (*Runtime, runtime.Spec) {
	ref := dockertest.ProbeImage(b, dockertest.Client(b))
	r := newRuntime(b, b.TempDir(), fmt.Sprintf("bench%d/1", os.Getpid()))
	b.Cleanup(func() { removeAll(b, r) })
	return r, runtime.Spec{
		ID:     runtime.ID{Chain: runtimetest.Chain, Node: r.cfg.Node, Lease: "tenant/1", Generation: 1},
		Image:  ref,
		Args:   []string{program.Hang},
		Ports:  []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080}},
		Limits: runtime.Limits{MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 1024, BandwidthMbps: 20},
	}
}
