package accel_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/measure"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// source answers what it is told to.
type source struct {
	name    string
	devices []accel.Device
	notes   []string
	err     error
	finds   bool
	version int
	bench   func(id string) (accel.Result, error)
}

func (s source) Name() string    { return s.name }
func (s source) FindsOnly() bool { return s.finds }

func (s source) Inventory(context.Context) (accel.Inventory, error) {
	return accel.Inventory{Version: max(s.version, accel.ContractVersion), Devices: s.devices, Notes: s.notes}, s.err
}

func (s source) Bench(_ context.Context, id string, _ accel.BenchOptions) (accel.Result, error) {
	if s.bench == nil {
		return accel.Result{}, accel.ErrCannotMeasure
	}
	return s.bench(id)
}

// hung never answers and heeds no deadline.
type hung struct{ source }

func (hung) Inventory(context.Context) (accel.Inventory, error) { select {} }

func find(t *testing.T, sources ...accel.Source) accel.Found {
	t.Helper()
	found, err := accel.Find(t.Context(), sources)
	require.NoError(t, err)
	return found
}

func one[T any](t *testing.T, list []T) T {
	t.Helper()
	require.Len(t, list, 1)
	return list[0]
}

func gpu(id string) accel.Device {
	return accel.Device{ID: id, Kind: accel.KindGPU, Vendor: "nvidia", Model: "A100", Attach: accel.Attach{NVIDIA: id}}
}

func TestTwoSourcesOfOneDeviceAreJoinedByItsPlaceOnTheBus(t *testing.T) {
	used, celsius := uint64(3), uint32(60)
	nvml := gpu("GPU-1")
	nvml.PCI, nvml.MemoryMiB, nvml.Status.MemoryUsedMiB = "00000000:0A:00.0", 40960, &used
	opencl := accel.Device{
		ID: "opencl:0", Kind: accel.KindGPU, Vendor: "nvidia corporation", Model: "A100 by OpenCL", MemoryMiB: 40000, PCI: "0000:0a:00.0",
		Status: accel.Status{TemperatureCelsius: &celsius},
		Attach: accel.Attach{Nodes: []string{"/dev/nvidia0"}, Env: []string{"B=2"}},
	}
	found := find(t, source{name: "nvidia", devices: []accel.Device{nvml}, finds: true}, source{name: "opencl", devices: []accel.Device{opencl}})
	d := one(t, found.Offered())
	require.Equal(t, accel.Device{
		ID: "GPU-1", Kind: accel.KindGPU, Vendor: "nvidia", Model: "A100", MemoryMiB: 40960, PCI: "0000:0a:00.0",
		Status:  accel.Status{MemoryUsedMiB: &used, TemperatureCelsius: &celsius},
		Attach:  accel.Attach{NVIDIA: "GPU-1", Env: []string{"B=2"}},
		Sources: []string{"nvidia", "opencl"},
	}, d.Device, "the first source's word counts, the second adds to it")
	require.Equal(t, []string{"opencl"}, d.Measurers)
	require.Empty(t, found.Notes)
}

func TestNodesOfAllSourcesAreJoined(t *testing.T) {
	device := func(nodes ...string) accel.Device {
		return accel.Device{ID: nodes[0], Kind: accel.KindGPU, Vendor: "amd", PCI: "0000:03:00.0", Attach: accel.Attach{Nodes: nodes, Env: []string{"A=" + nodes[0]}}}
	}
	d := one(t, find(t,
		source{name: "amd", devices: []accel.Device{device("/dev/kfd", "/dev/dri/renderD128")}, finds: true},
		source{name: "opencl", devices: []accel.Device{device("/dev/dri/renderD128", "/dev/x")}},
	).Offered())
	require.Equal(t, accel.Attach{Nodes: []string{"/dev/dri/renderD128", "/dev/kfd", "/dev/x"}, Env: []string{"A=/dev/kfd"}}, d.Attach)
	require.Equal(t, "amd gpu", d.Model, "a card without a name still has one")
}

func TestWhyADeviceIsNotOffered(t *testing.T) {
	with := func(change func(*accel.Device)) []accel.Device {
		d := gpu("GPU-1")
		change(&d)
		return []accel.Device{d}
	}
	for name, tc := range map[string]struct {
		devices []accel.Device
		finds   bool
		says    string
	}{
		"offered":        {devices: with(func(*accel.Device) {})},
		"a processor":    {devices: with(func(d *accel.Device) { d.Kind = accel.KindCPU }), says: "general capacity"},
		"of no kind":     {devices: with(func(d *accel.Device) { d.Kind = "toaster" }), says: "toaster"},
		"unusable":       {devices: with(func(d *accel.Device) { d.Unusable = "it fell off the bus" }), says: "fell off"},
		"unattachable":   {devices: with(func(d *accel.Device) { d.Attach = accel.Attach{Env: []string{"A=b"}} }), says: "how a container gets it"},
		"unmeasured":     {devices: with(func(*accel.Device) {}), finds: true, says: "measure"},
		"id too long":    {devices: with(func(d *accel.Device) { d.ID = strings.Repeat("x", 65) }), says: "its id"},
		"no id":          {devices: with(func(d *accel.Device) { d.ID = "" }), says: "its id"},
		"control in id":  {devices: with(func(d *accel.Device) { d.ID = "a\nb" }), says: "its id"},
		"model too long": {devices: with(func(d *accel.Device) { d.Model = strings.Repeat("x", 65) }), says: "its model"},
		"no maker":       {devices: with(func(d *accel.Device) { d.Vendor = " " }), says: "its maker"},
	} {
		t.Run(name, func(t *testing.T) {
			d := one(t, find(t, source{name: "s", devices: tc.devices, finds: tc.finds}).Devices)
			require.Equal(t, tc.says == "", d.Offered)
			require.Contains(t, d.Unusable, tc.says)
			chains := sunstypes.Accelerator{DeviceID: d.ID, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model}
			if d.Offered {
				require.NoError(t, chains.Validate())
			}
		})
	}
}

// The bounds here and the chain's are the same.
func TestWhatIsOfferedTheChainTakes(t *testing.T) {
	d := gpu(strings.Repeat("i", sunstypes.MaxDeviceIDBytes))
	d.Vendor, d.Model = strings.Repeat("v", sunstypes.MaxVendorBytes), strings.Repeat("m", sunstypes.MaxModelBytes)
	require.Len(t, find(t, source{name: "s", devices: []accel.Device{d}}).Offered(), 1)
}

func TestSlicesAreOfferedInsteadOfTheWhole(t *testing.T) {
	whole := gpu("GPU-1")
	whole.PCI = "0000:01:00.0"
	slice := func(id string) accel.Device {
		d := gpu(id)
		d.PCI, d.Parent = whole.PCI, whole.ID
		return d
	}
	found := find(t, source{name: "s", devices: []accel.Device{slice("MIG-2"), whole, slice("MIG-1")}})
	require.Len(t, found.Devices, 3, "slices at one place on the bus stay apart")
	var offered []string
	for _, d := range found.Offered() {
		offered = append(offered, d.ID)
	}
	require.Equal(t, []string{"MIG-1", "MIG-2"}, offered)
	require.Contains(t, found.Devices[0].Unusable, "slices")
}

func TestASourceThatFailsCostsANoteAndNothingElse(t *testing.T) {
	found := find(t,
		source{name: "broken", err: errors.New("exit status 127")},
		source{name: "newer", version: accel.ContractVersion + 1, devices: []accel.Device{gpu("GPU-9")}},
		source{name: "fine", devices: []accel.Device{gpu("GPU-1")}, notes: []string{"mind the step"}})
	require.Equal(t, "GPU-1", one(t, found.Devices).ID)
	require.Equal(t, []string{"broken", "newer"}, found.Failed)
	require.Len(t, found.Notes, 3)
	require.Contains(t, found.Notes[0], "broken: its devices are left out: exit status 127")
	require.Contains(t, found.Notes[1], "update the worker")
	require.Equal(t, "fine: mind the step", found.Notes[2])
}

func TestASourceThatHangsHoldsNobodyUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := accel.Find(ctx, []accel.Source{hung{source{name: "hung"}}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestIDsAreUnique(t *testing.T) {
	at := func(pci string) accel.Device {
		d := gpu("0")
		d.PCI = pci
		return d
	}
	found := find(t, source{name: "a", devices: []accel.Device{at("0000:01:00.0"), at("0000:02:00.0")}},
		source{name: "b", devices: []accel.Device{at("0000:03:00.0")}}, source{name: "c", devices: []accel.Device{at("")}})
	d := one(t, found.Devices)
	require.Equal(t, []string{"a", "c"}, d.Sources)
	require.Len(t, found.Notes, 2)
	require.Contains(t, found.Notes[0], "twice")
	require.Contains(t, found.Notes[1], "b: device \"0\" at 0000:03:00.0 has the id of the one at 0000:01:00.0")
}

func TestTheOrderIsTheMachinesAndNotTheSources(t *testing.T) {
	at := func(id, pci string) accel.Device {
		d := gpu(id)
		d.PCI = pci
		return d
	}
	devices := []accel.Device{at("z", ""), at("b", "0000:02:00.0"), at("c", "0000:01:00.0"), at("a", "")}
	for range len(devices) {
		devices = append(devices[1:], devices[0])
		var ids []string
		for _, d := range find(t, source{name: "s", devices: devices}).Devices {
			ids = append(ids, d.ID)
		}
		require.Equal(t, []string{"c", "b", "a", "z"}, ids)
	}
}

func TestTheFirstSourceThatCanMeasures(t *testing.T) {
	result := accel.Result{MemoryMiB: 5, Measurements: []measure.Measurement{{Name: "accelerator.fp32", Device: "opencl:0"}}}
	cl := gpu("opencl:0")
	cl.PCI = "0000:01:00.0"
	nv := gpu("GPU-1")
	nv.PCI = cl.PCI
	cannot := source{name: "plugin", devices: []accel.Device{nv}}
	can := source{name: "opencl", devices: []accel.Device{cl}, bench: func(id string) (accel.Result, error) {
		require.Equal(t, "opencl:0", id, "each source is asked by its own id")
		return result, nil
	}}
	d := one(t, find(t, cannot, can).Offered())
	got, err := d.Bench(t.Context(), accel.BenchOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 5, got.MemoryMiB)
	require.Equal(t, "GPU-1", got.Measurements[0].Device)

	_, err = one(t, find(t, cannot).Devices).Bench(t.Context(), accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrCannotMeasure)
	gone := source{name: "gone", devices: []accel.Device{nv}, bench: func(string) (accel.Result, error) { return accel.Result{}, accel.ErrNoDevice }}
	_, err = one(t, find(t, gone).Devices).Bench(t.Context(), accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrNoDevice)
}

func TestNormalPCI(t *testing.T) {
	for in, want := range map[string]string{
		"00000000:0A:1F.7": "0000:0a:1f.7", "0000:01:00.0": "0000:01:00.0", "01:00.0": "0000:01:00.0", "10001:01:00.0": "10001:01:00.0",
		"": "", "x": "", "0000:01:00": "", "0000:01:00.0.1": "", "0000:zz:00.0": "", "123456789:01:00.0": "", "a:b:c:d.0": "", "0000::00.0": "",
	} {
		require.Equal(t, want, accel.NormalPCI(in), in)
		require.Equal(t, want, accel.NormalPCI(want), "twice is once")
	}
}
