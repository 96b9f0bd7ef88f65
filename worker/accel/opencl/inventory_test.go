package opencl

import (
	"encoding/binary"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

// sysfs is a machine with an NVIDIA, an AMD and a Xilinx card.
var sysfs = fstest.MapFS{
	"bus/pci/devices/0000:01:00.0/drm/card0/dev":                      {},
	"bus/pci/devices/0000:01:00.0/drm/renderD128/dev":                 {},
	"bus/pci/devices/0000:01:00.0/uevent":                             {Data: []byte("DRIVER=nvidia\n")},
	"bus/pci/devices/0000:03:00.0/drm/card1/dev":                      {},
	"bus/pci/devices/0000:03:00.0/drm/renderD129/dev":                 {},
	"bus/pci/devices/0000:03:00.0/drm/controlD65/dev":                 {},
	"bus/pci/devices/0000:03:00.0/uevent":                             {Data: []byte("PCI_ID=1002:744C\nDRIVER=amdgpu\n")},
	"bus/pci/devices/0000:65:00.1/drm/renderD130/dev":                 {},
	"bus/pci/devices/0000:65:00.1/uevent":                             {Data: []byte("DRIVER=xocl\n")},
	"bus/pci/devices/0000:3b:00.0/accel/accel0/dev":                   {},
	"bus/pci/devices/0000:b1:00.0/fpga_region/region0/dfl-port.1/dev": {},
}

func uuid(last byte) []byte {
	return []byte{0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, last}
}

func TestDevices(t *testing.T) {
	for name, tc := range map[string]struct {
		facts facts
		want  accel.Device
	}{
		"nvidia": {
			facts{
				Platform: "NVIDIA CUDA", Type: deviceTypeGPU, VendorID: 0x10de, Vendor: "NVIDIA Corporation",
				Name: "NVIDIA GeForce RTX 4090", Driver: "550.54.14", UUID: uuid(1), PCI: "0000:01:00.0", Memory: 25393692672, Available: true,
			},
			accel.Device{
				ID: "GPU-1a2b3c4d-0001-0203-0405-060708090a01", Kind: accel.KindGPU, Vendor: "nvidia", Model: "NVIDIA GeForce RTX 4090",
				MemoryMiB: 24217, PCI: "0000:01:00.0", Driver: "NVIDIA CUDA 550.54.14",
				Attach: accel.Attach{NVIDIA: "GPU-1a2b3c4d-0001-0203-0405-060708090a01"},
			},
		},
		"amd": {
			facts{
				Platform: "AMD Accelerated Parallel Processing", Type: deviceTypeGPU, VendorID: 0x1002,
				Vendor: "Advanced Micro Devices, Inc.", Name: "gfx1100", Board: "Radeon RX 7900 XTX", Driver: "3602.0 (HSA1.1,LC)",
				PCI: "0000:03:00.0", Memory: 24 << 30, Available: true,
			},
			accel.Device{
				ID: "pci-0000:03:00.0", Kind: accel.KindGPU, Vendor: "amd", Model: "Radeon RX 7900 XTX", MemoryMiB: 24576,
				PCI: "0000:03:00.0", Driver: "AMD Accelerated Parallel Processing 3602.0 (HSA1.1,LC)",
				Attach: accel.Attach{Nodes: []string{"/dev/dri/card1", "/dev/dri/renderD129", "/dev/kfd"}},
			},
		},
		"xilinx": {
			facts{
				Platform: "Xilinx", Type: deviceTypeAccel, Vendor: "Xilinx", Name: "xilinx_u250_gen3x16_base_4", Driver: "1.0",
				PCI: "0000:65:00.1", Memory: 64 << 30, Available: true,
			},
			accel.Device{
				ID: "pci-0000:65:00.1", Kind: accel.KindFPGA, Vendor: "xilinx", Model: "xilinx_u250_gen3x16_base_4", MemoryMiB: 65536,
				PCI: "0000:65:00.1", Driver: "Xilinx 1.0", Attach: accel.Attach{Nodes: []string{"/dev/dri/renderD130"}},
			},
		},
		"an FPGA that is none": {
			facts{
				Platform: "Intel(R) FPGA Emulation Platform for OpenCL(TM)", Type: deviceTypeAccel, VendorID: 0x8086,
				Vendor: "Intel(R) Corporation", Name: "Intel(R) FPGA Emulation Device", Available: true,
			},
			accel.Device{
				ID: "opencl-5edb2af237442e08", Kind: accel.KindFPGA, Vendor: "intel", Model: "Intel(R) FPGA Emulation Device",
				Driver:   "Intel(R) FPGA Emulation Platform for OpenCL(TM)",
				Unusable: "it is an emulation that runs on the machine's processor",
			},
		},
		"graphics of a processor": {
			facts{
				Platform: "Intel(R) OpenCL Graphics", Type: deviceTypeGPU, VendorID: 0x8086, Vendor: "Intel(R) Corporation",
				Name: "Intel(R) UHD Graphics 770", UUID: uuid(2), Memory: 16 << 30, Unified: true, Available: true,
			},
			accel.Device{
				ID: "1a2b3c4d-0001-0203-0405-060708090a02", Kind: accel.KindGPU, Vendor: "intel", Model: "Intel(R) UHD Graphics 770",
				MemoryMiB: 16384, Driver: "Intel(R) OpenCL Graphics",
				Unusable: "it has no memory of its own: it uses the machine's, which the general capacity has already",
			},
		},
		"asleep": {
			facts{Platform: "p", Type: deviceTypeAccel, Vendor: "Tenso® Rent! GmbH", Name: "T\x1b[1m1", UUID: make([]byte, 16), PCI: "0000:3b:00.0"},
			accel.Device{
				ID: "pci-0000:3b:00.0", Kind: accel.KindASIC, Vendor: "tenso", Model: "T [1m1", PCI: "0000:3b:00.0", Driver: "p",
				Attach: accel.Attach{Nodes: []string{"/dev/accel/accel0"}}, Unusable: "its driver says that it is not available",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := tc.facts.device(sysfs)
			require.Equal(t, tc.want, d)
			require.NoError(t, plugin.CheckInventory(accel.Inventory{Devices: []accel.Device{d}}))
		})
	}
	require.Equal(t, []string{"/dev/dfl-port.1"}, nodes(sysfs, "0000:b1:00.0"))
}

func TestOneCardThroughTwoDriversIsOneDevice(t *testing.T) {
	card := func(platform string, index int, uuid []byte) entry {
		return entry{facts: facts{Platform: platform, Index: index, Type: deviceTypeGPU, Vendor: "Acme", Name: "A", UUID: uuid, Available: true}}
	}
	ids := func(entries []entry) (out []string) {
		for _, e := range describe(entries, sysfs) {
			out = append(out, e.facts.Platform+" "+e.device.ID)
		}
		return out
	}
	const id = "1a2b3c4d-0001-0203-0405-060708090a01"
	require.Equal(t, []string{"vendor " + id}, ids([]entry{card("vendor", 0, uuid(1)), card("mesa", 0, uuid(1))}))
	twins := ids([]entry{card("vendor", 0, uuid(1)), card("vendor", 1, uuid(1))})
	require.Len(t, twins, 2, "a driver that gives equal cards one UUID hides none of them")
	require.NotEqual(t, twins[0], twins[1])
}

func TestPlaceOnTheBus(t *testing.T) {
	answers := func(values map[uint32][]byte) *query {
		return &query{ask: func(what uint32) ([]byte, error) { return values[what], nil }}
	}
	little := func(words ...uint32) (raw []byte) {
		for _, w := range words {
			raw = binary.LittleEndian.AppendUint32(raw, w)
		}
		return raw
	}
	topology := append(little(1), make([]byte, 20)...)
	topology[21], topology[22], topology[23] = 0xC3, 0x1F, 7
	for name, tc := range map[string]struct {
		extension string
		values    map[uint32][]byte
		want      string
	}{
		"khronos":          {"cl_khr_pci_bus_info", map[uint32][]byte{devicePCI: little(1, 0x41, 0, 1)}, "0001:41:00.1"},
		"khronos, nowhere": {"cl_khr_pci_bus_info", map[uint32][]byte{devicePCI: little(1<<31, 0, 0, 0)}, ""},
		"nvidia": {
			"cl_nv_device_attribute_query",
			map[uint32][]byte{deviceBusNV: little(0x81), deviceSlotNV: little(3 << 3), deviceDomainNV: little(2)},
			"0002:81:03.0",
		},
		"amd":            {"cl_amd_device_attribute_query", map[uint32][]byte{deviceTopologyAMD: topology}, "0000:c3:1f.7"},
		"amd, too short": {"cl_amd_device_attribute_query", map[uint32][]byte{deviceTopologyAMD: {1}}, ""},
		"nobody says":    {"cl_khr_fp64", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, facts{Extensions: []string{tc.extension}}.place(answers(tc.values)))
		})
	}
}

func TestVendorNames(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA Corporation": "nvidia", "AuthenticAMD": "amd", "GenuineIntel": "intel", "The pocl project": "the", "": "unknown",
		"-- ": "unknown", "ACME-2.0 Corp": "acme-2.0",
	} {
		require.Equal(t, want, vendorName(0, name))
	}
	require.Equal(t, "arm", vendorName(0x13b5, "whatever"))
}

func TestDriversWithoutDevicesAreToldOf(t *testing.T) {
	s := &Source{Vendors: fstest.MapFS{"amdocl64.icd": {}, "readme": {}}}
	require.Contains(t, s.idleDrivers()[0], "[amdocl64.icd]")
	s.Vendors = fstest.MapFS{}
	require.Empty(t, s.idleDrivers())
}
