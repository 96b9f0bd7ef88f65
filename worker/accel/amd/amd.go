// Package amd finds AMD's cards through the files of the kernel's amdgpu
// driver, which need no library and can neither crash nor hang us.
package amd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// Name of the source.
const Name = "amd"

const (
	vendorID = "0x1002"
	mib      = 1 << 20
	// leastMiB of its own a card must have. What has less is a processor's
	// built-in graphics, which works in the machine's memory.
	leastMiB = 2048
	// kfd is the door to all of AMD's cards for computing; a card's render
	// node says which of them.
	kfd = "kfd"
)

var (
	cardName   = regexp.MustCompile(`^card[0-9]+$`)
	renderName = regexp.MustCompile(`^renderD[0-9]+$`)
)

// Source reads the driver's files.
type Source struct {
	// Sys is the tree at /sys, and Dev the one at /dev.
	Sys, Dev fs.FS
}

var _ accel.FindsOnly = Source{}

// Name implements accel.Source.
func (Source) Name() string { return Name }

// FindsOnly implements accel.FindsOnly: OpenCL measures what is found here.
func (Source) FindsOnly() bool { return true }

// Bench implements accel.Source.
func (Source) Bench(context.Context, string, accel.BenchOptions) (accel.Result, error) {
	return accel.Result{}, accel.ErrCannotMeasure
}

// Inventory implements accel.Source.
func (s Source) Inventory(ctx context.Context) (accel.Inventory, error) {
	inventory := accel.Inventory{Version: accel.ContractVersion, Devices: []accel.Device{}}
	cards, err := fs.ReadDir(s.Sys, "class/drm")
	if err != nil && !gone(err) { // a machine without any graphics has no such folder
		return inventory, fmt.Errorf("list AMD's cards: %w", err)
	}
	for _, card := range cards {
		if err := ctx.Err(); err != nil {
			return inventory, err
		}
		if !cardName.MatchString(card.Name()) {
			continue // a connector, or another driver's
		}
		device, ok, err := s.card(path.Join("class/drm", card.Name(), "device"))
		switch {
		case err != nil && gone(err):
			inventory.Notes = append(inventory.Notes, card.Name()+" was taken away while it was looked at")
		case err != nil:
			inventory.Notes = append(inventory.Notes, fmt.Sprintf("%s cannot be read: %v", card.Name(), err))
		case ok:
			inventory.Devices = append(inventory.Devices, device)
		}
	}
	return inventory, nil
}

// gone says that a file is not there: the driver's files vanish with the card,
// and those that are open still answer that there is no such device.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}

// card reads one card; ok is false if it is another maker's.
func (s Source) card(dir string) (d accel.Device, ok bool, err error) {
	c := card{sys: s.Sys, dir: dir}
	if c.text("vendor") != vendorID {
		return d, false, c.err
	}
	slot := c.uevent()
	d = accel.Device{
		ID: c.id(slot["PCI_SLOT_NAME"]), Kind: accel.KindGPU, Vendor: Name, Model: c.model(),
		PCI: accel.NormalPCI(slot["PCI_SLOT_NAME"]), Driver: slot["DRIVER"],
	}
	if d.Driver != "amdgpu" {
		d.Unusable = fmt.Sprintf("its driver is %q: only amdgpu computes", d.Driver)
		return d, true, c.err
	}
	d.MemoryMiB = c.number("mem_info_vram_total") / mib
	if BuiltIn(d) {
		d.Unusable = fmt.Sprintf("it has %d MiB of its own: a processor's built-in graphics works in the machine's memory, "+
			"which the general capacity has already", d.MemoryMiB)
	}
	render := c.render()
	if c.err != nil {
		return d, false, c.err
	}
	d.Status = c.status()
	obstacle := s.attach(&d, render)
	if d.Unusable == "" {
		d.Unusable = obstacle
	}
	return d, true, nil
}

// BuiltIn says whether a device is a processor's own graphics.
func BuiltIn(d accel.Device) bool {
	return d.Vendor == Name && d.Driver == "amdgpu" && d.MemoryMiB < leastMiB
}

// attach names the nodes a container needs, or what is in the way.
func (s Source) attach(d *accel.Device, render string) (obstacle string) {
	if render == "" {
		return "it has no render node: its driver has not started it; look at the kernel's log"
	}
	node := path.Join("dri", render)
	for name, mend := range map[string]string{
		kfd:  "the kernel was built without AMD's computing (CONFIG_HSA_AMD)",
		node: "its driver is being loaded or the node was removed",
	} {
		if _, err := fs.Stat(s.Dev, name); err != nil {
			return fmt.Sprintf("/dev/%s is not there: %s", name, mend)
		}
	}
	d.Attach.Nodes = []string{"/dev/" + node, "/dev/" + kfd}
	return ""
}

// card reads a card's files. Those it must have leave their error behind;
// those it may lack do not.
type card struct {
	sys fs.FS
	dir string
	err error
}

func (c *card) text(name string) string {
	raw, err := fs.ReadFile(c.sys, path.Join(c.dir, name))
	if err != nil && c.err == nil {
		c.err = err
	}
	return strings.TrimSpace(string(raw))
}

func (c *card) number(name string) uint64 {
	text := c.text(name)
	if c.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		c.err = fmt.Errorf("%s is %.40q, which is no number", name, text)
	}
	return n
}

func (c *card) optional(name string) string {
	raw, err := fs.ReadFile(c.sys, path.Join(c.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// uevent is what the kernel says of the device: NAME=value on each line.
func (c *card) uevent() map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(c.text("uevent")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = value
		}
	}
	return values
}

// id is the card's own where it has one, written as AMD's programs do, or
// else its place on the bus.
func (c *card) id(slot string) string {
	if n, err := strconv.ParseUint(c.optional("unique_id"), 16, 64); err == nil && n != 0 {
		return fmt.Sprintf("GPU-%016x", n)
	}
	return "pci-" + slot
}

// model is the maker's word on the board, or the table's; empty if neither
// knows, so that another source may.
func (c *card) model() string {
	if name := c.optional("product_name"); name != "" {
		if !strings.Contains(name, "AMD") {
			name = "AMD " + name
		}
		return name
	}
	return modelOf(c.optional("device"), c.optional("revision"))
}

// render is the name of the card's render node.
func (c *card) render() string {
	entries, err := fs.ReadDir(c.sys, path.Join(c.dir, "drm"))
	if err != nil && c.err == nil {
		c.err = err
	}
	for _, entry := range entries {
		if renderName.MatchString(entry.Name()) {
			return entry.Name()
		}
	}
	return ""
}

func (c *card) status() accel.Status {
	s := accel.Status{
		UtilisationPercent: c.small("gpu_busy_percent"),
		PCIeWidth:          c.small("current_link_width"),
		PCIeGeneration:     generation(c.optional("current_link_speed")),
	}
	if used, err := strconv.ParseUint(c.optional("mem_info_vram_used"), 10, 64); err == nil {
		used /= mib
		s.MemoryUsedMiB = &used
	}
	if _, err := fs.Stat(c.sys, path.Join(c.dir, "ras/umc_err_count")); err == nil {
		on := true // errors of the memory are counted, so they are found
		s.ECC = &on
	}
	sensors, err := fs.Glob(c.sys, path.Join(c.dir, "hwmon/hwmon*/temp1_input"))
	if err != nil || len(sensors) == 0 {
		return s
	}
	raw, err := fs.ReadFile(c.sys, sensors[0])
	if err != nil {
		return s
	}
	if milli, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 32); err == nil {
		celsius := uint32(milli / 1000)
		s.TemperatureCelsius = &celsius
	}
	return s
}

func (c *card) small(name string) *uint32 {
	n, err := strconv.ParseUint(c.optional(name), 10, 32)
	if err != nil {
		return nil
	}
	value := uint32(n)
	return &value
}

// generation turns a link's speed, such as "16.0 GT/s PCIe", into PCI
// Express's generation.
func generation(speed string) *uint32 {
	rate, _, _ := strings.Cut(speed, " ")
	for i, known := range []string{"2.5", "5.0", "8.0", "16.0", "32.0", "64.0"} {
		if rate == known {
			value := uint32(i + 1)
			return &value
		}
	}
	return nil
}
