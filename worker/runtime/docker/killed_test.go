package docker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// The environment of a process that is to kill itself: after which call of the engine that changes something, or after which
// system tool.
const (
	killedNode  = "ISUN_TEST_KILLED_NODE"
	killedDir   = "ISUN_TEST_KILLED_DIR"
	killedImage = "ISUN_TEST_KILLED_IMAGE"
	killedCall  = "ISUN_TEST_KILLED_CALL"
	killedTool  = "ISUN_TEST_KILLED_TOOL"
	killedPID   = "ISUN_TEST_KILLED_PID" // set by itself, for the tools
)

// TestKilledAtEveryStep kills a process with SIGKILL after each step, which is before the next one, of a
// placement's life: whatever changes the engine, the disks or the bridges. The next process leaves nothing of it that is not a
// whole placement, and brings the placement about.
func TestKilledAtEveryStep(t *testing.T) {
	if os.Getenv(killedNode) != "" {
		live(t)
		return
	}
	api := dockertest.Client(t)
	image := dockertest.ProbeImage(t, api)
	for name, kind := range map[string]string{"calls of the engine": killedCall, "system tools": killedTool} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := 0
			for killAfter(t, api, image, kind, steps+1) {
				steps++
			}
			require.GreaterOrEqual(t, steps, 6)
			t.Log("killed after", steps, "steps")
		})
	}
}

// killAfter runs a process that is killed after a step, if it gets that far, and then what follows it.
func killAfter(t *testing.T, api *client.Client, image, kind string, step int) (killed bool) {
	t.Helper()
	dir := t.TempDir()
	node := fmt.Sprintf("killed%d/%d", os.Getpid(), time.Now().UnixNano())
	child := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryStep$")
	child.Env = append(os.Environ(), killedNode+"="+node, killedDir+"="+dir, killedImage+"="+image, kind+"="+strconv.Itoa(step))
	if kind == killedTool {
		child.Env = append(child.Env, "PATH="+lethalTools(t)+":"+os.Getenv("PATH"))
	}
	out, err := child.CombinedOutput()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	if !killed {
		require.NoError(t, err, "%s", out)
	}

	r := newRuntime(t, dir, node)
	defer removeAll(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	requireWhole(t, r, api)
	state, err := r.Ensure(ctx, lifeSpec(node, image))
	require.NoError(t, err, "after step %d", step)
	require.NoError(t, r.Unpause(ctx, state.ID))
	require.False(t, state.Detached)
	require.Equal(t, 1, requireWhole(t, r, api), "after step %d", step)
	require.NoError(t, r.Remove(ctx, state.ID, 0))
	require.Zero(t, requireWhole(t, r, api), "after step %d", step)
	requireNothingLeft(t, dir)
	return killed
}

// requireWhole wants no network, folder, mount or loop device without a container, and counts the containers.
func requireWhole(t *testing.T, r *Runtime, api *client.Client) int {
	t.Helper()
	containers, err := api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: r.scopeFilter()})
	require.NoError(t, err)
	networks, err := api.NetworkList(t.Context(), network.ListOptions{Filters: r.scopeFilter()})
	require.NoError(t, err)
	require.Len(t, networks, len(containers), "%+v", networks)
	points, err := mountsBelow(r.cfg.StateDir)
	require.NoError(t, err)
	require.Len(t, points, len(containers), "%v", points)
	// A container that somebody else starts has a copy of the mount for a moment, and the kernel keeps the device for it.
	require.Eventually(t, func() bool { return len(loopsBelow(t, r.cfg.StateDir)) == len(containers) },
		10*time.Second, 10*time.Millisecond, "%v", loopsBelow(t, r.cfg.StateDir))
	keys, err := r.keys()
	require.NoError(t, err)
	require.Len(t, keys, len(containers)+1, "the lock, and a folder each: %v", keys)
	probes, err := filepath.Glob(filepath.Join(r.cfg.StateDir, probePrefix+"*"))
	require.NoError(t, err)
	require.Empty(t, probes)
	return len(containers)
}

// loopsBelow lists the loop devices whose file is in a folder.
func loopsBelow(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	require.NoError(t, err)
	var below []string
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(raw), dir+"/") {
			below = append(below, file)
		}
	}
	return below
}

func lifeSpec(node, image string) runtime.Spec {
	return runtime.Spec{
		ID:     runtime.ID{Chain: runtimetest.Chain, Node: node, Lease: "tenant/1", Generation: 1},
		Image:  image,
		Args:   []string{program.Serve, "8080"},
		Ports:  []runtime.Port{{Name: "web", Protocol: runtime.ProtocolHTTP, ContainerPort: 8080}},
		Limits: runtime.Limits{MilliCPU: 500, MemoryMiB: 64, StorageMiB: 24, BandwidthMbps: 50},
	}
}

// live is the life of the process that is killed.
func live(t *testing.T) {
	require.NoError(t, os.Setenv(killedPID, strconv.Itoa(os.Getpid())))
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if at, err := strconv.Atoi(os.Getenv(killedCall)); err == nil {
		engine, err := client.NewClientWithOpts(client.FromEnv)
		require.NoError(t, err)
		socket := strings.TrimPrefix(engine.DaemonHost(), "unix://")
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}
		opts = append(opts, client.WithHTTPClient(&http.Client{
			Transport: &lethal{RoundTripper: transport, at: at},
		}))
	}
	cfg := Config{Chain: runtimetest.Chain, Node: os.Getenv(killedNode), StateDir: os.Getenv(killedDir)}
	require.NoError(t, cfg.setDefaults())
	api, err := client.NewClientWithOpts(opts...)
	require.NoError(t, err)
	r := &Runtime{cfg: cfg, api: api, log: cfg.Logger}
	require.NoError(t, r.open(t.Context()))
	spec := lifeSpec(cfg.Node, os.Getenv(killedImage))
	_, err = r.Ensure(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, r.Pause(t.Context(), spec.ID))
	require.NoError(t, r.Remove(t.Context(), spec.ID, time.Second))
	require.NoError(t, r.Close())
}

// lethal ends its own process after a request that changed something.
type lethal struct {
	http.RoundTripper
	at       int
	requests atomic.Int32
}

func (l *lethal) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if request.Method == http.MethodPost || request.Method == http.MethodDelete {
		if int(l.requests.Add(1)) == l.at {
			return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	return response, err
}

// lethalTools gives a folder of system tools that count their uses, and kill who calls them.
func lethalTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"mkfs.ext4", "mount", "umount", "tc", "nsenter"} {
		real, err := exec.LookPath(tool)
		require.NoError(t, err)
		script := fmt.Sprintf(`#!/bin/sh
echo x >>%[1]s/uses
uses=$(wc -l <%[1]s/uses)
%[4]s "$@" || exit
if [ "$uses" = "$%[2]s" ]; then kill -KILL "$%[3]s"; fi
`, dir, killedTool, killedPID, real)
		require.NoError(t, os.WriteFile(filepath.Join(dir, tool), []byte(script), 0o755))
	}
	return dir
}
