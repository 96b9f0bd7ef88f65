package netbench

import (
	"math"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// sliceEvery is how often progress is looked at.
	sliceEvery = 50 * time.Millisecond
	// windowSlices make a rate. A reader who was held up finds at once what
	// had gathered meanwhile, so a single slice can exceed the line; over ten
	// a delay of a slice is a tenth.
	windowSlices = 10
	// bestRate is the quantile of the rates that counts as capability. A lost
	// packet holds up what comes after it, too, and then lets go of it at
	// once: the highest tenth of a 50 Mbit/s line's rates can be 58.
	bestRate = 0.75
	// bestLatency is the same for times: the shortest of many is a matter of
	// luck, the shortest twentieth is not.
	bestLatency = 0.05
	// disturbedBelow is the part of the capability that must be delivered.
	disturbedBelow = 0.8
)

// sample is how many bytes had moved at a moment since the start.
type sample struct {
	at    time.Duration
	bytes int64
}

// settled leaves out the warm-up, or the first half when a fast line reached
// what the session may move within little more than that.
func settled(samples []sample) []sample {
	from := slices.IndexFunc(samples, func(s sample) bool { return s.at >= warmUp })
	if from < 0 || len(samples)-from <= windowSlices {
		from = (len(samples) - 1) / 2 // two samples make a rate
	}
	return samples[from:]
}

// throughput makes a figure in Mbit/s of the samples of one direction.
func throughput(samples []sample) measure.Measurement {
	m := measure.Measurement{Unit: "Mbit/s", Samples: max(len(samples)-1, 0)}
	if len(samples) < 2 {
		return m
	}
	width := min(windowSlices, len(samples)-1)
	var rates []float64
	for i := width; i < len(samples); i++ {
		rates = append(rates, mbps(samples[i-width], samples[i]))
	}
	slices.Sort(rates)
	m.Value = quantile(rates, bestRate)
	m.Delivered = mbps(samples[0], samples[len(samples)-1])
	m.Spread = spread(rates)
	m.Disturbed = m.Delivered < disturbedBelow*m.Value
	return m
}

func mbps(from, to sample) float64 {
	seconds := (to.at - from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(to.bytes-from.bytes) * 8 / 1e6 / seconds
}

// latency makes a figure in microseconds of round trips.
func latency(trips []time.Duration) measure.Measurement {
	m := measure.Measurement{Unit: "us", Samples: len(trips)}
	if len(trips) == 0 {
		return m
	}
	us := make([]float64, len(trips))
	for i, t := range trips {
		us[i] = float64(t.Nanoseconds()) / 1000
		m.Delivered += us[i] / float64(len(trips))
	}
	slices.Sort(us)
	m.Value = quantile(us, bestLatency)
	m.Spread = spread(us)
	return m
}

// quantile of sorted figures, by linear interpolation.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// spread is the interquartile range over the median.
func spread(sorted []float64) float64 {
	median := quantile(sorted, 0.5)
	if median == 0 {
		return 0
	}
	return (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median
}
