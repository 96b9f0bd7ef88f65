package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/acceltest"
	"github.com/isuncoin/isuncoin/worker/accel/opencl"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

// TestMain lets the test's program be the plugin.
func TestMain(m *testing.M) {
	if os.Getenv("ACCELCLASS_SYS") != "" {
		main()
	}
	os.Exit(m.Run())
}

// Two boards, as the drivers habanalabs and qaic show them.
var twoBoards = map[string]string{
	"accel0/device/uevent":   "DRIVER=habanalabs\nPCI_CLASS=120000\nPCI_ID=1DA3:1020\nPCI_SLOT_NAME=0000:19:00.0\n",
	"accel0/device/status":   "Operational\n",
	"accel_controlD0/uevent": "DEVNAME=accel/accel_controlD0\n",
	"accel1/device/uevent":   "DRIVER=qaic\nPCI_ID=17CB:A100\nPCI_SLOT_NAME=0000:33:00.0\n",
}

func tree(files map[string]string) fstest.MapFS {
	sys := fstest.MapFS{}
	for name, text := range files {
		sys["class/accel/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return sys
}

func TestBoards(t *testing.T) {
	files := map[string]string{
		"accel2/device/uevent": "DRIVER=intel_vpu\nPCI_ID=8086:7D1D\nPCI_SLOT_NAME=0000:00:0B.0\n",
		"accel3/device/uevent": "DRIVER=habanalabs\nPCI_ID=1DA3:1000\nPCI_SLOT_NAME=0000:1a:00.0\n",
		"accel3/status":        "In reset\n",
		"accel4/device/uevent": "DRIVER=rocket\nOF_NAME=npu\n",
		"accel5/device/uevent": "DRIVER=novel\nPCI_ID=1E52:FACE\nPCI_SLOT_NAME=0000:44:00.0\n",
	}
	for name, text := range twoBoards {
		files[name] = text
	}
	inv, err := (&boards{sys: tree(files)}).Inventory(context.Background())
	require.NoError(t, err)
	require.NoError(t, plugin.CheckInventory(inv))
	require.Equal(t, []string{"accel4 is left out: it is on no PCI bus, and this plugin knows no others"}, inv.Notes)
	require.Len(t, inv.Devices, 5)
	require.Equal(t, accel.Device{
		ID: "pci-0000:19:00.0", Kind: accel.KindASIC, Vendor: "habana", Model: "Habana Gaudi2", MemoryMiB: 98304, PCI: "0000:19:00.0",
		Driver: "habanalabs", Attach: accel.Attach{Nodes: []string{"/dev/accel/accel0", "/dev/accel/accel_controlD0"}},
	}, inv.Devices[0])
	require.Equal(t, []string{"/dev/accel/accel1"}, inv.Devices[1].Attach.Nodes)
	require.Contains(t, inv.Devices[2].Unusable, "part of the processor")
	require.Contains(t, inv.Devices[3].Unusable, "In reset")
	require.Equal(t, "accelerator 1e52:face", inv.Devices[4].Model)
}

func TestNoBoards(t *testing.T) {
	inv, err := (&boards{sys: fstest.MapFS{}}).Inventory(context.Background())
	require.NoError(t, err)
	require.Empty(t, inv.Devices)
}

func TestBoardIsMeasuredByItsPlace(t *testing.T) {
	same := accel.Device{ID: "cl0", Kind: accel.KindASIC, Vendor: "habana", Model: "x", MemoryMiB: 1, PCI: "0000:19:00.0"}
	b := &boards{sys: tree(twoBoards), measurer: acceltest.NewFake("opencl", same)}
	result, err := b.Bench(context.Background(), "pci-0000:19:00.0", accel.BenchOptions{Seed: 7})
	require.NoError(t, err)
	require.NoError(t, plugin.CheckResult(result, "pci-0000:19:00.0", 7))
	require.EqualValues(t, 98304, result.MemoryMiB)
	_, err = b.Bench(context.Background(), "pci-0000:33:00.0", accel.BenchOptions{Seed: 7})
	require.ErrorIs(t, err, accel.ErrCannotMeasure)
}

// The worker runs the plugin, which runs kernels on PoCL in the boards' place.
func TestPluginConforms(t *testing.T) {
	inv, err := opencl.New("/sys").Inventory(context.Background())
	require.NoError(t, err)
	require.NotEmpty(t, inv.Devices, "no OpenCL device here: install one with scripts/ensure-opencl.sh")
	exe, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range twoBoards {
		if strings.HasPrefix(name, "accel1") {
			continue // one board is measured as two are
		}
		file := filepath.Join(dir, "sys/class/accel", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	file, id := filepath.Join(dir, "accelclass"), inv.Devices[0].ID
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\nexec env 'ACCELCLASS_SYS="+dir+"/sys' "+
		"'ACCELCLASS_OPENCL=accel0="+id+"' '"+exe+"' \"$@\"\n"), 0o755))
	acceltest.Run(t, acceltest.Harness{Devices: 1, Open: func(*testing.T) accel.Source { return plugin.File(file) }})
}
