// Package accel finds the accelerators of a machine, measures them and says
// how a container gets one: GPUs, FPGAs and ASICs.
//
// What is known of a device comes from sources: the NVIDIA driver, the amdgpu
// driver's files, OpenCL, and plugins for everything else. Drivers crash and
// hang, so a source that calls one runs in a process of its own and answers in
// the JSON of the plugin contract; see docs/accelerators.md.
package accel

import (
	"context"
	"errors"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// ContractVersion is the version of the JSON below.
const ContractVersion = 1

// The kinds of a device. A processor that shows itself through OpenCL is
// KindCPU: it can be measured, and is never offered, since the machine's
// general capacity has it already.
const (
	KindGPU  = "gpu"
	KindFPGA = "fpga"
	KindASIC = "asic"
	KindCPU  = "cpu"
)

// Device is one accelerator as it was found.
type Device struct {
	// ID is unique on the machine and the same after a reboot: the driver's
	// UUID, or else the place on the bus.
	ID string `json:"id"`
	// Kind is one of the kinds above.
	Kind string `json:"kind"`
	// Vendor is in lower case, such as "nvidia".
	Vendor    string `json:"vendor"`
	Model     string `json:"model"`
	MemoryMiB uint64 `json:"memory_mib"`
	// PCI is the place on the bus, such as "0000:01:00.0": by it the same
	// device is known in several sources. Empty where there is none.
	PCI    string `json:"pci,omitempty"`
	Driver string `json:"driver,omitempty"`
	// Parent is the id of the device this one is a slice of (MIG).
	Parent string `json:"parent,omitempty"`
	// Status is what moves from one look to the next.
	Status Status `json:"status"`
	// Attach says how a container gets the device.
	Attach Attach `json:"attach"`
	// Unusable says why the device cannot be rented out; empty if it can.
	Unusable string `json:"unusable,omitempty"`
	// Sources are the names of those that found it.
	Sources []string `json:"sources,omitempty"`
}

// Status is how a device is at the moment. What the source cannot tell is nil.
type Status struct {
	UtilisationPercent *uint32 `json:"utilisation_percent,omitempty"`
	MemoryUsedMiB      *uint64 `json:"memory_used_mib,omitempty"`
	TemperatureCelsius *uint32 `json:"temperature_celsius,omitempty"`
	ECC                *bool   `json:"ecc,omitempty"`
	PCIeGeneration     *uint32 `json:"pcie_generation,omitempty"`
	PCIeWidth          *uint32 `json:"pcie_width,omitempty"`
}

// Attach says how a container gets a device.
type Attach struct {
	// NVIDIA is the UUID to ask NVIDIA's container runtime for.
	NVIDIA string `json:"nvidia,omitempty"`
	// Nodes are device files, such as /dev/kfd and /dev/dri/renderD128.
	Nodes []string `json:"nodes,omitempty"`
	// Env are variables a program needs to find the device, NAME=value.
	Env []string `json:"env,omitempty"`
}

// Inventory is what a source answers to `inventory`.
type Inventory struct {
	Version int      `json:"version"`
	Devices []Device `json:"devices"`
	// Notes tell the owner what is missing, such as a driver. That a machine
	// has no such device is normal and needs no note.
	Notes []string `json:"notes,omitempty"`
}

// BenchOptions say what to measure.
type BenchOptions struct {
	Seed uint64
	// Duration is how long to take for each figure.
	Duration time.Duration
}

// Result is what a source answers to `bench`.
type Result struct {
	Version int `json:"version"`
	// MemoryMiB, MemoryBandwidthMBs (10^6 bytes a second) and Fp32Gflops are
	// what counts for SUNS, rounded down.
	MemoryMiB          uint64                `json:"memory_mib"`
	MemoryBandwidthMBs uint64                `json:"memory_bandwidth_mbs"`
	Fp32Gflops         uint64                `json:"fp32_gflops"`
	Measurements       []measure.Measurement `json:"measurements"`
}

// ErrCannotMeasure: the source finds devices and cannot measure them; another
// may.
var ErrCannotMeasure = errors.New("this source cannot measure devices")

// ErrNoDevice: the device is not there, or not there any more.
var ErrNoDevice = errors.New("no such device")

// Source finds devices and may measure them.
type Source interface {
	// Name is such as "nvidia", "amd", "opencl" or the plugin's file name.
	Name() string
	// Inventory lists the devices. No driver and no device is an empty list
	// and no error.
	Inventory(ctx context.Context) (Inventory, error)
	// Bench measures a device that Inventory listed. Errors:
	// ErrCannotMeasure, ErrNoDevice.
	Bench(ctx context.Context, deviceID string, opts BenchOptions) (Result, error)
}
