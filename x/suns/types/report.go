package types

// Measured is what the chain computes from a benchmark report.
type Measured struct {
	// GeneralMilliSuns is the general resources' part.
	GeneralMilliSuns uint64
	// Accelerators are the devices with each one's part.
	Accelerators []NodeAccelerator
	// MilliSuns is the sum.
	MilliSuns uint64
}

// Measure checks a report and computes SUNS from its vector. The claim must equal the result: a higher one is
// ErrClaimTooHigh, a lower one ErrReportContradicts.
func (r BenchmarkReport) Measure(params Params) (Measured, error) {
	if err := r.Validate(); err != nil {
		return Measured{}, err
	}
	general, bottleneck := CapacityMilliSuns(params.Bundle, r.Capacity)
	m := Measured{GeneralMilliSuns: general, MilliSuns: general}
	for _, a := range r.Accelerators {
		milli := AcceleratorMilliSuns(params.AcceleratorBundle, a)
		if milli == 0 {
			return Measured{}, ErrInvalidReport.Wrapf("device %s is too small to count: leave it out", a.DeviceID)
		}
		m.Accelerators = append(m.Accelerators, NodeAccelerator{Accelerator: a, MilliSuns: milli})
		m.MilliSuns += milli
	}
	switch {
	case r.MilliSuns > m.MilliSuns:
		return Measured{}, ErrClaimTooHigh.Wrapf("claimed %d milli-SUNS, the vector gives %d (%d general, bound by %s)",
			r.MilliSuns, m.MilliSuns, general, bottleneck)
	case r.MilliSuns < m.MilliSuns:
		return Measured{}, ErrReportContradicts.Wrapf("claimed %d milli-SUNS, the vector gives %d", r.MilliSuns, m.MilliSuns)
	case m.MilliSuns > MaxNodeMilliSuns:
		return Measured{}, ErrCapacityOutOfBounds.Wrapf("%d milli-SUNS is above %d", m.MilliSuns, MaxNodeMilliSuns)
	case m.MilliSuns < params.MinNodeMilliSuns:
		return Measured{}, ErrNodeTooSmall.Wrapf("%d milli-SUNS, bound by %s: at least %d are needed",
			m.MilliSuns, bottleneck, params.MinNodeMilliSuns)
	}
	return m, nil
}

// Validate checks all of a report that needs no params.
func (r BenchmarkReport) Validate() error {
	if r.Version == 0 {
		return ErrInvalidReport.Wrap("version must be above 0")
	}
	if len(r.Digest) != DigestBytes {
		return ErrInvalidReport.Wrapf("digest has %d bytes, not %d", len(r.Digest), DigestBytes)
	}
	if !ValidArchitecture(r.Architecture) {
		return ErrInvalidReport.Wrapf("architecture %.20q is not amd64 or arm64", r.Architecture)
	}
	if err := r.Capacity.Validate(); err != nil {
		return err
	}
	return validateDevices(r.Accelerators)
}

func validateDevices(devices []Accelerator) error {
	if len(devices) > MaxAccelerators {
		return ErrInvalidReport.Wrapf("%d accelerators: at most %d", len(devices), MaxAccelerators)
	}
	ids := make(map[string]bool, len(devices))
	models := make(map[string]bool, len(devices))
	for _, a := range devices {
		if err := a.Validate(); err != nil {
			return err
		}
		if ids[a.DeviceID] {
			return ErrInvalidReport.Wrapf("device id %s appears twice", a.DeviceID)
		}
		ids[a.DeviceID] = true
		models[a.Model] = true
	}
	if len(models) > MaxAcceleratorModels {
		return ErrInvalidReport.Wrapf("%d models of accelerator: at most %d", len(models), MaxAcceleratorModels)
	}
	return nil
}
