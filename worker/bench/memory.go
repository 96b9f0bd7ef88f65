package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

const (
	// blockWords of each array are one slice: 4 MiB, some ms of traffic.
	blockWords = 512 << 10
	blockBytes = blockWords * 8
	// usualTotal is what all threads have of each array: 256 MiB, eight times
	// the last-level cache of a usual core complex.
	usualTotal = 256 << 20
	// quickTotal is for runs so short that touching more would take longer
	// than measuring.
	quickTotal = 64 << 20
	quickRun   = 50 * time.Millisecond
	// bandwidthStep is how finely time is cut to add up all threads.
	bandwidthStep = 10 * time.Millisecond
	// triadFactor is the constant of a[i] = b[i] + factor·c[i].
	triadFactor = 3
)

// streams are the arrays of one thread: a = b, and a = b + 3·c, as in STREAM
// (McCalpin), in integers, whose result is the same everywhere.
type streams struct {
	memory  buffer
	a, b, c []uint64
	at      int
}

// MemoryBandwidth measures copying and triads on all threads at once for about
// d. Bytes are counted by STREAM's rule: what the program reads and writes, 16
// a word copied and 24 a triad, without what the processor reads to write.
// available is how much memory may be taken, in bytes; a quarter of it is.
func MemoryBandwidth(ctx context.Context, threads int, available uint64, d time.Duration) ([]measure.Measurement, error) {
	blocks, err := blocksPerThread(threads, available, d)
	if err != nil {
		return nil, err
	}
	all := make([]*streams, max(threads, 0))
	defer func() {
		for _, s := range all {
			s.free()
		}
	}()
	crew := measure.Crew{Threads: threads, For: d, Pin: true}
	taken, err := crew.Run(ctx, func(thread int) (measure.Work, error) {
		// Made by the thread itself, so that it is in memory near it.
		s, err := newStreams(ctx, blocks)
		all[thread] = s
		if err != nil {
			return nil, err
		}
		return measure.Work{s.copy, s.triad}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	digest, err := checkStreams(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	out := make([]measure.Measurement, 2)
	for kind, name := range []string{"memory.copy", "memory.triad"} {
		megabytes := float64((kind+2)*blockBytes) / 1e6
		m := measure.Together(taken[kind], megabytes, bandwidthStep, measure.CalmMemory)
		m.Name, m.Unit, m.Seed, m.Digest = name, "MB/s", Seed, digest
		out[kind] = m
	}
	return out, nil
}

// blocksPerThread keeps a small machine from swapping.
func blocksPerThread(threads int, available uint64, d time.Duration) (int, error) {
	if threads < 1 {
		return 0, fmt.Errorf("measure memory with %d threads: want at least 1", threads)
	}
	total := uint64(usualTotal)
	if d < quickRun {
		total = quickTotal
	}
	want := (total/uint64(threads) + blockBytes - 1) / blockBytes
	most := available / 4 / (3 * blockBytes * uint64(threads))
	if most == 0 {
		return 0, fmt.Errorf("%w: measuring memory with %d threads needs %d MiB available, there are %d",
			ErrTooLittle, threads, 12*blockBytes*threads>>20, available>>20)
	}
	return int(min(want, most)), nil
}

func newStreams(ctx context.Context, blocks int) (*streams, error) {
	memory, err := newBuffer(3*blocks*blockBytes, hugePages)
	if err != nil {
		return nil, err
	}
	words, n := of[uint64](memory), blocks*blockWords
	s := &streams{memory: memory, a: words[:n:n], b: words[n : 2*n : 2*n], c: words[2*n:]}
	for i := range n {
		if i%blockWords == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		s.b[i], s.c[i] = content(i)
		s.a[i] = 0
	}
	return s, nil
}

// content are the elements of b and c at a place.
func content(i int) (b, c uint64) {
	b = (uint64(i) ^ Seed) * 0x9e3779b97f4a7c15
	return b, b>>7 ^ uint64(i)
}

func (s *streams) free() {
	if s != nil {
		s.memory.free()
	}
}

// next goes through the arrays, so that a block has left all caches when its
// turn comes again.
func (s *streams) next() (a, b, c []uint64) {
	from := s.at
	s.at = (s.at + blockWords) % len(s.a)
	return s.a[from : from+blockWords], s.b[from : from+blockWords], s.c[from : from+blockWords]
}

func (s *streams) copy() error {
	a, b, _ := s.next()
	copy(a, b)
	return nil
}

func (s *streams) triad() error {
	a, b, c := s.next()
	triad(a, b, c)
	return nil
}

func triad(a, b, c []uint64) {
	b, c = b[:len(a)], c[:len(a)]
	for i := range a {
		a[i] = b[i] + triadFactor*c[i]
	}
}

// checkStreams does every block's triad once more and compares all of it with
// what it must be. The digest is of the first block, which every machine has.
func checkStreams(ctx context.Context, all []*streams) (string, error) {
	errs := make(chan error, len(all))
	for _, s := range all {
		go func() { errs <- s.check(ctx) }()
	}
	var failed error
	for range all {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	if failed != nil {
		return "", failed
	}
	hash := sha256.New()
	var raw [8]byte
	for _, word := range all[0].a[:blockWords] {
		binary.LittleEndian.PutUint64(raw[:], word)
		hash.Write(raw[:])
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (s *streams) check(ctx context.Context) error {
	s.at = 0
	for from := 0; from < len(s.a); from += blockWords {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.triad(); err != nil {
			return err
		}
		for i := from; i < from+blockWords; i++ {
			if b, c := content(i); s.a[i] != b+triadFactor*c {
				return ErrWrongResult
			}
		}
	}
	return nil
}
