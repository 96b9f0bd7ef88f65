package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"time"
)

const (
	// tableWords keeps the working set at 16 KiB, inside every first-level
	// cache, so that the figure is the core's and not the memory's.
	tableWords = 2048
	// rounds makes a slice take about 6 ms on the reference core: short enough
	// that some slices run undisturbed, long enough for the clock.
	rounds = 1_600_000
	// referenceSlice is how long the reference core takes for a slice: a
	// thread of a cloud server's AMD EPYC. It defines 1,000 CPU points.
	referenceSlice = 6 * time.Millisecond
	pointsPerCore  = 1000
)

// Seed makes every run do the same work.
const Seed uint64 = 0x6973756e5f763031

// kernel is the state of one thread's work, allocated before the clock starts.
type kernel struct {
	table [tableWords]uint64
}

// slice does the fixed work for a seed and returns its result: integer
// arithmetic, table look-ups and data-dependent branches in the proportion of
// ordinary server code. The same seed gives the same result on every machine.
func (k *kernel) slice(seed uint64) uint64 {
	state := seed
	for i := range k.table {
		state = state*6364136223846793005 + 1442695040888963407
		k.table[i] = state
	}
	sum := state
	for i := range uint64(rounds) {
		word := k.table[sum%tableWords]
		sum = bits.RotateLeft64(sum^word, 23)*0x9e3779b97f4a7c15 + i
		if sum&7 == 0 {
			k.table[i%tableWords] ^= sum
		}
	}
	return sum
}

// ThreadResult is what one thread measured.
type ThreadResult struct {
	Slices int           `json:"slices"`
	Best   time.Duration `json:"best_ns"`
	Mean   time.Duration `json:"mean_ns"`
	// Points of the best slice: what the thread can do when left alone.
	Points uint64 `json:"points"`
}

// CPUResult is what all threads measured at the same time.
type CPUResult struct {
	Seed    uint64         `json:"seed"`
	Threads []ThreadResult `json:"threads"`
	// Points is the sum over the threads.
	Points uint64 `json:"points"`
	// Work is the digest of the slices' result: equal on every machine.
	Work string `json:"work_digest"`
}

// ErrWrongResult: slices of equal work gave different results, so the machine
// computes wrongly and must not be rented out.
var ErrWrongResult = errors.New("the processor gave different results for the same work")

// CPU measures threads of the machine at once for about d. The best slice of
// many tells what a core can do even beside noisy neighbours; the mean tells
// what it delivered.
func CPU(ctx context.Context, threads int, d time.Duration) (CPUResult, error) {
	if threads < 1 {
		return CPUResult{}, fmt.Errorf("measure %d threads: want at least 1", threads)
	}
	results := make([]ThreadResult, threads)
	sums := make([]uint64, threads)
	errs := make([]error, threads)
	var done sync.WaitGroup
	for i := range threads {
		done.Add(1)
		go func() {
			defer done.Done()
			runtime.LockOSThread() // one kernel thread each, or two could share a core
			defer runtime.UnlockOSThread()
			results[i], sums[i], errs[i] = measureThread(ctx, d)
		}()
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return CPUResult{}, err
	}
	out := CPUResult{Seed: Seed, Threads: results, Work: workDigest(sums[0])}
	for i, r := range results {
		if sums[i] != sums[0] {
			return CPUResult{}, ErrWrongResult
		}
		out.Points += r.Points
	}
	return out, nil
}

func measureThread(ctx context.Context, d time.Duration) (ThreadResult, uint64, error) {
	var k kernel
	want := k.slice(Seed) // warms caches and sets the expected result
	var r ThreadResult
	var total time.Duration
	for started := time.Now(); r.Slices == 0 || time.Since(started) < d; {
		if err := ctx.Err(); err != nil {
			return ThreadResult{}, 0, fmt.Errorf("measure processor: %w", err)
		}
		begin := time.Now()
		got := k.slice(Seed)
		took := time.Since(begin)
		if got != want {
			return ThreadResult{}, 0, ErrWrongResult
		}
		r.Slices++
		total += took
		if r.Best == 0 || took < r.Best {
			r.Best = took
		}
	}
	r.Mean = total / time.Duration(r.Slices)
	r.Points = points(r.Best)
	return r, want, nil
}

// points converts a slice's time: half the time is twice the points.
func points(slice time.Duration) uint64 {
	return uint64(referenceSlice * pointsPerCore / max(slice, 1))
}

func workDigest(sum uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], sum)
	digest := sha256.Sum256(raw[:])
	return hex.EncodeToString(digest[:])
}
