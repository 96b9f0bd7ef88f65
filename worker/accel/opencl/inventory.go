package opencl

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// entry is a device as the driver has it and as the worker knows it.
type entry struct {
	handle   handle
	platform handle
	facts    facts
	device   accel.Device
}

// facts are what a driver says of a device, by OpenCL's words.
type facts struct {
	Platform        string
	PlatformVersion string
	// Index counts the devices of the platform.
	Index             int
	Type              uint64
	VendorID          uint32
	Vendor            string
	Name              string
	Board             string
	Driver            string
	Extensions        []string
	UUID              []byte
	PCI               string
	Memory            uint64 // bytes, as the next three
	MaxAlloc          uint64
	Cache             uint64
	LocalMemory       uint64
	ComputeUnits      uint32
	WorkGroup         uint64
	NativeFloats      uint32
	Unified           bool
	Available         bool
	CompilerAvailable bool
}

func (f facts) has(extension string) bool { return slices.Contains(f.Extensions, extension) }

// list finds the devices of all platforms. Two drivers may show the same
// device; the first one's is kept.
func (l *library) list(sys fs.FS) ([]entry, []string, error) {
	platforms, err := l.platforms()
	if err != nil {
		return nil, nil, err
	}
	var entries []entry
	var notes []string
	for number, p := range platforms {
		name := l.platformText(p, platformName)
		devices, err := l.devices(p)
		if err != nil {
			notes = append(notes, printable(fmt.Sprintf("driver %d (%s) lists no devices: %v", number, name, err), 200))
			continue
		}
		for index, d := range devices {
			f, err := l.facts(d)
			if err != nil {
				notes = append(notes, printable(fmt.Sprintf("device %d of %s does not say what it is: %v", index, name, err), 200))
				continue
			}
			f.Platform, f.PlatformVersion, f.Index = name, l.platformText(p, platformVersion), index
			entries = append(entries, entry{handle: d, platform: p, facts: f})
		}
	}
	return describe(entries, sys), notes, nil
}

// describe turns facts into devices, each under an id of its own.
func describe(entries []entry, sys fs.FS) []entry {
	taken := map[string]int{}
	var kept []entry
	for _, e := range entries {
		e.device = e.facts.device(sys)
		at, known := taken[e.device.ID]
		if known && kept[at].facts.Platform != e.facts.Platform {
			continue // the same device through another driver
		}
		if known { // a driver that gives equal cards one UUID
			e.device.ID = e.facts.idWithoutUUID()
		}
		taken[e.device.ID] = len(kept)
		kept = append(kept, e)
	}
	return kept
}

func (l *library) platformText(p handle, what uint32) string {
	raw, err := l.platformInfo(p, what)
	if err != nil {
		return "unnamed"
	}
	return text(raw)
}

// facts asks a device. What an old driver does not know stays zero; what every
// driver must know is an error.
func (l *library) facts(d handle) (facts, error) {
	q := query{ask: func(what uint32) ([]byte, error) { return l.deviceInfo(d, what) }}
	f := facts{
		Type: q.number(deviceType), VendorID: uint32(q.number(deviceVendorID)), Vendor: q.text(deviceVendor),
		Name: q.text(deviceName), Driver: q.text(driverVersion),
		Memory: q.number(deviceGlobalMemory), MaxAlloc: q.number(deviceMaxAlloc), LocalMemory: q.number(deviceLocalMemory),
		ComputeUnits: uint32(q.number(deviceComputeUnits)), WorkGroup: q.number(deviceMaxWorkGroupSize),
		Available: q.number(deviceAvailable) != 0, CompilerAvailable: q.number(deviceCompilerAvailable) != 0,
		Extensions: strings.Fields(q.text(deviceExtensions)),
	}
	if q.err != nil {
		return facts{}, q.err
	}
	more := query{ask: q.ask}
	f.Cache, f.Unified = more.number(deviceCacheSize), more.number(deviceUnifiedMemory) != 0
	f.NativeFloats = uint32(more.number(deviceNativeFloats))
	if f.has("cl_khr_device_uuid") {
		f.UUID = more.bytes(deviceUUID)
	}
	if f.has("cl_amd_device_attribute_query") {
		f.Board = more.text(deviceBoardAMD)
	}
	f.PCI = f.place(&more)
	return f, nil
}

// query asks one thing after another and keeps the first error.
type query struct {
	ask func(what uint32) ([]byte, error)
	err error
}

func (q *query) bytes(what uint32) []byte {
	raw, err := q.ask(what)
	if err != nil && q.err == nil {
		q.err = fmt.Errorf("0x%04X: %w", what, err)
	}
	return raw
}

func (q *query) number(what uint32) uint64 {
	raw := q.bytes(what)
	if len(raw) > 8 {
		return 0
	}
	var word [8]byte
	copy(word[:], raw)
	return binary.LittleEndian.Uint64(word[:])
}

func (q *query) text(what uint32) string { return text(q.bytes(what)) }

// place is where on the bus a device is, by whichever way its maker tells.
func (f facts) place(q *query) string {
	switch {
	case f.has("cl_khr_pci_bus_info"):
		if raw := q.bytes(devicePCI); len(raw) >= 16 {
			word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
			return place(word(0), word(1), word(2), word(3))
		}
	case f.has("cl_nv_device_attribute_query"):
		bus, slot, domain := q.bytes(deviceBusNV), uint32(q.number(deviceSlotNV)), uint32(q.number(deviceDomainNV))
		if len(bus) == 4 {
			return place(domain, binary.LittleEndian.Uint32(bus), slot>>3, slot&7)
		}
	case f.has("cl_amd_device_attribute_query"):
		// A union: a type, 1 for PCI Express, and the address in its last three bytes.
		if raw := q.bytes(deviceTopologyAMD); len(raw) == 24 && binary.LittleEndian.Uint32(raw) == 1 {
			return place(0, uint32(raw[21]), uint32(raw[22]), uint32(raw[23]))
		}
	}
	return ""
}

// place is an address as the kernel writes it; empty if it cannot be one.
func place(domain, bus, device, function uint32) string {
	if domain > 0xFFFF || bus > 0xFF || device > 0x1F || function > 7 {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", domain, bus, device, function)
}

// device is what the worker knows of it.
func (f facts) device(sys fs.FS) accel.Device {
	vendor := vendorName(f.VendorID, f.Vendor)
	d := accel.Device{
		ID: f.id(vendor), Kind: f.kind(vendor), Vendor: vendor, MemoryMiB: f.Memory >> 20, PCI: f.PCI,
		Model:  cmp.Or(printable(f.Board, 64), printable(f.Name, 64), vendor),
		Driver: printable(strings.TrimSpace(f.Platform+" "+f.Driver), 128),
	}
	if vendor == "nvidia" && len(f.UUID) == 16 {
		d.Attach.NVIDIA = d.ID
	} else if f.PCI != "" {
		d.Attach.Nodes = nodes(sys, f.PCI)
	}
	switch {
	case d.Kind == accel.KindCPU:
	case !f.Available:
		d.Unusable = "its driver says that it is not available"
	case f.emulated():
		d.Unusable = "it is an emulation that runs on the machine's processor"
	case f.Unified && d.Kind == accel.KindGPU:
		d.Unusable = "it has no memory of its own: it uses the machine's, which the general capacity has already"
	}
	return d
}

// id prefers what follows the device wherever it is plugged in.
func (f facts) id(vendor string) string {
	if len(f.UUID) != 16 || bytes.Equal(f.UUID, make([]byte, 16)) {
		return f.idWithoutUUID()
	}
	u := hex.EncodeToString(f.UUID)
	u = strings.Join([]string{u[:8], u[8:12], u[12:16], u[16:20], u[20:]}, "-")
	if vendor == "nvidia" { // as its own library and its container runtime write it
		return "GPU-" + u
	}
	return u
}

func (f facts) idWithoutUUID() string {
	if f.PCI != "" {
		return "pci-" + f.PCI
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", f.Platform, f.Name, f.Index))
	return "opencl-" + hex.EncodeToString(digest[:8])
}

func (f facts) kind(vendor string) string {
	switch {
	case f.Type&deviceTypeCPU != 0: // simulators call themselves everything at once
		return accel.KindCPU
	case f.Type&deviceTypeGPU != 0:
		return accel.KindGPU
	case vendor == "xilinx" || vendor == "amd" || vendor == "intel" || vendor == "altera":
		return accel.KindFPGA
	default:
		return accel.KindASIC
	}
}

func (f facts) emulated() bool {
	name := strings.ToLower(f.Platform + " " + f.Name)
	return strings.Contains(name, "emulat") || strings.Contains(name, "simulat")
}

// makers by their number on the PCI bus, which drivers spell in one way only.
var makers = map[uint32]string{
	0x10de: "nvidia", 0x1002: "amd", 0x1022: "amd", 0x8086: "intel", 0x10ee: "xilinx", 0x1172: "altera",
	0x13b5: "arm", 0x5143: "qualcomm", 0x1010: "imagination", 0x106b: "apple",
}

// spelt are makers by a word of their name.
var spelt = []struct{ word, name string }{
	{"nvidia", "nvidia"},
	{"advanced micro devices", "amd"},
	{"authenticamd", "amd"},
	{"intel", "intel"},
	{"xilinx", "xilinx"},
	{"altera", "altera"},
	{"qualcomm", "qualcomm"},
	{"imagination", "imagination"},
	{"apple", "apple"},
}

func vendorName(id uint32, name string) string {
	if maker, ok := makers[id]; ok {
		return maker
	}
	lower := strings.ToLower(name)
	for _, s := range spelt {
		if strings.Contains(lower, s.word) {
			return s.name
		}
	}
	word, _, _ := strings.Cut(strings.TrimSpace(lower), " ")
	word = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, word), "-.")
	return cmp.Or(word[:min(len(word), 32)], "unknown")
}

// nodes are the device files of a place on the bus. sys is /sys.
func nodes(sys fs.FS, pci string) []string {
	device := path.Join("bus/pci/devices", pci)
	var found []string
	for _, class := range []struct{ pattern, dev string }{
		{"drm/card[0-9]*", "/dev/dri"},
		{"drm/renderD[0-9]*", "/dev/dri"}, // also the user function of Xilinx cards (XRT)
		{"accel/accel[0-9]*", "/dev/accel"},
		{"fpga_region/region*/dfl-port.[0-9]*", "/dev"}, // Intel FPGAs, the part a user may load
	} {
		names, err := fs.Glob(sys, path.Join(device, class.pattern))
		if err != nil {
			continue // the pattern is ours; a place has no special characters
		}
		for _, name := range names {
			found = append(found, path.Join(class.dev, path.Base(name)))
		}
	}
	if len(found) > 0 && driverOf(sys, device) == "amdgpu" {
		found = append(found, "/dev/kfd")
	}
	slices.Sort(found)
	return found
}

// driverOf is the kernel driver of a device, by its uevent file: a link would
// lead out of a tree that is given as a file system.
func driverOf(sys fs.FS, device string) string {
	raw, err := fs.ReadFile(sys, path.Join(device, "uevent"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DRIVER="); ok {
			return name
		}
	}
	return ""
}

// text is a C string without what drivers pad it with.
func text(raw []byte) string {
	raw, _, _ = bytes.Cut(raw, []byte{0})
	return strings.Join(strings.Fields(string(raw)), " ")
}

// printable keeps printable ASCII, up to a length.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimSpace(s[:min(len(s), most)])
}
