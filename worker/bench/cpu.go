package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// pointsPerCore is what the reference core has in each part.
const pointsPerCore = 1000

// Reference is how long a core takes for a slice of each part.
type Reference struct {
	Name                                string
	Integer, Float, Compression, Memory time.Duration
}

// ReferenceCore defines 1,000 CPU points: one virtual core of a cloud server,
// an AMD EPYC of family 26 (Zen 5) whose clock counts 2.6 GHz, under KVM, Go
// 1.26 on linux/amd64. Each time is the capability (see package measure) that
// most of six runs of 4 s agreed on, both of the machine's cores at work. The
// numbers are part of the benchmark's version: they change with it or not at
// all.
var ReferenceCore = Reference{
	Name:        "AMD EPYC, family 26 model 2, KVM virtual core with a TSC of 2.6 GHz",
	Integer:     1710 * time.Microsecond,
	Float:       1700 * time.Microsecond,
	Compression: 1610 * time.Microsecond,
	Memory:      2140 * time.Microsecond,
}

// kernel is one thread's work of one part, with all its memory.
type kernel interface {
	// slice does a slice's work. Errors: ErrWrongResult.
	slice() error
	// result is the same on every thread and machine.
	result() uint64
}

// CPUResult is what all threads measured at the same time.
type CPUResult struct {
	Threads int `json:"threads"`
	// Points of all threads: the geometric mean of the parts, so that no part
	// counts for more because its numbers are larger.
	Points uint64 `json:"points"`
	// Parts are cpu.integer, cpu.float, cpu.compression and cpu.memory.
	Parts []measure.Measurement `json:"-"`
}

// CPU measures threads of the machine at once for about d.
func CPU(ctx context.Context, threads int, d time.Duration) (CPUResult, error) {
	table, err := newChaseTable(ctx, Seed)
	if err != nil {
		return CPUResult{}, err
	}
	defer table.memory.free()
	crews := make([][]kernel, max(threads, 0))
	crew := measure.Crew{Threads: threads, For: d, Pin: true}
	taken, err := crew.Run(ctx, func(thread int) (measure.Work, error) {
		crews[thread] = []kernel{newInteger(Seed), newFloat(Seed), newCompression(Seed), newChase(table, thread)}
		work := make(measure.Work, len(crews[thread]))
		for i, k := range crews[thread] {
			work[i] = k.slice
		}
		return work, nil
	})
	if err != nil {
		return CPUResult{}, fmt.Errorf("measure processor: %w", err)
	}
	out := CPUResult{Threads: threads}
	parts := [...]struct {
		name      string
		reference time.Duration
		calm      float64
	}{
		{"cpu.integer", ReferenceCore.Integer, measure.CalmProcessor},
		{"cpu.float", ReferenceCore.Float, measure.CalmProcessor},
		{"cpu.compression", ReferenceCore.Compression, measure.CalmProcessor},
		{"cpu.memory", ReferenceCore.Memory, measure.CalmMemory},
	}
	product := 1.0
	for i, part := range parts {
		m, err := ofPart(crews, i, taken[i], part.reference, part.calm)
		if err != nil {
			return CPUResult{}, err
		}
		m.Name = part.name
		product *= m.Value
		out.Parts = append(out.Parts, m)
	}
	out.Points = uint64(math.Pow(product, 1/float64(len(parts))))
	return out, nil
}

// ofPart sums up the threads of a part: half the reference's time is twice the
// points.
func ofPart(crews [][]kernel, part int, taken [][]measure.Slice, reference time.Duration, calm float64) (measure.Measurement, error) {
	rates := make([]measure.Measurement, len(taken))
	for thread, slices := range taken {
		if crews[thread][part].result() != crews[0][part].result() {
			return measure.Measurement{}, ErrWrongResult
		}
		rates[thread] = measure.Rate(slices, pointsPerCore*reference.Seconds(), calm)
	}
	m := measure.Sum(rates)
	m.Unit, m.Seed, m.Digest = "points", Seed, digest(crews[0][part].result())
	return m, nil
}

func digest(result uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], result)
	sum := sha256.Sum256(raw[:])
	return hex.EncodeToString(sum[:])
}
