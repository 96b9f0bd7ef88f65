package docker

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// TestWhatIsTakenAwayComesBack: somebody tidies the engine up behind the worker's back.
func TestWhatIsTakenAwayComesBack(t *testing.T) {
	f := newFixture(t)
	spec := f.spec(program.Serve, "8080")
	spec.Ports = []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080}}
	spec.Limits.BandwidthMbps = 50
	state := f.ensure(t, spec)
	first := state.Endpoints[0]
	f.answers(t, first)
	containerID, networkID := state.ContainerID, objectName(spec.ID)
	detached := func(t *testing.T) {
		t.Helper()
		state, err := f.Inspect(f.ctx, spec.ID)
		require.NoError(t, err)
		require.True(t, state.Detached)
		require.Equal(t, runtime.StatusRunning, state.Status)
	}
	for _, c := range []struct {
		name string
		take func(t *testing.T)
		anew bool // another container
	}{
		{"disconnected", func(t *testing.T) {
			require.NoError(t, f.api.NetworkDisconnect(f.ctx, networkID, containerID, true))
			detached(t)
		}, false},
		{"disconnected, and the network removed", func(t *testing.T) {
			require.NoError(t, f.api.NetworkDisconnect(f.ctx, networkID, containerID, true))
			require.NoError(t, f.api.NetworkRemove(f.ctx, networkID))
			detached(t)
		}, false},
		{"stopped, and the network removed", func(t *testing.T) {
			now := 0
			require.NoError(t, f.api.ContainerStop(f.ctx, containerID, container.StopOptions{Timeout: &now}))
			require.NoError(t, f.api.NetworkRemove(f.ctx, networkID))
		}, false},
		{"killed", func(t *testing.T) {
			require.NoError(t, f.api.ContainerKill(f.ctx, containerID, "KILL"))
			f.awaitExit(t, spec.ID)
		}, false},
		{"the container removed", func(t *testing.T) {
			require.NoError(t, f.api.ContainerRemove(f.ctx, containerID, container.RemoveOptions{Force: true}))
		}, true},
		{"container and network removed", func(t *testing.T) {
			require.NoError(t, f.api.ContainerRemove(f.ctx, containerID, container.RemoveOptions{Force: true}))
			require.NoError(t, f.api.NetworkRemove(f.ctx, networkID))
		}, true},
	} {
		ok := t.Run(c.name, func(t *testing.T) {
			c.take(t)
			state := f.ensure(t, spec)
			require.Equal(t, runtime.StatusRunning, state.Status)
			require.False(t, state.Detached)
			require.Equal(t, c.anew, state.ContainerID != containerID)
			require.Equal(t, first, state.Endpoints[0], "it is where its tenant was told")
			f.answers(t, first)
			containerID = state.ContainerID
			require.Equal(t, 1, requireWhole(t, f.Runtime, f.api))
		})
		require.True(t, ok)
	}
	require.NoError(t, f.Remove(f.ctx, spec.ID, 0))
	require.Zero(t, requireWhole(t, f.Runtime, f.api))
}

// answers waits until something answers HTTP at an endpoint.
func (f *fixture) answers(t *testing.T, ep runtime.Endpoint) {
	t.Helper()
	url := "http://" + net.JoinHostPort(ep.HostIP, strconv.Itoa(int(ep.HostPort)))
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		response, err := client.Get(url)
		return err == nil && response.Body.Close() == nil
	}, 30*time.Second, 50*time.Millisecond, url)
}

// TestANetworkInUseKeepsNoWorkerFromStarting: somebody connected a container of their own to what a dead placement left.
func TestANetworkInUseKeepsNoWorkerFromStarting(t *testing.T) {
	f := newFixture(t)
	lost := f.spec(program.Hang)
	lost.ID.Replica = 1
	f.ensure(t, lost)
	guest, err := f.api.ContainerCreate(f.ctx, &container.Config{Image: f.image, Cmd: []string{program.Hang}},
		&container.HostConfig{NetworkMode: container.NetworkMode(objectName(lost.ID))}, nil, nil, "")
	require.NoError(t, err)
	leave := func() error {
		return f.api.ContainerRemove(context.Background(), guest.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	t.Cleanup(func() { _ = leave() }) // it has gone already if all went well
	require.NoError(t, f.api.ContainerStart(f.ctx, guest.ID, container.StartOptions{}))
	require.Error(t, f.Remove(f.ctx, lost.ID, 0))
	_, err = f.Inspect(f.ctx, lost.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound, "the container has gone all the same")

	f.reopen(t)
	kept := f.spec(program.Hang)
	f.ensure(t, kept)
	require.NoError(t, leave())
	require.NoError(t, f.Remove(f.ctx, lost.ID, 0), "a later try succeeds")
	require.Equal(t, 1, requireWhole(t, f.Runtime, f.api))
}

// TestProbesOfTheDeadAreSwept: and those of the living are not.
func TestProbesOfTheDeadAreSwept(t *testing.T) {
	f := newFixture(t)
	key := probePrefix + "1"
	s := &loopStorage{root: f.dir}
	require.NoError(t, s.makeDisk(f.ctx, key, disk{name: scratchDisk, sizeMiB: runtime.MinVolumeMiB}))
	unlock, err := lockProbes(f.dir, syscall.LOCK_SH)
	require.NoError(t, err)
	f.reopen(t)
	require.DirExists(t, filepath.Join(f.dir, key))

	require.NoError(t, unlock())
	f.reopen(t)
	require.NoDirExists(t, filepath.Join(f.dir, key))
	require.Empty(t, loopsBelow(t, f.dir))
	_, err = os.Stat(filepath.Join(f.dir, probeLockFile))
	require.NoError(t, err)
}
