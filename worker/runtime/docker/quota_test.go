package docker

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func TestQuotaPossible(t *testing.T) {
	for _, c := range []struct {
		driver, backing string
		want            bool
	}{
		{"overlay2", "xfs", true},
		{"overlay2", "extfs", false},
		{"btrfs", "", true},
		{"zfs", "", true},
		{"vfs", "xfs", false},
		{"overlayfs", "xfs", false}, // containerd's store takes the option and heeds it not
	} {
		info := system.Info{Driver: c.driver, DriverStatus: [][2]string{{"Backing Filesystem", c.backing}}}
		require.Equal(t, c.want, quotaPossible(info), c)
	}
}

// TestQuotaCreate needs no quota: it is about how the scratch is divided.
func TestQuotaCreate(t *testing.T) {
	f := newFixture(t)
	loop, ok := f.storage.(*loopStorage)
	require.True(t, ok, "these tests need root, to mount disk images")
	s := &quotaStorage{loopStorage: loop, dns: []string{"192.0.2.53"}}
	spec := f.spec()
	create := func(scratch int64) writable {
		areas, err := s.create(f.ctx, layout{spec: spec, scratchMiB: scratch})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.remove(context.Background(), spec.ID.Key())) })
		return areas
	}
	areas := create(24)
	require.EqualValues(t, 12, areas.rootMiB)
	readOnly := map[string]string{}
	for _, m := range areas.mounts {
		if m.ReadOnly {
			readOnly[m.Target] = m.Source
		}
	}
	require.Len(t, readOnly, 3)
	resolv, err := os.ReadFile(readOnly["/etc/resolv.conf"])
	require.NoError(t, err)
	require.Equal(t, "nameserver 192.0.2.53\n", string(resolv))
	host := f.hostConfig(spec, areas, nil)
	require.Equal(t, "12m", host.StorageOpt["size"])
	require.False(t, host.ReadonlyRootfs)

	require.Zero(t, create(7).rootMiB, "half of it would be too little")
	require.EqualValues(t, 4, create(8).rootMiB)
	spec.ReadOnlyRoot = true
	areas = create(24)
	require.Zero(t, areas.rootMiB)
	require.True(t, f.hostConfig(spec, areas, nil).ReadonlyRootfs)
}

// quotaHostVariable names an engine with quotas for TestQuotaEngine, such as
// one whose data root is a btrfs with "btrfs quota enable".
const quotaHostVariable = "ISUN_QUOTA_DOCKER_HOST"

func TestQuotaEngine(t *testing.T) {
	host := os.Getenv(quotaHostVariable)
	if host == "" {
		t.Skipf("%s names no engine; few kernels have project quotas", quotaHostVariable)
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	f := &fixture{api: api, dir: t.TempDir(), ctx: t.Context(), image: dockertest.ProbeImage(t, api)}
	f.Runtime = newRuntime(t, f.dir, fmt.Sprintf("quota%d/1", os.Getpid()), func(c *Config) { c.Host = host })
	t.Cleanup(func() { removeAll(t, f.Runtime) })
	info, err := f.Info(f.ctx)
	require.NoError(t, err)
	require.Equal(t, runtime.StorageQuota, info.Storage)

	for i, c := range []struct {
		path     string
		mib      int
		readOnly bool
		want     int
	}{
		{"/anywhere", 4, false, 0},
		{"/anywhere", 64, false, program.ExitNoSpace},
		{"/anywhere", 1, true, program.ExitReadOnly},
		{"/tmp/scratch", 4, false, 0},
		{"/tmp/scratch", 64, false, program.ExitNoSpace},
		{"/etc/hosts", 1, false, program.ExitReadOnly},
		{"/etc/resolv.conf", 1, false, program.ExitReadOnly},
		{"/etc/hostname", 1, false, program.ExitReadOnly},
	} {
		spec := f.spec(program.Write, c.path, strconv.Itoa(c.mib))
		spec.ID.Replica, spec.ReadOnlyRoot = uint32(i), c.readOnly
		spec.Limits.StorageMiB = 48
		f.ensure(t, spec)
		require.Equal(t, c.want, f.awaitExit(t, spec.ID).ExitCode, "%d MiB to %s", c.mib, c.path)
		require.NoError(t, f.Remove(f.ctx, spec.ID, 0))
	}
}
