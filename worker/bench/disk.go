package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// pageBytes is what random access reads and writes, and what direct I/O
	// is aligned to: the block of nearly all disks and file systems.
	pageBytes = 4096
	// chunkBytes is a slice of sequential access.
	chunkBytes = 1 << 20
	// hugePageBytes is a huge page of amd64 and, as a rule, of arm64.
	hugePageBytes = 2 << 20
	// mostDiskBytes and a twentieth of what is free bound the file.
	mostDiskBytes = 512 << 20
	diskPart      = 20
	// leastDiskBytes is what the digest is of.
	leastDiskBytes = 8 << 20
	// depth is how many random reads or writes are under way at once: enough
	// for a solid-state disk to show what it can do.
	depth = 16
	// diskStep is how finely time is cut to count what was finished.
	diskStep = 20 * time.Millisecond
	// scratchName of the file where the system has no unnamed ones; it is
	// removed before the first byte is written.
	scratchName = ".isun-bench-"
)

// Disk measures the disk behind a folder for about d: sequential and random
// writing and reading, and how long a small write takes until it is safe. free
// is what may still be written there, in bytes.
//
// The file has no name, so that nothing is left behind whatever happens, and
// the caches of the system are passed by; where the file system refuses that, a
// note says so.
func Disk(ctx context.Context, dir string, free uint64, d time.Duration) ([]measure.Measurement, []string, error) {
	size := min(uint64(mostDiskBytes), free/diskPart) / chunkBytes * chunkBytes
	if size < leastDiskBytes {
		return nil, nil, fmt.Errorf("%w: measuring the disk needs %d MiB free in %s, there are %d",
			ErrTooLittle, leastDiskBytes*diskPart>>20, dir, free>>20)
	}
	file, direct, err := scratchFile(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("measure disk: %w", err)
	}
	defer file.Close()
	var notes []string
	if !direct {
		notes = append(notes, fmt.Sprintf("disk: the file system of %s takes no direct I/O: what was read may come from memory", dir))
	}
	t := &diskTest{file: file, direct: direct, size: int64(size), each: d / 6}
	measurements, err := t.run(ctx)
	if err != nil {
		return nil, notes, fmt.Errorf("measure disk: %w", err)
	}
	for i := range measurements {
		measurements[i].Device, measurements[i].Seed = dir, Seed
	}
	return measurements, notes, nil
}

// scratchFile opens a file without a name.
func scratchFile(dir string) (file *os.File, direct bool, err error) {
	for _, flags := range []int{unix.O_DIRECT, 0} {
		file, err = unnamed(dir, flags)
		if err == nil {
			return file, flags != 0, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return nil, false, err
}

func unnamed(dir string, flags int) (*os.File, error) {
	file, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR|flags, 0o600)
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if err := sweep(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s%d", scratchName, os.Getpid()))
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|flags, 0o600)
	if removed := os.Remove(path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return file, err
}

// sweep removes what a run that was killed between two system calls left.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, scratchName+"*"))
	for _, path := range left {
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// diskTest is one run over one file. Page i holds numbers that follow from the
// seed, i and how often it was written, so that every byte read can be
// checked.
type diskTest struct {
	file   *os.File
	direct bool
	size   int64
	each   time.Duration
	// written of the file; everything after goes by it.
	written int64
	// again says of each page whether it was written at random since.
	again  []bool
	digest string
}

func (t *diskTest) run(ctx context.Context) ([]measure.Measurement, error) {
	if err := t.lay(ctx); err != nil {
		return nil, err
	}
	var out []measure.Measurement
	for _, step := range []func(context.Context) (measure.Measurement, error){
		t.sequentialWrite, t.sequentialRead, t.randomWrite, t.randomRead, t.fsync,
	} {
		m, err := step(ctx)
		if err != nil {
			return nil, err
		}
		m.Digest = t.digest
		out = append(out, m)
	}
	// What is read back after all writes is what was written.
	for i := range out {
		out[i].Digest = t.digest
	}
	return out, nil
}

// lay fills the file until it is full or the time is over, but always what the
// digest is of. It is not measured: giving a file its place on the disk costs
// once, and more than writing.
func (t *diskTest) lay(ctx context.Context) error {
	// A file system that cannot set space aside takes it as it comes.
	_ = unix.Fallocate(int(t.file.Fd()), 0, 0, t.size)
	begin := time.Now()
	_, err := t.writeChunks(ctx, func(at int64) bool {
		return at < leastDiskBytes || at < t.size && time.Since(begin) < t.each
	})
	if err != nil {
		return err
	}
	t.size, t.again = t.written, make([]bool, t.written/pageBytes)
	return t.file.Sync()
}

// sequentialWrite writes what lay wrote once more, over and over.
func (t *diskTest) sequentialWrite(ctx context.Context) (measure.Measurement, error) {
	begin := time.Now()
	taken, err := t.writeChunks(ctx, func(at int64) bool { return at < leastDiskBytes || time.Since(begin) < t.each })
	if err == nil {
		err = t.file.Sync()
	}
	return rate("disk.sequential_write", "MB/s", taken, chunkBytes/1e6), err
}

// writeChunks writes one chunk after the other, from the start again at the
// end.
func (t *diskTest) writeChunks(ctx context.Context, more func(at int64) bool) ([]measure.Slice, error) {
	chunk, free, err := newChunk()
	if err != nil {
		return nil, err
	}
	defer free()
	var taken []measure.Slice
	for at := int64(0); more(at); at += chunkBytes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		offset := at % t.size
		t.fill(chunk, offset/pageBytes)
		started := time.Now()
		if _, err := t.file.WriteAt(chunk, offset); err != nil {
			return nil, err
		}
		if err := t.settle(offset, chunkBytes); err != nil {
			return nil, err
		}
		taken = append(taken, measure.Slice{Took: time.Since(started)})
		t.written = max(t.written, offset+chunkBytes)
	}
	return taken, nil
}

// settle makes a write reach the disk where direct I/O did not see to that,
// and drops it from memory.
func (t *diskTest) settle(offset, length int64) error {
	if t.direct {
		return nil
	}
	if err := unix.Fdatasync(int(t.file.Fd())); err != nil {
		return err
	}
	_ = unix.Fadvise(int(t.file.Fd()), offset, length, unix.FADV_DONTNEED) // a hint: the note says that reads may be from memory
	return nil
}

func rate(name, unit string, taken []measure.Slice, work float64) measure.Measurement {
	m := measure.Rate(taken, work, measure.CalmDevice)
	m.Name, m.Unit = name, unit
	return m
}

// newChunk is a chunk in one piece of memory, as far as the system has such. A
// transfer is cut where its memory is: a chunk of scattered pages has more
// pieces than many disks take at once, goes as two transfers, and is as slow
// as its pages happen to lie. On one machine that was 1.2 GB/s or 2.2 where
// memory in one piece gave 3.0, run after run.
func newChunk() (chunk buffer, free func(), err error) {
	whole, err := newBuffer(2*hugePageBytes, hugePages)
	if err != nil {
		return nil, nil, err
	}
	start := -uintptr(unsafe.Pointer(unsafe.SliceData(whole))) % hugePageBytes
	return whole[start : start+chunkBytes], whole.free, nil
}

// sequentialRead reads the file from its start, at least what the digest is
// of, and checks it.
func (t *diskTest) sequentialRead(ctx context.Context) (measure.Measurement, error) {
	chunk, free, err := newChunk()
	if err != nil {
		return measure.Measurement{}, err
	}
	defer free()
	hash := sha256.New()
	var taken []measure.Slice
	begin := time.Now()
	for at := int64(0); at < leastDiskBytes || time.Since(begin) < t.each; at += chunkBytes {
		if err := ctx.Err(); err != nil {
			return measure.Measurement{}, err
		}
		offset := at % t.written
		started := time.Now()
		if _, err := t.file.ReadAt(chunk, offset); err != nil {
			return measure.Measurement{}, err
		}
		taken = append(taken, measure.Slice{Took: time.Since(started)})
		if at < leastDiskBytes {
			hash.Write(chunk)
		}
		if err := t.check(chunk, offset/pageBytes); err != nil {
			return measure.Measurement{}, err
		}
	}
	t.digest = hex.EncodeToString(hash.Sum(nil))
	return rate("disk.sequential_read", "MB/s", taken, chunkBytes/1e6), nil
}

// access is what is done with a page at random: before makes what is written,
// after takes note of it or checks what was read.
type access struct {
	operation     uint16
	before, after func(page []byte, at int64) error
}

// random has several pages at once read or written in seeded disorder, and
// counts what is finished in each step of time.
func (t *diskTest) random(ctx context.Context, name string, a access) (measure.Measurement, error) {
	pages, err := newBuffer(depth*pageBytes, smallPages)
	if err != nil {
		return measure.Measurement{}, err
	}
	defer pages.free()
	r := &randomRun{diskTest: t, access: a, pages: pages, next: sequence(Seed), counts: make([]uint32, t.each/diskStep+1)}
	queue, err := newAIO(int(t.file.Fd()))
	switch {
	case errors.Is(err, errNoAIO) || !t.direct: // without direct I/O a request is done before it is queued
		err = r.oneByOne(ctx)
	case err == nil:
		err = r.atOnce(ctx, queue)
	}
	if queue != nil {
		queue.close()
	}
	if err != nil {
		return measure.Measurement{}, err
	}
	m := ofCounts(r.counts, time.Since(r.begin))
	m.Name, m.Unit = name, "IOPS"
	return m, nil
}

// randomRun is one run of reads or writes at random. Place i of those under
// way has pages of its own: two writes of one would race.
type randomRun struct {
	*diskTest
	access
	pages  buffer
	at     [depth]int64
	next   sequence
	begin  time.Time
	counts []uint32
}

func (r *randomRun) page(place int) buffer { return r.pages[place*pageBytes : (place+1)*pageBytes] }

// choose takes the next page of a place and makes it ready.
func (r *randomRun) choose(place int) error {
	own := uint64(r.written/pageBytes) / depth
	r.at[place] = int64(r.next.next()%own*depth + uint64(place))
	return r.before(r.page(place), r.at[place])
}

// finished counts a page and looks after it.
func (r *randomRun) finished(place int) error {
	r.counts[min(int(time.Since(r.begin)/diskStep), len(r.counts)-1)]++
	return r.after(r.page(place), r.at[place])
}

func (r *randomRun) over() bool { return time.Since(r.begin) >= r.each }

// atOnce keeps all places under way.
func (r *randomRun) atOnce(ctx context.Context, queue *aioQueue) error {
	start := func(place int) error {
		if err := r.choose(place); err != nil {
			return err
		}
		queue.put(place, r.operation, r.page(place), r.at[place]*pageBytes)
		return nil
	}
	r.begin = time.Now()
	for place := range depth {
		if err := start(place); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := queue.submit(); err != nil {
			return err
		}
		if queue.flying == 0 {
			return nil
		}
		err := queue.ended(diskStep, func(place int) error {
			if err := r.finished(place); err != nil || r.over() {
				return err
			}
			return start(place)
		})
		if err != nil {
			return err
		}
	}
}

// oneByOne has one page under way.
func (r *randomRun) oneByOne(ctx context.Context) error {
	r.begin = time.Now()
	for place := 0; place == 0 || !r.over(); place++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.choose(place % depth); err != nil {
			return err
		}
		page, offset := r.page(place%depth), r.at[place%depth]*pageBytes
		var err error
		if r.operation == aioWrite {
			if _, err = r.file.WriteAt(page, offset); err == nil {
				err = r.settle(offset, pageBytes)
			}
		} else {
			_, err = r.file.ReadAt(page, offset)
		}
		if err != nil {
			return err
		}
		if err := r.finished(place % depth); err != nil {
			return err
		}
	}
	return nil
}

// ofCounts leaves out the first step, in which the workers begin, and the
// last, in which they end; a run of fewer has its mean alone.
func ofCounts(counts []uint32, took time.Duration) measure.Measurement {
	if len(counts) < 4 {
		sum := uint32(0)
		for _, count := range counts {
			sum += count
		}
		return measure.Rates([]float64{float64(sum) / took.Seconds()}, measure.CalmDevice)
	}
	rates := make([]float64, 0, len(counts))
	for _, count := range counts[1 : len(counts)-1] {
		rates = append(rates, float64(count)/diskStep.Seconds())
	}
	return measure.Rates(rates, measure.CalmDevice)
}

func (t *diskTest) randomWrite(ctx context.Context) (measure.Measurement, error) {
	return t.random(ctx, "disk.random_write", access{aioWrite, func(page []byte, at int64) error {
		fillPage(page, at, 1)
		return nil
	}, func(_ []byte, at int64) error {
		t.again[at] = true
		return nil
	}})
}

func (t *diskTest) randomRead(ctx context.Context) (measure.Measurement, error) {
	return t.random(ctx, "disk.random_read", access{aioRead, func([]byte, int64) error { return nil }, t.check})
}

// fsync is how long a page takes until it survives a loss of power.
func (t *diskTest) fsync(ctx context.Context) (measure.Measurement, error) {
	page, err := newBuffer(pageBytes, smallPages)
	if err != nil {
		return measure.Measurement{}, err
	}
	defer page.free()
	taken := make([]measure.Slice, 0, 1024)
	pages := t.written / pageBytes
	for begin := time.Now(); len(taken) == 0 || time.Since(begin) < t.each; {
		if err := ctx.Err(); err != nil {
			return measure.Measurement{}, err
		}
		at := int64(len(taken)) % pages
		fillPage(page, at, 1)
		started := time.Now()
		if _, err := t.file.WriteAt(page, at*pageBytes); err != nil {
			return measure.Measurement{}, err
		}
		if err := t.file.Sync(); err != nil {
			return measure.Measurement{}, err
		}
		taken = append(taken, measure.Slice{Took: time.Since(started)})
	}
	m := measure.Latency(taken, measure.CalmDevice)
	m.Name = "disk.fsync"
	return m, nil
}

// fill writes the pages of a chunk from a first one.
func (t *diskTest) fill(chunk []byte, first int64) {
	for i := range int64(len(chunk) / pageBytes) {
		fillPage(chunk[i*pageBytes:(i+1)*pageBytes], first+i, 0)
	}
}

// fillPage makes what a page holds after it was written so often more.
func fillPage(page []byte, at int64, again uint64) {
	next := sequence(Seed ^ mix(uint64(at)<<1|again))
	for i := range of[uint64](page) {
		of[uint64](page)[i] = next.next()
	}
}

// check compares pages with what was written.
func (t *diskTest) check(chunk []byte, first int64) error {
	for i := range int64(len(chunk) / pageBytes) {
		again := uint64(0)
		if t.again[first+i] {
			again = 1
		}
		next := sequence(Seed ^ mix(uint64(first+i)<<1|again))
		for _, word := range of[uint64](chunk[i*pageBytes : (i+1)*pageBytes]) {
			if word != next.next() {
				return fmt.Errorf("%w: page %d is not what was written", ErrWrongResult, first+i)
			}
		}
	}
	return nil
}
