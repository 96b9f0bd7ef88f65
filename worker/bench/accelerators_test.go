package bench

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// fakeSource lists devices and measures those it has a result for.
type fakeSource struct {
	name    string
	devices []accel.Device
	results map[string]accel.Result
	fails   map[string]error
	asked   []string
}

func (s *fakeSource) Name() string { return s.name }

func (s *fakeSource) Inventory(context.Context) (accel.Inventory, error) {
	return accel.Inventory{Version: accel.ContractVersion, Devices: s.devices}, nil
}

func (s *fakeSource) Bench(ctx context.Context, id string, _ accel.BenchOptions) (accel.Result, error) {
	s.asked = append(s.asked, id)
	if err := ctx.Err(); err != nil {
		return accel.Result{}, err
	}
	if err, ok := s.fails[id]; ok {
		return accel.Result{}, err
	}
	if result, ok := s.results[id]; ok {
		return result, nil
	}
	return accel.Result{}, accel.ErrCannotMeasure
}

func gpu(id, model string) accel.Device {
	return accel.Device{
		ID: id, Kind: accel.KindGPU, Vendor: "nvidia", Model: model, MemoryMiB: 24_576,
		Attach: accel.Attach{NVIDIA: id},
	}
}

func result() accel.Result {
	return accel.Result{
		Version: accel.ContractVersion, MemoryMiB: 24_576, MemoryBandwidthMBs: 1_008_000, Fp32Gflops: 82_600,
		Measurements: []measure.Measurement{{Name: "accelerator.fp32", Value: 82_600, Unit: "GFLOP/s"}},
	}
}

func fakeSources() []accel.Source {
	return []accel.Source{&fakeSource{
		name: "fake", devices: []accel.Device{gpu("GPU-1", "Good One")}, results: map[string]accel.Result{"GPU-1": result()},
	}}
}

func devices(t *testing.T, offer config.Offer, busy map[string]sunstypes.Accelerator, sources ...accel.Source) ([]Accelerator, []measure.Measurement) {
	t.Helper()
	found, err := accel.Find(t.Context(), sources)
	require.NoError(t, err)
	all, figures, err := measureDevices(t.Context(), found.Devices, offer, busy, bundle().Accelerator,
		deviceOptions{BenchOptions: accel.BenchOptions{Seed: Seed, Duration: time.Second}}, func(accel.FoundDevice) {})
	require.NoError(t, err)
	return all, figures
}

func TestDeviceIsMeasuredAndOffered(t *testing.T) {
	all, figures := devices(t, config.Offer{}, nil, fakeSources()...)
	require.Equal(t, []Accelerator{{
		Accelerator: sunstypes.Accelerator{
			DeviceID: "GPU-1", Kind: "gpu", Vendor: "nvidia", Model: "Good One",
			MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
		},
		MilliSuns: 30_000, Offered: true,
	}}, all)
	require.Len(t, figures, 1)
	require.Equal(t, "GPU-1", figures[0].Device)
}

func TestDeviceThatIsNotOfferedSaysWhy(t *testing.T) {
	processor := gpu("CPU-1", "PoCL")
	processor.Kind = accel.KindCPU
	broken := gpu("GPU-2", "Broken")
	slow := result()
	slow.Fp32Gflops = 0
	source := &fakeSource{
		name:    "fake",
		devices: []accel.Device{processor, broken, gpu("GPU-3", "Mine"), gpu("GPU-4", "Unknown"), gpu("GPU-5", "Slow")},
		results: map[string]accel.Result{"CPU-1": result(), "GPU-3": result(), "GPU-5": slow},
		fails:   map[string]error{"GPU-2": errors.New("the driver crashed")},
	}
	all, _ := devices(t, config.Offer{KeepDevices: []string{"GPU-3"}}, nil, source)
	reasons := map[string]string{}
	for _, a := range all {
		require.False(t, a.Offered, a.DeviceID)
		require.Zero(t, a.MilliSuns, a.DeviceID)
		reasons[a.DeviceID] = a.Reason
	}
	require.Contains(t, reasons["CPU-1"], "processor")
	require.Contains(t, reasons["GPU-2"], "the driver crashed")
	require.Contains(t, reasons["GPU-3"], "keep_devices")
	require.Contains(t, reasons["GPU-4"], "could not be measured")
	require.Contains(t, reasons["GPU-5"], "less than a thousandth")
	require.Empty(t, offeredDevices(all))
	require.NotContains(t, source.asked, "CPU-1", "nobody can rent it, so measuring it would only take time")

	found, err := accel.Find(t.Context(), []accel.Source{source})
	require.NoError(t, err)
	all, figures, err := measureDevices(t.Context(), found.Devices[:1], config.Offer{}, nil, bundle().Accelerator,
		deviceOptions{all: true}, func(accel.FoundDevice) {})
	require.NoError(t, err)
	require.NotEmpty(t, figures, "unless it is asked for")
	require.False(t, all[0].Offered)
	require.EqualValues(t, 82_600, all[0].Fp32Gflops)
}

func TestRentedDeviceIsNotTouched(t *testing.T) {
	source := &fakeSource{name: "fake", devices: []accel.Device{gpu("GPU-1", "Good One")}}
	held := sunstypes.Accelerator{
		DeviceID: "GPU-1", Kind: "gpu", Vendor: "nvidia", Model: "Good One", MemoryMiB: 820, MemoryBandwidthMbs: 33_600, Fp32Gflops: 200,
	}
	all, _ := devices(t, config.Offer{KeepDevices: []string{config.AllDevices}}, map[string]sunstypes.Accelerator{"GPU-1": held}, source)
	require.Equal(t, held, all[0].Accelerator)
	require.True(t, all[0].Offered)
	require.EqualValues(t, 1000, all[0].MilliSuns)
	require.Empty(t, source.asked, "the tenant has the whole of it")
}

func TestNoMoreDevicesThanTheChainTakes(t *testing.T) {
	var all []Accelerator
	for i := range sunstypes.MaxAccelerators + 2 {
		all = append(all, Accelerator{
			Accelerator: sunstypes.Accelerator{DeviceID: fmt.Sprint(i), Model: "One"}, MilliSuns: uint64(i + 1), Offered: true,
		})
	}
	limitDevices(all)
	require.Len(t, offeredDevices(all), sunstypes.MaxAccelerators)
	require.False(t, all[0].Offered, "the least worthy stay behind")
	require.Contains(t, all[0].Reason, "16 accelerators")

	all = all[:0]
	for i := range sunstypes.MaxAcceleratorModels + 1 {
		all = append(all, Accelerator{
			Accelerator: sunstypes.Accelerator{DeviceID: fmt.Sprint(i), Model: fmt.Sprint(i)}, MilliSuns: uint64(i + 1), Offered: true,
		})
	}
	limitDevices(all)
	require.Contains(t, all[0].Reason, "models")
	require.Len(t, offeredDevices(all), sunstypes.MaxAcceleratorModels)
}

func TestDevicesEndWithTheContext(t *testing.T) {
	found, err := accel.Find(t.Context(), fakeSources())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = measureDevices(ctx, found.Devices, config.Offer{}, nil, bundle().Accelerator, deviceOptions{}, func(accel.FoundDevice) {})
	require.ErrorIs(t, err, context.Canceled)
}
