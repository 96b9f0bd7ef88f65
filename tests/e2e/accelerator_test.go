package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
)

const (
	// deviceID is the test's accelerator, which is worth half a SUNS: its figures are half the bundle's.
	deviceID     = "test-asic-1"
	deviceDemand = "asic:1:0.5"
	// plugin knows one device, whose node is there or is not, as its driver would have it.
	plugin = `#!/bin/sh
case "$1" in
inventory)
	[ -c %[2]s ] || { echo '{"version":1,"devices":[]}'; exit 0; }
	echo '{"version":1,"devices":[{"id":"%[1]s","kind":"asic","vendor":"isun","model":"Test ASIC","memory_mib":410,
		"status":{},"attach":{"nodes":["%[2]s"],"env":["TEST_ASIC=%[2]s"]}}]}' ;;
bench)
	[ -c %[2]s ] || exit 3
	echo '{"version":1,"memory_mib":410,"memory_bandwidth_mbs":16800,"fp32_gflops":100,"measurements":[]}' ;;
*) exit 2 ;;
esac
`
)

// A machine offers an accelerator that a plugin knows. One lease gets it, and its container alone sees it; another waits until
// it is free.
func TestAcceleratorIsLeasedWhole(t *testing.T) {
	f := newFixture(t)
	node, _ := dockertest.Node(t)
	file := filepath.Join(t.TempDir(), "test-asic")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, plugin, deviceID, node), 0o755)) //nolint:gosec // it is to be run
	measuring := freeAddress(t)
	worker, err := f.Join(f.ctx, stack.JoinOptions{
		Name: "worker", Operator: "operator", Offer: offer, AskPrice: "1000000", Layouts: []string{shared.layout}, Plugins: []string{file},
		Measuring: measuring,
	})
	require.NoError(t, err)
	f.step("doctor", func(f *fixture) { f.testDoctorNames(worker) })
	require.NoError(t, worker.Start())
	f.step("measuring", func(f *fixture) { f.testMeasuredAgainst(measuring) })
	f.publish()

	plain := f.deploy(1, "1")
	without := f.awaitContainers(worker.Node, 1)[0]
	require.False(t, f.sees(without, node), "a container without a lease of the device")

	first := f.deployDevice(true)
	with := f.other(worker.Node, without)
	require.True(t, f.sees(with, node))
	require.Contains(t, f.environment(with), "TEST_ASIC="+node)
	require.False(t, f.sees(without, node), "and the other still does not")

	f.awaitAttested(first.Lease)

	second := f.deployDevice(false)
	waits := f.await(second.Lease, "the chain looks for a device again", func(l stack.Lease) bool { return l.Bill.RetryFees != "0" })
	require.Empty(t, waits.Running(), "a device is leased whole")

	require.NoError(t, f.Isun(f.ctx, "tenant", nil, "close", first.Lease, "--wait-timeout", patience.String()))
	got := f.await(second.Lease, "the second lease gets the device", func(l stack.Lease) bool { return len(l.On(worker.Node)) == 1 })
	f.awaitAnswer(got.Running()[0])
	require.True(t, f.sees(f.other(worker.Node, without), node))

	for _, lease := range []stack.Lease{plain, second} {
		require.NoError(t, f.Isun(f.ctx, "tenant", nil, "close", lease.Lease, "--wait-timeout", patience.String()))
	}
	f.awaitNothingLeft()
}

func (f *fixture) testDoctorNames(w *stack.Worker) {
	out, err := w.Run(f.ctx, "doctor")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "Test ASIC ("+deviceID+")")
}

// testMeasuredAgainst has another machine measure its line against the running worker.
func (f *fixture) testMeasuredAgainst(address string) {
	var report struct {
		Measurements []struct {
			Name  string
			Value float64
		}
	}
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		err := f.JSON(f.ctx, &report, "isun-worker", "bench", "--only", "network", "--quick", "--network", address, "--home", f.t.TempDir())
		return err == nil, err
	})
	require.NoError(f.t, err)
	require.NotEmpty(f.t, report.Measurements)
	for _, m := range report.Measurements {
		require.Positive(f.t, m.Value, m.Name)
	}
}

// deployDevice orders one replica with a device of its own.
func (f *fixture) deployDevice(wait bool) stack.Lease {
	f.t.Helper()
	var lease stack.Lease
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref(), "--suns", demand, "--gpu", deviceDemand,
		"--max-price", maxPrice, "--deposit", "2", "--env", "GREETING="+greeting, fmt.Sprintf("--wait=%t", wait),
		"--wait-timeout", patience.String()))
	return lease
}

// other is a node's container that is not the given one.
func (f *fixture) other(node, given string) string {
	f.t.Helper()
	for _, id := range f.awaitContainers(node, 2) {
		if id != given {
			return id
		}
	}
	f.t.Fatal("no other container")
	return ""
}

// sees says whether a file is there inside a container.
func (f *fixture) sees(container, file string) bool {
	f.t.Helper()
	_, err := os.Stat(filepath.Join(f.inside(container), "root", file))
	if err != nil {
		require.ErrorIs(f.t, err, os.ErrNotExist)
	}
	return err == nil
}

func (f *fixture) environment(container string) []string {
	f.t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.inside(container), "environ"))
	require.NoError(f.t, err)
	return strings.Split(string(raw), "\x00")
}

// inside is the kernel's folder of a container's first process.
func (f *fixture) inside(container string) string {
	f.t.Helper()
	pid, err := f.docker.PID(f.ctx, container)
	require.NoError(f.t, err)
	require.Positive(f.t, pid)
	return filepath.Join("/proc", fmt.Sprint(pid))
}

// awaitAttested waits until the chain holds time of a lease's device.
func (f *fixture) awaitAttested(id string) {
	f.t.Helper()
	lease := f.inspect(id)
	tenant, number, _ := strings.Cut(lease.Lease, "/")
	p := lease.Running()[0]
	var answer struct {
		Usage struct {
			ServedMs      uint64 `json:"served_ms,string"`
			AcceleratorMs uint64 `json:"accelerator_ms,string"`
		} `json:"usage"`
	}
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		err := f.Query(f.ctx, &answer, "audit", "usage", tenant, number, fmt.Sprint(p.Replica), fmt.Sprint(p.Generation))
		return answer.Usage.AcceleratorMs > 0, err
	})
	require.NoError(f.t, err, "%+v", answer)
	require.Equal(f.t, answer.Usage.ServedMs, answer.Usage.AcceleratorMs, "one device, all the time")
}
