package netbench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is progress at so many Mbit/s, slice by slice.
func line(mbps ...float64) []sample {
	samples := []sample{{}}
	for _, r := range mbps {
		last := samples[len(samples)-1]
		samples = append(samples, sample{
			at: last.at + sliceEvery, bytes: last.bytes + int64(r*1e6/8*sliceEvery.Seconds()),
		})
	}
	return samples
}

func steadyLine(mbps float64, slices int) []float64 {
	out := make([]float64, slices)
	for i := range out {
		out[i] = mbps
	}
	return out
}

func TestThroughputOfASteadyLine(t *testing.T) {
	m := throughput(line(steadyLine(50, 60)...))
	require.InDelta(t, 50, m.Value, 0.01)
	require.InDelta(t, 50, m.Delivered, 0.01)
	require.Zero(t, m.Spread)
	require.Equal(t, 60, m.Samples)
	require.False(t, m.Disturbed)
}

func TestThroughputIsNotRaisedByWhatGathered(t *testing.T) {
	rates := steadyLine(50, 60)
	for i := 5; i < 60; i += 10 { // nothing is read for a slice, then all of it
		rates[i], rates[i+1] = 0, 100
	}
	m := throughput(line(rates...))
	require.InDelta(t, 50, m.Value, 5.01)
	require.InDelta(t, 50, m.Delivered, 0.01)
}

func TestThroughputTellsCapabilityFromWhatWasDelivered(t *testing.T) {
	rates := append(steadyLine(100, 30), steadyLine(20, 30)...)
	m := throughput(line(rates...))
	require.InDelta(t, 100, m.Value, 0.01)
	require.InDelta(t, 60, m.Delivered, 0.01)
	require.True(t, m.Disturbed)
	require.Greater(t, m.Spread, 0.5)
}

func TestThroughputOfTooLittle(t *testing.T) {
	require.Zero(t, throughput(nil).Value)
	require.Zero(t, throughput(line()).Value)
	require.InDelta(t, 8, throughput(line(8)).Value, 0.01)
	require.Zero(t, throughput(line(0, 0, 0)).Spread)
}

func TestLatencyIsAShortOneOfMany(t *testing.T) {
	var trips []time.Duration
	for i := range 100 {
		trips = append(trips, time.Duration(100+i)*time.Microsecond)
	}
	m := latency(trips)
	require.InDelta(t, 104.95, m.Value, 0.01)
	require.InDelta(t, 149.5, m.Delivered, 0.01)
	require.Equal(t, "us", m.Unit)
	require.Zero(t, latency(nil).Value)
}

func TestSettledLeavesOutTheWarmUp(t *testing.T) {
	long := line(append(steadyLine(1, 10), steadyLine(50, 40)...)...)
	require.Equal(t, warmUp, settled(long)[0].at)
	require.InDelta(t, 50, throughput(settled(long)).Delivered, 0.01)
	require.Len(t, settled(line(steadyLine(1000, 11)...)), 7)
	require.Len(t, settled(line(1000)), 2, "two samples make a rate")
}
