package amd

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

func machine(name string) Source {
	return Source{Sys: os.DirFS("testdata/" + name + "/sys"), Dev: os.DirFS("testdata/" + name + "/dev")}
}

func inventory(t *testing.T, s Source) accel.Inventory {
	t.Helper()
	inv, err := s.Inventory(t.Context())
	require.NoError(t, err)
	require.Equal(t, accel.ContractVersion, inv.Version)
	require.NotNil(t, inv.Devices)
	return inv
}

func value[T any](v T) *T { return &v }

// A card for games and one for computing, beside Intel's graphics.
func TestTwoCards(t *testing.T) {
	inv := inventory(t, machine("cards"))
	require.Empty(t, inv.Notes)
	require.Equal(t, []accel.Device{
		{
			ID: "GPU-5f2a9c01d4e8b736", Kind: accel.KindGPU, Vendor: "amd", Model: "AMD Radeon RX 7900 XTX", MemoryMiB: 24560,
			PCI: "0000:03:00.0", Driver: "amdgpu",
			Status: accel.Status{
				UtilisationPercent: value(uint32(12)), MemoryUsedMiB: value(uint64(1228)), TemperatureCelsius: value(uint32(47)),
				PCIeGeneration: value(uint32(4)), PCIeWidth: value(uint32(16)),
			},
			Attach: accel.Attach{Nodes: []string{"/dev/dri/renderD129", "/dev/kfd"}},
		},
		{
			ID: "GPU-a1b2c3d4e5f60718", Kind: accel.KindGPU, Vendor: "amd", Model: "AMD Instinct MI210", MemoryMiB: 65520,
			PCI: "0000:83:00.0", Driver: "amdgpu",
			Status: accel.Status{
				UtilisationPercent: value(uint32(0)), MemoryUsedMiB: value(uint64(10)), TemperatureCelsius: value(uint32(38)),
				ECC: value(true), PCIeGeneration: value(uint32(5)), PCIeWidth: value(uint32(16)),
			},
			Attach: accel.Attach{Nodes: []string{"/dev/dri/renderD130", "/dev/kfd"}},
		},
	}, inv.Devices)
}

func TestCardsThatCannotBeUsedSayWhy(t *testing.T) {
	inv := inventory(t, machine("odd"))
	require.Len(t, inv.Devices, 3)
	builtIn, old, stuck := inv.Devices[0], inv.Devices[1], inv.Devices[2]
	require.Equal(t, "pci-0000:06:00.0", builtIn.ID, "it has no id of its own")
	require.True(t, BuiltIn(builtIn))
	require.False(t, BuiltIn(stuck))
	require.Contains(t, builtIn.Unusable, "512 MiB")
	require.Contains(t, builtIn.Unusable, "built-in graphics")
	require.Contains(t, old.Unusable, `"radeon"`)
	require.Contains(t, stuck.Unusable, "no render node")
	require.Empty(t, stuck.Model, "another source may know its name")
}

func TestNodesThatAreNotThere(t *testing.T) {
	s := machine("cards")
	s.Dev = fstest.MapFS{"dri/renderD129": {}, "dri/renderD130": {}}
	for _, d := range inventory(t, s).Devices {
		require.Contains(t, d.Unusable, "/dev/kfd is not there")
		require.Empty(t, d.Attach)
	}
	s.Dev = fstest.MapFS{"kfd": {}, "dri/renderD130": {}}
	inv := inventory(t, s)
	require.Contains(t, inv.Devices[0].Unusable, "/dev/dri/renderD129 is not there")
	require.Empty(t, inv.Devices[1].Unusable)
}

// unplugged lets a number of reads of one card through; then it is gone.
type unplugged struct {
	fs.FS
	mu   sync.Mutex
	left int
	err  error
}

func (u *unplugged) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "class/drm/card1/") {
		u.mu.Lock()
		u.left--
		left := u.left
		u.mu.Unlock()
		if left < 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: u.err}
		}
	}
	return u.FS.Open(name)
}

// A card may be taken away between any two reads: then it is whole in the list
// or not in it, and the other card is as it was.
func TestUnpluggedAtEveryRead(t *testing.T) {
	whole := inventory(t, machine("cards"))
	for _, err := range []error{fs.ErrNotExist, syscall.ENODEV} {
		missing := 0
		for reads := range 24 {
			s := machine("cards")
			s.Sys = &unplugged{FS: s.Sys, left: reads, err: err}
			inv := inventory(t, s)
			if len(inv.Devices) == 1 {
				missing++
				require.Equal(t, whole.Devices[1:], inv.Devices)
				require.Equal(t, []string{"card1 was taken away while it was looked at"}, inv.Notes)
				continue
			}
			require.Equal(t, whole.Devices[1], inv.Devices[1])
			require.Equal(t, whole.Devices[0].ID, inv.Devices[0].ID, "after %d reads", reads)
			require.Equal(t, whole.Devices[0].MemoryMiB, inv.Devices[0].MemoryMiB)
			require.Equal(t, whole.Devices[0].Attach, inv.Devices[0].Attach)
		}
		require.Greater(t, missing, 4)
		require.Less(t, missing, 24)
	}
}

func TestFilesOfNonsense(t *testing.T) {
	for name, tc := range map[string]struct{ file, text, says string }{
		"memory is no number": {"mem_info_vram_total", "a lot", "no number"},
		"memory is negative":  {"mem_info_vram_total", "-1", "no number"},
		"memory overflows":    {"mem_info_vram_total", "99999999999999999999999", "no number"},
		"memory is nothing":   {"mem_info_vram_total", "", "no number"},
		"use is no number":    {"gpu_busy_percent", "busy", ""},
		"speed is unknown":    {"current_link_speed", "Unknown", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{
				"class/drm/card0/device/vendor":              {Data: []byte("0x1002\n")},
				"class/drm/card0/device/uevent":              {Data: []byte("DRIVER=amdgpu\nPCI_SLOT_NAME=0000:01:00.0\n")},
				"class/drm/card0/device/mem_info_vram_total": {Data: []byte("17163091968\n")},
				"class/drm/card0/device/drm/renderD128/dev":  {},
			}
			tree["class/drm/card0/device/"+tc.file] = &fstest.MapFile{Data: []byte(tc.text)}
			inv := inventory(t, Source{Sys: tree, Dev: fstest.MapFS{"kfd": {}, "dri/renderD128": {}}})
			require.Contains(t, strings.Join(inv.Notes, ""), tc.says)
			require.Equal(t, tc.says == "", len(inv.Devices) == 1)
			for _, d := range inv.Devices {
				require.Equal(t, accel.Status{}, d.Status)
			}
		})
	}
}

func TestAMachineWithoutGraphicsHasNone(t *testing.T) {
	inv := inventory(t, Source{Sys: fstest.MapFS{}, Dev: fstest.MapFS{}})
	require.Empty(t, inv.Devices)
	require.Empty(t, inv.Notes)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := machine("cards").Inventory(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = Source{}.Bench(t.Context(), "x", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrCannotMeasure)
}
