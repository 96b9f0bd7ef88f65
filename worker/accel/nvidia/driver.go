//go:build linux && cgo

package nvidia

import (
	"context"
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/isuncoin/isuncoin/worker/accel"
)

const mib = 1 << 20

// Driver asks the library in this process, which may not survive it.
type Driver struct {
	Source
	lib nvml.Interface
}

// NewDriver returns the driver of this machine.
func NewDriver() Driver { return Driver{lib: nvml.New()} }

// Inventory implements accel.Source. No driver is an empty list: most machines
// have none. After a failed start nothing more is asked.
func (d Driver) Inventory(ctx context.Context) (accel.Inventory, error) {
	inventory := accel.Inventory{Version: accel.ContractVersion, Devices: []accel.Device{}}
	if ret := d.lib.Init(); ret != nvml.SUCCESS {
		if note := noStart(ret); note != "" {
			inventory.Notes = []string{note}
		}
		return inventory, nil
	}
	defer func() { _ = d.lib.Shutdown() }() // the process ends soon anyway
	count, ret := d.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return inventory, fmt.Errorf("NVIDIA's driver does not count its cards (error %d); `nvidia-smi` may say more", ret)
	}
	r := reader{lib: d.lib, driver: d.version()}
	for index := range count {
		if err := ctx.Err(); err != nil {
			return inventory, err
		}
		r.card(index)
	}
	inventory.Devices, inventory.Notes = append(inventory.Devices, r.devices...), r.notes
	return inventory, nil
}

// noStart says what to do about a library that does not start; empty where
// there is nothing to be done, for want of a driver or of a card.
func noStart(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_GPU_NOT_FOUND, nvml.ERROR_NOT_FOUND:
		return ""
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return "NVIDIA's library is installed and its kernel driver is not loaded: `modprobe nvidia`, or restart the machine"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return "NVIDIA's library and its loaded kernel driver are of different versions, as after an update: restart the machine"
	case nvml.ERROR_NO_PERMISSION:
		return "this user may not ask NVIDIA's driver: run the worker as root, or allow it to use /dev/nvidiactl"
	}
	return fmt.Sprintf("NVIDIA's library does not start (error %d); `nvidia-smi` may say more", ret)
}

// version is such as "550.54.15 (CUDA 12.4)".
func (d Driver) version() string {
	version, ret := d.lib.SystemGetDriverVersion()
	if ret != nvml.SUCCESS {
		return ""
	}
	if cuda, ret := d.lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS && cuda > 0 {
		version += fmt.Sprintf(" (CUDA %d.%d)", cuda/1000, cuda%1000/10)
	}
	return version
}

// reader turns cards into devices. Any card may lack any figure, and a card
// may go while it is asked.
type reader struct {
	lib     nvml.Interface
	driver  string
	devices []accel.Device
	notes   []string
}

func (r *reader) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *reader) card(index int) {
	card, ret := r.lib.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		r.note("card number %d: %s", index, why(ret))
		return
	}
	device, ret := r.device(card)
	if ret != nvml.SUCCESS {
		r.note("card number %d: %s", index, why(ret))
		return
	}
	slices, on := r.slices(card, device)
	if device.Unusable == "" && on && len(slices) == 0 {
		device.Unusable = fmt.Sprintf("it is in MIG mode and has no instances: make some with `nvidia-smi mig -cgi PROFILE -C`, "+
			"or turn the mode off with `nvidia-smi -i %d -mig 0`", index)
	}
	if device.Unusable == "" && on {
		device.Unusable = "it is in MIG mode, and its instances are offered instead"
	}
	r.devices = append(append(r.devices, device), slices...)
}

// device reads what cards and slices have alike. Without an id it is no device.
func (r *reader) device(card nvml.Device) (accel.Device, nvml.Return) {
	uuid, ret := card.GetUUID()
	if ret != nvml.SUCCESS {
		return accel.Device{}, ret
	}
	d := accel.Device{
		ID: uuid, Kind: accel.KindGPU, Vendor: "nvidia", Model: "NVIDIA GPU", Driver: r.driver,
		Attach: accel.Attach{NVIDIA: uuid},
	}
	if name, ret := card.GetName(); ret == nvml.SUCCESS && strings.TrimSpace(name) != "" {
		d.Model = strings.TrimSpace(name)
	}
	memory, ret := card.GetMemoryInfo()
	switch ret {
	case nvml.SUCCESS:
		used := memory.Used / mib
		d.MemoryMiB, d.Status.MemoryUsedMiB = memory.Total/mib, &used
	case nvml.ERROR_NOT_SUPPORTED:
	default:
		d.Unusable = why(ret)
	}
	if pci, ret := card.GetPciInfo(); ret == nvml.SUCCESS {
		d.PCI = accel.NormalPCI(busID(pci))
	}
	if mode, ret := card.GetComputeMode(); ret == nvml.SUCCESS && mode == nvml.COMPUTEMODE_PROHIBITED {
		d.Unusable = fmt.Sprintf("its compute mode is prohibited: `nvidia-smi -i %s -c DEFAULT` lets programs use it", uuid)
	}
	r.status(card, &d)
	return d, nvml.SUCCESS
}

// busID is text in an array; the numbers beside it are zero in some drivers.
func busID(pci nvml.PciInfo) string {
	var id strings.Builder
	for _, c := range pci.BusId {
		if c == 0 {
			break
		}
		id.WriteByte(byte(c))
	}
	return id.String()
}

// status reads what moves. That a card does not have a figure is normal.
func (r *reader) status(card nvml.Device, d *accel.Device) {
	s := &d.Status
	if rates, ret := card.GetUtilizationRates(); ret == nvml.SUCCESS {
		percent := min(rates.Gpu, 100)
		s.UtilisationPercent = &percent
	}
	if celsius, ret := card.GetTemperature(nvml.TEMPERATURE_GPU); ret == nvml.SUCCESS {
		s.TemperatureCelsius = &celsius
	}
	if current, _, ret := card.GetEccMode(); ret == nvml.SUCCESS {
		on := current == nvml.FEATURE_ENABLED
		s.ECC = &on
	}
	// A link rests at a lower generation while its card has nothing to do.
	if generation, ret := card.GetMaxPcieLinkGeneration(); ret == nvml.SUCCESS && generation > 0 {
		value := uint32(generation)
		s.PCIeGeneration = &value
	}
	if width, ret := card.GetCurrPcieLinkWidth(); ret == nvml.SUCCESS && width > 0 {
		value := uint32(width)
		s.PCIeWidth = &value
	}
}

// slices are the instances of a card in MIG mode; on says whether it is. The
// drivers of before the mode lack its functions, and asking would end us.
func (r *reader) slices(card nvml.Device, parent accel.Device) (slices []accel.Device, on bool) {
	for _, symbol := range []string{"nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex"} {
		if r.lib.Extensions().LookupSymbol(symbol) != nil {
			return nil, false
		}
	}
	current, _, ret := card.GetMigMode()
	if ret != nvml.SUCCESS || current != nvml.DEVICE_MIG_ENABLE {
		return nil, false
	}
	most, ret := card.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		r.note("%s is in MIG mode and does not list its instances: %s", parent.ID, why(ret))
		return nil, true
	}
	for index := range most {
		instance, ret := card.GetMigDeviceHandleByIndex(index)
		if ret != nvml.SUCCESS {
			continue // fewer instances than there could be
		}
		slice, ret := r.device(instance)
		if ret != nvml.SUCCESS {
			r.note("MIG instance %d of %s: %s", index, parent.ID, why(ret))
			continue
		}
		slice.Parent, slice.PCI = parent.ID, parent.PCI
		if slice.Model == "NVIDIA GPU" {
			slice.Model = parent.Model + " MIG"
		}
		if slice.Unusable == "" {
			slice.Unusable = parent.Unusable
		}
		slices = append(slices, slice)
	}
	return slices, true
}

// why explains a refusal to the owner of the machine.
func why(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_GPU_IS_LOST:
		return "it has fallen off the bus: restart the machine, and check its power and slot if that happens again"
	case nvml.ERROR_RESET_REQUIRED:
		return "it needs a reset: `nvidia-smi --gpu-reset`, or restart the machine"
	case nvml.ERROR_INSUFFICIENT_POWER:
		return "its power cables are not connected"
	case nvml.ERROR_NO_PERMISSION:
		return "this user may not use it: run the worker as root"
	case nvml.ERROR_IRQ_ISSUE:
		return "its interrupts do not arrive: look at the kernel's log"
	case nvml.ERROR_CORRUPTED_INFOROM:
		return "its own memory of settings is damaged: the maker has to mend it"
	}
	return fmt.Sprintf("the driver cannot read it (error %d); `nvidia-smi` may say more", ret)
}
