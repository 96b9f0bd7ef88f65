package bench

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// workGolden is the result of one slice's work: it is the same on every
// machine and architecture, and a change of it is a new Version.
const workGolden = "71a3ac345bc2f8c15b88d0b4291cb9d7fffa4e28e48d7f4c7b5db516f3613dd3"

func TestWorkIsTheSameEverywhere(t *testing.T) {
	result, err := CPU(context.Background(), 2, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, workGolden, result.Work)
	require.Len(t, result.Threads, 2)
	require.Equal(t, result.Threads[0].Points+result.Threads[1].Points, result.Points)
	for _, thread := range result.Threads {
		require.Positive(t, thread.Slices, "at least one slice, however short the time")
		require.LessOrEqual(t, thread.Best, thread.Mean)
	}
}

func TestPoints(t *testing.T) {
	require.EqualValues(t, 1000, points(6*time.Millisecond), "the reference core")
	require.EqualValues(t, 2000, points(3*time.Millisecond))
	require.EqualValues(t, 500, points(12*time.Millisecond))
}

func TestCPUEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := CPU(ctx, 1, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	_, err = CPU(context.Background(), 0, time.Second)
	require.Error(t, err)
}

func facts() probe.Facts {
	return probe.Facts{
		Architecture: "amd64",
		CPU:          probe.CPU{Cores: 2, Threads: 4, Usable: 4, MilliCPU: 4000},
		Memory:       probe.Memory{TotalMiB: 17408, UsableMiB: 17408},
		Disk:         probe.Disk{Path: "/data", FreeMiB: 172032},
		Notes:        []probe.Note{},
	}
}

func TestOffered(t *testing.T) {
	cpu := CPUResult{Points: 4000, Threads: make([]ThreadResult, 4)}
	offer := config.Offer{Share: 50, ReserveMemory: 1024, ReserveDisk: 8192, BandwidthMbps: 100}
	for name, tc := range map[string]struct {
		edit func(*probe.Facts, *config.Offer)
		want sunstypes.Capacity
		err  error
	}{
		"half of it": {want: sunstypes.Capacity{CpuPoints: 2000, MemoryMiB: 8192, StorageMiB: 81920, BandwidthMbps: 50}},
		"quota of one thread": {
			edit: func(f *probe.Facts, _ *config.Offer) { f.CPU.MilliCPU = 1000 },
			want: sunstypes.Capacity{CpuPoints: 500, MemoryMiB: 8192, StorageMiB: 81920, BandwidthMbps: 50},
		},
		"all of it": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.Share = 100 },
			want: sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 16384, StorageMiB: 163840, BandwidthMbps: 100},
		},
		"memory all reserved": {edit: func(f *probe.Facts, _ *config.Offer) { f.Memory.UsableMiB = 1024 }, err: ErrTooLittle},
		"disk all reserved":   {edit: func(f *probe.Facts, _ *config.Offer) { f.Disk.FreeMiB = 100 }, err: ErrTooLittle},
		"no bandwidth":        {edit: func(_ *probe.Facts, o *config.Offer) { o.BandwidthMbps = 0 }, err: ErrTooLittle},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := facts(), offer
			if tc.edit != nil {
				tc.edit(&f, &o)
			}
			got, err := offered(f, cpu, o)
			require.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				require.Equal(t, tc.want, got)
			}
		})
	}
}

func TestReportOnChain(t *testing.T) {
	report := Report{
		Version: Version, Facts: facts(), Offer: config.Default().Offer,
		CPU:      CPUResult{Seed: Seed, Points: 4000, Threads: make([]ThreadResult, 4), Work: workGolden},
		Capacity: sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 5120, StorageMiB: 81920, BandwidthMbps: 100},
	}
	bundle := sunstypes.Capacity{CpuPoints: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20}
	chain, err := report.OnChain(bundle)
	require.NoError(t, err)
	require.EqualValues(t, 2500, chain.MilliSuns, "5 GiB of memory is 2.5 SUNS, the scarcest")
	require.EqualValues(t, 1000, report.PointsPerThread())
	require.Equal(t, "memory", report.Suns(bundle).Bottleneck)
	require.NoError(t, chain.Validate())

	path := filepath.Join(t.TempDir(), "report.json")
	_, err = Load(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, report.Save(path))
	loaded, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, report, loaded)
	raw, err := loaded.Canonical()
	require.NoError(t, err)
	digest := sha256.Sum256(raw)
	require.Equal(t, digest[:], chain.Digest, "the kept report is the one the digest names")
}

func TestRunOnThisMachine(t *testing.T) {
	host := probe.Host{Proc: "/proc", Sys: "/sys", DataDir: t.TempDir()}
	offer := config.Offer{Share: 100, BandwidthMbps: 100}
	report, err := Run(context.Background(), host, offer, 10*time.Millisecond)
	require.NoError(t, err)
	require.Positive(t, report.Capacity.CpuPoints)
	require.EqualValues(t, 100, report.Capacity.BandwidthMbps)
}
