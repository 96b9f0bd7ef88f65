package accel_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

func TestHowContainersGetDevices(t *testing.T) {
	lost := gpu("GPU-2")
	lost.Unusable = "it has fallen off the bus"
	fine := source{name: "nvidia", devices: []accel.Device{gpu("GPU-1"), lost, gpu("GPU-3")}, finds: true}
	w := accel.Watch{Sources: []accel.Source{fine}}

	attach, err := w.Attach(t.Context(), []string{"GPU-3", "GPU-1"})
	require.NoError(t, err, "what was measured once needs no measuring to be used")
	require.Equal(t, []accel.Attach{{NVIDIA: "GPU-3"}, {NVIDIA: "GPU-1"}}, attach, "in the order asked for")

	_, err = w.Attach(t.Context(), []string{"GPU-1", "GPU-2"})
	require.ErrorIs(t, err, accel.ErrNoDevice)
	require.ErrorContains(t, err, "GPU-2: it has fallen off the bus")
	_, err = w.Attach(t.Context(), []string{"GPU-9"})
	require.ErrorIs(t, err, accel.ErrNoDevice)
	require.ErrorContains(t, err, "GPU-9 is not in this machine any more")
}

// A source that fails now may know the device: nothing is decided by that.
func TestASilentSourceProvesNothing(t *testing.T) {
	w := accel.Watch{Sources: []accel.Source{
		source{name: "nvidia", err: errors.New("exit status 127")}, source{name: "s", devices: []accel.Device{gpu("GPU-1")}},
	}}
	_, err := w.Attach(t.Context(), []string{"GPU-1"})
	require.NoError(t, err)
	_, err = w.Attach(t.Context(), []string{"GPU-2"})
	require.ErrorIs(t, err, accel.ErrUnknown)
	require.NotErrorIs(t, err, accel.ErrNoDevice)
	require.ErrorContains(t, err, "nvidia")
}
