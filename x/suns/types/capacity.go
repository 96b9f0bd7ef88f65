package types

import (
	"math/bits"
	"slices"
)

// MilliPerSuns is how many milli-SUNS make one SUNS.
const MilliPerSuns = 1000

// kibPerMiB is how many KiB make one MiB: accelerator bundles count memory in KiB, since 0.8 GiB is no whole MiB.
const kibPerMiB = 1024

// ratio is one resource beside its part of the bundle.
type ratio struct {
	resource     string
	have, bundle uint64
}

// milliSuns is floor(1000 · have ÷ bundle).
func (r ratio) milliSuns() uint64 { return mulDiv(r.have, MilliPerSuns, r.bundle, false) }

func (c Capacity) ratios(bundle Capacity) [4]ratio {
	return [4]ratio{
		{"cpu", c.CpuPoints, bundle.CpuPoints},
		{"memory", c.MemoryMiB, bundle.MemoryMiB},
		{"storage", c.StorageMiB, bundle.StorageMiB},
		{"bandwidth", c.BandwidthMbps, bundle.BandwidthMbps},
	}
}

func (a Accelerator) ratios(bundle AcceleratorBundle) [3]ratio {
	return [3]ratio{
		{"memory", mulDiv(a.MemoryMiB, kibPerMiB, 1, false), bundle.MemoryKiB},
		{"memory_bandwidth", a.MemoryBandwidthMbs, bundle.MemoryBandwidthMbs},
		{"fp32", a.Fp32Gflops, bundle.Fp32Gflops},
	}
}

// scarcest is min over the resources in milli-SUNS, and its name: the first of equals.
func scarcest(ratios []ratio) (milli uint64, bottleneck string) {
	for i, r := range ratios {
		if n := r.milliSuns(); i == 0 || n < milli {
			milli, bottleneck = n, r.resource
		}
	}
	return milli, bottleneck
}

func inSuns(ratios []ratio) []ResourceSuns {
	var out []ResourceSuns
	for _, r := range ratios {
		out = append(out, ResourceSuns{Resource: r.resource, MilliSuns: r.milliSuns()})
	}
	return out
}

// CapacityMilliSuns is what a machine of a vector offers: min over the resources of floor(1000 · have ÷ bundle), and the
// name of the scarcest resource (the first of equals).
func CapacityMilliSuns(bundle, c Capacity) (milli uint64, bottleneck string) {
	ratios := c.ratios(bundle)
	return scarcest(ratios[:])
}

// CapacityRatios is each resource of a vector in SUNS by itself, rounded down.
func CapacityRatios(bundle, c Capacity) []ResourceSuns {
	ratios := c.ratios(bundle)
	return inSuns(ratios[:])
}

// DemandMilliSuns is what must be asked for to get at least a vector: max over the resources of ceil(1000 · need ÷ bundle),
// the dominant resource (Ghodsi et al., NSDI 2011).
func DemandMilliSuns(bundle, c Capacity) uint64 {
	var milli uint64
	for _, r := range c.ratios(bundle) {
		milli = max(milli, mulDiv(r.have, MilliPerSuns, r.bundle, true))
	}
	return milli
}

// AcceleratorMilliSuns is what a device offers: min over memory, memory bandwidth and fp32 throughput of
// floor(1000 · have ÷ bundle).
func AcceleratorMilliSuns(bundle AcceleratorBundle, a Accelerator) uint64 {
	ratios := a.ratios(bundle)
	milli, _ := scarcest(ratios[:])
	return milli
}

// ConvertAccelerator is a device in SUNS, with each of its resources by itself.
func ConvertAccelerator(bundle AcceleratorBundle, a Accelerator) AcceleratorSuns {
	ratios := a.ratios(bundle)
	milli, bottleneck := scarcest(ratios[:])
	return AcceleratorSuns{MilliSuns: milli, Bottleneck: bottleneck, Ratios: inSuns(ratios[:])}
}

// AcceleratorResourcesOf is what a device of n milli-SUNS has at least: ceil(bundle · milli ÷ 1000) of each, since that is
// how much makes it n.
func AcceleratorResourcesOf(bundle AcceleratorBundle, milli uint64) AcceleratorBundle {
	return AcceleratorBundle{
		MemoryKiB:          mulDiv(bundle.MemoryKiB, milli, MilliPerSuns, true),
		MemoryBandwidthMbs: mulDiv(bundle.MemoryBandwidthMbs, milli, MilliPerSuns, true),
		Fp32Gflops:         mulDiv(bundle.Fp32Gflops, milli, MilliPerSuns, true),
	}
}

// ResourcesOf is the vector that n milli-SUNS of general resources give: floor(bundle · milli ÷ 1000) of each. A tenant who
// rents n SUNS gets at least this.
func ResourcesOf(bundle Capacity, milli uint64) Capacity {
	return Capacity{
		CpuPoints:     mulDiv(bundle.CpuPoints, milli, MilliPerSuns, false),
		MemoryMiB:     mulDiv(bundle.MemoryMiB, milli, MilliPerSuns, false),
		StorageMiB:    mulDiv(bundle.StorageMiB, milli, MilliPerSuns, false),
		BandwidthMbps: mulDiv(bundle.BandwidthMbps, milli, MilliPerSuns, false),
	}
}

// mulDiv is a · b ÷ c over a 128-bit product, rounded down or up, and the largest uint64 when it does not fit. A divisor of 0
// gives 0: params never hold one, and a query must not panic.
func mulDiv(a, b, c uint64, up bool) uint64 {
	if c == 0 {
		return 0
	}
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return ^uint64(0)
	}
	quotient, remainder := bits.Div64(hi, lo, c)
	if up && remainder > 0 && quotient < ^uint64(0) {
		quotient++
	}
	return quotient
}

// Validate says whether every resource is within its maximum.
func (c Capacity) Validate() error {
	for _, r := range c.ratios(Capacity{
		CpuPoints: MaxCPUPoints, MemoryMiB: MaxMemoryMiB, StorageMiB: MaxStorageMiB, BandwidthMbps: MaxBandwidthMbps,
	}) {
		if r.have > r.bundle {
			return ErrCapacityOutOfBounds.Wrapf("%s %d is above %d", r.resource, r.have, r.bundle)
		}
	}
	return nil
}

// Validate says whether a device is described validly.
func (a Accelerator) Validate() error {
	for _, field := range []struct {
		name, text string
		limit      int
	}{
		{"device id", a.DeviceID, MaxDeviceIDBytes},
		{"vendor", a.Vendor, MaxVendorBytes},
		{"model", a.Model, MaxModelBytes},
	} {
		if !printable(field.text, field.limit) {
			return ErrInvalidReport.Wrapf("%s %.80q must be 1 to %d printable characters", field.name, field.text, field.limit)
		}
	}
	if !ValidKind(a.Kind) {
		return ErrInvalidReport.Wrapf("device %s: kind %.20q is not gpu, fpga or asic", a.DeviceID, a.Kind)
	}
	return a.ValidateSize()
}

// ValidateSize says whether a device is within every maximum.
func (a Accelerator) ValidateSize() error {
	for _, r := range []ratio{
		{"memory", a.MemoryMiB, MaxDeviceMemoryMiB},
		{"memory bandwidth", a.MemoryBandwidthMbs, MaxDeviceBandwidthMBs},
		{"fp32 throughput", a.Fp32Gflops, MaxDeviceGflops},
	} {
		if r.have > r.bundle {
			return ErrCapacityOutOfBounds.Wrapf("device %.64q: %s %d is above %d", a.DeviceID, r.resource, r.have, r.bundle)
		}
	}
	return nil
}

// SameDevice says whether two descriptions are of one device, whatever was measured of it.
func (a Accelerator) SameDevice(b Accelerator) bool {
	return a.DeviceID == b.DeviceID && a.Kind == b.Kind && a.Vendor == b.Vendor && a.Model == b.Model
}

// FreeGeneralMilliSuns is what is not reserved of a node's general resources.
func (n Node) FreeGeneralMilliSuns(load NodeLoad) uint64 {
	return n.GeneralMilliSuns - min(n.GeneralMilliSuns, load.ReservedGeneralMilliSuns)
}

// Device finds a device of a node.
func (n Node) Device(id string) (NodeAccelerator, bool) {
	for _, device := range n.Accelerators {
		if device.Accelerator.DeviceID == id {
			return device, true
		}
	}
	return NodeAccelerator{}, false
}

// FreeDevices are the devices of a node that no placement holds, in the node's order.
func (n Node) FreeDevices(load NodeLoad) []NodeAccelerator {
	var free []NodeAccelerator
	for _, device := range n.Accelerators {
		if !load.Holds(device.Accelerator.DeviceID) {
			free = append(free, device)
		}
	}
	return free
}

// Holds says whether a device is busy.
func (l NodeLoad) Holds(deviceID string) bool {
	_, found := slices.BinarySearch(l.BusyDevices, deviceID)
	return found
}
