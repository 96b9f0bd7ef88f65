package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// remeasure reports a node of so many SUNS of general resources and with these devices.
func (f *fixture) remeasure(node sunstypes.NodeID, milliSuns uint64, devices ...sunstypes.Accelerator) error {
	f.T.Helper()
	params := sunstypes.DefaultParams()
	report := &sunstypes.BenchmarkReport{
		Version: 2, Digest: testkit.Digest("measured anew"), Architecture: "amd64",
		Capacity: sunstypes.ResourcesOf(params.Bundle, milliSuns), Accelerators: devices,
	}
	report.MilliSuns, _ = sunstypes.CapacityMilliSuns(params.Bundle, report.Capacity)
	for _, device := range devices {
		report.MilliSuns += sunstypes.AcceleratorMilliSuns(params.AcceleratorBundle, device)
	}
	return deliver(f, sunskeeper.NewMsgServer(f.suns).UpdateNode, &sunstypes.MsgUpdateNode{
		Operator: node.Operator, Number: node.Number, Report: report,
	})
}

// A node with running placements is measured anew: they go on at what they were sold, never less is left than they hold, and
// the index has the new figures in the same block.
func TestNodeWithPlacementsIsMeasuredAnew(t *testing.T) {
	f := newFixture(t)
	card := func(id string, suns uint64) sunstypes.Accelerator {
		device := gpu(id, suns)
		device.Model = "the same, whatever was measured"
		return device
	}
	sold, grown, free := card("GPU-0", 8), card("GPU-0", 10), card("GPU-1", 8)
	node := f.addNode(nodeSpec{operator: "op", suns: 4, devices: []sunstypes.Accelerator{sold, free}})
	withGPU := func(m *types.MsgCreateLease) {
		m.Demand = &sunstypes.Demand{
			GeneralMilliSuns: 1_500, Accelerator: &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 8_000},
		}
		m.MaxPrice, m.Deposit = 100_000, testkit.Coin(200_000)
	}
	id := f.run(withGPU)
	before := f.placement(id)
	require.Equal(t, []types.ReservedDevice{{DeviceID: "GPU-0", MilliSuns: 8_000}}, before.Devices)

	require.ErrorIs(t, f.remeasure(node, 1_499, sold, free), sunstypes.ErrBelowReserved)
	require.ErrorIs(t, f.remeasure(node, 4_000, card("GPU-0", 7), free), sunstypes.ErrBelowReserved)
	require.ErrorIs(t, f.remeasure(node, 4_000, free), sunstypes.ErrBelowReserved)
	require.NoError(t, f.remeasure(node, 1_500, grown), "the free device may go, the general resources shrink to what is held")
	f.NextBlock(time.Second) // with the invariants of x/suns and x/lease
	require.Equal(t, before, f.placement(id), "sold is sold")
	key, err := node.Key()
	require.NoError(t, err)
	has, err := f.k.IndexedNodes.Has(f.Ctx, key)
	require.NoError(t, err)
	require.False(t, has, "nothing is free")
	other := f.lease()
	f.NextBlock(time.Second)
	require.Empty(t, f.live(other))

	// What it gains can be leased, and costs what was measured.
	require.NoError(t, f.remeasure(node, 4_000, grown, card("GPU-1", 9)))
	f.Advance(10*time.Second, time.Second)
	require.Equal(t, node, f.placement(other).Node)
	second := f.lease(withGPU)
	f.NextBlock(time.Second)
	require.Equal(t, []types.ReservedDevice{{DeviceID: "GPU-1", MilliSuns: 9_000}}, f.placement(second).Devices)
	require.Equal(t, before.Devices, f.live(id)[0].Devices)

	// Once the placement is gone the device is sold at its new figure.
	f.close(id)
	f.close(second)
	f.NextBlock(time.Second)
	require.NoError(t, f.remeasure(node, 4_000, grown))
	third := f.lease(withGPU)
	f.NextBlock(time.Second)
	require.Equal(t, []types.ReservedDevice{{DeviceID: "GPU-0", MilliSuns: 10_000}}, f.placement(third).Devices)
}
