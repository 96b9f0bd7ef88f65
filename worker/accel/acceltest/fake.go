package acceltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/measure"
)

// Fake is a source whose devices exist in a test only. Its methods may be
// called at the same time.
type Fake struct {
	SourceName string
	// Speed are the figures by device id; a device without some cannot be
	// measured.
	Speed map[string]Speed
	// Err, if set, is what every call fails with.
	Err error

	mu      sync.Mutex
	devices []accel.Device
	benches int
}

// Speed is what a fake device measures, in MB/s and GFLOP/s.
type Speed struct{ MemoryBandwidthMBs, Fp32Gflops uint64 }

var _ accel.Source = (*Fake)(nil)

// NewFake is a source with devices that all measure 100 GB/s and 1 TFLOP/s.
func NewFake(name string, devices ...accel.Device) *Fake {
	f := &Fake{SourceName: name, Speed: map[string]Speed{}, devices: devices}
	for _, d := range devices {
		f.Speed[d.ID] = Speed{MemoryBandwidthMBs: 100_000, Fp32Gflops: 1_000}
	}
	return f
}

// Name implements accel.Source.
func (f *Fake) Name() string { return f.SourceName }

// Plug puts the machine's devices in place of those there were.
func (f *Fake) Plug(devices ...accel.Device) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.devices = devices
}

// Benches is how many measurements were asked for.
func (f *Fake) Benches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.benches
}

// Inventory implements accel.Source.
func (f *Fake) Inventory(ctx context.Context) (accel.Inventory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return accel.Inventory{}, err
	}
	return accel.Inventory{Version: accel.ContractVersion, Devices: slices.Clone(f.devices)}, f.Err
}

// Bench implements accel.Source.
func (f *Fake) Bench(ctx context.Context, id string, opts accel.BenchOptions) (accel.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.benches++
	if err := ctx.Err(); err != nil {
		return accel.Result{}, err
	}
	if f.Err != nil {
		return accel.Result{}, f.Err
	}
	at := slices.IndexFunc(f.devices, func(d accel.Device) bool { return d.ID == id })
	if at < 0 {
		return accel.Result{}, fmt.Errorf("%w: %s", accel.ErrNoDevice, id)
	}
	speed, ok := f.Speed[id]
	if !ok {
		return accel.Result{}, accel.ErrCannotMeasure
	}
	sum := sha256.Sum256(fmt.Append(nil, opts.Seed))
	figure := func(name, unit string, value uint64) measure.Measurement {
		return measure.Measurement{
			Name: name, Device: id, Unit: unit, Value: float64(value), Delivered: float64(value), Samples: 1,
			Seed: opts.Seed, Digest: hex.EncodeToString(sum[:]),
		}
	}
	return accel.Result{
		Version: accel.ContractVersion, MemoryMiB: f.devices[at].MemoryMiB,
		MemoryBandwidthMBs: speed.MemoryBandwidthMBs, Fp32Gflops: speed.Fp32Gflops,
		Measurements: []measure.Measurement{
			figure("accelerator.memory_bandwidth", "MB/s", speed.MemoryBandwidthMBs),
			figure("accelerator.fp32", "GFLOP/s", speed.Fp32Gflops),
		},
	}, nil
}
