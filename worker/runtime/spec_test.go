package runtime_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

func validSpec() runtime.Spec {
	return runtime.Spec{
		ID:     runtime.ID{Chain: "isun-1", Node: "isun1operator/3", Lease: "isun1tenant/7", Replica: 2, Generation: 4},
		Image:  "sha256:" + strings.Repeat("a", 64),
		Limits: runtime.Limits{MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 64},
	}
}

// TestBounds tries the last value that is taken and the first that is not.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		set        func(*runtime.Spec, int64)
		good, evil int64
	}{
		"least CPU":       {func(s *runtime.Spec, n int64) { s.Limits.MilliCPU = n }, runtime.MinMilliCPU, runtime.MinMilliCPU - 1},
		"most CPU":        {func(s *runtime.Spec, n int64) { s.Limits.MilliCPU = n }, 1 << 20, 1<<20 + 1},
		"least memory":    {func(s *runtime.Spec, n int64) { s.Limits.MemoryMiB = n }, runtime.MinMemoryMiB, runtime.MinMemoryMiB - 1},
		"most memory":     {func(s *runtime.Spec, n int64) { s.Limits.MemoryMiB = n }, 1 << 26, 1<<26 + 1},
		"least storage":   {func(s *runtime.Spec, n int64) { s.Limits.StorageMiB = n }, 0, -1},
		"most storage":    {func(s *runtime.Spec, n int64) { s.Limits.StorageMiB = n }, 1 << 30, 1<<30 + 1},
		"least bandwidth": {func(s *runtime.Spec, n int64) { s.Limits.BandwidthMbps = n }, 0, -1},
		"most bandwidth":  {func(s *runtime.Spec, n int64) { s.Limits.BandwidthMbps = n }, 1 << 20, 1<<20 + 1},
		"most pids":       {func(s *runtime.Spec, n int64) { s.Limits.Pids = n }, 1 << 22, 1<<22 + 1},
		"longest grace":   {func(s *runtime.Spec, n int64) { s.StopGrace = time.Duration(n) }, int64(10 * time.Minute), int64(10*time.Minute) + 1},
		"ports":           {func(s *runtime.Spec, n int64) { s.Ports = ports(n) }, 16, 17},
		"volumes":         {func(s *runtime.Spec, n int64) { s.Volumes = volumes(n, 4) }, 8, 9},
		"volume size":     {func(s *runtime.Spec, n int64) { s.Volumes = volumes(1, n) }, 4, 3},
		"volume sum":      {func(s *runtime.Spec, n int64) { s.Volumes = volumes(2, n) }, 32, 33},
		"devices":         {func(s *runtime.Spec, n int64) { s.Devices = devices(n, 1) }, 16, 17},
		"nodes":           {func(s *runtime.Spec, n int64) { s.Devices = devices(1, n) }, 16, 17},
		"device id": {func(s *runtime.Spec, n int64) {
			s.Devices = devices(1, 1)
			s.Devices[0].ID = strings.Repeat("x", int(n))
		}, 64, 65},
		"args":          {func(s *runtime.Spec, n int64) { s.Args = make([]string, n) }, 256, 257},
		"bytes of args": {func(s *runtime.Spec, n int64) { s.Args = []string{strings.Repeat("x", int(n))} }, 128<<10 - 1, 128 << 10},
	} {
		s := validSpec()
		c.set(&s, c.good)
		require.NoError(t, s.Validate(), name)
		c.set(&s, c.evil)
		require.ErrorIs(t, s.Validate(), runtime.ErrInvalidSpec, name)
	}
}

func ports(n int64) []runtime.Port {
	list := make([]runtime.Port, n)
	for i := range list {
		list[i] = runtime.Port{Name: "p" + string(rune('a'+i)), Protocol: runtime.ProtocolTCP, ContainerPort: uint16(i + 1)}
	}
	return list
}

func devices(n, nodes int64) []runtime.Device {
	list := make([]runtime.Device, n)
	for i := range list {
		list[i].ID = "card" + string(rune('a'+i))
		for node := range nodes {
			list[i].Nodes = append(list[i].Nodes, "/dev/dri/render"+string(rune('a'+i))+string(rune('a'+node)))
		}
	}
	return list
}

func volumes(n, size int64) []runtime.Volume {
	list := make([]runtime.Volume, n)
	for i := range list {
		letter := string(rune('a' + i))
		list[i] = runtime.Volume{Name: letter, Path: "/data/" + letter, SizeMiB: size}
	}
	return list
}

func TestSpecDigest(t *testing.T) {
	base := validSpec()
	same := base
	same.Args, same.Env = []string{}, []string{}
	same.Limits.MilliCPU, same.Limits.MemoryMiB, same.Limits.Pids = 1, 2, 3
	same.Devices = []runtime.Device{}
	require.Equal(t, base.Digest(), same.Digest(), "resizing keeps the digest")
	for name, change := range map[string]func(*runtime.Spec){
		"image":     func(s *runtime.Spec) { s.Image = "other" },
		"args":      func(s *runtime.Spec) { s.Args = []string{"x"} },
		"storage":   func(s *runtime.Spec) { s.Limits.StorageMiB++ },
		"bandwidth": func(s *runtime.Spec) { s.Limits.BandwidthMbps++ },
		"device":    func(s *runtime.Spec) { s.Devices = devices(1, 1) },
		"port":      func(s *runtime.Spec) { s.Ports = ports(1) },
		"id":        func(s *runtime.Spec) { s.ID.Generation++ },
	} {
		other := base
		change(&other)
		require.NotEqual(t, base.Digest(), other.Digest(), name)
	}
}

// TestIDRoundTrip: what is written into labels comes back, and different ids
// have different keys.
func TestIDRoundTrip(t *testing.T) {
	ids := rapid.Custom(func(t *rapid.T) runtime.ID {
		return runtime.ID{
			Chain: rapid.StringMatching(`[a-z]{1,3}-[0-9]`).Draw(t, "chain"), Node: rapid.StringMatching(`[a-z]{1,3}/[0-9]`).Draw(t, "node"),
			Lease: rapid.StringMatching(`[a-z]{1,3}/[0-9]`).Draw(t, "lease"), Replica: rapid.Uint32().Draw(t, "replica"),
			Generation: rapid.Uint64().Draw(t, "generation"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		require.NoError(t, a.Validate())
		back, err := runtime.IDFromLabels(a.Labels())
		require.NoError(t, err)
		require.Equal(t, a, back)
		require.Equal(t, a == b, a.Key() == b.Key())
		require.Equal(t, a == b, a.Compare(b) == 0)
		require.Equal(t, a.Compare(b), -b.Compare(a))
		require.Len(t, a.Key(), 20)
	})
}

func TestIDFromLabelsRefuses(t *testing.T) {
	for _, name := range []string{runtime.LabelChain, runtime.LabelNode, runtime.LabelLease, runtime.LabelReplica, runtime.LabelGeneration} {
		labels := validSpec().ID.Labels()
		delete(labels, name)
		_, err := runtime.IDFromLabels(labels)
		require.Error(t, err, name)
	}
	labels := validSpec().ID.Labels()
	labels[runtime.LabelReplica] = "4294967296"
	_, err := runtime.IDFromLabels(labels)
	require.Error(t, err)
}

func TestSplitLease(t *testing.T) {
	tenant, number, err := runtime.SplitLease("isun1x/18446744073709551615")
	require.NoError(t, err)
	require.Equal(t, "isun1x", tenant)
	require.EqualValues(t, uint64(1<<64-1), number)
	for _, bad := range []string{"", "x", "/1", "x/", "x/-1", "x/1/2", "x/18446744073709551616"} {
		_, _, err := runtime.SplitLease(bad)
		require.Error(t, err, bad)
	}
}

func TestScratch(t *testing.T) {
	s := validSpec()
	s.Volumes = volumes(2, 16)
	require.EqualValues(t, 64-2*16-1, s.ScratchMiB(), "what two volumes and the log leave")
}
