package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestCapacityMilliSuns(t *testing.T) {
	bundle := types.DefaultParams().Bundle
	for name, c := range map[string]struct {
		capacity   types.Capacity
		milli      uint64
		bottleneck string
	}{
		"one bundle":         {types.Capacity{CpuPoints: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20}, 1000, "cpu"},
		"bound by cpu":       {types.Capacity{CpuPoints: 3999, MemoryMiB: 1 << 20, StorageMiB: 1 << 30, BandwidthMbps: 1000}, 3999, "cpu"},
		"bound by memory":    {types.Capacity{CpuPoints: 8000, MemoryMiB: 4095, StorageMiB: 1 << 30, BandwidthMbps: 1000}, 1999, "memory"},
		"bound by storage":   {types.Capacity{CpuPoints: 8000, MemoryMiB: 1 << 20, StorageMiB: 8192, BandwidthMbps: 1000}, 500, "storage"},
		"bound by bandwidth": {types.Capacity{CpuPoints: 8000, MemoryMiB: 1 << 20, StorageMiB: 1 << 30, BandwidthMbps: 100}, 5000, "bandwidth"},
		"rounded down":       {types.Capacity{CpuPoints: 1 << 20, MemoryMiB: 2049, StorageMiB: 1 << 30, BandwidthMbps: 1000}, 1000, "memory"},
		"without network":    {types.Capacity{CpuPoints: 8000, MemoryMiB: 1 << 20, StorageMiB: 1 << 30}, 0, "bandwidth"},
		"nothing":            {types.Capacity{}, 0, "cpu"},
	} {
		milli, bottleneck := types.CapacityMilliSuns(bundle, c.capacity)
		require.Equal(t, c.milli, milli, name)
		require.Equal(t, c.bottleneck, bottleneck, name)
	}
}

func TestDemandMilliSuns(t *testing.T) {
	bundle := types.DefaultParams().Bundle
	for name, c := range map[string]struct {
		need types.Capacity
		want uint64
	}{
		"one bundle":             {types.Capacity{CpuPoints: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20}, 1000},
		"memory dominates":       {types.Capacity{CpuPoints: 1000, MemoryMiB: 8192, StorageMiB: 16384, BandwidthMbps: 20}, 4000},
		"rounded up":             {types.Capacity{MemoryMiB: 2049}, 1001},
		"a MiB is a milli-SUNS":  {types.Capacity{MemoryMiB: 1}, 1},
		"nothing":                {types.Capacity{}, 0},
		"one Mbit/s is 50 milli": {types.Capacity{BandwidthMbps: 1}, 50},
	} {
		require.Equal(t, c.want, types.DemandMilliSuns(bundle, c.need), name)
	}
}

// The design's examples: an RTX 4090 is 30 SUNS, an A100 of 80 GB about 60, an H100 about 100.
func TestAcceleratorMilliSuns(t *testing.T) {
	bundle := types.DefaultParams().AcceleratorBundle
	for name, c := range map[string]struct {
		memoryMiB, bandwidthMBs, gflops uint64
		want                            uint64
	}{
		"RTX 4090":              {24_576, 1_008_000, 82_600, 30_000},
		"A100 80G":              {81_920, 2_039_000, 19_500, 60_684},
		"H100":                  {81_920, 3_350_000, 67_000, 99_702},
		"bound by memory":       {8_192, 1_008_000, 82_600, 10_000},
		"bound by throughput":   {24_576, 1_008_000, 199, 995},
		"one bundle":            {820, 33_600, 200, 1_000},
		"a MiB short of bundle": {819, 33_600, 200, 999},
		"without throughput":    {24_576, 1_008_000, 0, 0},
	} {
		got := types.AcceleratorMilliSuns(bundle, types.Accelerator{
			MemoryMiB: c.memoryMiB, MemoryBandwidthMbs: c.bandwidthMBs, Fp32Gflops: c.gflops,
		})
		require.Equal(t, c.want, got, name)
	}
}

func TestArithmeticNeverOverflows(t *testing.T) {
	most := ^uint64(0)
	all := types.Capacity{CpuPoints: most, MemoryMiB: most, StorageMiB: most, BandwidthMbps: most}
	ones := types.Capacity{CpuPoints: 1, MemoryMiB: 1, StorageMiB: 1, BandwidthMbps: 1}
	milli, _ := types.CapacityMilliSuns(ones, all)
	require.Equal(t, most, milli)
	require.Equal(t, most, types.DemandMilliSuns(ones, all))
	milli, _ = types.CapacityMilliSuns(types.Capacity{}, all)
	require.Zero(t, milli, "a bundle of nothing, which params never hold")
	require.Zero(t, types.AcceleratorMilliSuns(types.AcceleratorBundle{}, types.Accelerator{MemoryMiB: most}))
}

// Whoever asks for what a vector demands gets at least the vector, and no more than a machine has is ever sold.
func TestDemandCoversTheVector(t *testing.T) {
	bundle := types.DefaultParams().Bundle
	rapid.Check(t, func(r *rapid.T) {
		need := types.Capacity{
			CpuPoints:     rapid.Uint64Range(0, types.MaxCPUPoints).Draw(r, "cpu"),
			MemoryMiB:     rapid.Uint64Range(0, types.MaxMemoryMiB).Draw(r, "memory"),
			StorageMiB:    rapid.Uint64Range(0, types.MaxStorageMiB).Draw(r, "storage"),
			BandwidthMbps: rapid.Uint64Range(0, types.MaxBandwidthMbps).Draw(r, "bandwidth"),
		}
		got := types.ResourcesOf(bundle, types.DemandMilliSuns(bundle, need))
		require.True(r, got.CpuPoints >= need.CpuPoints && got.MemoryMiB >= need.MemoryMiB &&
			got.StorageMiB >= need.StorageMiB && got.BandwidthMbps >= need.BandwidthMbps, "%v for %v", got, need)

		milli, _ := types.CapacityMilliSuns(bundle, need)
		sold := types.ResourcesOf(bundle, milli)
		require.True(r, sold.CpuPoints <= need.CpuPoints && sold.MemoryMiB <= need.MemoryMiB &&
			sold.StorageMiB <= need.StorageMiB && sold.BandwidthMbps <= need.BandwidthMbps, "%v of %v", sold, need)
	})
}

func TestFreeDevices(t *testing.T) {
	device := func(id string) types.NodeAccelerator {
		return types.NodeAccelerator{Accelerator: types.Accelerator{DeviceID: id}, MilliSuns: 1}
	}
	node := types.Node{Accelerators: []types.NodeAccelerator{device("b"), device("a"), device("c")}, GeneralMilliSuns: 10}
	load := types.NodeLoad{BusyDevices: []string{"a"}, ReservedGeneralMilliSuns: 4}
	require.Equal(t, []types.NodeAccelerator{device("b"), device("c")}, node.FreeDevices(load))
	require.EqualValues(t, 6, node.FreeGeneralMilliSuns(load))
	require.Zero(t, node.FreeGeneralMilliSuns(types.NodeLoad{ReservedGeneralMilliSuns: 11}), "never below 0")
	_, found := node.Device("d")
	require.False(t, found)
}
