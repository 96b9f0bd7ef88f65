package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isun-worker/command"
	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

// The worker asks itself, in a process of its own, down to a kernel that runs.
func TestAcceleratorSourceInAProcessOfItsOwn(t *testing.T) {
	source := plugin.Self(t.TempDir(), "opencl")
	inv, err := source.Inventory(context.Background())
	require.NoError(t, err)
	require.NotEmpty(t, inv.Devices, "no OpenCL device here: install one with scripts/ensure-opencl.sh")
	require.Equal(t, []string{"opencl"}, inv.Devices[0].Sources)

	result, err := source.Bench(context.Background(), inv.Devices[0].ID, accel.BenchOptions{Seed: 7, Duration: time.Millisecond})
	require.NoError(t, err)
	require.Positive(t, result.Fp32Gflops)
	_, err = source.Bench(context.Background(), "no-such-device", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrNoDevice)
}

func TestAcceleratorSourceOnTheCommandLine(t *testing.T) {
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		root := command.Root()
		root.SetArgs(append([]string{plugin.SelfCommand, "--home", t.TempDir()}, args...))
		root.SetOut(&out)
		root.SetErr(io.Discard)
		err := root.Execute()
		return out.String(), err
	}
	out, err := run("opencl", "inventory")
	require.NoError(t, err)
	var inv accel.Inventory
	require.NoError(t, json.Unmarshal([]byte(out), &inv))
	require.Equal(t, accel.ContractVersion, inv.Version)

	_, err = run("abacus", "inventory")
	require.ErrorContains(t, err, `no source "abacus": there are amd, nvidia, opencl`)
	_, err = run("opencl", "sing")
	code, tell := command.ExitCode(err)
	require.Equal(t, plugin.ExitUsage, code)
	require.False(t, tell, "it has been said")
}
