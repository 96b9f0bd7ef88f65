package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func (f *fixture) load(id types.NodeID) types.NodeLoad {
	f.T.Helper()
	load, err := f.keeper.GetNodeLoad(f.Ctx, id)
	require.NoError(f.T, err)
	return load
}

func TestReserveAndRelease(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "B", "A", "C")))
	require.Zero(t, f.load(id))
	f.NextBlock(7 * time.Second)

	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_500, []string{"C", "A"}))
	require.Equal(t, types.NodeLoad{
		ReservedGeneralMilliSuns: 1_500, BusyDevices: []string{"A", "C"}, Placements: 1, BusySinceMs: 7_000,
	}, f.load(id))
	f.NextBlock(time.Second)
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 2_500, nil), "the last free milli-SUNS")
	require.Equal(t, types.NodeLoad{
		ReservedGeneralMilliSuns: 4_000, BusyDevices: []string{"A", "C"}, Placements: 2, BusySinceMs: 7_000,
	}, f.load(id))

	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_500, []string{"A", "C"}))
	require.NoError(t, f.keeper.Release(f.Ctx, id, 2_500, nil))
	require.Zero(t, f.load(id).ReservedGeneralMilliSuns)
	require.Empty(t, f.load(id).BusyDevices)
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1, []string{"B"}))
	require.EqualValues(t, 8_000, f.load(id).BusySinceMs, "busy anew")
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1, []string{"B"}))
}

func TestReserveNeverOversells(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, []string{"GPU-0"}))
	before := f.load(id)
	for name, c := range map[string]struct {
		general uint64
		devices []string
		want    error
	}{
		"one milli-SUNS too many": {3_001, nil, types.ErrInsufficientRoom},
		"overflow":                {^uint64(0), nil, types.ErrInsufficientRoom},
		"busy device":             {1, []string{"GPU-0"}, types.ErrDeviceBusy},
		"device twice":            {1, []string{"GPU-1", "GPU-1"}, types.ErrDeviceBusy},
		"unknown device":          {1, []string{"GPU-2"}, types.ErrDeviceUnknown},
	} {
		require.ErrorIs(t, f.keeper.Reserve(f.Ctx, id, c.general, c.devices), c.want, name)
		require.Equal(t, before, f.load(id), name)
	}
	require.ErrorIs(t, f.keeper.Reserve(f.Ctx, types.NewNodeID(testkit.Addr("bob"), 1), 1, nil), types.ErrNodeNotFound)
	require.ErrorIs(t, f.keeper.Reserve(f.Ctx, types.NodeID{}, 1, nil), types.ErrInvalidNodeID)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, []string{"GPU-0"}))
}

func TestReleaseGivesBackNoMoreThanWasTaken(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.ErrorIs(t, f.keeper.Release(f.Ctx, id, 0, nil), types.ErrNotReserved, "no placement")
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, []string{"GPU-0"}))
	before := f.load(id)
	for name, c := range map[string]struct {
		general uint64
		devices []string
	}{
		"too much":                  {1_001, []string{"GPU-0"}},
		"a free device":             {1_000, []string{"GPU-1"}},
		"a device twice":            {1_000, []string{"GPU-0", "GPU-0"}},
		"the last leaves SUNS":      {999, []string{"GPU-0"}},
		"the last leaves a device":  {1_000, nil},
		"a device of another world": {1_000, []string{"x"}},
	} {
		require.ErrorIs(t, f.keeper.Release(f.Ctx, id, c.general, c.devices), types.ErrNotReserved, name)
		require.Equal(t, before, f.load(id), name)
	}
	require.ErrorIs(t, f.keeper.Release(f.Ctx, types.NodeID{}, 0, nil), types.ErrInvalidNodeID)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, []string{"GPU-0"}))
}

func TestInvariantsSeeOverselling(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.NextBlock(time.Second)
	key, err := id.Key()
	require.NoError(t, err)
	require.NoError(t, f.keeper.Loads.Set(f.Ctx, key, types.NodeLoad{ReservedGeneralMilliSuns: 4_001, Placements: 1}))
	require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant)
	require.NoError(t, f.keeper.Loads.Set(f.Ctx, key, types.NodeLoad{BusyDevices: []string{"x"}, Placements: 1}))
	require.ErrorIs(t, f.keeper.AllInvariants(f.Ctx), types.ErrBrokenInvariant)
	require.NoError(t, f.keeper.Loads.Remove(f.Ctx, key))
}
