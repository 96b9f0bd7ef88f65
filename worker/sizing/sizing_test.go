package sizing

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
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
}
