package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// boards is the source of the accel class.
type boards struct {
	// sys is /sys.
	sys fs.FS
	// measurer measures the boards that it knows too.
	measurer accel.Source
	// told are ids of the measurer by name in the class.
	told map[string]string
}

// model is what is known of a board by its numbers on the PCI bus. Sysfs does
// not tell the memory.
type model struct {
	vendor, name string
	memoryMiB    uint64
}

var models = map[string]model{
	"1da3:1000": {"habana", "Habana Gaudi", 32 << 10},
	"1da3:1010": {"habana", "Habana Gaudi", 32 << 10},
	"1da3:1020": {"habana", "Habana Gaudi2", 96 << 10},
	"17cb:a100": {"qualcomm", "Qualcomm Cloud AI 100", 0}, // 8 to 32 GiB: the measurer says
}

// Name implements accel.Source.
func (*boards) Name() string { return "accelclass" }

// board is one entry of the class.
type board struct {
	class  string // such as accel0
	device accel.Device
}

// Inventory implements accel.Source. A kernel without the class has no board.
func (b *boards) Inventory(ctx context.Context) (accel.Inventory, error) {
	inv := accel.Inventory{Version: accel.ContractVersion, Devices: []accel.Device{}}
	found, notes, err := b.find(ctx)
	inv.Notes = notes
	for _, board := range found {
		inv.Devices = append(inv.Devices, board.device)
	}
	return inv, err
}

func (b *boards) find(ctx context.Context) ([]board, []string, error) {
	entries, err := fs.ReadDir(b.sys, "class/accel")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var found []board
	var notes []string
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		number, ok := strings.CutPrefix(entry.Name(), "accel")
		if !ok || strings.Trim(number, "0123456789") != "" {
			continue // such as accel_controlD0, a board's second node
		}
		device, err := b.describe(entry.Name(), number)
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s is left out: %v", entry.Name(), err))
			continue
		}
		found = append(found, board{entry.Name(), device})
	}
	return found, notes, ctx.Err()
}

// describe reads what the kernel says of one entry of the class.
func (b *boards) describe(class, number string) (accel.Device, error) {
	raw, err := fs.ReadFile(b.sys, path.Join("class/accel", class, "device/uevent"))
	if err != nil {
		return accel.Device{}, err
	}
	event := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		event[key] = value
	}
	slot, id := strings.ToLower(event["PCI_SLOT_NAME"]), strings.ToLower(event["PCI_ID"])
	if slot == "" || id == "" {
		return accel.Device{}, errors.New("it is on no PCI bus, and this plugin knows no others")
	}
	m, known := models[id]
	if !known {
		vendor, _, _ := strings.Cut(id, ":")
		m = model{vendor: "pci-" + vendor, name: "accelerator " + id}
	}
	d := accel.Device{
		ID: "pci-" + slot, Kind: accel.KindASIC, Vendor: m.vendor, Model: m.name, MemoryMiB: m.memoryMiB,
		PCI: slot, Driver: event["DRIVER"], Attach: accel.Attach{Nodes: []string{"/dev/accel/" + class}},
		Unusable: b.obstacle(class, event["DRIVER"]),
	}
	control := "accel_controlD" + number
	if _, err := fs.Stat(b.sys, path.Join("class/accel", control)); err == nil {
		d.Attach.Nodes = append(d.Attach.Nodes, "/dev/accel/"+control)
	}
	return d, nil
}

// obstacle says why a board cannot be rented out.
func (b *boards) obstacle(class, driver string) string {
	if driver == "intel_vpu" || driver == "amdxdna" {
		return "it is a part of the processor and has no memory of its own"
	}
	// Habana's driver tells the state of its boards; newer kernels have it one
	// folder down.
	for _, name := range []string{"device/status", "status"} {
		raw, err := fs.ReadFile(b.sys, path.Join("class/accel", class, name))
		if err != nil {
			continue
		}
		if status := strings.TrimSpace(string(raw)); !strings.EqualFold(status, "operational") {
			return fmt.Sprintf("its driver says: %.80q", status)
		}
		break
	}
	return ""
}

// Bench implements accel.Source.
func (b *boards) Bench(ctx context.Context, id string, opts accel.BenchOptions) (accel.Result, error) {
	found, _, err := b.find(ctx)
	if err != nil {
		return accel.Result{}, err
	}
	for _, board := range found {
		if board.device.ID == id {
			return b.measure(ctx, board, opts)
		}
	}
	return accel.Result{}, fmt.Errorf("%w: %s", accel.ErrNoDevice, id)
}

// measure asks the measurer for the board it knows at the same place.
func (b *boards) measure(ctx context.Context, board board, opts accel.BenchOptions) (accel.Result, error) {
	as, ok := b.told[board.class]
	if !ok {
		inv, err := b.measurer.Inventory(ctx)
		if err != nil {
			return accel.Result{}, err
		}
		for _, d := range inv.Devices {
			if d.PCI == board.device.PCI {
				as, ok = d.ID, true
			}
		}
	}
	if !ok {
		return accel.Result{}, fmt.Errorf("%w: its maker has no OpenCL driver installed here", accel.ErrCannotMeasure)
	}
	result, err := b.measurer.Bench(ctx, as, opts)
	if err != nil {
		return accel.Result{}, err
	}
	result.MemoryMiB = cmp.Or(board.device.MemoryMiB, result.MemoryMiB)
	for i := range result.Measurements {
		result.Measurements[i].Device = board.device.ID
	}
	return result, nil
}

// pairs reads "accel0=ID,accel1=ID".
func pairs(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if class, id, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			out[class] = id
		}
	}
	return out
}
