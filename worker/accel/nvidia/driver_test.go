//go:build linux && cgo

package nvidia

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// card gives a mock's card what the mock leaves out, so that each test takes
// away what it is about.
func card(t *testing.T, machine *server.Server, index int) *server.Device {
	t.Helper()
	d, ok := machine.Devices[index].(*server.Device)
	require.True(t, ok)
	d.UUID = fmt.Sprintf("GPU-%08d-0000-4000-8000-000000000000", index)
	d.MemoryInfo.Used = uint64(index) << 30
	d.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) {
		var info nvml.PciInfo
		for i, c := range fmt.Sprintf("00000000:%02X:00.0", 0x0a+index) {
			info.BusId[i] = int8(c)
		}
		return info, nvml.SUCCESS
	}
	d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 37}, nvml.SUCCESS }
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 54, nvml.SUCCESS }
	d.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
		return nvml.FEATURE_ENABLED, nvml.FEATURE_DISABLED, nvml.SUCCESS
	}
	d.GetMaxPcieLinkGenerationFunc = func() (int, nvml.Return) { return 4, nvml.SUCCESS }
	d.GetCurrPcieLinkWidthFunc = func() (int, nvml.Return) { return 16, nvml.SUCCESS }
	d.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_DEFAULT, nvml.SUCCESS }
	d.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	d.GetMigDeviceHandleByIndexFunc = func(int) (nvml.Device, nvml.Return) { return nil, nvml.ERROR_NOT_FOUND }
	return d
}

func cards(t *testing.T, machine *server.Server) {
	t.Helper()
	for index := range machine.Devices {
		card(t, machine, index)
	}
}

func inventory(t *testing.T, machine nvml.Interface) accel.Inventory {
	t.Helper()
	inv, err := Driver{lib: machine}.Inventory(t.Context())
	require.NoError(t, err)
	require.Equal(t, accel.ContractVersion, inv.Version)
	require.NotNil(t, inv.Devices)
	return inv
}

func value[T any](v T) *T { return &v }

func TestMachinesOfNVIDIA(t *testing.T) {
	for name, tc := range map[string]struct {
		machine *server.Server
		model   string
		memory  uint64
		driver  string
	}{
		"DGX A100": {dgxa100.New(), "Mock NVIDIA A100-SXM4-40GB", 40960, "550.54.15 (CUDA 12.4)"},
		"DGX H100": {dgxh100.New(), "NVIDIA H100 80GB HBM3", 81920, "550.54.15 (CUDA 12.4)"},
		"DGX B200": {dgxb200.New(), "NVIDIA B200 180GB HBM3e", 184320, "560.28.03 (CUDA 12.6)"},
	} {
		t.Run(name, func(t *testing.T) {
			cards(t, tc.machine)
			inv := inventory(t, tc.machine)
			require.Len(t, inv.Devices, 8)
			require.Empty(t, inv.Notes)
			require.Equal(t, accel.Device{
				ID: "GPU-00000001-0000-4000-8000-000000000000", Kind: accel.KindGPU, Vendor: "nvidia", Model: tc.model,
				MemoryMiB: tc.memory, PCI: "0000:0b:00.0", Driver: tc.driver,
				Status: accel.Status{
					UtilisationPercent: value(uint32(37)), MemoryUsedMiB: value(uint64(1024)), TemperatureCelsius: value(uint32(54)),
					ECC: value(true), PCIeGeneration: value(uint32(4)), PCIeWidth: value(uint32(16)),
				},
				Attach: accel.Attach{NVIDIA: "GPU-00000001-0000-4000-8000-000000000000"},
			}, inv.Devices[1])
		})
	}
}

// A laptop's card has neither ECC nor a figure of its use, and that is all right.
func TestWhatACardDoesNotTellIsLeftOut(t *testing.T) {
	machine := dgxa100.New()
	machine.Devices = machine.Devices[:1]
	d := card(t, machine, 0)
	d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED }
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	d.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
	d.GetMaxPcieLinkGenerationFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	d.GetCurrPcieLinkWidthFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	d.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_NOT_SUPPORTED }
	d.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{}, nvml.SUCCESS }
	d.GetNameFunc = func() (string, nvml.Return) { return " ", nvml.SUCCESS }
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
	machine.SystemGetDriverVersionFunc = func() (string, nvml.Return) { return "", nvml.ERROR_UNKNOWN }
	inv := inventory(t, machine)
	require.Empty(t, inv.Notes)
	require.Equal(t, []accel.Device{{
		ID: d.UUID, Kind: accel.KindGPU, Vendor: "nvidia", Model: "NVIDIA GPU", Attach: accel.Attach{NVIDIA: d.UUID},
	}}, inv.Devices)
}

// divide puts a card into MIG mode with instances of so much memory.
func divide(d *server.Device, instances map[int]uint64) {
	d.MigMode = nvml.DEVICE_MIG_ENABLE
	d.GetMigDeviceHandleByIndexFunc = func(index int) (nvml.Device, nvml.Return) {
		memory, ok := instances[index]
		if !ok {
			return nil, nvml.ERROR_NOT_FOUND
		}
		slice := server.NewDeviceFromConfig(d.Config, index)
		slice.UUID = fmt.Sprintf("MIG-%08d-0000-5000-8000-000000000000", index)
		slice.Config.Name += " MIG 1g.5gb"
		slice.MemoryInfo = nvml.Memory{Total: memory << 20}
		unsupported := nvml.ERROR_NOT_SUPPORTED
		slice.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{}, unsupported }
		slice.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, unsupported }
		slice.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, unsupported }
		slice.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) { return 0, 0, unsupported }
		slice.GetMaxPcieLinkGenerationFunc = func() (int, nvml.Return) { return 0, unsupported }
		slice.GetCurrPcieLinkWidthFunc = func() (int, nvml.Return) { return 0, unsupported }
		slice.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return 0, unsupported }
		return slice, nvml.SUCCESS
	}
}

func TestInstancesOfADividedCard(t *testing.T) {
	machine := dgxa100.New()
	machine.Devices = machine.Devices[:2]
	cards(t, machine)
	divide(machine.Devices[0].(*server.Device), map[int]uint64{0: 4864, 5: 9856})
	inv := inventory(t, machine)
	require.Len(t, inv.Devices, 4, "two cards and two instances")
	parent := inv.Devices[0]
	require.Contains(t, parent.Unusable, "MIG mode")
	for i, want := range []struct {
		id     string
		memory uint64
	}{{"MIG-00000000-0000-5000-8000-000000000000", 4864}, {"MIG-00000005-0000-5000-8000-000000000000", 9856}} {
		slice := inv.Devices[1+i]
		require.Equal(t, want.id, slice.ID)
		require.Equal(t, want.memory, slice.MemoryMiB)
		require.Equal(t, parent.ID, slice.Parent)
		require.Equal(t, parent.PCI, slice.PCI)
		require.Equal(t, want.id, slice.Attach.NVIDIA)
		require.Empty(t, slice.Unusable)
		require.Equal(t, "Mock NVIDIA A100-SXM4-40GB MIG 1g.5gb", slice.Model)
	}
	require.Empty(t, inv.Devices[3].Unusable, "the other card is whole")
}

func TestACardInMIGModeWithoutInstancesSaysWhatToDo(t *testing.T) {
	machine := dgxh100.New()
	machine.Devices = machine.Devices[:1]
	divide(card(t, machine, 0), nil)
	inv := inventory(t, machine)
	require.Len(t, inv.Devices, 1)
	require.Contains(t, inv.Devices[0].Unusable, "nvidia-smi mig -cgi")
}

// A function that the driver lacks would end the process, so it is looked up
// before it is called.
func TestADriverOfBeforeMIGIsNotAskedForIt(t *testing.T) {
	machine := dgxa100.New()
	cards(t, machine)
	machine.LookupSymbolFunc = func(symbol string) error { return fmt.Errorf("undefined symbol: %s", symbol) }
	for _, d := range machine.Devices {
		d.(*server.Device).GetMigModeFunc = nil // the mock panics when it is called
	}
	require.Len(t, inventory(t, machine).Devices, 8)
}

func TestCardsThatCannotBeUsed(t *testing.T) {
	lost := nvml.ERROR_GPU_IS_LOST
	for name, tc := range map[string]struct {
		spoil  func(*server.Server, *server.Device)
		listed bool
		says   string
	}{
		"fallen off the bus before": {spoil: func(s *server.Server, _ *server.Device) {
			handle := s.DeviceGetHandleByIndexFunc
			s.DeviceGetHandleByIndexFunc = func(index int) (nvml.Device, nvml.Return) {
				if index == 1 {
					return nil, lost
				}
				return handle(index)
			}
		}, says: "card number 1: it has fallen off the bus"},
		"fallen off the bus meanwhile": {spoil: func(_ *server.Server, d *server.Device) {
			d.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, lost }
			d.GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, lost }
		}, listed: true, says: "fallen off the bus"},
		"no id": {spoil: func(_ *server.Server, d *server.Device) {
			d.GetUUIDFunc = func() (string, nvml.Return) { return "", nvml.ERROR_UNKNOWN }
		}, says: "error 999"},
		"no power": {spoil: func(_ *server.Server, d *server.Device) {
			d.GetUUIDFunc = func() (string, nvml.Return) { return "", nvml.ERROR_INSUFFICIENT_POWER }
		}, says: "power cables"},
		"closed to programs": {spoil: func(_ *server.Server, d *server.Device) {
			d.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_PROHIBITED, nvml.SUCCESS }
		}, listed: true, says: "-c DEFAULT"},
	} {
		t.Run(name, func(t *testing.T) {
			machine := dgxh100.New()
			machine.Devices = machine.Devices[:3]
			cards(t, machine)
			tc.spoil(machine, machine.Devices[1].(*server.Device))
			inv := inventory(t, machine)
			said := strings.Join(inv.Notes, "\n")
			healthy := 0
			for _, d := range inv.Devices {
				said += d.Unusable
				if d.Unusable == "" {
					healthy++
				}
			}
			require.Equal(t, 2, healthy, "the others are as they were")
			require.Contains(t, said, tc.says)
			require.Equal(t, tc.listed, len(inv.Devices) == 3)
		})
	}
}

// After a failed start any further call ends the process: the mock panics.
func TestNothingIsAskedAfterAFailedStart(t *testing.T) {
	for ret, says := range map[nvml.Return]string{
		nvml.ERROR_LIBRARY_NOT_FOUND:       "",
		nvml.ERROR_GPU_NOT_FOUND:           "",
		nvml.ERROR_DRIVER_NOT_LOADED:       "modprobe nvidia",
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: "restart",
		nvml.ERROR_NO_PERMISSION:           "root",
		nvml.ERROR_UNKNOWN:                 "error 999",
	} {
		machine := &server.Server{}
		machine.InitFunc = func() nvml.Return { return ret }
		inv := inventory(t, machine)
		require.Empty(t, inv.Devices)
		require.Equal(t, says == "", len(inv.Notes) == 0)
		require.Contains(t, strings.Join(inv.Notes, ""), says)
	}
}

func TestALookIsGivenUpWhenNobodyWaitsForIt(t *testing.T) {
	machine := dgxa100.New()
	cards(t, machine)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Driver{lib: machine}.Inventory(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
