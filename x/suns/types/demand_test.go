package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestDemandValidate(t *testing.T) {
	gpu := func(change func(*types.AcceleratorDemand)) types.Demand {
		d := types.AcceleratorDemand{Kind: types.KindGPU, Count: 1, MilliSuns: 26_000}
		change(&d)
		return types.Demand{GeneralMilliSuns: 4_000, Accelerator: &d}
	}
	for name, c := range map[string]struct {
		demand types.Demand
		valid  bool
	}{
		"general":         {types.Demand{GeneralMilliSuns: 1}, true},
		"the most":        {types.Demand{GeneralMilliSuns: types.MaxNodeMilliSuns}, true},
		"above it":        {types.Demand{GeneralMilliSuns: types.MaxNodeMilliSuns + 1}, false},
		"nothing":         {types.Demand{}, false},
		"gpu":             {gpu(func(*types.AcceleratorDemand) {}), true},
		"only a device":   {types.Demand{Accelerator: &types.AcceleratorDemand{Kind: types.KindASIC, Count: 1}}, true},
		"fpga":            {gpu(func(d *types.AcceleratorDemand) { d.Kind = types.KindFPGA }), true},
		"unknown kind":    {gpu(func(d *types.AcceleratorDemand) { d.Kind = "GPU" }), false},
		"no kind":         {gpu(func(d *types.AcceleratorDemand) { d.Kind = "" }), false},
		"no device":       {gpu(func(d *types.AcceleratorDemand) { d.Count = 0 }), false},
		"16 devices":      {gpu(func(d *types.AcceleratorDemand) { d.Count = 16 }), true},
		"17 devices":      {gpu(func(d *types.AcceleratorDemand) { d.Count = 17 }), false},
		"model":           {gpu(func(d *types.AcceleratorDemand) { d.Model = "NVIDIA H100" }), true},
		"model of breaks": {gpu(func(d *types.AcceleratorDemand) { d.Model = "a\nb" }), false},
		"any size":        {gpu(func(d *types.AcceleratorDemand) { d.MilliSuns = 0 }), true},
		"size above all":  {gpu(func(d *types.AcceleratorDemand) { d.MilliSuns = types.MaxNodeMilliSuns + 1 }), false},
	} {
		if c.valid {
			require.NoError(t, c.demand.Validate(), name)
		} else {
			require.ErrorIs(t, c.demand.Validate(), types.ErrInvalidDemand, name)
		}
	}
}

// The catalogue's Llama: 26 SUNS of a GPU and 4 general ones are 30.
func TestDemandSize(t *testing.T) {
	llama := types.Demand{
		GeneralMilliSuns: 4_000, Accelerator: &types.AcceleratorDemand{Kind: types.KindGPU, Count: 1, MilliSuns: 26_000},
	}
	require.EqualValues(t, 30_000, llama.MilliSuns())
	require.EqualValues(t, 1, llama.Devices())
	llama.Accelerator.Count = 2
	require.EqualValues(t, 56_000, llama.MilliSuns())
	require.EqualValues(t, 4_000, types.Demand{GeneralMilliSuns: 4_000}.MilliSuns())
	require.Zero(t, types.Demand{GeneralMilliSuns: 4_000}.Devices())
}

func TestDemandCovers(t *testing.T) {
	device := types.NodeAccelerator{Accelerator: types.Accelerator{Kind: types.KindGPU, Model: "A"}, MilliSuns: 30_000}
	for name, c := range map[string]struct {
		demand types.AcceleratorDemand
		want   bool
	}{
		"any model":     {types.AcceleratorDemand{Kind: types.KindGPU, MilliSuns: 30_000}, true},
		"this model":    {types.AcceleratorDemand{Kind: types.KindGPU, Model: "A"}, true},
		"another model": {types.AcceleratorDemand{Kind: types.KindGPU, Model: "B"}, false},
		"another kind":  {types.AcceleratorDemand{Kind: types.KindASIC}, false},
		"too small":     {types.AcceleratorDemand{Kind: types.KindGPU, MilliSuns: 30_001}, false},
	} {
		require.Equal(t, c.want, c.demand.Covers(device), name)
	}
}

func TestDemandAtLeast(t *testing.T) {
	with := func(general uint64, kind, model string, count uint32, milli uint64) types.Demand {
		return types.Demand{GeneralMilliSuns: general, Accelerator: &types.AcceleratorDemand{
			Kind: kind, Model: model, Count: count, MilliSuns: milli,
		}}
	}
	least := with(4_000, types.KindGPU, "A", 2, 26_000)
	for name, c := range map[string]struct {
		demand types.Demand
		want   bool
	}{
		"equal":           {with(4_000, types.KindGPU, "A", 2, 26_000), true},
		"more of all":     {with(5_000, types.KindGPU, "A", 3, 27_000), true},
		"less general":    {with(3_999, types.KindGPU, "A", 2, 26_000), false},
		"no device":       {types.Demand{GeneralMilliSuns: 4_000}, false},
		"another kind":    {with(4_000, types.KindFPGA, "A", 2, 26_000), false},
		"any model":       {with(4_000, types.KindGPU, "", 2, 26_000), false},
		"fewer devices":   {with(4_000, types.KindGPU, "A", 1, 26_000), false},
		"smaller devices": {with(4_000, types.KindGPU, "A", 2, 25_999), false},
	} {
		require.Equal(t, c.want, c.demand.AtLeast(least), name)
	}
	require.True(t, with(1, types.KindGPU, "B", 1, 0).AtLeast(types.Demand{GeneralMilliSuns: 1}), "devices beyond what is needed")
	require.True(t, with(1, types.KindGPU, "B", 1, 0).AtLeast(with(1, types.KindGPU, "", 1, 0)), "a model where any will do")
}
