package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/amd"
)

// Vendors of cards on the bus.
const (
	vendorNVIDIA = "10de"
	vendorAMD    = "1002"
)

// nvidiaHooks is what Docker looks for to hand over NVIDIA's cards, where
// packages put it.
var nvidiaHooks = []string{"usr/bin/nvidia-container-runtime-hook", "usr/local/bin/nvidia-container-runtime-hook"}

// remedies are what is missing, each with what to do about it.
type remedies struct{ missing, mend []string }

func (r *remedies) add(missing, mend string) {
	r.missing = append(r.missing, missing)
	if !slices.Contains(r.mend, mend) {
		r.mend = append(r.mend, mend)
	}
}

// accelerators says what is offered and what is in the way of the rest. None
// of it keeps a worker from renting out the machine's general resources.
func (p Patient) accelerators(ctx context.Context) Finding {
	if p.Accelerators == nil {
		return ok("none are looked for")
	}
	found, err := p.Accelerators(ctx)
	if err != nil {
		return warn(err.Error(), "a driver does not answer: `isun-worker accelerator-source nvidia inventory` shows NVIDIA's, "+
			"and opencl in its place OpenCL's; look at the kernel's log")
	}
	var r remedies
	for _, note := range found.Notes {
		r.add(note, "see what it says")
	}
	p.lookAtCards(found, &r)
	for _, d := range found.Devices {
		p.lookAtDevice(found, d, &r)
	}
	p.lookAtEngine(ctx, found, &r)
	detail := inventoryText(found)
	if len(r.missing) == 0 {
		return ok(detail)
	}
	return warn(strings.Join(append([]string{detail}, r.missing...), "; "), strings.Join(r.mend, "; "))
}

func inventoryText(found accel.Found) string {
	offered := found.Offered()
	if len(offered) == 0 {
		return "none that can be rented out"
	}
	names := make([]string, len(offered))
	for i, d := range offered {
		names[i] = fmt.Sprintf("%s (%s)", d.Model, d.ID)
	}
	return fmt.Sprintf("%d can be rented out once measured: %s", len(offered), strings.Join(names, ", "))
}

// lookAtCards finds cards on the bus that no source knows.
func (p Patient) lookAtCards(found accel.Found, r *remedies) {
	known := map[string]bool{}
	for _, d := range found.Devices {
		known[d.PCI] = true
	}
	for _, card := range accel.Cards(os.DirFS(p.Config.Host.Sys)) {
		if known[card.PCI] {
			continue
		}
		driver := card.Driver
		if driver == "" {
			driver = "no driver"
		}
		what := fmt.Sprintf("card %s:%s at %s (%s) is not known to any source", card.Vendor, card.Device, card.PCI, driver)
		switch card.Vendor {
		case vendorNVIDIA:
			r.add(what, "install NVIDIA's driver (Debian: `apt-get install nvidia-driver`) and restart the machine")
		case vendorAMD:
			r.add(what, "let the amdgpu driver have it (Debian: `apt-get install firmware-amd-graphics`) and restart the machine")
		case "10ee", "1172", "8086": // AMD's and Intel's FPGAs, and Intel's cards where they are no part of the processor
			if card.Vendor != "8086" || !strings.HasPrefix(card.PCI, "0000:00:") {
				r.add(what, "install its maker's OpenCL driver, or a plugin that knows it")
			}
		}
	}
}

// lookAtDevice says what keeps a device from being offered, unless that is as
// it should be.
func (p Patient) lookAtDevice(found accel.Found, d accel.FoundDevice, r *remedies) {
	divided := slices.ContainsFunc(found.Devices, func(o accel.FoundDevice) bool { return o.Parent == d.ID })
	switch {
	case d.Offered:
		p.lookAtNodes(d, r)
	case d.Kind == accel.KindCPU, divided, amd.BuiltIn(d.Device):
	case len(d.Measurers) == 0 && d.Parent == "":
		r.add(fmt.Sprintf("%s (%s) cannot be measured", d.Model, d.ID), openCL(d.Vendor))
	default:
		r.add(fmt.Sprintf("%s (%s): %s", d.Model, d.ID, d.Unusable), "mend what keeps a device back, or leave it out of the offer")
	}
}

func openCL(vendor string) string {
	packages := "ocl-icd-libopencl1 and its maker's OpenCL driver"
	switch vendor {
	case "nvidia":
		packages = "ocl-icd-libopencl1 nvidia-opencl-icd"
	case "amd":
		packages = "rocm-opencl from AMD's packages, or ocl-icd-libopencl1 mesa-opencl-icd"
	case "intel":
		packages = "ocl-icd-libopencl1 intel-opencl-icd"
	}
	return "install OpenCL, which measures it: " + packages
}

// lookAtNodes tells of nodes that a tenant's program could not open: it has
// neither capabilities nor, mostly, root's number.
func (p Patient) lookAtNodes(d accel.FoundDevice, r *remedies) {
	for _, node := range d.Attach.Nodes {
		info, err := fs.Stat(p.root(), strings.TrimPrefix(node, "/"))
		if err != nil {
			r.add(fmt.Sprintf("%s is not there", node), "load the device's driver")
			continue
		}
		stat, isStat := info.Sys().(*syscall.Stat_t)
		group := isStat && stat.Gid != 0 && info.Mode().Perm()&0o060 == 0o060
		if !group && info.Mode().Perm()&0o006 != 0o006 {
			r.add(fmt.Sprintf("%s is for root alone", node),
				fmt.Sprintf("give it a group that may use it, by a udev rule for KERNEL==%q: GROUP=\"render\", MODE=\"0660\"", path.Base(node)))
		}
	}
}

// lookAtEngine says whether the engine can hand over what is offered.
func (p Patient) lookAtEngine(ctx context.Context, found accel.Found, r *remedies) {
	nvidia, nodes := false, false
	for _, d := range found.Offered() {
		nvidia = nvidia || d.Attach.NVIDIA != ""
		nodes = nodes || len(d.Attach.Nodes) > 0
	}
	if nodes && strings.Contains(p.Config.Engine.Runtime, "runsc") {
		r.add("gVisor hands no device nodes to containers", "set engine.runtime to runc, or turn the sources off under [accelerators]")
	}
	if !nvidia {
		return
	}
	for _, hook := range nvidiaHooks {
		if _, err := fs.Stat(p.root(), hook); err == nil {
			return
		}
	}
	info, err := p.info(ctx)
	if err == nil && slices.Contains(info.Runtimes, "nvidia") {
		return
	}
	r.add("the engine cannot hand NVIDIA's cards to containers",
		"install nvidia-container-toolkit from NVIDIA's packages and restart Docker")
}

// root is this machine's files.
func (p Patient) root() fs.FS {
	if p.Root != nil {
		return p.Root
	}
	return os.DirFS("/")
}
