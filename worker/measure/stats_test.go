package measure_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// taken are n slices of about 5 ms, one after the other; edit changes how
// long one takes.
func taken(n int, edit func(i int, took time.Duration) time.Duration) []measure.Slice {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]measure.Slice, n)
	var at time.Duration
	for i := range out {
		took := 5*time.Millisecond + time.Duration(random.IntN(50))*time.Microsecond
		if edit != nil {
			took = edit(i, took)
		}
		out[i] = measure.Slice{Start: at, Took: took}
		at += took
	}
	return out
}

func TestQuietMachine(t *testing.T) {
	m := measure.Rate(taken(500, nil), 1, measure.CalmProcessor)
	require.InEpsilon(t, 200, m.Value, 0.01)
	require.InEpsilon(t, 200, m.Delivered, 0.01)
	require.Less(t, m.Spread, 0.01)
	require.Equal(t, 500, m.Samples)
	require.False(t, m.Disturbed)
}

func TestBurstyNeighbourLeavesTheCapability(t *testing.T) {
	// Nine slices in ten take twice as long, in bursts.
	m := measure.Rate(taken(500, func(i int, took time.Duration) time.Duration {
		if i%50 < 45 {
			return 2 * took
		}
		return took
	}), 1, measure.CalmProcessor)
	require.InEpsilon(t, 200, m.Value, 0.01, "the best slices were left alone")
	require.Less(t, m.Delivered, 110.0)
	require.True(t, m.Disturbed)
}

func TestSomeNoiseIsNoDisturbance(t *testing.T) {
	m := measure.Rate(taken(500, func(i int, took time.Duration) time.Duration {
		if i%20 == 0 {
			return 2 * took
		}
		return took
	}), 1, measure.CalmProcessor)
	require.False(t, m.Disturbed)
}

func TestImpossibleSlicesDecideNothing(t *testing.T) {
	honest := measure.Rate(taken(100, nil), 1, measure.CalmProcessor)
	for name, wrong := range map[string]time.Duration{
		"far too fast": time.Nanosecond, "no time at all": 0, "the clock ran back": -time.Second,
	} {
		m := measure.Rate(taken(100, func(i int, took time.Duration) time.Duration {
			if i == 40 || i == 41 {
				return wrong
			}
			return took
		}), 1, measure.CalmProcessor)
		require.InEpsilon(t, honest.Value, m.Value, 0.005, name)
		require.InEpsilon(t, honest.Delivered, m.Delivered, 0.03, name)
		require.False(t, m.Disturbed, name)
	}
}

func TestFewSlices(t *testing.T) {
	require.Zero(t, measure.Rate(nil, 1, measure.CalmProcessor))
	one := measure.Rate(taken(1, nil), 1, measure.CalmProcessor)
	require.Equal(t, 1, one.Samples)
	require.Equal(t, one.Value, one.Delivered)
	require.Zero(t, one.Spread)
	three := measure.Rates([]float64{1, 2, 1e12}, measure.CalmProcessor)
	require.Equal(t, 2.0, three.Value, "the middle of three")
}

func TestLatency(t *testing.T) {
	m := measure.Latency(taken(500, func(i int, took time.Duration) time.Duration {
		if i%2 == 0 {
			return 4 * took
		}
		return took
	}), measure.CalmDevice)
	require.InEpsilon(t, 5000, m.Value, 0.01)
	require.InEpsilon(t, 12_500, m.Delivered, 0.01)
	require.Equal(t, "us", m.Unit)
	require.True(t, m.Disturbed)
	require.Zero(t, measure.Latency(nil, measure.CalmDevice).Samples)
}

func TestSumOfThreads(t *testing.T) {
	calm := measure.Rate(taken(100, nil), 1, measure.CalmProcessor)
	shared := measure.Rate(taken(100, func(_ int, took time.Duration) time.Duration { return took }), 1, measure.CalmProcessor)
	shared.Disturbed = true
	sum := measure.Sum([]measure.Measurement{calm, calm, calm, shared})
	require.InEpsilon(t, 4*calm.Value, sum.Value, 1e-9)
	require.InEpsilon(t, calm.Spread, sum.Spread, 1e-9)
	require.Equal(t, 400, sum.Samples)
	require.True(t, sum.Disturbed, "one of them was")
}

func TestTogetherCountsWhatAllHadAtOnce(t *testing.T) {
	// Two threads share a thing of 400 a second: what one gets more the other
	// gets less, in turns of 50 ms.
	turn := func(fast int) []measure.Slice {
		var out []measure.Slice
		for at := time.Duration(0); at < time.Second; {
			took := 10 * time.Millisecond
			if int(at/(50*time.Millisecond))%2 == fast {
				took = 10 * time.Millisecond / 3
			}
			out = append(out, measure.Slice{Start: at, Took: took})
			at += took
		}
		return out
	}
	threads := [][]measure.Slice{turn(0), turn(1)}
	m := measure.Together(threads, 1, 10*time.Millisecond, measure.CalmMemory)
	require.InEpsilon(t, 400, m.Value, 0.03, "not the sum of each one's best, which is 600")
	require.False(t, m.Disturbed)

	// One thread rests at the end: what the other has then does not count.
	threads[1] = threads[1][:len(threads[1])/2]
	alone := measure.Together(threads, 1, 10*time.Millisecond, measure.CalmMemory)
	require.InEpsilon(t, 400, alone.Value, 0.03)
	require.Less(t, alone.Samples, m.Samples)

	short := measure.Together([][]measure.Slice{{{Took: time.Millisecond}}}, 1, 10*time.Millisecond, measure.CalmMemory)
	require.InEpsilon(t, 1000, short.Value, 1e-6, "a run shorter than a step is not lost")
	require.Zero(t, measure.Together(nil, 1, time.Millisecond, measure.CalmMemory))
}
