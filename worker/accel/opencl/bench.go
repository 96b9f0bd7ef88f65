package opencl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/measure"
)

// ErrComputesWrongly: the device must not be rented out.
var ErrComputesWrongly = errors.New("the device computes wrongly")

// effort bounds what a measurement takes of a device.
type effort struct {
	// slice is how long the work between two readings of the clock lasts.
	slice time.Duration
	// stream is the largest buffer, in bytes; three of them are used.
	stream uint64
	// first is the matrix whose product is checked entry by entry and whose
	// digest is told, edge the largest that is timed, in rows.
	first, edge int
}

// fullEffort fits a processor and the largest cards there are: 3 × 256 MiB is
// fifteen times the cache of an H100, and 4,096 rows keep it busy for 5 ms.
var fullEffort = effort{slice: 5 * time.Millisecond, stream: 256 << 20, first: 256, edge: 4096}

const (
	// hostStream is the largest buffer on a processor: what is measured there
	// is never offered, and a machine's memory is not ours alone.
	hostStream = 64 << 20
	// leastStream is the smallest that still tells something.
	leastStream = 4 << 20
	// sampleWords are checked at the begin, in the middle and at the end of
	// buffers; the first are the digest's.
	sampleWords = 4096
	// leastSlices are taken however short the time is.
	leastSlices = 3
	// mostSlices bounds memory.
	mostSlices = 1 << 16
	// mostTimes bounds how much is queued at once.
	mostTimes = 2000
)

// Bench implements accel.Source.
func (s *Source) Bench(ctx context.Context, deviceID string, opts accel.BenchOptions) (accel.Result, error) {
	result := accel.Result{Version: accel.ContractVersion}
	err := s.use(ctx, deviceID, func(session *session) error {
		result.MemoryMiB = session.entry.device.MemoryMiB
		b := bench{ctx: ctx, session: session, opts: opts, effort: s.effort}
		for _, figure := range b.figures() {
			mark := session.mark()
			m, err := figure()
			if err = errors.Join(err, session.release(mark)); err != nil {
				return err
			}
			m.Device, m.Seed = deviceID, opts.Seed
			result.Measurements = append(result.Measurements, m)
		}
		return nil
	})
	if err != nil {
		return accel.Result{}, err
	}
	result.MemoryBandwidthMBs = uint64(result.Measurements[0].Value)
	result.Fp32Gflops = uint64(result.Measurements[1].Value)
	return result, nil
}

// bench is one measurement of a device. It lives as long as the call whose
// context it keeps.
type bench struct {
	ctx     context.Context
	session *session
	opts    accel.BenchOptions
	effort  effort
}

// figures are all there is to measure; the first two count for SUNS.
func (b *bench) figures() []func() (measure.Measurement, error) {
	return []func() (measure.Measurement, error){
		b.bandwidth, b.fp32,
		func() (measure.Measurement, error) { return b.product(floats) },
		func() (measure.Measurement, error) { return b.product(words) },
		func() (measure.Measurement, error) { return b.product(field) },
	}
}

func (b *bench) seed() uint32 { return fold(b.opts.Seed) }

// host says whether the device is a processor.
func (b *bench) host() bool { return b.session.entry.device.Kind == accel.KindCPU }

// timed takes the figure of a task that does so much work each time. The first
// runs, when a card leaves its power saving, only tell how many make a slice.
func (b *bench) timed(t task, work float64) (measure.Measurement, error) {
	began := time.Now()
	times := 1
	for {
		if err := b.ctx.Err(); err != nil {
			return measure.Measurement{}, err
		}
		took, err := b.session.run(t, times)
		if err != nil {
			return measure.Measurement{}, err
		}
		if took >= b.effort.slice/2 || times >= mostTimes {
			break
		}
		times = min(max(2*times, int(int64(times)*int64(b.effort.slice)/max(int64(took), 1))), mostTimes)
	}
	var taken []measure.Slice
	for len(taken) < leastSlices || time.Since(began) < b.opts.Duration && len(taken) < mostSlices {
		if err := b.ctx.Err(); err != nil {
			return measure.Measurement{}, err
		}
		at := time.Since(began)
		took, err := b.session.run(t, times)
		if err != nil {
			return measure.Measurement{}, err
		}
		taken = append(taken, measure.Slice{Start: at, Took: took})
	}
	return measure.Rate(taken, work*float64(times), measure.CalmDevice), nil
}

// bandwidth halves its buffers when the device has no room for them: somebody
// else may use it.
func (b *bench) bandwidth() (measure.Measurement, error) {
	f := b.session.entry.facts
	size := min(b.effort.stream, f.MaxAlloc, f.Memory/8)
	if b.host() {
		size = min(size, hostStream)
	}
	for {
		size = size / (4 * sampleWords) * (4 * sampleWords)
		if size < leastStream {
			return measure.Measurement{}, fmt.Errorf("memory bandwidth: %d MiB of device memory have no room for 3 buffers of %d MiB",
				f.Memory>>20, leastStream>>20)
		}
		mark := b.session.mark()
		m, err := b.stream(int(size))
		var failed *Error
		if err == nil || !errors.As(err, &failed) || failed.Code < -6 || failed.Code > -4 {
			return m, err
		}
		if err := b.session.release(mark); err != nil {
			return m, err
		}
		size /= 2
	}
}

func (b *bench) stream(size int) (measure.Measurement, error) {
	var none measure.Measurement
	s := b.session
	filler, err := s.compile("fill.cl")
	if err != nil {
		return none, err
	}
	triad, err := s.compile("triad.cl")
	if err != nil {
		return none, err
	}
	var buffers [3]handle
	for i := range buffers {
		if buffers[i], err = s.buffer(size); err != nil {
			return none, err
		}
		fill, err := s.task(filler, "fill", []uintptr{uintptr(size / 4)}, nil, buffers[i], b.seed(), uint32(i))
		if err != nil {
			return none, err
		}
		if _, err := s.run(fill, 1); err != nil {
			return none, err
		}
	}
	factor := b.seed() | 1
	t, err := s.task(triad, "triad", []uintptr{uintptr(size / 16)}, nil, buffers[0], buffers[1], buffers[2], factor)
	if err != nil {
		return none, err
	}
	m, err := b.timed(t, 3*float64(size)/1e6)
	if err != nil {
		return none, err
	}
	m.Name, m.Unit = "accelerator.memory_bandwidth", "MB/s"
	m.Digest, err = b.checkStream(buffers[0], size/4, factor)
	return m, err
}

// checkStream compares samples of what triad wrote and gives their digest.
func (b *bench) checkStream(a handle, count int, factor uint32) (string, error) {
	var told string
	got := make([]uint32, sampleWords)
	for _, first := range []int{0, count / 2, count - sampleWords} {
		if err := read(b.session, a, first, got); err != nil {
			return "", err
		}
		for i, w := range got {
			at := uint32(first + i)
			if w != wordOf(b.seed(), 1, at)+factor*wordOf(b.seed(), 2, at) {
				return "", fmt.Errorf("%w: word %d of b + s*c is wrong", ErrComputesWrongly, at)
			}
		}
		if first == 0 {
			told = digest(got)
		}
	}
	return told, nil
}

// fp32 keeps all units busy with multiply-add.
func (b *bench) fp32() (measure.Measurement, error) {
	var none measure.Measurement
	s, f := b.session, b.session.entry.facts
	lanes, items := 2, 2048*int(f.ComputeUnits) // a card: many threads, few lanes each
	if s.entry.device.Kind != accel.KindGPU {
		lanes, items = lanesOf(f.NativeFloats), 64*int(f.ComputeUnits)
	}
	items = max(items, sampleWords/lanes)
	program, err := s.compile("fma.cl", fmt.Sprintf("-DLANES=%d -DSTEPS=%d -cl-mad-enable", lanes, chainSteps))
	if err != nil {
		return none, err
	}
	from := make([]float32, items*lanes)
	for i := range from {
		from[i] = float32(floats.entry(wordOf(b.seed(), 3, uint32(i))))
	}
	in, err := filled(s, from)
	if err != nil {
		return none, err
	}
	out, err := s.buffer(4 * len(from))
	if err != nil {
		return none, err
	}
	step := float32(1 + b.seed()%(maxEntry-1))
	t, err := s.task(program, "fma_chains", []uintptr{uintptr(items)}, nil, out, in, float32(1), step)
	if err != nil {
		return none, err
	}
	m, err := b.timed(t, 2*chainCount*chainSteps*float64(len(from))/1e9)
	if err != nil {
		return none, err
	}
	got := make([]float32, len(from))
	if err := read(s, out, 0, got); err != nil {
		return none, err
	}
	for i, v := range got {
		if v != chains(from[i], step) {
			return none, fmt.Errorf("%w: fp32 chain %d ends at %g instead of %g", ErrComputesWrongly, i, v, chains(from[i], step))
		}
	}
	m.Name, m.Unit, m.Digest = "accelerator.fp32", "GFLOP/s", digest(asWords(got[:sampleWords]))
	return m, nil
}

// lanesOf is the vector width that fma.cl has for so many floats.
func lanesOf(native uint32) int {
	for _, width := range []int{16, 8, 4, 2} {
		if native >= uint32(width) {
			return width
		}
	}
	return 1
}
