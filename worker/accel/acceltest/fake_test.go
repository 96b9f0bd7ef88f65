package acceltest_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/acceltest"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

// TestMain serves the fake to itself, as an executable would.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == plugin.SelfCommand {
		os.Exit(plugin.Serve(context.Background(), fake(), os.Args[5:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func fake() *acceltest.Fake {
	card := func(id string) accel.Device {
		return accel.Device{ID: id, Kind: accel.KindASIC, Vendor: "acme", Model: "Tensor 9", MemoryMiB: 8192, Sources: []string{"fake"}}
	}
	return acceltest.NewFake("fake", card("card0"), card("card1"))
}

func TestFakeConforms(t *testing.T) {
	acceltest.Run(t, acceltest.Harness{Devices: 2, Open: func(*testing.T) accel.Source { return fake() }})
}

func TestFakeConformsAsAProcess(t *testing.T) {
	acceltest.Run(t, acceltest.Harness{Devices: 2, Open: func(*testing.T) accel.Source { return plugin.Self("/none", "fake") }})
}

func TestFakeFails(t *testing.T) {
	f := fake()
	f.Plug()
	_, err := f.Bench(context.Background(), "card0", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrNoDevice)
	f.Err = errors.New("the driver is gone")
	_, err = f.Inventory(context.Background())
	require.ErrorIs(t, err, f.Err)
	require.Equal(t, 1, f.Benches())
}
