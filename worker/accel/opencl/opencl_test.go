package opencl

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/acceltest"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

// small keeps tests quick; work and checks are the same.
var small = effort{slice: 200 * time.Microsecond, stream: leastStream, first: 64, edge: 128}

// TestMain serves the source to itself, to look at it from a process that has
// another environment.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == plugin.SelfCommand {
		os.Exit(plugin.Serve(context.Background(), New("/sys"), os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// pocl is the source and the id of PoCL's device.
func pocl(t *testing.T) (*Source, string) {
	t.Helper()
	s := &Source{Sys: os.DirFS("/sys"), Vendors: fstest.MapFS{}, effort: small}
	inv, err := s.Inventory(context.Background())
	require.NoError(t, err)
	for _, d := range inv.Devices {
		if d.Kind == accel.KindCPU {
			return s, d.ID
		}
	}
	t.Fatal("no OpenCL device of a processor here: install one with scripts/ensure-opencl.sh")
	return nil, ""
}

func TestPoCLConforms(t *testing.T) {
	s, _ := pocl(t)
	inv, err := s.Inventory(context.Background())
	require.NoError(t, err)
	acceltest.Run(t, acceltest.Harness{Devices: len(inv.Devices), Open: func(t *testing.T) accel.Source {
		s, _ := pocl(t)
		return s
	}})
}

// What every device that computes rightly gets for seed 7; a change of it is a
// new benchmark.
var golden = map[string]string{
	"accelerator.memory_bandwidth": "0cd7ff28984d0b1400500671b833d15fe781bcde5a7af568fc970830c580272b",
	"accelerator.fp32":             "c152f230f25b3e153d149a52a74ea1b5c30498ce3069f803051a6b0a2e5adced",
	"accelerator.fp32_product":     "407b3dbbde0473713ac5fac6224cf21de2d4a62240c1f6d68ba70747524595be",
	"accelerator.integer_product":  "7703ed2141feb0415dd385b2b32b5a812aaa3bed5d2354890288c97a1d7dd1f3",
	"accelerator.field_product":    "b0991955c95c370b5cea6a93b5911e3f82a56794405c49d5e35498cc2cae43fd",
}

func TestBenchTellsTheSameResultsEverywhere(t *testing.T) {
	s, id := pocl(t)
	s.effort.first = fullEffort.first
	result, err := s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7, Duration: 20 * time.Millisecond})
	require.NoError(t, err)
	got := map[string]string{}
	for _, m := range result.Measurements {
		require.Greater(t, m.Value, 0.0)
		require.GreaterOrEqual(t, m.Samples, leastSlices)
		got[m.Name] = m.Digest
	}
	require.Equal(t, golden, got)
	require.EqualValues(t, math.Floor(result.Measurements[0].Value), result.MemoryBandwidthMBs)
	require.EqualValues(t, math.Floor(result.Measurements[1].Value), result.Fp32Gflops)
}

func TestLanesDoNotChangeTheResult(t *testing.T) {
	s, id := pocl(t)
	digests := map[string]bool{}
	for _, lanes := range []uint32{1, 2, 4, 8, 16} {
		require.NoError(t, s.use(context.Background(), id, func(session *session) error {
			session.entry.facts.NativeFloats = lanes
			b := bench{ctx: context.Background(), session: session, effort: small, opts: accel.BenchOptions{Seed: 7}}
			m, err := b.fp32()
			digests[m.Digest] = true
			return err
		}))
	}
	require.Len(t, digests, 1)
}

func TestProductEqualsGo(t *testing.T) {
	s, id := pocl(t)
	for _, n := range []int{1, 2, 63, 64, 65, 100} {
		a, b := field.matrix(1, 1, n), field.matrix(1, 2, n)
		for i := range min(n, 40) { // the largest sums there are
			a[i], b[i*n] = prime-1, prime-1
		}
		got, err := s.Product(context.Background(), id, n, a, b)
		require.NoError(t, err)
		require.Equal(t, field.product(n, a, b), got, "n = %d", n)
	}
	require.Zero(t, s.lib.live.Load())
}

func TestProductOfGroupsOfAnySize(t *testing.T) {
	s, id := pocl(t)
	const n = 70
	for _, in := range []arithmetic{floats, words, field} {
		a, b := in.matrix(3, 1, n), in.matrix(3, 2, n)
		for _, group := range []uint64{16, 64, 256} {
			require.NoError(t, s.use(context.Background(), id, func(session *session) error {
				session.entry.facts.WorkGroup = group
				p, err := session.multiply(in, n, a, b)
				require.NoError(t, err)
				_, err = session.run(p.task, 1)
				require.NoError(t, err)
				got, err := p.result()
				require.Equal(t, in.product(n, a, b), got, "%s in groups of %d", in.figure, group)
				return err
			}))
		}
	}
}

func TestProductRefusesWhatIsNoMatrix(t *testing.T) {
	s, id := pocl(t)
	for _, tc := range []struct {
		n    int
		a, b []uint32
		want string
	}{
		{0, nil, nil, "n of 1 to"},
		{-1, []uint32{1}, []uint32{1}, "n of 1 to"},
		{2, []uint32{1, 2, 3, 4}, []uint32{1}, "n × n each"},
		{MaxProduct + 1, nil, nil, "n of 1 to"},
		{1, []uint32{prime}, []uint32{1}, "no residue"},
	} {
		_, err := s.Product(context.Background(), id, tc.n, tc.a, tc.b)
		require.ErrorContains(t, err, tc.want)
	}
	_, err := Product(context.Background(), "no-such-device", 1, []uint32{1}, []uint32{1})
	require.ErrorIs(t, err, accel.ErrNoDevice)
}

func TestFreivaldsSeesOneWrongEntry(t *testing.T) {
	const n = 32
	for _, in := range []arithmetic{floats, words, field} {
		x, y := in.matrix(5, 1, n), in.matrix(5, 2, n)
		z := in.product(n, x, y)
		require.True(t, in.plausible(5, n, x, y, z))
		z[n*n/2]++
		require.False(t, in.plausible(5, n, x, y, z), in.figure)
	}
}

func TestWrongResultIsAnError(t *testing.T) {
	for at, figure := range []string{"b + s*c", "fp32 chain", "fp32_product", "integer_product", "field_product"} {
		s, id := pocl(t)
		right, reads := s.lib.enqueueReadBuffer, 0
		// Three samples of the first figure and one result of the second, then
		// at least two results of each product.
		wrongFrom := []int{1, 3, 4, 6, 8}[at]
		s.lib.enqueueReadBuffer = func(q, m handle, wait uint32, offset, size uintptr, to unsafe.Pointer, n uint32, after, event *handle) int32 {
			code := right(q, m, wait, offset, size, to, n, after, event)
			if reads >= wrongFrom {
				*(*uint32)(unsafe.Add(to, size-4)) ^= 1 << 3
			}
			reads++
			return code
		}
		s.effort.edge = s.effort.first // one size, so that reads can be counted
		_, err := s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7})
		require.ErrorIs(t, err, ErrComputesWrongly)
		require.ErrorContains(t, err, figure)
		require.Zero(t, s.lib.live.Load())
	}
}

// resident is how much memory this process has, in MiB.
func resident(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, pages int
	_, err = fmt.Sscan(string(raw), &size, &pages)
	require.NoError(t, err)
	return pages * os.Getpagesize() >> 20
}

func TestNothingIsLeftBehind(t *testing.T) {
	s, id := pocl(t)
	warm := 0
	for i := range 50 { // each figure ten times
		require.NoError(t, s.use(context.Background(), id, func(session *session) error {
			b := bench{ctx: context.Background(), session: session, effort: small, opts: accel.BenchOptions{Seed: 7}}
			figures := b.figures()
			_, err := figures[i%len(figures)]()
			return err
		}))
		require.Zero(t, s.lib.live.Load())
		if i == 9 {
			warm = resident(t)
		}
	}
	// One set of this test's buffers is 12 MiB: forty of them would show.
	require.Less(t, resident(t), warm+200)
}

// A driver may fail in any call: whatever was made before is released.
func TestNothingIsLeftBehindByFailures(t *testing.T) {
	s, id := pocl(t)
	whole := s.lib.calls
	const outOfResources = -5
	for failing := 1; ; failing += 1 + failing/8 {
		s.lib.calls = whole
		left := failing
		fail := func() bool { left--; return left == 0 }
		s.lib.createBuffer = func(c handle, flags uint64, size, host uintptr, status *int32) handle {
			if fail() {
				*status = -61
				return 0
			}
			return whole.createBuffer(c, flags, size, host, status)
		}
		s.lib.createKernel = func(p handle, name string, status *int32) handle {
			if fail() {
				*status = outOfResources
				return 0
			}
			return whole.createKernel(p, name, status)
		}
		s.lib.createCommandQueue = func(c, d handle, properties uint64, status *int32) handle {
			if fail() {
				*status = outOfResources
				return 0
			}
			return whole.createCommandQueue(c, d, properties, status)
		}
		s.lib.waitForEvents = func(n uint32, events *handle) int32 {
			if fail() {
				return -36
			}
			return whole.waitForEvents(n, events)
		}
		_, err := s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7})
		require.Zero(t, s.lib.live.Load(), "after failure %d: %v", failing, err)
		if left > 0 {
			require.NoError(t, err, "more than there are calls")
			return
		}
	}
}

func TestCancelled(t *testing.T) {
	s, id := pocl(t)
	ctx, cancel := context.WithCancel(context.Background())
	run, runs := s.lib.waitForEvents, 0
	s.lib.waitForEvents = func(n uint32, events *handle) int32 {
		if runs++; runs == 10 {
			cancel()
		}
		return run(n, events)
	}
	_, err := s.Bench(ctx, id, accel.BenchOptions{Seed: 7, Duration: time.Hour})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, runs, 11, "it ends between two slices")
	require.Zero(t, s.lib.live.Load())
}

func TestAbsenceIsNormal(t *testing.T) {
	ctx := context.Background()
	s := &Source{Library: "libNoSuchOpenCL.so.1", Sys: fstest.MapFS{}}
	inv, err := s.Inventory(ctx)
	require.NoError(t, err)
	require.Empty(t, inv.Devices)
	require.Empty(t, inv.Notes)
	_, err = s.Bench(ctx, "card0", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrNoDevice)

	other := &Source{Library: "libc.so.6"}
	_, err = other.Inventory(ctx)
	require.ErrorContains(t, err, "libc.so.6 has no cl")

	pocl(t) // with the loader, but no driver (-1001)
	exe, err := os.Executable()
	require.NoError(t, err)
	bare := &plugin.Source{
		SourceName: "opencl",
		Command:    []string{"/usr/bin/env", "OCL_ICD_VENDORS=" + t.TempDir(), exe, plugin.SelfCommand},
	}
	inv, err = bare.Inventory(ctx)
	require.NoError(t, err)
	require.Empty(t, inv.Devices)
}

func TestErrorsHaveTheirNames(t *testing.T) {
	require.NoError(t, call("clFinish", 0))
	require.EqualError(t, call("clFinish", -36), "clFinish: CL_INVALID_COMMAND_QUEUE (-36)")
	require.EqualError(t, call("clFinish", -9999), "clFinish: OpenCL error -9999")
}

func TestBusyMemoryGetsSmallerBuffers(t *testing.T) {
	s, id := pocl(t)
	s.effort.stream = 4 * leastStream
	create, refused := s.lib.createBuffer, 0
	s.lib.createBuffer = func(c handle, flags uint64, size, host uintptr, status *int32) handle {
		if size > 2*leastStream {
			refused++
			*status = -4
			return 0
		}
		return create(c, flags, size, host, status)
	}
	_, err := s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7})
	require.NoError(t, err)
	require.Equal(t, 1, refused)

	s.lib.createBuffer = func(_ handle, _ uint64, _, _ uintptr, status *int32) handle { *status = -4; return 0 }
	_, err = s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7})
	require.ErrorContains(t, err, "no room for 3 buffers")
	require.Zero(t, s.lib.live.Load())
}

func TestClockThatStandsStillIsNoMeasurement(t *testing.T) {
	s, id := pocl(t)
	s.lib.getEventProfilingInfo = func(_ handle, _ uint32, _ uintptr, value *uint64, _ *uintptr) int32 {
		*value = 5
		return success
	}
	_, err := s.Bench(context.Background(), id, accel.BenchOptions{Seed: 7})
	require.ErrorContains(t, err, "the driver's clock")
	require.Zero(t, s.lib.live.Load())
}

func TestCompilerSaysWhatIsWrong(t *testing.T) {
	s, id := pocl(t)
	err := s.use(context.Background(), id, func(session *session) error {
		_, err := session.compile("product.cl", "-DFLOATS -DSIDE=nonsense")
		return err
	})
	require.ErrorContains(t, err, "CL_BUILD_PROGRAM_FAILURE")
	require.ErrorContains(t, err, "nonsense")
}
