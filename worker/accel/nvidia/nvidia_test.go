package nvidia

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// child answers as a process of ours would.
type child struct {
	Source
	inventory accel.Inventory
	err       error
}

func (c child) Inventory(context.Context) (accel.Inventory, error) { return c.inventory, c.err }

func TestTheChildsAnswerIsTheSources(t *testing.T) {
	want := accel.Inventory{Version: 1, Devices: []accel.Device{{ID: "GPU-1"}}, Notes: []string{"x"}}
	got, err := Source{Child: child{inventory: want}}.Inventory(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)

	boom := errors.New("boom")
	_, err = Source{Child: child{err: boom}}.Inventory(t.Context())
	require.ErrorIs(t, err, boom)
	_, err = Source{}.Bench(t.Context(), "GPU-1", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrCannotMeasure)
}

// A symbol that an old driver lacks ends the child with 127.
func TestAnOldDriverIsTold(t *testing.T) {
	ended := exec.Command("sh", "-c", "exit 127").Run()
	_, err := Source{Child: child{err: fmt.Errorf("nvidia: inventory: %w", ended)}}.Inventory(t.Context())
	require.ErrorContains(t, err, "install version 450 or newer")
	require.ErrorIs(t, err, ended)
}

// Most machines have no NVIDIA driver: that is an empty list and no error.
func TestThisMachinesOwnDriver(t *testing.T) {
	inv, err := NewDriver().Inventory(t.Context())
	require.NoError(t, err)
	if _, err := os.Stat("/dev/nvidiactl"); err != nil {
		require.Empty(t, inv.Devices)
	}
}
