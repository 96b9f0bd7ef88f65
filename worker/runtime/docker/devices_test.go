package docker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

func holding(devices ...runtime.Device) runtime.Spec {
	return runtime.Spec{Devices: devices, Env: []string{"NVIDIA_VISIBLE_DEVICES=all", "COLOUR=green"}}
}

var (
	card  = runtime.Device{ID: "GPU-1", NVIDIA: "GPU-1", Env: []string{"COLOUR=blue"}}
	slice = runtime.Device{ID: "MIG-2", NVIDIA: "MIG-2"}
)

func TestNVIDIAsRuntimeIsAskedForTheLeasedCardsAlone(t *testing.T) {
	h, err := (&Runtime{}).handover(holding(card, slice))
	require.NoError(t, err)
	var host container.HostConfig
	h.to(&host)
	require.Equal(t, []container.DeviceRequest{{
		Driver: "nvidia", DeviceIDs: []string{"GPU-1", "MIG-2"}, Capabilities: [][]string{{"gpu", "compute", "utility"}},
	}}, host.DeviceRequests)
	require.Empty(t, host.Devices)
	require.Empty(t, host.GroupAdd)
}

// Where NVIDIA's runtime is the engine's default, a container names its own
// devices, by a variable that tenants and images can set.
func TestNoTenantNamesItsOwnDevices(t *testing.T) {
	nvidia := &Runtime{engine: system.Info{DefaultRuntime: "nvidia"}}
	require.Equal(t, []string{"NVIDIA_VISIBLE_DEVICES=void", "COLOUR=green"}, nvidia.environment(holding()))
	require.Equal(t, []string{"NVIDIA_VISIBLE_DEVICES=GPU-1,MIG-2", "COLOUR=blue"}, nvidia.environment(holding(card, slice)))

	runc := &Runtime{engine: system.Info{DefaultRuntime: "runc"}}
	require.Equal(t, holding().Env, runc.environment(holding()), "elsewhere it means nothing")
	chosen := holding()
	chosen.Runtime = "nvidia-legacy"
	require.Equal(t, "NVIDIA_VISIBLE_DEVICES=void", runc.environment(chosen)[0])
}

func TestWhichNodesAreHandedOver(t *testing.T) {
	nodes := func(paths ...string) runtime.Spec { return holding(runtime.Device{ID: "d", Nodes: paths}) }
	file := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r := &Runtime{}

	h, err := r.handover(nodes("/dev/zero", "/dev/null", "/dev/null"))
	require.NoError(t, err)
	require.Equal(t, []container.DeviceMapping{
		{PathOnHost: "/dev/null", PathInContainer: "/dev/null", CgroupPermissions: "rw"},
		{PathOnHost: "/dev/zero", PathInContainer: "/dev/zero", CgroupPermissions: "rw"},
	}, h.nodes)
	require.Empty(t, h.groups, "everybody may use them anyway")

	for _, notOne := range []string{file, filepath.Dir(file)} {
		_, err = r.handover(nodes(notOne))
		require.ErrorIs(t, err, runtime.ErrInvalidSpec, "%s is no character device", notOne)
	}
	_, err = r.handover(nodes("/dev/null", "/dev/no-such-card"))
	require.ErrorIs(t, err, runtime.ErrNoDevice)
	require.ErrorContains(t, err, "/dev/no-such-card")

	gvisor := &Runtime{engine: system.Info{DefaultRuntime: "runsc"}}
	_, err = gvisor.handover(nodes("/dev/null"))
	require.ErrorIs(t, err, runtime.ErrNoDevice)
	_, err = gvisor.handover(holding())
	require.NoError(t, err)
}

func TestAStartThatFailsForWantOfADeviceIsTold(t *testing.T) {
	for text, want := range map[string]bool{
		`could not select device driver "nvidia" with capabilities: [[gpu]]`:                                                 true,
		`error gathering device information while adding custom device "/dev/dri/renderD128": no such file or directory`:     true,
		`OCI runtime create failed: hook #0: nvidia-container-cli: device error: GPU-1: unknown device: unknown`:             true,
		`OCI runtime create failed: exec: "/nope": stat /nope: no such file or directory: unknown`:                           false,
		`driver failed programming external connectivity: Bind for 0.0.0.0:30000 failed: port is already allocated: unknown`: false,
	} {
		require.Equal(t, want, deviceError(text), text)
	}
}
