package types

// MaxDemandDevices is the most devices one replica may ask for: as many as a node can have.
const MaxDemandDevices = MaxAccelerators

// Validate says whether a demand asks for something, within bounds.
func (d Demand) Validate() error {
	if d.GeneralMilliSuns > MaxNodeMilliSuns {
		return ErrInvalidDemand.Wrapf("%d milli-SUNS is above %d", d.GeneralMilliSuns, MaxNodeMilliSuns)
	}
	if d.Accelerator == nil {
		if d.GeneralMilliSuns == 0 {
			return ErrInvalidDemand.Wrap("it asks for nothing")
		}
		return nil
	}
	return d.Accelerator.Validate()
}

// Validate says whether a demand for devices is within bounds.
func (d AcceleratorDemand) Validate() error {
	if !ValidKind(d.Kind) {
		return ErrInvalidDemand.Wrapf("kind %.20q is not gpu, fpga or asic", d.Kind)
	}
	if d.Model != "" && !printable(d.Model, MaxModelBytes) {
		return ErrInvalidDemand.Wrapf("model %.80q must be at most %d printable characters", d.Model, MaxModelBytes)
	}
	if d.Count == 0 || d.Count > MaxDemandDevices {
		return ErrInvalidDemand.Wrapf("count %d is not between 1 and %d", d.Count, MaxDemandDevices)
	}
	if d.MilliSuns > MaxNodeMilliSuns {
		return ErrInvalidDemand.Wrapf("%d milli-SUNS a device is above %d", d.MilliSuns, MaxNodeMilliSuns)
	}
	return nil
}

// Devices is how many devices a demand asks for.
func (d Demand) Devices() uint32 {
	if d.Accelerator == nil {
		return 0
	}
	return d.Accelerator.Count
}

// MilliSuns is the least a placement of this demand is sized: general resources and, for each device, the least it must
// have. The devices really taken may be bigger.
func (d Demand) MilliSuns() uint64 {
	if d.Accelerator == nil {
		return d.GeneralMilliSuns
	}
	return d.GeneralMilliSuns + uint64(d.Accelerator.Count)*d.Accelerator.MilliSuns
}

// Covers says whether a device is of the kind, model and size that is asked for.
func (d AcceleratorDemand) Covers(device NodeAccelerator) bool {
	return device.Accelerator.Kind == d.Kind &&
		(d.Model == "" || device.Accelerator.Model == d.Model) &&
		device.MilliSuns >= d.MilliSuns
}

// AtLeast says whether a demand asks for no less than another in everything, such as a lease's for its image's.
func (d Demand) AtLeast(least Demand) bool {
	if d.GeneralMilliSuns < least.GeneralMilliSuns {
		return false
	}
	if least.Accelerator == nil {
		return true
	}
	a, b := d.Accelerator, least.Accelerator
	return a != nil && a.Kind == b.Kind && (b.Model == "" || a.Model == b.Model) &&
		a.Count >= b.Count && a.MilliSuns >= b.MilliSuns
}
