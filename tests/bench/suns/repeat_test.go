package suns

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// runs of each kind, of which all must be near their median.
	runs = 10
	// neighbourEnv makes this program the bursty neighbour.
	neighbourEnv = "ISUN_BENCH_NEIGHBOUR"
	// room for the disk benchmark's file is never the matter here.
	room = 10 << 30
)

// duration of a run is that of isun-worker bench; all benchmarks here take some six minutes by it.
func duration(b *testing.B) time.Duration {
	b.Helper()
	text := os.Getenv("ISUN_BENCH_MEASURE")
	if text == "" {
		return bench.DefaultDuration
	}
	d, err := time.ParseDuration(text)
	require.NoError(b, err, "ISUN_BENCH_MEASURE")
	return d
}

// goal is how far from their median ten runs may be, by the figure's resource; as a fraction.
var goal = map[string]float64{"cpu": 0.05, "memory": 0.30, "disk": 0.30}

// series are the values of ten runs by the figure's name, and how many of the runs noticed a disturbance in it.
type series struct {
	values    map[string][]float64
	disturbed map[string]int
	took      map[string]time.Duration
}

func (s *series) add(figures ...measure.Measurement) {
	for _, m := range figures {
		s.values[m.Name] = append(s.values[m.Name], m.Value)
		if m.Disturbed {
			s.disturbed[m.Name]++
		}
	}
}

func takeSeries(b *testing.B, d time.Duration) *series {
	b.Helper()
	s := &series{values: map[string][]float64{}, disturbed: map[string]int{}, took: map[string]time.Duration{}}
	dir, threads := b.TempDir(), usable(b)
	for range runs {
		begin := time.Now()
		cpu, err := bench.CPU(b.Context(), threads, d)
		require.NoError(b, err)
		s.took["cpu"] += time.Since(begin)
		s.add(cpu.Parts...)
		s.add(whole(cpu))
		begin = time.Now()
		memory, err := bench.MemoryBandwidth(b.Context(), threads, available(b), d/2)
		require.NoError(b, err)
		s.took["memory"] += time.Since(begin)
		s.add(memory...)
		begin = time.Now()
		disk, _, err := bench.Disk(b.Context(), dir, room, d/2)
		require.NoError(b, err)
		s.took["disk"] += time.Since(begin)
		s.add(disk...)
	}
	return s
}

// whole is the figure that becomes SUNS; it is disturbed if a part is.
func whole(cpu bench.CPUResult) measure.Measurement {
	m := measure.Measurement{Name: "cpu.points", Value: float64(cpu.Points)}
	for _, part := range cpu.Parts {
		m.Disturbed = m.Disturbed || part.Disturbed
	}
	return m
}

func usable(b *testing.B) int {
	b.Helper()
	var set unix.CPUSet
	require.NoError(b, unix.SchedGetaffinity(0, &set))
	return set.Count()
}

func available(b *testing.B) uint64 {
	b.Helper()
	var info unix.Sysinfo_t
	require.NoError(b, unix.Sysinfo(&info))
	return info.Freeram * uint64(info.Unit)
}

// furthest is how far the furthest of some values is from their median, as a fraction of it.
func furthest(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := (sorted[(n-1)/2] + sorted[n/2]) / 2
	return max(sorted[n-1]-median, median-sorted[0]) / median
}

// write puts a series into the report: how far the runs are apart beside the goal, and how many noticed a disturbance.
func (s *series) write(b *testing.B, kind string) {
	b.Helper()
	for _, name := range []string{
		"cpu.points", "cpu.integer", "cpu.float", "cpu.compression", "cpu.memory", "memory.copy", "memory.triad",
		"disk.sequential_write", "disk.sequential_read", "disk.random_write", "disk.random_read", "disk.fsync",
	} {
		report.Figure(b, fmt.Sprintf("suns_%s_%s_furthest_from_median", kind, name), furthest(s.values[name]))
		report.Figure(b, fmt.Sprintf("suns_%s_%s_runs_disturbed", kind, name), float64(s.disturbed[name]))
	}
	for resource, within := range goal {
		report.Figure(b, fmt.Sprintf("suns_%s_%s_worst_vs_goal", kind, resource), s.worst(resource)/within)
	}
}

// worst is the furthest run of a resource's figures. Of the processor it is the points, which become SUNS.
func (s *series) worst(resource string) float64 {
	if resource == "cpu" {
		return furthest(s.values["cpu.points"])
	}
	worst := 0.0
	for name, values := range s.values {
		if len(name) > len(resource) && name[:len(resource)+1] == resource+"." {
			worst = max(worst, furthest(values))
		}
	}
	return worst
}

// BenchmarkRepeatability is how near ten runs are to their median, with nothing else running that this benchmark knows of,
// and what measuring costs.
func BenchmarkRepeatability(b *testing.B) {
	for range b.N {
		quiet := takeSeries(b, duration(b))
		quiet.write(b, "quiet")
		for resource, took := range quiet.took {
			report.Figure(b, "suns_seconds_"+resource, took.Seconds()/runs)
		}
	}
}

// BenchmarkBesideANeighbour is the same beside a process that takes every processor for a third of a second of each, and
// whether the figures are those of the quiet machine.
func BenchmarkBesideANeighbour(b *testing.B) {
	for range b.N {
		d := duration(b)
		before, err := bench.CPU(b.Context(), usable(b), d)
		require.NoError(b, err)
		stop := neighbour(b)
		beside := takeSeries(b, d)
		stop()
		beside.write(b, "beside")
		points := slices.Sorted(slices.Values(beside.values["cpu.points"]))
		report.Figure(b, "suns_beside_vs_quiet", points[len(points)/2]/float64(before.Points))
		// A neighbour that takes part of every thread is noticed in each run: the one thing here that no other load undoes.
		require.Equal(b, runs, beside.disturbed["cpu.points"], "the report notices the neighbour")
	}
}

// neighbour starts this program as a neighbour.
func neighbour(b *testing.B) (stop func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNeighbour$")
	cmd.Env = append(os.Environ(), neighbourEnv+"=1")
	// It ends with us, whatever becomes of us.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	require.NoError(b, cmd.Start())
	return func() {
		require.NoError(b, cmd.Process.Kill())
		require.Error(b, cmd.Wait(), "it was killed")
	}
}

// TestNeighbour is the neighbour when a benchmark starts it: it works in bursts of 100 to 500 ms on every processor and
// rests about as long, through a buffer that no cache holds.
func TestNeighbour(t *testing.T) {
	if os.Getenv(neighbourEnv) == "" {
		t.Skip("a benchmark starts this program as its neighbour")
	}
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	for thread := range set.Count() {
		go func() {
			buffer := make([]uint64, 8<<20)
			for burst := uint64(thread); ; burst++ {
				length := time.Duration(100+burst*0x9e3779b9%400) * time.Millisecond
				for begin := time.Now(); time.Since(begin) < length; {
					for i := 0; i < len(buffer); i += 64 {
						buffer[i] += burst
					}
				}
				time.Sleep(length)
			}
		}()
	}
	select {}
}

// BenchmarkOneProcessorAndTwo is the integer score of two processors over that of one: 2, within a tenth.
func BenchmarkOneProcessorAndTwo(b *testing.B) {
	var all unix.CPUSet
	require.NoError(b, unix.SchedGetaffinity(0, &all))
	if all.Count() < 2 {
		b.Skip("needs two processors")
	}
	for range b.N {
		var one, two []float64
		for range 3 { // in turns, so that a change of the machine falls on both
			one = append(one, limitedTo(b, 1))
			two = append(two, limitedTo(b, 2))
		}
		slices.Sort(one)
		slices.Sort(two)
		ratio := two[1] / one[1]
		report.Figure(b, "suns_integer_two_vs_one", ratio)
		report.Figure(b, "suns_integer_two_vs_one_off_goal", math.Abs(ratio/2-1)/0.10)
	}
}

// limitedTo is the integer score of this program run on the first processors only.
func limitedTo(b *testing.B, processors int) float64 {
	b.Helper()
	var all, some unix.CPUSet
	require.NoError(b, unix.SchedGetaffinity(0, &all))
	for cpu := 0; some.Count() < processors; cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	list := ""
	for cpu := 0; cpu < 1024; cpu++ {
		if some.IsSet(cpu) {
			list += "," + strconv.Itoa(cpu)
		}
	}
	cmd := exec.Command("taskset", "-c", list[1:], os.Args[0], "-test.run=^TestScore$", "-test.v")
	cmd.Env = append(os.Environ(), scoreEnv+"="+duration(b).String())
	out, err := cmd.Output()
	require.NoError(b, err, "taskset comes with util-linux: %s", out)
	return score(b, string(out))
}
