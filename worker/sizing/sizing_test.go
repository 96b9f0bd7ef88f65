package sizing

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

var bundle = sunstypes.Capacity{CpuPoints: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20}

func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		milli uint64
		m     Machine
		want  runtime.Limits
	}{
		"one SUNS on a reference core": {1000, Machine{1000, 8}, runtime.Limits{
			MilliCPU: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20, Pids: 768,
		}},
		"a core twice as fast needs half the time": {1000, Machine{2000, 8}, runtime.Limits{
			MilliCPU: 500, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20, Pids: 768,
		}},
		"a tenth": {100, Machine{830, 8}, runtime.Limits{
			MilliCPU: 121, MemoryMiB: 204, StorageMiB: 1638, BandwidthMbps: 2, Pids: 537,
		}},
		"never more than the machine": {5000, Machine{1000, 2}, runtime.Limits{
			MilliCPU: 2000, MemoryMiB: 10240, StorageMiB: 81920, BandwidthMbps: 100, Pids: 1792,
		}},
		"devices alone": {0, Machine{1000, 2}, runtime.Limits{
			MilliCPU: runtime.MinMilliCPU, MemoryMiB: runtime.MinMemoryMiB, BandwidthMbps: 1, Pids: runtime.DefaultPids,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Limits(bundle, tc.milli, tc.m)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.NoError(t, got.Validate())
		})
	}
	_, err := Limits(bundle, math.MaxUint64, Machine{1000, 2})
	require.ErrorIs(t, err, ErrOutOfRange)
	_, err = Limits(bundle, 7, Machine{1000, 2}) // 14 MiB
	require.ErrorIs(t, err, ErrOutOfRange)
	_, err = Limits(bundle, 8, Machine{1000, 2}) // 16 MiB
	require.NoError(t, err)
}

// minDemand is the least demand of x/lease's default params.
var minDemand = leasetypes.DefaultParams().MinDemandMilliSuns

// offer is a machine as bench offers it.
type offer struct {
	machine  Machine
	capacity sunstypes.Capacity
	// milliCPU is the share of the threads that is offered.
	milliCPU uint64
}

func drawOffer(t *rapid.T) offer {
	threads := rapid.Uint64Range(1, 256).Draw(t, "threads")
	points := rapid.Uint64Range(200, 6000).Draw(t, "points per thread")*threads + rapid.Uint64Range(0, threads-1).Draw(t, "rest")
	share := rapid.Uint64Range(1, 100).Draw(t, "share")
	draw := func(what string, most uint64) uint64 { return rapid.Uint64Range(1, most).Draw(t, what) * share / 100 }
	return offer{
		machine: Machine{PointsPerThread: points / threads, Threads: int(threads)},
		capacity: sunstypes.Capacity{
			CpuPoints: points * share / 100, MemoryMiB: draw("memory", 4<<20), StorageMiB: draw("storage", 64<<20),
			BandwidthMbps: draw("bandwidth", 100_000),
		},
		milliCPU: threads * 1000 * share / 100,
	}
}

// TestAllThatFitsStaysWithinTheOffer fills a machine with whatever the chain
// fits on it and adds the containers' limits up.
func TestAllThatFitsStaysWithinTheOffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOffer(t)
		free, _ := sunstypes.CapacityMilliSuns(bundle, o.capacity)
		largest := rapid.Uint64Range(minDemand, 100*minDemand).Draw(t, "largest")
		var sum runtime.Limits
		var points, placements uint64
		for free >= minDemand && placements < 20_000 {
			milli := min(free, rapid.Uint64Range(minDemand, largest).Draw(t, "demand"))
			free -= milli
			placements++
			got, err := Limits(bundle, milli, o.machine)
			if err != nil {
				t.Fatal(err)
			}
			sold := sunstypes.ResourcesOf(bundle, milli)
			points += sold.CpuPoints
			if uint64(got.MilliCPU)*o.machine.PointsPerThread < sold.CpuPoints*1000 && got.MilliCPU < int64(o.machine.Threads)*1000 ||
				got.MemoryMiB != int64(sold.MemoryMiB) || got.StorageMiB != int64(sold.StorageMiB) ||
				got.BandwidthMbps != int64(sold.BandwidthMbps) {
				t.Fatalf("%d milli-SUNS are %+v: %+v", milli, sold, got)
			}
			sum.MilliCPU += got.MilliCPU
			sum.MemoryMiB += got.MemoryMiB
			sum.StorageMiB += got.StorageMiB
			sum.BandwidthMbps += got.BandwidthMbps
		}
		c := o.capacity
		if sum.MemoryMiB > int64(c.MemoryMiB) || sum.StorageMiB > int64(c.StorageMiB) ||
			sum.BandwidthMbps > int64(c.BandwidthMbps) || points > c.CpuPoints {
			t.Fatalf("%d placements take %+v and %d points of %+v", placements, sum, points, c)
		}
		// A thread's points are a whole number, rounded down.
		bound := (o.milliCPU+1)*(o.machine.PointsPerThread+1)/o.machine.PointsPerThread + placements + 1
		if uint64(sum.MilliCPU) > bound {
			t.Fatalf("%d placements take %d milli-CPU of %d", placements, sum.MilliCPU, o.milliCPU)
		}
	})
}
