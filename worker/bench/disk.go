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
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// pageBytes is what random access reads and writes, and what direct I/O
	// is aligned to: the block of nearly all disks and file systems.
	pageBytes = 4096
	// chunkBytes is a slice of sequential access.
	chunkBytes = 1 << 20
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
	t := &diskTest{file: file, direct: direct, size: int64(size), each: d / 5}
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
	// again has a bit for each page that was written a second time.
	again  []atomic.Bool
	digest string
}

func (t *diskTest) run(ctx context.Context) ([]measure.Measurement, error) {
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

// sequentialWrite fills the file until it is full or the time is over, but
// always what the digest is of.
func (t *diskTest) sequentialWrite(ctx context.Context) (measure.Measurement, error) {
	chunk, err := newBuffer(chunkBytes, smallPages)
	if err != nil {
		return measure.Measurement{}, err
	}
	defer chunk.free()
	var taken []measure.Slice
	for begin := time.Now(); t.written < t.size && (time.Since(begin) < t.each || t.written < leastDiskBytes); {
		if err := ctx.Err(); err != nil {
			return measure.Measurement{}, err
		}
		t.fill(chunk, t.written/pageBytes)
		started := time.Now()
		if _, err := t.file.WriteAt(chunk, t.written); err != nil {
			return measure.Measurement{}, err
		}
		if err := t.settle(t.written, chunkBytes); err != nil {
			return measure.Measurement{}, err
		}
		taken = append(taken, measure.Slice{Took: time.Since(started)})
		t.written += chunkBytes
	}
	t.again = make([]atomic.Bool, t.written/pageBytes)
	if err := t.file.Sync(); err != nil {
		return measure.Measurement{}, err
	}
	return rate("disk.sequential_write", "MB/s", taken, chunkBytes/1e6), nil
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

// sequentialRead reads the file from its start, at least what the digest is
// of, and checks it.
func (t *diskTest) sequentialRead(ctx context.Context) (measure.Measurement, error) {
	chunk, err := newBuffer(chunkBytes, smallPages)
	if err != nil {
		return measure.Measurement{}, err
	}
	defer chunk.free()
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

// access reads or writes a page, and after is done with it outside the count.
type access struct {
	do, after func(page []byte, at int64) error
}

// random lets several workers read or write pages in seeded disorder, and
// counts what all of them finish in each step of time.
func (t *diskTest) random(ctx context.Context, name string, a access) (measure.Measurement, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	counts := make([]atomic.Uint32, t.each/diskStep+1)
	errs := make(chan error, depth)
	begin := time.Now()
	for worker := range depth {
		go func() {
			err := t.worker(ctx, worker, begin, counts, a)
			if err != nil {
				cancel()
			}
			errs <- err
		}()
	}
	var failed error
	for range depth {
		if err := <-errs; failed == nil || errors.Is(failed, context.Canceled) && err != nil {
			failed = err
		}
	}
	if failed != nil {
		return measure.Measurement{}, failed
	}
	m := ofCounts(counts, time.Since(begin))
	m.Name, m.Unit = name, "IOPS"
	return m, nil
}

func (t *diskTest) worker(ctx context.Context, worker int, begin time.Time, counts []atomic.Uint32, a access) error {
	page, err := newBuffer(pageBytes, smallPages)
	if err != nil {
		return err
	}
	defer page.free()
	next := sequence(Seed + uint64(worker))
	// Each worker has pages of its own: two writes of one would race.
	own := uint64(t.written/pageBytes) / depth
	for first := true; first || time.Since(begin) < t.each; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := int64(next.next()%own*depth + uint64(worker))
		if err := a.do(page, at); err != nil {
			return err
		}
		counts[min(int(time.Since(begin)/diskStep), len(counts)-1)].Add(1)
		if err := a.after(page, at); err != nil {
			return err
		}
	}
	return nil
}

// ofCounts leaves out the first step, in which the workers begin, and the
// last, in which they end; a run of fewer has its mean alone.
func ofCounts(counts []atomic.Uint32, took time.Duration) measure.Measurement {
	if len(counts) < 4 {
		sum := uint32(0)
		for i := range counts {
			sum += counts[i].Load()
		}
		return measure.Rates([]float64{float64(sum) / took.Seconds()}, measure.CalmDevice)
	}
	rates := make([]float64, 0, len(counts))
	for i := range counts[1 : len(counts)-1] {
		rates = append(rates, float64(counts[i+1].Load())/diskStep.Seconds())
	}
	return measure.Rates(rates, measure.CalmDevice)
}

func (t *diskTest) randomWrite(ctx context.Context) (measure.Measurement, error) {
	return t.random(ctx, "disk.random_write", access{func(page []byte, at int64) error {
		fillPage(page, at, 1)
		if _, err := t.file.WriteAt(page, at*pageBytes); err != nil {
			return err
		}
		return t.settle(at*pageBytes, pageBytes)
	}, func(_ []byte, at int64) error {
		t.again[at].Store(true)
		return nil
	}})
}

func (t *diskTest) randomRead(ctx context.Context) (measure.Measurement, error) {
	return t.random(ctx, "disk.random_read", access{func(page []byte, at int64) error {
		_, err := t.file.ReadAt(page, at*pageBytes)
		return err
	}, t.check})
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
		if t.again[first+i].Load() {
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
