package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// workFor and restFor divide the time of a crew. In the rest all threads
	// sleep at once, so that what else runs on the machine gets its turn.
	workFor = 90 * time.Millisecond
	restFor = 10 * time.Millisecond
	// mostSlices bounds what a thread notes down: 2 MiB.
	mostSlices = 1 << 17
)

// Crew runs equal slices of work on several threads at the same time.
//
// It works at ordinary priority: a lower one would measure what others leave,
// a higher one would take it from them. What runs besides keeps its part by
// the scheduler's fairness, one thread of the crew for each processor, and by
// the rests.
type Crew struct {
	Threads int
	// For is how long to run, rests included; at least one slice of each kind
	// is run.
	For time.Duration
	// Pin ties each thread to a processor of its own, so that on a machine of
	// unequal cores each is measured once.
	Pin bool
}

// Work is one thread's work: a slice of each kind. The kinds take turns, so
// that a neighbour's burst does not fall on one of them alone.
type Work []func() error

// Run calls prepare on each thread, then lets all work. The result has the
// slices by kind and thread. It ends soon after ctx does, or with the first
// error of any slice.
//
// Only slices that lie wholly within a time when all threads work are kept:
// one that ran on while the others slept had the shared parts of a core, its
// caches and the memory to itself.
func (c Crew) Run(ctx context.Context, prepare func(thread int) (Work, error)) ([][][]Slice, error) {
	if c.Threads < 1 {
		return nil, fmt.Errorf("measure with %d threads: want at least 1", c.Threads)
	}
	cpus, err := c.processors()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	members := make([]member, c.Threads)
	errs := make([]error, c.Threads)
	start := newStart(c.Threads)
	var done sync.WaitGroup
	for i := range members {
		done.Go(func() {
			runtime.LockOSThread()
			defer unbind(c.Pin)()
			if errs[i] = members[i].run(ctx, c, cpus, i, prepare, start); errs[i] != nil {
				cancel()
			}
		})
	}
	done.Wait()
	if err := first(errs); err != nil {
		return nil, err
	}
	return byKind(members), nil
}

// unbind returns what frees a thread from its processor again. Where that
// fails the thread stays locked, and ends with its goroutine.
func unbind(pinned bool) func() {
	var before unix.CPUSet
	if !pinned || unix.SchedGetaffinity(0, &before) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		}
	}
}

// first prefers the error that made the others give up.
func first(errs []error) error {
	var cancelled error
	for _, err := range errs {
		if errors.Is(err, context.Canceled) {
			cancelled = err
		} else if err != nil {
			return err
		}
	}
	return cancelled
}

func byKind(members []member) [][][]Slice {
	kinds := make([][][]Slice, len(members[0].taken))
	for k := range kinds {
		for _, m := range members {
			kinds[k] = append(kinds[k], m.taken[k])
		}
	}
	return kinds
}

// processors are those this process may run on.
func (c Crew) processors() ([]int, error) {
	if !c.Pin {
		return nil, nil
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("processors this process may run on: %w", err)
	}
	cpus := make([]int, 0, set.Count())
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// start lets all threads begin at one moment, once each knows how long its
// slices take.
type start struct {
	ready   sync.WaitGroup
	mu      sync.Mutex
	slowest time.Duration
	once    sync.Once
	epoch   time.Time
}

func newStart(threads int) *start {
	s := &start{}
	s.ready.Add(threads)
	return s
}

// wait returns the common start and how long to work between two rests: ten
// slices at least, or slow machines would never finish one.
func (s *start) wait(slowest time.Duration) (time.Time, time.Duration) {
	s.mu.Lock()
	s.slowest = max(s.slowest, slowest)
	s.mu.Unlock()
	s.ready.Done()
	s.ready.Wait()
	s.once.Do(func() { s.epoch = time.Now() })
	return s.epoch, max(workFor, 10*s.slowest)
}

// member is one thread.
type member struct {
	taken [][]Slice
}

func (m *member) run(ctx context.Context, c Crew, cpus []int, thread int, prepare func(int) (Work, error), s *start) error {
	work, slowest, err := m.ready(ctx, c, cpus, thread, prepare)
	epoch, window := s.wait(slowest) // also after an error, or the others wait for ever
	if err != nil {
		return err
	}
	return m.work(ctx, c.For, work, epoch, window)
}

// ready prepares, runs one slice of each kind to warm up, and makes room for
// what will be noted down.
func (m *member) ready(ctx context.Context, c Crew, cpus []int, thread int, prepare func(int) (Work, error)) (Work, time.Duration, error) {
	if len(cpus) > 0 {
		var set unix.CPUSet
		set.Set(cpus[thread%len(cpus)])
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return nil, 0, fmt.Errorf("bind to processor %d: %w", cpus[thread%len(cpus)], err)
		}
	}
	work, err := prepare(thread)
	if err != nil {
		return nil, 0, err
	}
	var slowest time.Duration
	m.taken = make([][]Slice, len(work))
	for k, slice := range work {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		begin := time.Now()
		if err := slice(); err != nil {
			return nil, 0, err
		}
		took := time.Since(begin)
		slowest = max(slowest, took)
		m.taken[k] = make([]Slice, 0, min(mostSlices, 4*int(c.For/max(took, 1))+agreed))
	}
	return work, slowest, nil
}

// work goes by the clock, so that all threads do the same kind of work at any
// moment, also after one of them was held up.
func (m *member) work(ctx context.Context, d time.Duration, work Work, epoch time.Time, window time.Duration) error {
	if len(work) == 0 {
		return nil
	}
	period := window + window/(workFor/restFor)
	if whole := d / time.Duration(len(work)); whole < period { // each kind has its turn
		period, window = max(whole, 1), max(whole, 1)
	}
	for now := time.Since(epoch); now < d; now = time.Since(epoch) {
		turn := now / period
		if err := m.window(ctx, work, int(turn)%len(work), epoch, turn*period+window); err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(epoch.Add(min((turn+1)*period, d)))); err != nil {
			return err
		}
	}
	for kind := range work { // a run too short for a whole slice of each
		if len(m.taken[kind]) == 0 {
			if err := m.slice(ctx, work, kind, epoch, 1<<62); err != nil {
				return err
			}
		}
	}
	return nil
}

// window runs slices of one kind until a moment.
func (m *member) window(ctx context.Context, work Work, kind int, epoch time.Time, until time.Duration) error {
	for time.Since(epoch) < until && len(m.taken[kind]) < cap(m.taken[kind]) {
		if err := m.slice(ctx, work, kind, epoch, until); err != nil {
			return err
		}
	}
	return nil
}

// slice runs one and notes it down if it ended in time.
func (m *member) slice(ctx context.Context, work Work, kind int, epoch time.Time, until time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	begin := time.Since(epoch)
	if err := work[kind](); err != nil {
		return err
	}
	end := time.Since(epoch)
	if end <= until {
		m.taken[kind] = append(m.taken[kind], Slice{Start: begin, Took: end - begin})
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
