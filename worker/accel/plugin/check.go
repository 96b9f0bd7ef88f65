package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/measure"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	maxDevices      = 256
	maxMeasurements = 32
	maxNotes        = 32
	maxNoteBytes    = 512
	maxNodes        = 64
	maxEnv          = 32
	maxSamples      = 1 << 30
	// maxFigure is beyond what any machine will do, in every unit there is.
	maxFigure = 1e15
	// maxSpread allows a device that was taken away between two slices.
	maxSpread = 1e6
)

// What texts with a form look like. An id becomes an argument, so it never
// begins with a dash.
var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$`)
	vendorForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	pciForm    = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]$`)
	nvidiaForm = regexp.MustCompile(`^(GPU|MIG)-[A-Za-z0-9][A-Za-z0-9/-]{0,90}$`)
	nodeForm   = regexp.MustCompile(`^/dev/[A-Za-z0-9._:/-]{1,200}$`)
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}=[ -~]{0,256}$`)
	nameForm   = regexp.MustCompile(`^accelerator\.[a-z0-9_]{1,48}$`)
	unitForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/]{0,15}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// readInventory parses and checks an answer to inventory.
func readInventory(raw []byte) (accel.Inventory, error) {
	var inv accel.Inventory
	if err := decode(raw, &inv); err != nil {
		return accel.Inventory{}, err
	}
	if err := CheckInventory(inv); err != nil {
		return accel.Inventory{}, err
	}
	return inv, nil
}

// readResult parses and checks an answer to bench.
func readResult(raw []byte, deviceID string, seed uint64) (accel.Result, error) {
	var result accel.Result
	if err := decode(raw, &result); err != nil {
		return accel.Result{}, err
	}
	if err := CheckResult(result, deviceID, seed); err != nil {
		return accel.Result{}, err
	}
	for i := range result.Measurements {
		result.Measurements[i].Device = deviceID
	}
	return result, nil
}

// decode reads exactly one JSON document of the contract's version.
func decode(raw []byte, value any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("it is empty: want one JSON document on the standard output")
	}
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8 text")
	}
	var head struct {
		Version *int `json:"version"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&head); err != nil {
		return fmt.Errorf("it is not the JSON of the contract: %w", err)
	}
	if head.Version == nil {
		return fmt.Errorf("it has no version: want %d", accel.ContractVersion)
	}
	if *head.Version != accel.ContractVersion {
		return fmt.Errorf("it is of version %d, this worker speaks %d: update the older of the two", *head.Version, accel.ContractVersion)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON document: messages for people belong on the standard error")
	}
	dec = json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(value); err != nil {
		return fmt.Errorf("it is not the JSON of the contract: %w", err)
	}
	return nil
}

// CheckInventory says what is wrong with an inventory.
func CheckInventory(inv accel.Inventory) error {
	if len(inv.Devices) > maxDevices {
		return fmt.Errorf("%d devices are more than %d", len(inv.Devices), maxDevices)
	}
	seen := map[string]bool{}
	for i, d := range inv.Devices {
		if err := checkDevice(d); err != nil {
			return fmt.Errorf("device %d (%.64q): %w", i, d.ID, err)
		}
		if seen[d.ID] {
			return fmt.Errorf("two devices have the id %q", d.ID)
		}
		seen[d.ID] = true
	}
	if len(inv.Notes) > maxNotes {
		return fmt.Errorf("%d notes are more than %d", len(inv.Notes), maxNotes)
	}
	for _, note := range inv.Notes {
		if !printable(note, maxNoteBytes) {
			return fmt.Errorf("note %.80q: want 1 to %d printable characters", note, maxNoteBytes)
		}
	}
	return nil
}

func validID(id string) bool {
	return len(id) <= sunstypes.MaxDeviceIDBytes && idForm.MatchString(id)
}

func checkDevice(d accel.Device) error {
	switch {
	case !validID(d.ID):
		return fmt.Errorf("id: want 1 to %d letters, digits and ._:/@+-, the first a letter or digit", sunstypes.MaxDeviceIDBytes)
	case d.Kind != accel.KindCPU && !sunstypes.ValidKind(d.Kind):
		return fmt.Errorf("kind %.20q is none of gpu, fpga, asic, cpu", d.Kind)
	case len(d.Vendor) > sunstypes.MaxVendorBytes || !vendorForm.MatchString(d.Vendor):
		return fmt.Errorf("vendor %.40q: want 1 to %d lower-case letters, digits and ._-", d.Vendor, sunstypes.MaxVendorBytes)
	case !ascii(d.Model, sunstypes.MaxModelBytes):
		return fmt.Errorf("model %.80q: want 1 to %d printable ASCII characters", d.Model, sunstypes.MaxModelBytes)
	case d.MemoryMiB > sunstypes.MaxDeviceMemoryMiB:
		return fmt.Errorf("memory_mib %d is above %d", d.MemoryMiB, uint64(sunstypes.MaxDeviceMemoryMiB))
	case d.PCI != "" && !pciForm.MatchString(d.PCI):
		return fmt.Errorf("pci %.40q is not of the form 0000:01:00.0", d.PCI)
	case d.Driver != "" && !printable(d.Driver, 128):
		return fmt.Errorf("driver %.80q: want at most 128 printable characters", d.Driver)
	case d.Parent != "" && (!validID(d.Parent) || d.Parent == d.ID):
		return fmt.Errorf("parent %.64q is not another device's id", d.Parent)
	case d.Unusable != "" && !printable(d.Unusable, maxNoteBytes):
		return fmt.Errorf("unusable %.80q: want at most %d printable characters", d.Unusable, maxNoteBytes)
	}
	if err := checkStatus(d.Status); err != nil {
		return err
	}
	return checkAttach(d.Attach)
}

func checkStatus(s accel.Status) error {
	for _, c := range []struct {
		name  string
		value *uint32
		most  uint32
	}{
		{"utilisation_percent", s.UtilisationPercent, 100},
		{"temperature_celsius", s.TemperatureCelsius, 250},
		{"pcie_generation", s.PCIeGeneration, 16},
		{"pcie_width", s.PCIeWidth, 64},
	} {
		if c.value != nil && *c.value > c.most {
			return fmt.Errorf("status: %s %d is above %d", c.name, *c.value, c.most)
		}
	}
	if used := s.MemoryUsedMiB; used != nil && *used > sunstypes.MaxDeviceMemoryMiB {
		return fmt.Errorf("status: memory_used_mib %d is above %d", *used, uint64(sunstypes.MaxDeviceMemoryMiB))
	}
	return nil
}

func checkAttach(a accel.Attach) error {
	if a.NVIDIA != "" && !nvidiaForm.MatchString(a.NVIDIA) {
		return fmt.Errorf("attach: nvidia %.64q is not the UUID of a device", a.NVIDIA)
	}
	if len(a.Nodes) > maxNodes || len(a.Env) > maxEnv {
		return fmt.Errorf("attach: %d nodes and %d variables are more than %d and %d", len(a.Nodes), len(a.Env), maxNodes, maxEnv)
	}
	seen := map[string]bool{}
	for _, node := range a.Nodes {
		if err := checkNode(node); err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		if seen[node] {
			return fmt.Errorf("attach: node %s is there twice", node)
		}
		seen[node] = true
	}
	for _, variable := range a.Env {
		if !envForm.MatchString(variable) {
			return fmt.Errorf("attach: variable %.80q is not of the form NAME=value", variable)
		}
	}
	return nil
}

// checkNode keeps a mistaken plugin from handing a tenant the machine: its
// disks are block devices, its memory and log have names of their own.
func checkNode(node string) error {
	if !nodeForm.MatchString(node) || path.Clean(node) != node {
		return fmt.Errorf("node %.80q is not the plain path of a file under /dev", node)
	}
	switch node {
	case "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/console", "/dev/kvm", "/dev/fuse", "/dev/loop-control",
		"/dev/uinput", "/dev/vfio/vfio":
		return fmt.Errorf("node %s is the machine's own and never a tenant's", node)
	}
	info, err := os.Stat(node)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a card that is asleep or was pulled; who starts the container sees
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	if info.Mode()&fs.ModeCharDevice == 0 {
		return fmt.Errorf("node %s is not a character device", node)
	}
	return nil
}

// CheckResult says what is wrong with the result of measuring a device.
func CheckResult(r accel.Result, deviceID string, seed uint64) error {
	for _, c := range []struct {
		name        string
		value, most uint64
	}{
		{"memory_mib", r.MemoryMiB, sunstypes.MaxDeviceMemoryMiB},
		{"memory_bandwidth_mbs", r.MemoryBandwidthMBs, sunstypes.MaxDeviceBandwidthMBs},
		{"fp32_gflops", r.Fp32Gflops, sunstypes.MaxDeviceGflops},
	} {
		if c.value > c.most {
			return fmt.Errorf("%s %d is above %d", c.name, c.value, c.most)
		}
	}
	if len(r.Measurements) > maxMeasurements {
		return fmt.Errorf("%d measurements are more than %d", len(r.Measurements), maxMeasurements)
	}
	seen := map[string]bool{}
	for _, m := range r.Measurements {
		if err := checkMeasurement(m, deviceID, seed); err != nil {
			return fmt.Errorf("measurement %.64q: %w", m.Name, err)
		}
		if seen[m.Name] {
			return fmt.Errorf("measurement %s is there twice", m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

func checkMeasurement(m measure.Measurement, deviceID string, seed uint64) error {
	switch {
	case !nameForm.MatchString(m.Name):
		return errors.New("want a name such as accelerator.fp32")
	case m.Device != "" && m.Device != deviceID:
		return fmt.Errorf("it is of device %.64q, not of %q", m.Device, deviceID)
	case !unitForm.MatchString(m.Unit):
		return fmt.Errorf("unit %.20q: want one such as GFLOP/s", m.Unit)
	case !figure(m.Value) || m.Value == 0:
		return fmt.Errorf("value %g is not a figure above 0 and at most %g", m.Value, maxFigure)
	case !figure(m.Delivered):
		return fmt.Errorf("delivered %g is not a figure of 0 to %g", m.Delivered, maxFigure)
	case m.Unit != "us" && m.Delivered > 2*m.Value: // of few slices the best do not count, so it may lie above
		return fmt.Errorf("delivered %g is far above the capability, %g", m.Delivered, m.Value)
	case math.IsNaN(m.Spread) || m.Spread < 0 || m.Spread > maxSpread:
		return fmt.Errorf("spread %g is not a fraction", m.Spread)
	case m.Samples < 1 || m.Samples > maxSamples:
		return fmt.Errorf("%d samples: want 1 to %d", m.Samples, maxSamples)
	case m.Seed != 0 && m.Seed != seed:
		return fmt.Errorf("seed %d is not the one it was given, %d", m.Seed, seed)
	case m.Digest != "" && !digestForm.MatchString(m.Digest):
		return fmt.Errorf("digest %.80q is not a SHA-256 in hex", m.Digest)
	}
	return nil
}

func figure(value float64) bool { return value >= 0 && value <= maxFigure }

// ascii is the chain's rule for a device's texts.
func ascii(text string, limit int) bool {
	return printable(text, limit) && !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}

// printable refuses what would move the cursor of who reads it.
func printable(text string, limit int) bool {
	return text != "" && len(text) <= limit && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) })
}
