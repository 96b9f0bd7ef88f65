package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/runtime"
)

func foundIs(found accel.Found) func(*Patient) {
	return func(p *Patient) {
		p.Accelerators = func(context.Context) (accel.Found, error) { return found, nil }
	}
}

func offered(id, vendor string, attach accel.Attach) accel.FoundDevice {
	return accel.FoundDevice{Offered: true, Measurers: []string{"opencl"}, Device: accel.Device{
		ID: id, Kind: accel.KindGPU, Vendor: vendor, Model: "Card " + id, MemoryMiB: 24576, PCI: "0000:01:00.0", Attach: attach,
	}}
}

// node is a device file of a group.
func node(mode fs.FileMode, gid uint32) *fstest.MapFile {
	return &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | mode, Sys: &syscall.Stat_t{Gid: gid}}
}

// bus gives the machine a card on its bus.
func bus(t *testing.T, address, class, vendor string) func(*Patient) {
	return func(p *Patient) {
		dir := filepath.Join(p.Config.Host.Sys, "bus/pci/devices", address)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for name, text := range map[string]string{"class": class, "vendor": vendor, "device": "0x1234", "uevent": "DRIVER=nouveau"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
		}
	}
}

func TestAccelerators(t *testing.T) {
	nvidia := offered("GPU-1", "nvidia", accel.Attach{NVIDIA: "GPU-1"})
	card := offered("GPU-2", "amd", accel.Attach{Nodes: []string{"/dev/kfd"}})
	unmeasured := card
	unmeasured.Offered, unmeasured.Measurers = false, nil
	lost := nvidia
	lost.Offered, lost.Unusable = false, "it has fallen off the bus"
	processor := accel.FoundDevice{Device: accel.Device{ID: "cpu", Kind: accel.KindCPU, Unusable: "it is the machine's processor"}}
	builtIn := accel.FoundDevice{Device: accel.Device{ID: "pci-0", Kind: accel.KindGPU, Vendor: "amd", Driver: "amdgpu", MemoryMiB: 512}}
	whole, slice := nvidia, offered("MIG-1", "nvidia", accel.Attach{NVIDIA: "MIG-1"})
	whole.Offered, slice.Parent = false, whole.ID
	hook := fstest.MapFS{"usr/bin/nvidia-container-runtime-hook": {}}
	rootIs := func(files fs.FS) func(*Patient) { return func(p *Patient) { p.Root = files } }
	devices := func(d ...accel.FoundDevice) func(*Patient) { return foundIs(accel.Found{Devices: d}) }

	for name, tc := range map[string]struct {
		edits []func(*Patient)
		grade Grade
		says  []string
	}{
		"none":                 {grade: OK, says: []string{"none"}},
		"no sources":           {edits: []func(*Patient){foundIs(accel.Found{})}, grade: OK, says: []string{"none that can be rented out"}},
		"nvidia":               {edits: []func(*Patient){devices(nvidia), rootIs(hook)}, grade: OK, says: []string{"1 can be rented", "Card GPU-1 (GPU-1)"}},
		"nvidia without hook":  {edits: []func(*Patient){devices(nvidia), rootIs(fstest.MapFS{})}, grade: Warn, says: []string{"nvidia-container-toolkit"}},
		"nvidia's own runtime": {edits: []func(*Patient){devices(nvidia), rootIs(fstest.MapFS{}), engineIs(runtime.Info{Runtimes: []string{"nvidia"}})}, grade: OK},
		"amd":                  {edits: []func(*Patient){devices(card), rootIs(fstest.MapFS{"dev/kfd": node(0o660, 104)})}, grade: OK},
		"amd for everybody":    {edits: []func(*Patient){devices(card), rootIs(fstest.MapFS{"dev/kfd": node(0o666, 0)})}, grade: OK},
		"amd for root alone":   {edits: []func(*Patient){devices(card), rootIs(fstest.MapFS{"dev/kfd": node(0o600, 0)})}, grade: Warn, says: []string{"/dev/kfd is for root alone", "udev"}},
		"amd for root's group": {edits: []func(*Patient){devices(card), rootIs(fstest.MapFS{"dev/kfd": node(0o660, 0)})}, grade: Warn, says: []string{"root alone"}},
		"node gone":            {edits: []func(*Patient){devices(card), rootIs(fstest.MapFS{})}, grade: Warn, says: []string{"/dev/kfd is not there"}},
		"gVisor": {edits: []func(*Patient){
			devices(card), rootIs(fstest.MapFS{"dev/kfd": node(0o666, 0)}), func(p *Patient) { p.Config.Engine.Runtime = "runsc" },
		}, grade: Warn, says: []string{"runc"}},
		"no OpenCL":                {edits: []func(*Patient){devices(unmeasured)}, grade: Warn, says: []string{"cannot be measured", "rocm-opencl"}},
		"lost":                     {edits: []func(*Patient){devices(lost)}, grade: Warn, says: []string{"fallen off the bus"}},
		"as it should be":          {edits: []func(*Patient){devices(processor, builtIn, whole, slice), rootIs(hook)}, grade: OK},
		"notes":                    {edits: []func(*Patient){foundIs(accel.Found{Notes: []string{"nvidia: modprobe nvidia"}})}, grade: Warn, says: []string{"modprobe nvidia"}},
		"card of NVIDIA's":         {edits: []func(*Patient){devices(), bus(t, "0000:01:00.0", "0x030000", "0x10de")}, grade: Warn, says: []string{"10de:1234", "nouveau", "nvidia-driver"}},
		"card that is known":       {edits: []func(*Patient){devices(nvidia), rootIs(hook), bus(t, "0000:01:00.0", "0x030000", "0x10de")}, grade: OK},
		"card of AMD's":            {edits: []func(*Patient){devices(), bus(t, "0000:03:00.0", "0x038000", "0x1002")}, grade: Warn, says: []string{"amdgpu"}},
		"FPGA":                     {edits: []func(*Patient){devices(), bus(t, "0000:65:00.0", "0x120000", "0x10ee")}, grade: Warn, says: []string{"plugin"}},
		"Intel's card":             {edits: []func(*Patient){devices(), bus(t, "0000:03:00.0", "0x030000", "0x8086")}, grade: Warn, says: []string{"OpenCL"}},
		"Intel's processor":        {edits: []func(*Patient){devices(), bus(t, "0000:00:02.0", "0x030000", "0x8086")}, grade: OK},
		"a server's little screen": {edits: []func(*Patient){devices(), bus(t, "0000:05:00.0", "0x030000", "0x1a03")}, grade: OK},
		"a driver hangs": {edits: []func(*Patient){func(p *Patient) {
			p.Accelerators = func(context.Context) (accel.Found, error) {
				return accel.Found{}, errors.New("find accelerators: too long")
			}
		}}, grade: Warn, says: []string{"accelerator-source nvidia inventory"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthy(t)
			for _, edit := range tc.edits {
				edit(&p)
			}
			f := p.accelerators(t.Context())
			require.Equal(t, tc.grade, f.Grade, "%+v", f)
			require.Equal(t, f.Grade == OK, f.Mend == "", "%+v", f)
			for _, want := range tc.says {
				require.Contains(t, f.Detail+f.Mend, want)
			}
		})
	}
}
