package opencl

import (
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// calm is how much of its best a device that nothing disturbs delivers at
// least: a desktop may draw on it meanwhile.
const calm = 0.5

// rate is the figure of slices that do so much work each.
func rate(taken []time.Duration, work float64) measure.Measurement {
	slices.Sort(taken)
	var total time.Duration
	for _, took := range taken {
		total += took
	}
	at := func(i int) float64 { return work / taken[i].Seconds() }
	n := len(taken)
	m := measure.Measurement{
		Value: at(0), Delivered: work * float64(n) / total.Seconds(), Samples: n,
		Spread: (at(n/4) - at(n-1-n/4)) / at(n/2),
	}
	m.Disturbed = m.Delivered < calm*m.Value
	return m
}
