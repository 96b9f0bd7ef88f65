package probe

import (
	"path/filepath"
	"slices"
	"strings"
)

// BlockDevice is a disk that the file system's bytes end up on.
type BlockDevice struct {
	Name string `json:"name"`
	// Model is the maker's name; empty where it has none, as in most virtual
	// machines. There is no serial number here, and none is read.
	Model string `json:"model,omitempty"`
	// Rotational says that it has to move to seek. What a virtual disk says of
	// itself may not be so.
	Rotational *bool  `json:"rotational,omitempty"`
	SizeMiB    uint64 `json:"size_mib"`
}

// maxDepth bounds how deep block devices are stacked.
const maxDepth = 16

func (h Host) block(name string) string { return filepath.Join(h.Sys, "class/block", name) }

// below follows a block device down to the disks. Layers are what lies
// between, from the top, such as "lvm dm-1", "crypt dm-0", "partition sda2".
func (h Host) below(name string, depth int) (disks []BlockDevice, layers []string) {
	if depth > maxDepth {
		return nil, nil
	}
	next := names(h.block(name), "slaves")
	switch {
	case len(next) > 0:
		layers = append(layers, h.layer(name)+" "+name)
	case exists(h.block(name), "partition"):
		layers = append(layers, "partition "+name)
		// A partition's folder is inside its disk's.
		if real, err := filepath.EvalSymlinks(h.block(name)); err == nil {
			next = []string{filepath.Base(filepath.Dir(real))}
		}
	default:
		return []BlockDevice{h.disk(name)}, nil
	}
	for _, n := range next {
		d, l := h.below(n, depth+1)
		for _, disk := range d { // two parts of one disk are one disk
			if !slices.ContainsFunc(disks, func(b BlockDevice) bool { return b.Name == disk.Name }) {
				disks = append(disks, disk)
			}
		}
		layers = append(layers, l...)
	}
	return disks, layers
}

// layer says what a stacked device does.
func (h Host) layer(name string) string {
	if level := textOf(h.block(name), "md/level"); level != "" {
		return level
	}
	// The first word of a device-mapper UUID is who made it; the rest is a
	// number that nobody needs.
	kind, _, _ := strings.Cut(textOf(h.block(name), "dm/uuid"), "-")
	if kind == "" {
		return "stacked"
	}
	return strings.ToLower(kind)
}

func (h Host) disk(name string) BlockDevice {
	d := BlockDevice{Name: name, Model: textOf(h.block(name), "device/model")}
	if d.Model == "" { // SD cards
		d.Model = textOf(h.block(name), "device/name")
	}
	if n, ok := numberOf(h.block(name), "queue/rotational"); ok {
		rotational := n == 1
		d.Rotational = &rotational
	}
	if sectors, ok := numberOf(h.block(name), "size"); ok && sectors > 0 {
		d.SizeMiB = uint64(sectors) / (MiB / 512) // always in sectors of 512 bytes
	}
	return d
}

// devices are the names of the block devices of a mount: several for a file
// system that spans disks by itself.
func (h Host) devices(m mount) []string {
	if real, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "dev/block", m.device)); err == nil {
		return []string{filepath.Base(real)}
	}
	name := h.named(m.source)
	if name == "" {
		return nil
	}
	// btrfs has a device number of its own, and lists its members.
	members, _ := filepath.Glob(filepath.Join(h.Sys, "fs/btrfs/*/devices", name)) // the pattern is well-formed
	if len(members) == 1 {
		return names(filepath.Dir(members[0]))
	}
	return []string{name}
}

// named is the kernel's name of a source such as /dev/sda1 or
// /dev/mapper/data; empty if there is no such block device.
func (h Host) named(source string) string {
	rest, ok := strings.CutPrefix(source, "/dev/")
	if !ok {
		return ""
	}
	if mapped, ok := strings.CutPrefix(rest, "mapper/"); ok {
		for _, name := range names(h.Sys, "class/block") {
			if textOf(h.block(name), "dm/name") == mapped {
				return name
			}
		}
	}
	if name := filepath.Base(rest); exists(h.block(name)) {
		return name
	}
	return ""
}
