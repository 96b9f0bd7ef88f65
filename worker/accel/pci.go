package accel

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Card is a device on the bus that computes or draws, whether or not there is
// a driver for it.
type Card struct {
	PCI string
	// Vendor and Device are PCI ids, such as "10de" and "2684".
	Vendor, Device string
	// Driver is the kernel's, empty if none has taken the card.
	Driver string
}

// Classes of devices on the bus, by their first byte.
const (
	pciDisplay    = 0x03
	pciAccelerate = 0x12
)

// Cards lists what the bus at /sys has of accelerators: what a machine has and
// no source finds lacks its driver. A machine without a bus has none.
func Cards(sys fs.FS) []Card {
	entries, err := fs.ReadDir(sys, "bus/pci/devices")
	if err != nil {
		return nil
	}
	var cards []Card
	for _, entry := range entries {
		dir := path.Join("bus/pci/devices", entry.Name())
		class, err := strconv.ParseUint(read(sys, dir, "class"), 0, 32)
		address := NormalPCI(entry.Name())
		if err != nil || address == "" || (class>>16 != pciDisplay && class>>16 != pciAccelerate) {
			continue
		}
		card := Card{
			PCI:    address,
			Vendor: strings.TrimPrefix(read(sys, dir, "vendor"), "0x"), Device: strings.TrimPrefix(read(sys, dir, "device"), "0x"),
		}
		for line := range strings.Lines(read(sys, dir, "uevent")) {
			if driver, ok := strings.CutPrefix(strings.TrimSpace(line), "DRIVER="); ok {
				card.Driver = driver
			}
		}
		cards = append(cards, card)
	}
	return cards
}

// read is a file's text; empty if it cannot be read, as when the card goes.
func read(sys fs.FS, dir, name string) string {
	raw, err := fs.ReadFile(sys, path.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
