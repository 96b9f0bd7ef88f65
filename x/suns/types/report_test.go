package types_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func card(id string) types.Accelerator {
	return types.Accelerator{
		DeviceID: id, Kind: types.KindGPU, Vendor: "nvidia", Model: "NVIDIA GeForce RTX 4090",
		MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
	}
}

func report() types.BenchmarkReport {
	return types.BenchmarkReport{
		Version: 1, Digest: make([]byte, types.DigestBytes), Architecture: types.ArchAMD64,
		Capacity:     types.Capacity{CpuPoints: 4000, MemoryMiB: 8192, StorageMiB: 65536, BandwidthMbps: 80},
		Accelerators: []types.Accelerator{card("GPU-0"), card("GPU-1")},
		MilliSuns:    64_000,
	}
}

func TestMeasure(t *testing.T) {
	measured, err := report().Measure(types.DefaultParams())
	require.NoError(t, err)
	require.Equal(t, types.Measured{
		GeneralMilliSuns: 4_000,
		Accelerators: []types.NodeAccelerator{
			{Accelerator: card("GPU-0"), MilliSuns: 30_000}, {Accelerator: card("GPU-1"), MilliSuns: 30_000},
		},
		MilliSuns: 64_000,
	}, measured)
}

func TestMeasureRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*types.BenchmarkReport)
		want   error
	}{
		"claim too high":     {func(r *types.BenchmarkReport) { r.MilliSuns++ }, types.ErrClaimTooHigh},
		"claim too low":      {func(r *types.BenchmarkReport) { r.MilliSuns-- }, types.ErrReportContradicts},
		"version":            {func(r *types.BenchmarkReport) { r.Version = 0 }, types.ErrInvalidReport},
		"long digest":        {func(r *types.BenchmarkReport) { r.Digest = make([]byte, 33) }, types.ErrInvalidReport},
		"architecture":       {func(r *types.BenchmarkReport) { r.Architecture = "" }, types.ErrInvalidReport},
		"cpu":                {func(r *types.BenchmarkReport) { r.Capacity.CpuPoints = types.MaxCPUPoints + 1 }, types.ErrCapacityOutOfBounds},
		"memory":             {func(r *types.BenchmarkReport) { r.Capacity.MemoryMiB = types.MaxMemoryMiB + 1 }, types.ErrCapacityOutOfBounds},
		"storage":            {func(r *types.BenchmarkReport) { r.Capacity.StorageMiB = types.MaxStorageMiB + 1 }, types.ErrCapacityOutOfBounds},
		"bandwidth":          {func(r *types.BenchmarkReport) { r.Capacity.BandwidthMbps = types.MaxBandwidthMbps + 1 }, types.ErrCapacityOutOfBounds},
		"device twice":       {func(r *types.BenchmarkReport) { r.Accelerators[1].DeviceID = "GPU-0" }, types.ErrInvalidReport},
		"device without id":  {func(r *types.BenchmarkReport) { r.Accelerators[1].DeviceID = "" }, types.ErrInvalidReport},
		"device with space":  {func(r *types.BenchmarkReport) { r.Accelerators[1].DeviceID = " x" }, types.ErrInvalidReport},
		"kind":               {func(r *types.BenchmarkReport) { r.Accelerators[1].Kind = "tpu" }, types.ErrInvalidReport},
		"vendor":             {func(r *types.BenchmarkReport) { r.Accelerators[1].Vendor = "" }, types.ErrInvalidReport},
		"model":              {func(r *types.BenchmarkReport) { r.Accelerators[1].Model = strings.Repeat("x", 65) }, types.ErrInvalidReport},
		"no model":           {func(r *types.BenchmarkReport) { r.Accelerators[1].Model = "" }, types.ErrInvalidReport},
		"device memory":      {func(r *types.BenchmarkReport) { r.Accelerators[1].MemoryMiB = types.MaxDeviceMemoryMiB + 1 }, types.ErrCapacityOutOfBounds},
		"device bandwidth":   {func(r *types.BenchmarkReport) { r.Accelerators[1].MemoryBandwidthMbs = types.MaxDeviceBandwidthMBs + 1 }, types.ErrCapacityOutOfBounds},
		"device throughput":  {func(r *types.BenchmarkReport) { r.Accelerators[1].Fp32Gflops = types.MaxDeviceGflops + 1 }, types.ErrCapacityOutOfBounds},
		"device of nothing":  {func(r *types.BenchmarkReport) { r.Accelerators[1].Fp32Gflops = 0 }, types.ErrInvalidReport},
		"too many devices":   {func(r *types.BenchmarkReport) { r.Accelerators = cards(17, 1) }, types.ErrInvalidReport},
		"too many models":    {func(r *types.BenchmarkReport) { r.Accelerators = cards(5, 5) }, types.ErrInvalidReport},
		"too small":          {func(r *types.BenchmarkReport) { r.Accelerators, r.Capacity.CpuPoints, r.MilliSuns = nil, 99, 99 }, types.ErrNodeTooSmall},
		"everything at once": {func(r *types.BenchmarkReport) { *r = types.BenchmarkReport{} }, types.ErrInvalidReport},
	} {
		r := report()
		c.change(&r)
		_, err := r.Measure(types.DefaultParams())
		require.ErrorIs(t, err, c.want, name)
	}
}

func cards(count, models int) []types.Accelerator {
	var out []types.Accelerator
	for i := range count {
		c := card(fmt.Sprintf("GPU-%d", i))
		c.Model = fmt.Sprintf("model %d", i%models)
		out = append(out, c)
	}
	return out
}

func TestMeasureAtBounds(t *testing.T) {
	r := report()
	r.Accelerators, r.MilliSuns = cards(16, 4), 4_000+16*30_000
	_, err := r.Measure(types.DefaultParams())
	require.NoError(t, err)

	r = report()
	r.Accelerators, r.Capacity.CpuPoints, r.MilliSuns = nil, 100, 100
	_, err = r.Measure(types.DefaultParams())
	require.NoError(t, err)
}

// With bundles of 1, the largest vector there may be is more than the largest node there may be.
func TestMeasureBoundsTheSum(t *testing.T) {
	params := types.DefaultParams()
	params.Bundle = types.Capacity{CpuPoints: 1, MemoryMiB: 1, StorageMiB: 1, BandwidthMbps: 1}
	params.AcceleratorBundle = types.AcceleratorBundle{MemoryKiB: 1, MemoryBandwidthMbs: 1, Fp32Gflops: 1}
	r := report()
	r.Accelerators = cards(2, 1)
	r.MilliSuns = 80_000
	for i := range r.Accelerators {
		d := &r.Accelerators[i]
		d.MemoryMiB, d.MemoryBandwidthMbs, d.Fp32Gflops = types.MaxDeviceMemoryMiB, types.MaxDeviceBandwidthMBs, types.MaxDeviceGflops
		r.MilliSuns += types.AcceleratorMilliSuns(params.AcceleratorBundle, *d)
	}
	_, err := r.Measure(params)
	require.ErrorIs(t, err, types.ErrCapacityOutOfBounds)
}
