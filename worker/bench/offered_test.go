package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

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
	offer := config.Offer{Share: 50, ReserveMemory: 1024, ReserveDisk: 8192, BandwidthMbps: 100}
	half := sunstypes.Capacity{CpuPoints: 2000, MemoryMiB: 8192, StorageMiB: 81920, BandwidthMbps: 50}
	with := func(edit func(*sunstypes.Capacity)) sunstypes.Capacity {
		c := half
		edit(&c)
		return c
	}
	for name, tc := range map[string]struct {
		edit func(*probe.Facts, *config.Offer)
		want sunstypes.Capacity
		err  error
		says string
	}{
		"half of it": {want: half},
		"quota of one thread": {
			edit: func(f *probe.Facts, _ *config.Offer) { f.CPU.MilliCPU = 1000 },
			want: with(func(c *sunstypes.Capacity) { c.CpuPoints = 500 }),
		},
		"all of it": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.Share = 100 },
			want: sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 16384, StorageMiB: 163840, BandwidthMbps: 100},
		},
		"a part of one resource": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.Memory = "4GiB"; o.CPU = "25%" },
			want: with(func(c *sunstypes.Capacity) { c.MemoryMiB = 4096; c.CpuPoints = 1000 }),
		},
		"threads": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.CPU = "3 threads" },
			want: with(func(c *sunstypes.Capacity) { c.CpuPoints = 3000 }),
		},
		"reserved threads": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.ReserveThreads = 2 },
			want: with(func(c *sunstypes.Capacity) { c.CpuPoints = 1000 }),
		},
		"threads all reserved": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.ReserveThreads = 4 }, err: ErrTooLittle, says: "4 threads, of which 4 are reserved",
		},
		"more than is left": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.Memory = "17GiB" }, err: config.ErrMoreThanThere, says: "offer.memory",
		},
		"memory all reserved": {
			edit: func(f *probe.Facts, _ *config.Offer) { f.Memory.UsableMiB = 1024 }, err: ErrTooLittle, says: "1024 MiB of memory",
		},
		"disk all reserved": {
			edit: func(f *probe.Facts, _ *config.Offer) { f.Disk.FreeMiB = 100 }, err: ErrTooLittle, says: "/data",
		},
		"no bandwidth": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.BandwidthMbps = 0 }, err: ErrTooLittle, says: "offer.bandwidth_mbps is 0",
		},
		"bandwidth below one": {
			edit: func(_ *probe.Facts, o *config.Offer) { o.BandwidthMbps = 1 }, err: ErrTooLittle, says: "50% is offered",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := facts(), offer
			if tc.edit != nil {
				tc.edit(&f, &o)
			}
			got, err := offered(f, machine(f, 4000, 0, o.BandwidthMbps), o)
			require.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				require.Equal(t, tc.want, got)
			} else {
				require.ErrorContains(t, err, tc.says)
			}
		})
	}
}

func TestBandwidthDeclaredOrMeasured(t *testing.T) {
	figure := func(name string, value float64) measure.Measurement {
		return measure.Measurement{Name: name, Unit: "Mbit/s", Value: value}
	}
	for name, tc := range map[string]struct {
		figures []measure.Measurement
		want    uint64
		from    string
	}{
		"nothing measured":     {nil, 100, Declared},
		"the slower direction": {[]measure.Measurement{figure("network.download", 90.9), figure("network.upload", 40.9)}, 40, Measured},
		"faster than declared": {[]measure.Measurement{figure("network.download", 900), figure("network.upload", 400)}, 100, Declared},
		"a slow endpoint": {[]measure.Measurement{
			figure("network.download", 10), figure("network.upload", 5), figure("network.download", 80), figure("network.upload", 60),
		}, 60, Measured},
		"latency is no bandwidth": {[]measure.Measurement{{Name: "network.latency", Unit: "us", Value: 1}}, 100, Declared},
	} {
		got, from := bandwidth(100, tc.figures)
		require.Equal(t, tc.want, got, name)
		require.Equal(t, tc.from, from, name)
	}
}

func TestPlacementsDoNotShrinkTheMachine(t *testing.T) {
	dir := t.TempDir()
	held, err := heldMiB(t.Context(), filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Zero(t, held)

	write := func(name string, mib int) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, make([]byte, mib<<20), 0o600))
		return path
	}
	image := write("lease-1/scratch.img", 3)
	require.NoError(t, os.Truncate(image, 1<<40)) // sparse: an image of a tebibyte, of which 3 MiB are written
	other := write("lease-2/vol-data/file", 2)
	held, err = heldMiB(t.Context(), dir)
	require.NoError(t, err)
	require.EqualValues(t, 5, held)
	require.EqualValues(t, 172037, machine(facts(), 1, held, 1).StorageMiB, "free and held together")

	for i := range 8 { // names make nothing larger
		require.NoError(t, os.Link(other, filepath.Join(dir, "lease-2", string(rune('a'+i)))))
	}
	held, err = heldMiB(t.Context(), dir)
	require.NoError(t, err)
	require.EqualValues(t, 5, held)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = heldMiB(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
}
