package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// deviceTimeout bounds one device: a driver that hangs must not hold up the
// rest. Building kernels takes some drivers tens of seconds.
const deviceTimeout = 2 * time.Minute

// Accelerator is a device with what it is worth.
type Accelerator struct {
	sunstypes.Accelerator
	MilliSuns uint64 `json:"milli_suns"`
	// Offered is false for a device that is not for rent; Reason says why.
	Offered bool   `json:"offered"`
	Reason  string `json:"reason,omitempty"`
}

// deviceOptions say how to measure devices; all of them, or those for rent.
type deviceOptions struct {
	accel.BenchOptions
	all bool
}

// measureDevices measures each device with the first of its sources that can.
// One that a placement holds is not touched: the tenant rented the whole of
// it, and the figures would be wrong; what the chain holds of it stays.
func measureDevices(
	ctx context.Context, devices []accel.FoundDevice, offer config.Offer, busy map[string]sunstypes.Accelerator,
	bundle sunstypes.AcceleratorBundle, opts deviceOptions, step func(accel.FoundDevice),
) ([]Accelerator, []measure.Measurement, error) {
	out := make([]Accelerator, 0, len(devices))
	var measurements []measure.Measurement
	for _, d := range devices {
		if opts.measures(d, offer, busy) {
			step(d)
		}
		a, measured, err := measureDevice(ctx, d, offer, busy, opts)
		if err != nil {
			return nil, nil, err
		}
		if a.Offered {
			a.MilliSuns = sunstypes.AcceleratorMilliSuns(bundle, a.Accelerator)
			a.judge()
		}
		out = append(out, a)
		measurements = append(measurements, measured...)
	}
	limitDevices(out)
	return out, measurements, nil
}

// keptBack says why a device is not for rent; empty if it is.
func keptBack(d accel.FoundDevice, offer config.Offer) string {
	switch {
	case d.Kind == accel.KindCPU:
		return "it is a processor, which counts as such already"
	case !d.Offered:
		return cmp.Or(d.Unusable, "it cannot be rented out")
	case offer.Keeps(d.ID):
		return "offer.keep_devices keeps it"
	}
	return ""
}

// measures says whether a device is measured: one that nobody can rent would
// only take time.
func (o deviceOptions) measures(d accel.FoundDevice, offer config.Offer, busy map[string]sunstypes.Accelerator) bool {
	_, held := busy[d.ID]
	return !held && (o.all || keptBack(d, offer) == "")
}

// measureDevice fails only when ctx ends; any other failure is the reason why
// the device is not offered.
func measureDevice(
	ctx context.Context, d accel.FoundDevice, offer config.Offer, busy map[string]sunstypes.Accelerator, opts deviceOptions,
) (Accelerator, []measure.Measurement, error) {
	a := Accelerator{Accelerator: sunstypes.Accelerator{
		DeviceID: d.ID, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, MemoryMiB: d.MemoryMiB,
	}}
	if held, ok := busy[d.ID]; ok {
		a.Accelerator, a.Offered, a.Reason = held, true, "a placement holds it: its earlier figures stay"
		return a, nil, nil
	}
	a.Reason = keptBack(d, offer)
	if !opts.measures(d, offer, busy) {
		return a, nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deviceTimeout, errDeviceSlow)
	defer cancel()
	result, err := d.Bench(ctx, opts.BenchOptions)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errDeviceSlow) {
			return a, nil, fmt.Errorf("measure accelerators: %w", ctx.Err())
		}
		if a.Reason == "" {
			a.Reason = "it could not be measured: " + err.Error()
		}
		return a, nil, nil
	}
	a.MemoryBandwidthMbs, a.Fp32Gflops = result.MemoryBandwidthMBs, result.Fp32Gflops
	if result.MemoryMiB > 0 {
		a.MemoryMiB = result.MemoryMiB
	}
	a.Offered = a.Reason == ""
	for i := range result.Measurements {
		if result.Measurements[i].Device == "" {
			result.Measurements[i].Device = d.ID
		}
	}
	return a, result.Measurements, nil
}

var errDeviceSlow = fmt.Errorf("the device took longer than %s", deviceTimeout)

// judge keeps back what the chain would refuse.
func (a *Accelerator) judge() {
	err := a.Validate()
	switch {
	case err != nil:
		a.Offered, a.Reason = false, "the chain would refuse it: "+err.Error()
	case a.MilliSuns == 0:
		a.Offered, a.Reason = false, "it is worth less than a thousandth of a SUNS"
	}
}

// limitDevices keeps back what is more than the chain takes of one node, the
// least worthy first.
func limitDevices(devices []Accelerator) {
	order := make([]*Accelerator, 0, len(devices))
	for i := range devices {
		if devices[i].Offered {
			order = append(order, &devices[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *Accelerator) int { return cmp.Compare(b.MilliSuns, a.MilliSuns) })
	models := map[string]bool{}
	kept := 0
	for _, a := range order {
		switch {
		case kept == sunstypes.MaxAccelerators:
			a.Offered, a.Reason = false, fmt.Sprintf("the chain takes %d accelerators of a node", sunstypes.MaxAccelerators)
		case !models[a.Model] && len(models) == sunstypes.MaxAcceleratorModels:
			a.Offered, a.Reason = false, fmt.Sprintf("the chain takes %d models of accelerator of a node", sunstypes.MaxAcceleratorModels)
		default:
			kept, models[a.Model] = kept+1, true
		}
	}
}

// offeredDevices are those that go on the chain.
func offeredDevices(all []Accelerator) []sunstypes.Accelerator {
	var out []sunstypes.Accelerator
	for _, a := range all {
		if a.Offered {
			out = append(out, a.Accelerator)
		}
	}
	slices.SortFunc(out, func(a, b sunstypes.Accelerator) int { return strings.Compare(a.DeviceID, b.DeviceID) })
	return out
}
