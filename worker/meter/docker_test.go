package meter_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/meter"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// TestRealContainer compares figures with what a container is known to do.
func TestRealContainer(t *testing.T) {
	image := dockertest.ProbeImage(t, dockertest.Client(t))
	node := "meter" + strconv.Itoa(os.Getpid()) + "/1"
	rt, err := docker.New(t.Context(), docker.Config{Chain: "meter-1", Node: node, StateDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close()) })
	start := time.Now()
	m := meter.New(meter.NewHost("/proc", "/sys"), func() time.Duration { return time.Since(start) })
	run := func(replica uint32, ports []runtime.Port, args ...string) runtime.State {
		state, err := rt.Ensure(t.Context(), runtime.Spec{
			ID:    runtime.ID{Chain: "meter-1", Node: node, Lease: "tenant/1", Replica: replica, Generation: 1},
			Image: image, Args: args, Ports: ports,
			Limits: runtime.Limits{MilliCPU: 1000, MemoryMiB: 64},
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, rt.Remove(context.Background(), state.ID, 0)) })
		return state
	}

	burning := run(0, nil, program.Burn, "60000")
	var counters journal.Counters
	require.Eventually(t, func() bool {
		counters, err = m.Read(t.Context(), burning)
		return err == nil && counters.CPUMs >= 300
	}, 30*time.Second, 100*time.Millisecond)

	serving := run(1, []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 80}}, program.Serve, "80")
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(serving.Endpoints[0].HostPort)))
	require.Eventually(t, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	counters, err = m.Read(t.Context(), serving)
	require.NoError(t, err)
	require.Greater(t, counters.BytesIn, uint64(50))
	require.Greater(t, counters.BytesOut, uint64(50))

	require.NoError(t, rt.Stop(t.Context(), serving.ID, 0))
	_, err = m.Read(t.Context(), serving)
	require.ErrorIs(t, err, runtime.ErrNotRunning)
}
