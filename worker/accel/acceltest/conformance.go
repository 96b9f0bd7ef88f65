// Package acceltest has the suite that every accel.Source passes, and a source
// without hardware for tests of what uses one.
package acceltest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
	"github.com/isuncoin/isuncoin/worker/measure"
)

// Harness connects the suite to a source.
type Harness struct {
	// Open makes the source as it is on a machine that has Devices devices.
	Open func(t *testing.T) accel.Source
	// Devices is how many there are, at least one.
	Devices int
	// FindsOnly: it answers to Bench with accel.ErrCannotMeasure.
	FindsOnly bool
}

// caseTimeout bounds one case: a driver that compiles its programs on a busy
// machine takes seconds.
const caseTimeout = 2 * time.Minute

// Run checks what users of a source rely on.
func Run(t *testing.T, h Harness) {
	require.Positive(t, h.Devices, "the suite needs a device")
	for name, test := range map[string]func(*testing.T, Harness, accel.Source){
		"inventory is valid":             testInventory,
		"inventory is the same again":    testAgain,
		"device that is not there":       testNoDevice,
		"context that has ended":         testEnded,
		"figures are valid":              testBench,
		"equal seeds give equal digests": testDigests,
	} {
		t.Run(name, func(t *testing.T) { test(t, h, h.Open(t)) })
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	t.Cleanup(cancel)
	return ctx
}

func testInventory(t *testing.T, h Harness, s accel.Source) {
	require.NotEmpty(t, s.Name())
	inv, err := s.Inventory(deadline(t))
	require.NoError(t, err)
	require.Equal(t, accel.ContractVersion, inv.Version)
	require.Len(t, inv.Devices, h.Devices)
	require.NoError(t, plugin.CheckInventory(inv))
}

func testAgain(t *testing.T, h Harness, s accel.Source) {
	first, err := s.Inventory(deadline(t))
	require.NoError(t, err)
	second, err := h.Open(t).Inventory(deadline(t))
	require.NoError(t, err)
	for _, inv := range []accel.Inventory{first, second} {
		for i := range inv.Devices {
			inv.Devices[i].Status = accel.Status{} // the one part that moves
		}
	}
	require.Equal(t, first, second)
}

func testNoDevice(t *testing.T, h Harness, s accel.Source) {
	_, err := s.Bench(deadline(t), "no-such-device", accel.BenchOptions{Seed: 1})
	if h.FindsOnly {
		require.ErrorIs(t, err, accel.ErrCannotMeasure)
		return
	}
	require.ErrorIs(t, err, accel.ErrNoDevice)
}

func testEnded(t *testing.T, h Harness, s accel.Source) {
	inv, err := s.Inventory(deadline(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Inventory(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Bench(ctx, inv.Devices[0].ID, accel.BenchOptions{Seed: 1, Duration: time.Minute})
	if h.FindsOnly {
		require.Error(t, err)
		return
	}
	require.ErrorIs(t, err, context.Canceled)
}

// measured benches every device.
func measured(t *testing.T, h Harness, s accel.Source, seed uint64) map[string]accel.Result {
	inv, err := s.Inventory(deadline(t))
	require.NoError(t, err)
	results := map[string]accel.Result{}
	for _, d := range inv.Devices {
		result, err := s.Bench(deadline(t), d.ID, accel.BenchOptions{Seed: seed, Duration: 10 * time.Millisecond})
		if h.FindsOnly {
			require.ErrorIs(t, err, accel.ErrCannotMeasure)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, plugin.CheckResult(result, d.ID, seed))
		require.Equal(t, accel.ContractVersion, result.Version)
		results[d.ID] = result
	}
	return results
}

func testBench(t *testing.T, h Harness, s accel.Source) {
	for _, result := range measured(t, h, s, 1) {
		require.Positive(t, result.MemoryMiB)
		require.Positive(t, result.MemoryBandwidthMBs)
		require.Positive(t, result.Fp32Gflops)
		require.NotEmpty(t, result.Measurements)
	}
}

// digests are what a result's works came to, by figure.
func digests(measurements []measure.Measurement) map[string]string {
	out := map[string]string{}
	for _, m := range measurements {
		if m.Digest != "" {
			out[m.Name] = m.Digest
		}
	}
	return out
}

func testDigests(t *testing.T, h Harness, s accel.Source) {
	first, second, other := measured(t, h, s, 7), measured(t, h, s, 7), measured(t, h, s, 8)
	for id := range first {
		a, b, c := digests(first[id].Measurements), digests(second[id].Measurements), digests(other[id].Measurements)
		require.Equal(t, a, b)
		for name := range a {
			require.NotEqual(t, a[name], c[name], "%s does other work for another seed", name)
		}
	}
}
