package docker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// fixture is a runtime for one test, and the bare engine beneath it.
type fixture struct {
	*Runtime
	api   *client.Client
	dir   string
	image string
	ctx   context.Context
}

func newFixture(t *testing.T) *fixture {
	api := dockertest.Client(t)
	f := &fixture{api: api, dir: t.TempDir(), image: dockertest.ProbeImage(t, api)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	f.ctx = ctx
	f.Runtime = newRuntime(t, f.dir, fmt.Sprintf("%s%d/1", t.Name(), os.Getpid()))
	t.Cleanup(func() { removeAll(t, f.Runtime) })
	return f
}

// reopen connects anew, as a restarted worker does.
func (f *fixture) reopen(t *testing.T) {
	require.NoError(t, f.Runtime.Close())
	f.Runtime = newRuntime(t, f.dir, f.cfg.Node)
}

func (f *fixture) spec(args ...string) runtime.Spec {
	return runtime.Spec{
		ID:     runtime.ID{Chain: runtimetest.Chain, Node: f.cfg.Node, Lease: "tenant/1", Generation: 1},
		Image:  f.image,
		Args:   args,
		Limits: runtime.Limits{MilliCPU: 500, MemoryMiB: 64, StorageMiB: 24},
	}
}

func (f *fixture) ensure(t *testing.T, spec runtime.Spec) runtime.State {
	state, err := f.Ensure(f.ctx, spec)
	require.NoError(t, err)
	return state
}

func (f *fixture) awaitExit(t *testing.T, id runtime.ID) runtime.State {
	var state runtime.State
	require.Eventually(t, func() bool {
		var err error
		state, err = f.Inspect(f.ctx, id)
		return err == nil && state.Status == runtime.StatusExited
	}, 30*time.Second, 50*time.Millisecond)
	return state
}

// TestHardening reads back from the engine what a container was made with.
func TestHardening(t *testing.T) {
	f := newFixture(t)
	spec := f.spec(program.Hang)
	spec.Ports = []runtime.Port{{Name: "web", Protocol: runtime.ProtocolTCP, ContainerPort: 80}}
	f.ensure(t, spec)
	c, err := f.find(f.ctx, spec.ID)
	require.NoError(t, err)

	host := c.HostConfig
	require.Equal(t, []string{"ALL"}, []string(host.CapDrop))
	require.Empty(t, host.CapAdd)
	require.Equal(t, []string{"no-new-privileges"}, host.SecurityOpt)
	require.False(t, host.Privileged)
	require.True(t, host.ReadonlyRootfs)
	require.True(t, *host.Init)
	require.False(t, host.PublishAllPorts)
	require.Empty(t, host.Devices)
	require.Empty(t, host.Binds)
	require.EqualValues(t, "private", host.IpcMode)
	require.Empty(t, host.PidMode)
	require.EqualValues(t, container.RestartPolicyDisabled, host.RestartPolicy.Name)
	require.EqualValues(t, 64<<20, host.Memory)
	require.Equal(t, host.Memory, host.MemorySwap, "no swap")
	require.EqualValues(t, 500_000_000, host.NanoCPUs)
	require.EqualValues(t, runtime.DefaultPids, *host.PidsLimit)
	require.Equal(t, DefaultDNS, host.DNS)
	require.Equal(t, "json-file", host.LogConfig.Type)
	require.Equal(t, "524288", host.LogConfig.Config["max-size"], "a MiB in two files")
	require.EqualValues(t, 512, host.CPUShares)
	require.Equal(t, DefaultHostIP, host.PortBindings["80/tcp"][0].HostIP)
	require.Equal(t, []string{"NONE"}, c.Config.Healthcheck.Test)
	for name, value := range spec.ID.Labels() {
		require.Equal(t, value, c.Config.Labels[name])
	}
	for _, m := range c.Mounts {
		require.NotEqual(t, "volume", string(m.Type), "an anonymous volume has no limit: %+v", m)
	}

	networks, err := f.api.NetworkList(f.ctx, network.ListOptions{Filters: labelFilter(spec.ID.Labels())})
	require.NoError(t, err)
	require.Len(t, networks, 1)
	require.Equal(t, "false", networks[0].Options["com.docker.network.bridge.enable_icc"])
	require.True(t, strings.HasPrefix(networks[0].Options["com.docker.network.bridge.name"], DefaultBridgePrefix))
	require.Len(t, c.NetworkSettings.Networks, 1)
}

// TestNoVolumeIsLeft: the image declares one, which the engine would keep.
func TestNoVolumeIsLeft(t *testing.T) {
	f := newFixture(t)
	before, err := f.api.VolumeList(f.ctx, volume.ListOptions{})
	require.NoError(t, err)
	spec := f.spec(program.Hang)
	f.ensure(t, spec)
	during, err := f.api.VolumeList(f.ctx, volume.ListOptions{})
	require.NoError(t, err)
	require.Len(t, during.Volumes, len(before.Volumes))
}

// TestVolumesSurviveRestartAndReboot: after a reboot the disks have to be
// mounted again before a container may start, or it would find nothing.
func TestVolumesSurviveRestartAndReboot(t *testing.T) {
	f := newFixture(t)
	spec := f.spec(program.Write, "/data/file", "2")
	spec.Volumes = []runtime.Volume{{Name: "data", Path: "/data", SizeMiB: 8}}
	f.ensure(t, spec)
	require.Zero(t, f.awaitExit(t, spec.ID).ExitCode)
	kept := filepath.Join(f.placementDir(spec.ID.Key()), "vol-data", dataDir, "file")
	info, err := os.Stat(kept)
	require.NoError(t, err)
	require.EqualValues(t, 2<<20, info.Size())

	// What a reboot does to mounts.
	points, err := mountsBelow(f.dir)
	require.NoError(t, err)
	require.Len(t, points, 2)
	for _, p := range points {
		require.NoError(t, exec.Command("umount", p).Run())
	}
	require.NoFileExists(t, kept)
	c, err := f.find(f.ctx, spec.ID)
	require.NoError(t, err)
	require.Error(t, f.api.ContainerStart(f.ctx, c.ID, container.StartOptions{}),
		"without its disk a container must not start: it would write to the host's")

	f.reopen(t)
	require.Equal(t, 1, f.ensure(t, spec).Restarts)
	require.FileExists(t, kept)
	require.Zero(t, f.awaitExit(t, spec.ID).ExitCode)
}

// TestDebrisIsSwept: a worker that died in the middle leaves a network and
// disks without a container.
func TestDebrisIsSwept(t *testing.T) {
	f := newFixture(t)
	kept, lost := f.spec(program.Hang), f.spec(program.Hang)
	lost.ID.Replica = 1
	f.ensure(t, kept)
	f.ensure(t, lost)
	c, err := f.find(f.ctx, lost.ID)
	require.NoError(t, err)
	require.NoError(t, f.api.ContainerRemove(f.ctx, c.ID, container.RemoveOptions{Force: true}))

	f.reopen(t)
	networks, err := f.networksOf(f.ctx, lost.ID)
	require.NoError(t, err)
	require.Empty(t, networks)
	require.NoDirExists(t, f.placementDir(lost.ID.Key()))
	points, err := mountsBelow(f.placementDir(lost.ID.Key()))
	require.NoError(t, err)
	require.Empty(t, points)

	state, err := f.Inspect(f.ctx, kept.ID)
	require.NoError(t, err)
	require.Equal(t, runtime.StatusRunning, state.Status)
	f.ensure(t, lost) // and it can be made again
}

// TestSecondProcessSweepsNothing: what looks like debris may be the first
// one's work under way.
func TestSecondProcessSweepsNothing(t *testing.T) {
	f := newFixture(t)
	half := f.spec().ID
	require.NoError(t, f.createNetwork(f.ctx, half))
	second := newRuntime(t, f.dir, f.cfg.Node)
	networks, err := f.networksOf(f.ctx, half)
	require.NoError(t, err)
	require.Len(t, networks, 1)
	require.NoError(t, second.Close())

	f.reopen(t)
	networks, err = f.networksOf(f.ctx, half)
	require.NoError(t, err)
	require.Empty(t, networks)
}

// TestForeignContainersAreLeftAlone: neither one without labels, nor one whose
// image claims to be ours, nor one that has our name.
func TestForeignContainersAreLeftAlone(t *testing.T) {
	f := newFixture(t)
	spec := f.spec(program.Hang)
	other := spec.ID
	other.Replica = 5
	var changes []string
	for name, value := range other.Labels() {
		changes = append(changes, fmt.Sprintf("LABEL %s=%q", name, value))
	}
	disguised := dockertest.ProbeImage(t, f.api, changes...)
	bare := func(name, image string) string {
		created, err := f.api.ContainerCreate(f.ctx, &container.Config{Image: image, Cmd: []string{program.Hang}},
			&container.HostConfig{NetworkMode: "none"}, nil, nil, name)
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, f.api.ContainerRemove(context.Background(), created.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		})
		require.NoError(t, f.api.ContainerStart(f.ctx, created.ID, container.StartOptions{}))
		return created.ID
	}
	squatter := bare(objectName(spec.ID), f.image)
	pretender := bare("", disguised)

	states, err := f.List(f.ctx)
	require.NoError(t, err)
	require.Empty(t, states)
	_, err = f.Ensure(f.ctx, spec)
	require.ErrorIs(t, err, runtime.ErrForeign)
	require.ErrorIs(t, f.Remove(f.ctx, spec.ID, 0), runtime.ErrForeign)
	require.NoError(t, f.Remove(f.ctx, other, 0))
	f.reopen(t)
	for _, id := range []string{squatter, pretender} {
		c, err := f.api.ContainerInspect(f.ctx, id)
		require.NoError(t, err)
		require.True(t, c.State.Running)
	}
}

func TestStartFailures(t *testing.T) {
	f := newFixture(t)
	// The init process does start; it cannot find what it should run.
	broken := f.spec()
	broken.Image = dockertest.ProbeImage(t, f.api, `ENTRYPOINT ["/absent"]`)
	f.ensure(t, broken)
	require.Equal(t, 127, f.awaitExit(t, broken.ID).ExitCode)
	require.NoError(t, f.Remove(f.ctx, broken.ID, 0))

	nobody := f.spec(program.Hang)
	nobody.User = "who-is-this"
	_, err := f.Ensure(f.ctx, nobody)
	require.ErrorIs(t, err, runtime.ErrStartFailed)
	f.requireGone(t, nobody.ID)

	huge := f.spec(program.Hang)
	huge.Limits.StorageMiB = 1 << 29
	_, err = f.Ensure(f.ctx, huge)
	require.ErrorIs(t, err, runtime.ErrNoSpace)
	f.requireGone(t, huge.ID)

	many := f.spec(program.Hang)
	var volumes []string
	for i := range 20 {
		volumes = append(volumes, fmt.Sprintf("VOLUME /v%d", i))
	}
	many.Image = dockertest.ProbeImage(t, f.api, volumes...)
	_, err = f.Ensure(f.ctx, many)
	require.ErrorIs(t, err, runtime.ErrInvalidSpec)

	over := f.spec(program.Hang)
	over.Image = dockertest.ProbeImage(t, f.api, "VOLUME /proc")
	_, err = f.Ensure(f.ctx, over)
	require.ErrorIs(t, err, runtime.ErrInvalidSpec)

	odd := f.spec(program.Hang)
	odd.Runtime = "not-installed"
	_, err = f.Ensure(f.ctx, odd)
	require.ErrorIs(t, err, runtime.ErrInvalidSpec)
	f.requireGone(t, odd.ID)
}

// requireGone wants no trace of a placement that failed.
func (f *fixture) requireGone(t *testing.T, id runtime.ID) {
	_, err := f.Inspect(f.ctx, id)
	require.ErrorIs(t, err, runtime.ErrNotFound)
	networks, err := f.networksOf(f.ctx, id)
	require.NoError(t, err)
	require.Empty(t, networks)
	require.NoDirExists(t, f.placementDir(id.Key()))
}

// TestTakenPortsAreReplaced: with a range of two ports, one of them taken
// behind the runtime's back, a placement gets the other.
func TestTakenPortsAreReplaced(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.Runtime.Close())
	f.Runtime = newRuntime(t, f.dir, f.cfg.Node, func(c *Config) { c.PortFirst, c.PortLast = 29990, 29991 })
	spec := func(replica uint32) runtime.Spec {
		s := f.spec(program.Hang)
		s.ID.Replica = replica
		s.Ports = []runtime.Port{{Name: "web", Protocol: runtime.ProtocolTCP, ContainerPort: 80}}
		return s
	}
	first := f.ensure(t, spec(0)).Endpoints[0].HostPort
	// A stopped placement keeps its port.
	require.NoError(t, f.Stop(f.ctx, spec(0).ID, 0))
	f.awaitExit(t, spec(0).ID)
	second := f.ensure(t, spec(1)).Endpoints[0].HostPort
	require.NotEqual(t, first, second)
	_, err := f.Ensure(f.ctx, spec(2))
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	require.ErrorContains(t, err, "no free host port")
	f.requireGone(t, spec(2).ID)
}

// TestBandwidth reads the queues back: no test can tell a rate on a busy
// machine.
func TestBandwidth(t *testing.T) {
	f := newFixture(t)
	spec := f.spec(program.Hang)
	spec.Limits.BandwidthMbps = 25
	state := f.ensure(t, spec)
	require.EqualValues(t, 25, state.Limits.BandwidthMbps)
	towards, err := exec.Command("tc", "qdisc", "show", "dev", f.bridgeName(spec.ID)).CombinedOutput()
	require.NoError(t, err, string(towards))
	require.Contains(t, string(towards), "rate 25Mbit")
	require.Contains(t, f.queueInside(t, state.PID), "rate 25Mbit")
}

// queueInside is the queue on the interface in a container's network.
func (f *fixture) queueInside(t *testing.T, pid int) string {
	from, err := exec.Command("nsenter", "--net=/proc/"+strconv.Itoa(pid)+"/ns/net",
		"tc", "qdisc", "show").CombinedOutput()
	require.NoError(t, err, string(from))
	require.NotContains(t, string(from), "noqueue 0: dev eth")
	return string(from)
}

func TestNoEngine(t *testing.T) {
	_, err := New(t.Context(), Config{
		Host: "unix://" + filepath.Join(t.TempDir(), "absent.sock"), Chain: "c-1", Node: "op/1", StateDir: t.TempDir(),
	})
	require.ErrorIs(t, err, runtime.ErrUnavailable)
}
