package suns

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/bench"
)

// scoreEnv makes this program measure the processors it may use for that long and say the integer score.
const scoreEnv = "ISUN_BENCH_SCORE"

var scored = regexp.MustCompile(`integer score ([0-9.]+)`)

// TestScore is the benchmark in a process that was limited to some processors when it started.
func TestScore(t *testing.T) {
	text := os.Getenv(scoreEnv)
	if text == "" {
		t.Skip("a benchmark starts this program to measure some processors")
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	result, err := bench.CPU(t.Context(), set.Count(), d)
	require.NoError(t, err)
	fmt.Printf("integer score %f\n", result.Parts[0].Value)
}

func score(b *testing.B, out string) float64 {
	b.Helper()
	match := scored.FindStringSubmatch(out)
	require.NotNil(b, match, "output %q", out)
	value, err := strconv.ParseFloat(match[1], 64)
	require.NoError(b, err)
	return value
}

func TestFurthest(t *testing.T) {
	require.InDelta(t, 0.5, furthest([]float64{5, 10, 12}), 1e-9)
	require.InDelta(t, 1.0, furthest([]float64{9, 11, 20, 9}), 1e-9)
	require.Zero(t, furthest([]float64{3, 3, 3}))
}
