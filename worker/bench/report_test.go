package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func bundle() Bundle { return BundleOf(sunstypes.DefaultParams()) }

func report() Report {
	return Report{
		Version: Version, Host: facts(), Offer: config.Default().Offer, Bundle: bundle(),
		CPU:          CPUResult{Threads: 4, Points: 4000},
		Machine:      sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 17408, StorageMiB: 172032, BandwidthMbps: 100},
		Capacity:     sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 5120, StorageMiB: 81920, BandwidthMbps: 100},
		Accelerators: []Accelerator{}, Measurements: []measure.Measurement{}, Notes: []string{},
	}
}

func TestReportOnChain(t *testing.T) {
	r := report()
	chain, err := r.OnChain(bundle())
	require.NoError(t, err)
	require.EqualValues(t, 2500, chain.MilliSuns, "5 GiB of memory is 2.5 SUNS, the scarcest")
	require.EqualValues(t, 1000, r.PointsPerThread())
	require.Equal(t, "memory", r.Suns(bundle()).Bottleneck)
	require.NoError(t, chain.Validate())

	path := filepath.Join(t.TempDir(), "report.json")
	_, err = Load(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, r.Save(path))
	loaded, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, r, loaded)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	digest := sha256.Sum256(raw)
	require.Equal(t, digest[:], chain.Digest, "the digest is that of the kept file")

	r.CPU = CPUResult{}
	_, err = r.OnChain(bundle())
	require.ErrorContains(t, err, "measure all")
}

func TestAcceleratorsGoOnTheChain(t *testing.T) {
	card := sunstypes.Accelerator{
		DeviceID: "GPU-2", Kind: "gpu", Vendor: "nvidia", Model: "RTX 4090", MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
	}
	other := card
	other.DeviceID = "GPU-1"
	kept := card
	kept.DeviceID = "GPU-0"
	r := report()
	r.Accelerators = []Accelerator{
		{Accelerator: card, Offered: true}, {Accelerator: kept, Reason: "mine"}, {Accelerator: other, Offered: true},
	}
	chain, err := r.OnChain(bundle())
	require.NoError(t, err)
	require.Equal(t, []sunstypes.Accelerator{other, card}, chain.Accelerators)
	require.EqualValues(t, 62_500, chain.MilliSuns)
	measured, err := chain.Measure(sunstypes.DefaultParams())
	require.NoError(t, err, "the chain computes the same")
	require.EqualValues(t, 2500, measured.GeneralMilliSuns)
}

func TestReportOfTheFirstVersionStillSizes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	first := `{"version":1,"facts":{"architecture":"amd64","cpu":{"usable_threads":2,"milli_cpu":2000}},` +
		`"cpu":{"seed":1,"threads":[{"points":1200},{"points":1300}],"points":2500,"work_digest":"aa"},` +
		`"offer":{"share":"60%","reserve_memory_mib":1},"capacity":{"cpu_points":1500,"memory_mib":4096}}`
	require.NoError(t, os.WriteFile(path, []byte(first), 0o600))
	r, err := Load(path)
	require.NoError(t, err)
	require.True(t, r.Outdated())
	require.EqualValues(t, 1250, r.PointsPerThread())
	require.Equal(t, 2, r.Host.CPU.Usable)
	require.EqualValues(t, 1500, r.Capacity.CpuPoints)
	require.EqualValues(t, 60, r.Offer.Share)
	require.False(t, report().Outdated())

	for text, want := range map[string]string{
		`{"version":99}`: "use the newer worker", `{}`: "version 0", `{`: "unexpected end", `{"version":2,"host":7}`: "cannot unmarshal",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Load(path)
		require.ErrorContains(t, err, want)
	}
}

func TestSettleKeepsTheReportThatTheChainHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	old, fresh := report(), report()
	fresh.Capacity.MemoryMiB++
	digest := func(r Report) []byte {
		d, err := r.Digest()
		require.NoError(t, err)
		return d
	}
	load := func() Report {
		r, err := Load(path)
		require.NoError(t, err)
		return r
	}
	require.NoError(t, old.Save(path))
	require.NoError(t, Settle(path, digest(old)), "nothing was sent")

	// The program ended after the chain took the new one.
	require.False(t, Unsettled(path))
	require.NoError(t, fresh.SaveSent(path))
	require.True(t, Unsettled(path))
	require.Equal(t, old, load(), "nothing changes before the chain has it")
	require.NoError(t, Settle(path, digest(fresh)))
	require.Equal(t, fresh, load())
	require.NoFileExists(t, pending(path))

	// The chain refused it.
	require.NoError(t, old.SaveSent(path))
	require.NoError(t, Settle(path, digest(fresh)))
	require.Equal(t, fresh, load())
	require.NoFileExists(t, pending(path))

	// The chain has neither: both stay.
	require.NoError(t, old.SaveSent(path))
	require.NoError(t, Settle(path, make([]byte, 32)))
	require.Equal(t, fresh, load())
	require.FileExists(t, pending(path))
}

func TestHoldKeepsWhatPlacementsHave(t *testing.T) {
	earlier := sunstypes.Node{ReportVersion: Version, Capacity: sunstypes.Capacity{CpuPoints: 2000}}
	fresh := func(points uint64) Report {
		r := report()
		r.Capacity.CpuPoints = points
		return r
	}
	for name, tc := range map[string]struct {
		points, reserved, want uint64
		node                   sunstypes.Node
	}{
		"lower within the noise, and needed": {1950, 2000, 2000, earlier},
		"at the edge of the noise":           {1900, 2000, 2000, earlier},
		"beyond the noise":                   {1899, 2000, 1899, earlier},
		"not needed":                         {1950, 1950, 1950, earlier},
		"higher":                             {2100, 2000, 2100, earlier},
		"of another benchmark":               {1950, 2000, 1950, sunstypes.Node{ReportVersion: 1, Capacity: earlier.Capacity}},
	} {
		r := fresh(tc.points)
		r.Hold(tc.node, tc.reserved)
		require.Equal(t, tc.want, r.Capacity.CpuPoints, name)
		if tc.want != tc.points {
			require.Len(t, r.Notes, 1, name)
			require.EqualValues(t, 2000, r.MilliSuns, name)
		}
	}
}

func TestAdvice(t *testing.T) {
	for want, edit := range map[string]func(*Report){
		"memory holds you at 2.5 SUNS; another 3 GiB would make it 4 (this machine has that: offer more of it)": func(*Report) {},
		"memory holds you at 2.5 SUNS; another 3 GiB would make it 4":                                           func(r *Report) { r.Machine.MemoryMiB = 5120 },
		"cpu and memory hold you at 2 SUNS; another 3000 points of processor and 6 GiB would make it 5": func(r *Report) {
			r.Capacity.CpuPoints, r.Capacity.MemoryMiB, r.Machine = 2000, 4096, sunstypes.Capacity{}
		},
		"cpu, memory, storage and bandwidth hold you at 5 SUNS: only more of everything would make it more": func(r *Report) {
			r.Capacity.CpuPoints, r.Capacity.MemoryMiB = 5000, 10240
		},
		"bandwidth holds the general part at 1 SUNS; another 30 Mbit/s would make it 2.5": func(r *Report) {
			r.Capacity.BandwidthMbps, r.Machine.BandwidthMbps = 20, 20
			r.Accelerators = []Accelerator{{Offered: true, Accelerator: sunstypes.Accelerator{
				DeviceID: "GPU-1", Kind: "gpu", MemoryMiB: 820, MemoryBandwidthMbs: 33_600, Fp32Gflops: 200,
			}}}
		},
		"cpu and memory hold you at 2.499 SUNS; another 2500 points of processor and 5.1 GiB would make it 5": func(r *Report) {
			// Within one per cent of each other both are scarce.
			r.Capacity.MemoryMiB, r.Capacity.CpuPoints, r.Machine = 5118, 2500, sunstypes.Capacity{}
		},
	} {
		r := report()
		edit(&r)
		require.Equal(t, want, r.Advice(bundle()))
	}
}

func TestRunOnThisMachine(t *testing.T) {
	dir := t.TempDir()
	var steps []string
	var last Step
	r, err := Run(context.Background(), Options{
		Host: probe.Host{Proc: "/proc", Sys: "/sys", DataDir: dir}, Offer: config.Offer{Share: 100, BandwidthMbps: 100},
		Bundle: bundle(), For: 10 * time.Millisecond, Sources: fakeSources(),
		Progress: func(s Step) { steps = append(steps, s.Name); last = s },
	})
	require.NoError(t, err)
	require.Positive(t, r.Capacity.CpuPoints)
	require.EqualValues(t, 100, r.Capacity.BandwidthMbps)
	require.Equal(t, Declared, r.BandwidthFrom)
	require.Equal(t, []string{"processor", "memory", "disk", "Good One"}, steps)
	require.Equal(t, last.Total, last.Before+last.Expected)
	require.Positive(t, r.MilliSuns)
	requireEmpty(t, dir)

	raw, err := json.Marshal(r)
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(raw, &keys))
	for _, key := range []string{"version", "host", "capacity", "accelerators", "milli_suns", "bottleneck", "measurements"} {
		require.Contains(t, keys, key)
	}
	require.Contains(t, keys["accelerators"].([]any)[0], "memory_bandwidth_mbs")
	require.Contains(t, keys["measurements"].([]any)[0], "digest")
}

func TestRunOnlySome(t *testing.T) {
	o := Options{
		Host: probe.Host{Proc: "/proc", Sys: "/sys", DataDir: t.TempDir()}, Offer: config.Offer{Share: 100, BandwidthMbps: 100},
		Bundle: bundle(), For: time.Millisecond, Only: []string{ResourceDisk}, Sources: fakeSources(),
	}
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, r.Measurements, 5)
	require.Empty(t, r.Accelerators)
	require.False(t, r.Complete())
	require.Zero(t, r.MilliSuns)

	o.Only = []string{"gpu"}
	_, err = Run(t.Context(), o)
	require.ErrorContains(t, err, `measure only "gpu": want some of cpu`)
	o.Only, o.For = nil, time.Hour
	_, err = Run(t.Context(), o)
	require.ErrorContains(t, err, "at most 5m")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.For = time.Minute
	_, err = Run(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
}
