package runtimetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func testResize(t *testing.T, b *bench) {
	spec := hangSpec(b)
	require.ErrorIs(t, b.rt.Resize(b.ctx, spec.ID, spec.Limits), runtime.ErrNotFound)
	before := b.ensure(t, spec)
	want := spec.Limits
	want.MilliCPU, want.MemoryMiB, want.Pids = 500, 128, 100
	require.NoError(t, b.rt.Resize(b.ctx, spec.ID, want))

	after, err := b.rt.Inspect(b.ctx, spec.ID)
	require.NoError(t, err)
	require.Equal(t, want, after.Limits)
	require.Equal(t, before.PID, after.PID, "nothing was restarted")

	want.MemoryMiB = 0
	require.ErrorIs(t, b.rt.Resize(b.ctx, spec.ID, want), runtime.ErrInvalidSpec)
}

func testEnvironment(t *testing.T, b *bench) {
	spec := b.spec(program.Env, "COLOUR")
	spec.Env = []string{"COLOUR=sea = green"}
	require.Zero(t, b.outcome(t, spec).ExitCode)
	require.Equal(t, []string{"sea = green"}, b.logLines(t, spec.ID, runtime.LogOptions{}))
}

func testMemoryLimit(t *testing.T, b *bench) {
	within := b.spec(program.Alloc, "16")
	require.Zero(t, b.outcome(t, within).ExitCode)

	beyond := b.spec(program.Alloc, "256")
	beyond.ID.Replica = 1
	state := b.outcome(t, beyond)
	require.Equal(t, 137, state.ExitCode)
	require.True(t, state.OOMKilled)
}

func testPidsLimit(t *testing.T, b *bench) {
	within := b.spec(program.Fork, "2")
	require.Zero(t, b.outcome(t, within).ExitCode)

	beyond := b.spec(program.Fork, "300")
	beyond.ID.Replica = 1
	require.Equal(t, program.ExitForkFailed, b.outcome(t, beyond).ExitCode)
}

func testDiskLimits(t *testing.T, b *bench) {
	const data, scratch = 16, 16
	for i, c := range []struct {
		path string
		mib  int
		want int
	}{
		{"/tmp/within", 4, 0},
		{"/tmp/beyond", scratch + 8, program.ExitNoSpace},
		{"/var/tmp/beyond", scratch + 8, program.ExitNoSpace},
		{"/data/within", 4, 0},
		{"/data/beyond", data + 8, program.ExitNoSpace},
		{ImageVolume + "/within", 4, 0},
		{ImageVolume + "/beyond", scratch + 8, program.ExitNoSpace},
		{"/anywhere", 1, program.ExitReadOnly},
	} {
		spec := b.spec(program.Write, c.path, strconv.Itoa(c.mib))
		spec.ID.Replica = uint32(i)
		spec.ReadOnlyRoot = true
		spec.Limits.StorageMiB = data + scratch
		spec.Volumes = []runtime.Volume{{Name: "data", Path: "/data", SizeMiB: data}}
		require.Equal(t, c.want, b.outcome(t, spec).ExitCode, "%d MiB to %s", c.mib, c.path)
		require.NoError(t, b.rt.Remove(b.ctx, spec.ID, 0))
	}
}

func testPrivileges(t *testing.T, b *bench) {
	spec := b.spec(program.Status)
	require.Zero(t, b.outcome(t, spec).ExitCode)
	for _, l := range b.logLines(t, spec.ID, runtime.LogOptions{}) {
		name, value, _ := strings.Cut(l, ":")
		switch value = strings.TrimSpace(value); name {
		case "NoNewPrivs":
			require.Equal(t, "1", value)
		case "Seccomp":
			require.Equal(t, "2", value, "a filter is loaded")
		default:
			require.Equal(t, strings.Repeat("0", 16), value, name)
		}
	}
}

func testInfo(t *testing.T, b *bench) {
	info, err := b.rt.Info(b.ctx)
	require.NoError(t, err)
	require.NotEmpty(t, info.Engine)
	require.NotEmpty(t, info.Version)
	require.NotEmpty(t, info.Storage)
	require.Positive(t, info.CPUs)
	require.Positive(t, info.MemoryMiB)
	require.NotEmpty(t, info.Bounds)
	require.NoError(t, info.Bounded())
	for _, bound := range info.Bounds {
		require.Equal(t, bound.Held == runtime.Fully, bound.Mend == "", "%+v", bound)
	}
}

// testHostileSpecs gives the engine what a tenant could write on the chain to
// get out of the fence. Nothing of it may reach the engine.
func testHostileSpecs(t *testing.T, b *bench) {
	volume := func(path string) func(*runtime.Spec) {
		return func(s *runtime.Spec) { s.Volumes = []runtime.Volume{{Name: "v", Path: path, SizeMiB: 4}} }
	}
	device := func(devices ...runtime.Device) func(*runtime.Spec) {
		return func(s *runtime.Spec) { s.Devices = devices }
	}
	port := func(p runtime.Port) func(*runtime.Spec) {
		return func(s *runtime.Spec) { s.Ports = []runtime.Port{p} }
	}
	for name, spoil := range map[string]func(*runtime.Spec){
		"no chain":                func(s *runtime.Spec) { s.ID.Chain = "" },
		"lease without number":    func(s *runtime.Spec) { s.ID.Lease = "tenant" },
		"lease with a path":       func(s *runtime.Spec) { s.ID.Lease = "../../etc/7" },
		"no image":                func(s *runtime.Spec) { s.Image = "" },
		"image as an option":      func(s *runtime.Spec) { s.Image = "--privileged" },
		"image with a blank":      func(s *runtime.Spec) { s.Image = "a b" },
		"no memory limit":         func(s *runtime.Spec) { s.Limits.MemoryMiB = 0 },
		"negative memory":         func(s *runtime.Spec) { s.Limits.MemoryMiB = -1 },
		"overflowing memory":      func(s *runtime.Spec) { s.Limits.MemoryMiB = 1 << 62 },
		"no CPU limit":            func(s *runtime.Spec) { s.Limits.MilliCPU = 0 },
		"unlimited pids":          func(s *runtime.Spec) { s.Limits.Pids = -1 },
		"negative storage":        func(s *runtime.Spec) { s.Limits.StorageMiB = -1 },
		"user with a path":        func(s *runtime.Spec) { s.User = "../root" },
		"user with a newline":     func(s *runtime.Spec) { s.User = "root\n" },
		"runtime as a path":       func(s *runtime.Spec) { s.Runtime = "/bin/sh" },
		"signal of nonsense":      func(s *runtime.Spec) { s.StopSignal = "KILL; reboot" },
		"endless grace":           func(s *runtime.Spec) { s.StopGrace = 1000 * time.Hour },
		"zero byte in args":       func(s *runtime.Spec) { s.Args = []string{"a\x00b"} },
		"too many args":           func(s *runtime.Spec) { s.Args = make([]string, 10_000) },
		"huge env":                func(s *runtime.Spec) { s.Env = []string{"A=" + strings.Repeat("x", 1<<20)} },
		"env without name":        func(s *runtime.Spec) { s.Env = []string{"=x"} },
		"env without value":       func(s *runtime.Spec) { s.Env = []string{"PATH"} },
		"volume over the root":    volume("/"),
		"volume over proc":        volume("/proc"),
		"volume in sys":           volume("/sys/fs/cgroup"),
		"volume over dev":         volume("/dev/shm"),
		"volume climbing":         volume("/data/../../etc"),
		"volume relative":         volume("data"),
		"volume with an option":   volume("/data:rw,exec"),
		"volume over resolv.conf": volume("/etc/resolv.conf"),
		"volume over all of etc":  volume("/etc"),
		"volume over scratch":     volume("/tmp/x"),
		"volume name as a path": func(s *runtime.Spec) {
			s.Volumes = []runtime.Volume{{Name: "../x", Path: "/x", SizeMiB: 4}}
		},
		"volume without size": func(s *runtime.Spec) {
			s.Volumes = []runtime.Volume{{Name: "v", Path: "/x"}}
		},
		"volumes beyond storage": func(s *runtime.Spec) {
			s.Volumes = []runtime.Volume{{Name: "v", Path: "/x", SizeMiB: s.Limits.StorageMiB + 1}}
		},
		"nested volumes": func(s *runtime.Spec) {
			s.Volumes = []runtime.Volume{{Name: "a", Path: "/x", SizeMiB: 4}, {Name: "b", Path: "/x/y", SizeMiB: 4}}
		},
		"port zero":           port(runtime.Port{Name: "p", Protocol: runtime.ProtocolTCP}),
		"port protocol":       port(runtime.Port{Name: "p", Protocol: "sctp", ContainerPort: 1}),
		"port name":           port(runtime.Port{Name: "P!", Protocol: runtime.ProtocolTCP, ContainerPort: 1}),
		"port name too long":  port(runtime.Port{Name: strings.Repeat("p", 33), Protocol: runtime.ProtocolTCP, ContainerPort: 1}),
		"ports without bound": func(s *runtime.Spec) { s.Ports = manyPorts(1000) },
		"device outside dev":  device(runtime.Device{ID: "d", Nodes: []string{"/etc/shadow"}}),
		"device climbing":     device(runtime.Device{ID: "d", Nodes: []string{"/dev/../etc/shadow"}}),
		"device with mode":    device(runtime.Device{ID: "d", Nodes: []string{"/dev/null:/dev/x:rwm"}}),
		"device is all dev":   device(runtime.Device{ID: "d", Nodes: []string{"/dev"}}),
		"device of nothing":   device(runtime.Device{ID: "d"}),
		"device without id":   device(runtime.Device{Nodes: []string{"/dev/null"}}),
		"all of NVIDIA":       device(runtime.Device{ID: "d", NVIDIA: "all"}),
		"two of NVIDIA":       device(runtime.Device{ID: "d", NVIDIA: "GPU-1,GPU-2"}),
		"device env unnamed":  device(runtime.Device{ID: "d", Nodes: []string{"/dev/null"}, Env: []string{"=x"}}),
		"one device twice":    device(runtime.Device{ID: "d", Nodes: []string{"/dev/null"}}, runtime.Device{ID: "d", NVIDIA: "GPU-1"}),
		"devices unbounded":   device(make([]runtime.Device, 1000)...),
		"one port twice":      func(s *runtime.Spec) { s.Ports = append(manyPorts(1), manyPorts(1)...) },
	} {
		spec := hangSpec(b)
		spoil(&spec)
		_, err := b.rt.Ensure(b.ctx, spec)
		require.ErrorIs(t, err, runtime.ErrInvalidSpec, name)
	}
	states, err := b.rt.List(b.ctx)
	require.NoError(t, err)
	require.Empty(t, states)
}

func manyPorts(n int) []runtime.Port {
	ports := make([]runtime.Port, n)
	for i := range ports {
		ports[i] = runtime.Port{Name: fmt.Sprintf("p%d", i), Protocol: runtime.ProtocolTCP, ContainerPort: uint16(i + 1)}
	}
	return ports
}
