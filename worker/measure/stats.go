package measure

import (
	"math"
	"slices"
	"time"
)

// How much of a capability is delivered where nothing disturbs, at least. A
// quiet processor delivers 95 % and more of its best slices; a neighbour that
// has one thread for a third of the time leaves 83 %. Memory, disks and lines
// are shared by design and move by themselves.
const (
	CalmProcessor = 0.85
	CalmMemory    = 0.70
	CalmDevice    = 0.50
)

// agreed is how many slices must have reached a figure before it is believed.
// A clock that jumps makes one slice impossibly short, or two (one ends and
// the next begins within the jump), never three alike.
const agreed = 3

// Slice is one of many equal pieces of work.
type Slice struct {
	// Start counts from the start of the run.
	Start time.Duration
	Took  time.Duration
}

// rank is which of n slices, from the best, is the capability: the best
// percent, and where that is fewer than three slices the third, so that one
// wrong reading decides nothing. Of fewer than five it is the better of the
// middle.
func rank(n int) int {
	return min(max(agreed-1, n/100), (n-1)/2)
}

// Rate is the figure of slices that do so much work each: work a second. More
// is better; calm is one of the constants above.
func Rate(taken []Slice, work, calm float64) Measurement {
	rates := make([]float64, 0, len(taken))
	var total time.Duration
	for _, s := range taken {
		if s.Took > 0 { // a clock that stood still or ran back measured nothing
			rates = append(rates, work/s.Took.Seconds())
			total += s.Took
		}
	}
	if len(rates) == 0 {
		return Measurement{}
	}
	m := ofRates(rates)
	m.Delivered = work * float64(len(rates)) / total.Seconds()
	m.Disturbed = m.Delivered < calm*m.Value
	return m
}

// Rates is the figure of rates that were taken in another way, one a slice.
func Rates(rates []float64, calm float64) Measurement {
	kept := make([]float64, 0, len(rates))
	sum := 0.0
	for _, r := range rates {
		if r > 0 && !math.IsInf(r, 0) && !math.IsNaN(r) {
			kept = append(kept, r)
			sum += r
		}
	}
	if len(kept) == 0 {
		return Measurement{}
	}
	m := ofRates(kept)
	m.Delivered = sum / float64(len(kept))
	m.Disturbed = m.Delivered < calm*m.Value
	return m
}

// ofRates has everything but what was delivered. It sorts what it is given.
func ofRates(rates []float64) Measurement {
	slices.Sort(rates)
	n := len(rates)
	return Measurement{Value: rates[n-1-rank(n)], Spread: spread(rates), Samples: n}
}

// Latency is the figure of times, in microseconds: less is better.
func Latency(taken []Slice, calm float64) Measurement {
	times := make([]float64, 0, len(taken))
	sum := 0.0
	for _, s := range taken {
		if s.Took > 0 {
			us := float64(s.Took) / float64(time.Microsecond)
			times = append(times, us)
			sum += us
		}
	}
	if len(times) == 0 {
		return Measurement{Unit: "us"}
	}
	slices.Sort(times)
	m := Measurement{
		Value: times[rank(len(times))], Delivered: sum / float64(len(times)),
		Unit: "us", Spread: spread(times), Samples: len(times),
	}
	m.Disturbed = m.Value < calm*m.Delivered
	return m
}

// Sum is what several threads did at the same time, each measured by itself.
// The machine was disturbed if any of them was: a neighbour on one of many
// threads hardly shows in the sum.
func Sum(threads []Measurement) Measurement {
	var sum Measurement
	for _, m := range threads {
		sum.Value += m.Value
		sum.Delivered += m.Delivered
		sum.Samples += m.Samples
		sum.Spread += m.Spread / float64(len(threads))
		sum.Disturbed = sum.Disturbed || m.Disturbed
		sum.Unit = m.Unit
	}
	return sum
}

// Together is what threads that share one thing (memory, a disk) had of it at
// the same moments. Adding up each one's best slice would count what one could
// have while another had less. So time is cut into steps, and in each the work
// of all is added up, that of a slice across an edge by its parts. Steps that
// not all of them worked through do not count.
func Together(threads [][]Slice, work float64, step time.Duration, calm float64) Measurement {
	steps := 0
	for _, taken := range threads {
		for _, s := range taken {
			steps = max(steps, int((s.Start+s.Took)/step)+1)
		}
	}
	done, busy := make([]float64, steps), make([]time.Duration, steps)
	for _, taken := range threads {
		for _, s := range taken {
			if s.Took > 0 {
				spreadOver(s, work, step, done, busy)
			}
		}
	}
	var rates []float64
	// A twentieth is for reading the clock between slices.
	full := time.Duration(len(threads)) * step * 19 / 20
	for i := range done {
		if busy[i] >= full {
			rates = append(rates, done[i]/busy[i].Seconds()*float64(len(threads)))
		}
	}
	if len(rates) == 0 { // a run shorter than a step, or slices longer than the run
		parts := make([]Measurement, len(threads))
		for i, taken := range threads {
			parts[i] = Rate(taken, work, calm)
		}
		return Sum(parts)
	}
	return Rates(rates, calm)
}

// spreadOver adds a slice's work and time to the steps it lies in.
func spreadOver(s Slice, work float64, step time.Duration, done []float64, busy []time.Duration) {
	end := s.Start + s.Took
	for i := int(s.Start / step); i < len(done) && time.Duration(i)*step < end; i++ {
		from, to := max(s.Start, time.Duration(i)*step), min(end, time.Duration(i+1)*step)
		done[i] += work * float64(to-from) / float64(s.Took)
		busy[i] += to - from
	}
}

// spread is the interquartile range over the median of sorted figures.
func spread(sorted []float64) float64 {
	median := quantile(sorted, 0.5)
	if median == 0 {
		return 0
	}
	return (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median
}

// quantile interpolates between the neighbours of a rank.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(at-float64(low))
}
