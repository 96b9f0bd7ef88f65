package docker

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

func TestConfigRefuses(t *testing.T) {
	good := Config{Chain: "c-1", Node: "op/1", StateDir: t.TempDir()}
	require.NoError(t, good.setDefaults())
	for name, spoil := range map[string]func(*Config){
		"no chain":            func(c *Config) { c.Chain = "" },
		"node with a path":    func(c *Config) { c.Node = "../x" },
		"no state directory":  func(c *Config) { c.StateDir = "" },
		"host name as an IP":  func(c *Config) { c.HostIP = "localhost" },
		"resolver by name":    func(c *Config) { c.DNS = []string{"dns.example"} },
		"long bridge prefix":  func(c *Config) { c.BridgePrefix = "isunx" },
		"empty port range":    func(c *Config) { c.PortFirst, c.PortLast = 5, 4 },
		"subnets of IPv6":     func(c *Config) { c.Subnets = netip.MustParsePrefix("fd00::/64") },
		"subnets of too few":  func(c *Config) { c.Subnets = netip.MustParsePrefix("10.0.0.0/30") },
		"node without number": func(c *Config) { c.Node = "op/" },
	} {
		c := Config{Chain: "c-1", Node: "op/1", StateDir: t.TempDir()}
		spoil(&c)
		require.Error(t, c.setDefaults(), name)
	}
}

func TestSubnetAt(t *testing.T) {
	pool := netip.MustParsePrefix("10.213.0.0/16")
	require.Equal(t, "10.213.0.0/29", subnetAt(pool, 0).String())
	require.Equal(t, "10.213.0.8/29", subnetAt(pool, 1).String())
	require.Equal(t, "10.213.255.248/29", subnetAt(pool, 1<<13-1).String())
	require.True(t, overlapsAny(subnetAt(pool, 3), []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}))
	require.False(t, overlapsAny(subnetAt(pool, 3), []netip.Prefix{subnetAt(pool, 2), subnetAt(pool, 4)}))
}

func TestParseMountInfo(t *testing.T) {
	text := `36 35 98:0 / /var/lib/a\040b rw,noatime - ext4 /dev/loop0 rw
40 35 98:1 /sub /mnt/x\134y rw shared:1 - ext4 /dev/loop1 rw
short line
`
	require.Equal(t, map[string]bool{"/var/lib/a b": true, `/mnt/x\y`: true}, parseMountInfo(text))
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, 10 * time.Second: 10} {
		require.Equal(t, want, wholeSeconds(d), d)
	}
}

func TestStatusOf(t *testing.T) {
	for want, s := range map[runtime.Status]container.State{
		runtime.StatusPaused:  {Paused: true, Running: true, Status: container.StatePaused},
		runtime.StatusRunning: {Running: true, Status: container.StateRunning},
		runtime.StatusCreated: {Status: container.StateCreated},
		runtime.StatusExited:  {Status: container.StateExited},
	} {
		require.Equal(t, want, statusOf(&s))
	}
	require.Equal(t, runtime.StatusExited, statusOf(&container.State{Status: container.StateDead}))
	require.Equal(t, runtime.StatusExited, statusOf(&container.State{Status: container.StateRemoving}))
}

func imageWith(user string, volumes ...string) image.InspectResponse {
	config := ocispec.ImageConfig{User: user, Volumes: map[string]struct{}{}}
	for _, v := range volumes {
		config.Volumes[v] = struct{}{}
	}
	return image.InspectResponse{Config: &dockerspec.DockerOCIImageConfig{ImageConfig: config}}
}

func TestImageVolumes(t *testing.T) {
	spec := runtime.Spec{Volumes: []runtime.Volume{{Name: "data", Path: "/data", SizeMiB: 4}}}
	got, err := imageVolumes(spec, imageWith("", "/data", "/cache/", "/tmp", "/var/lib/db"))
	require.NoError(t, err)
	require.Equal(t, []string{"/cache", "/var/lib/db"}, got)
	for _, bad := range []string{"/", "/proc", "relative", "/data/inside", "/a/../b", "/dev/shm", "/a:ro"} {
		_, err := imageVolumes(spec, imageWith("", bad))
		require.ErrorIs(t, err, runtime.ErrInvalidSpec, bad)
	}
	_, err = imageVolumes(spec, image.InspectResponse{})
	require.NoError(t, err)
}

func TestImageOwner(t *testing.T) {
	for user, want := range map[string]owner{
		"": {}, "root": {}, "1000": {uid: 1000}, "1000:1001": {uid: 1000, gid: 1001}, "1000:staff": {uid: 1000}, "shop:staff": {named: true},
	} {
		require.Equal(t, want, imageOwner(runtime.Spec{}, imageWith(user)), user)
	}
	require.Equal(t, owner{uid: 7}, imageOwner(runtime.Spec{User: "7"}, imageWith("1000")))
}

func TestTokenBucket(t *testing.T) {
	require.Equal(t, []string{"tbf", "rate", "20mbit", "burst", "65536", "latency", "100ms"}, tokenBucket(20))
	require.Equal(t, []string{"tbf", "rate", "1000mbit", "burst", "2500000", "latency", "100ms"}, tokenBucket(1000))
}

func TestResourcesStayWithinTheHost(t *testing.T) {
	r := &Runtime{}
	r.engine.NCPU = 2
	require.EqualValues(t, 2_000_000_000, r.resources(runtime.Limits{MilliCPU: 2001, MemoryMiB: 16}).NanoCPUs)
	require.EqualValues(t, 1_999_000_000, r.resources(runtime.Limits{MilliCPU: 1999, MemoryMiB: 16}).NanoCPUs)
	require.EqualValues(t, runtime.DefaultPids, *r.resources(runtime.Limits{}).PidsLimit)
}

func TestKeyedMutex(t *testing.T) {
	var k keyedMutex
	one, two := runtime.ID{Lease: "t/1"}, runtime.ID{Lease: "t/2"}
	unlock := k.lock(one)
	k.lock(two)() // another key is free
	var wait sync.WaitGroup
	counter := 0
	for range 10 {
		wait.Go(func() {
			defer k.lock(one)()
			counter++
		})
	}
	unlock()
	wait.Wait()
	require.Equal(t, 10, counter)
	require.Empty(t, k.locks)
}

func TestEngineErrors(t *testing.T) {
	require.NoError(t, engineError("x", nil))
	require.ErrorIs(t, engineError("x", context.DeadlineExceeded), context.DeadlineExceeded)
	require.NotErrorIs(t, engineError("x", context.Canceled), runtime.ErrUnavailable, "giving up says nothing of the engine")
}
