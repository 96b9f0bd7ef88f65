package accel_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

func TestCardsOnTheBus(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	bus := fstest.MapFS{
		"bus/pci/devices/0000:00:1f.3/class":  file("0x040300"), // sound
		"bus/pci/devices/0000:01:00.0/class":  file("0x030000"),
		"bus/pci/devices/0000:01:00.0/vendor": file("0x10de"),
		"bus/pci/devices/0000:01:00.0/device": file("0x2684"),
		"bus/pci/devices/0000:01:00.0/uevent": file("DRIVER=nouveau\nPCI_CLASS=30000"),
		"bus/pci/devices/0000:65:00.1/class":  file("0x120000"),
		"bus/pci/devices/0000:65:00.1/vendor": file("0x10ee"),
		"bus/pci/devices/0000:65:00.1/device": file("0x5005"),
		"bus/pci/devices/0000:02:00.0/class":  file("nonsense"),
		"bus/pci/devices/nonsense/class":      file("0x030000"),
		"bus/pci/devices/0000:03:00.0/vendor": file("0x1002"), // gone while it is read
	}
	require.Equal(t, []accel.Card{
		{PCI: "0000:01:00.0", Vendor: "10de", Device: "2684", Driver: "nouveau"},
		{PCI: "0000:65:00.1", Vendor: "10ee", Device: "5005"},
	}, accel.Cards(bus))
	require.Empty(t, accel.Cards(fstest.MapFS{}))
}
