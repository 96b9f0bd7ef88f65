package matproof

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Multiplier multiplies n×n matrices of residues, given and returned row after
// row: the processor, or a device.
type Multiplier interface {
	Product(ctx context.Context, n int, a, b []uint32) ([]uint32, error)
}

// CPU multiplies on the processor.
type CPU struct {
	// Threads to use; 0 is as many as Go may.
	Threads int
}

// A block of B, 64 rows of 512 values, is 128 KiB: it stays in a core's
// second-level cache while a stripe of A passes over it, and the 4 KiB of sums
// of one row in the first-level cache.
const (
	blockDepth   = 64
	blockColumns = 512
	stripeRows   = 16
)

// Product implements Multiplier. Errors: ErrMatrix, the context's.
func (c CPU) Product(ctx context.Context, n int, a, b []uint32) ([]uint32, error) {
	if n < 1 || n > MaxSize || len(a) != n*n || len(b) != n*n {
		return nil, wrap(ErrMatrix, "%d and %d values are not two matrices of size %d", len(a), len(b), n)
	}
	if !canonical(a) || !canonical(b) {
		return nil, wrap(ErrMatrix, "a value is not below %d", P)
	}
	threads := c.Threads
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	out := make([]uint32, n*n)
	var next atomic.Int64
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			sums := make([]uint64, stripeRows*blockColumns)
			for ctx.Err() == nil {
				from := int(next.Add(stripeRows)) - stripeRows
				if from >= n {
					return
				}
				stripe(out, sums, a, b, n, from, min(from+stripeRows, n))
			}
		})
	}
	done.Wait()
	return out, ctx.Err()
}

// stripe computes rows from to to of the product in blocks, with room for
// their sums.
func stripe(out []uint32, sums []uint64, a, b []uint32, n, from, to int) {
	for j := 0; j < n; j += blockColumns {
		width := min(blockColumns, n-j)
		clear(sums)
		for k := 0; k < n; k += blockDepth {
			end := min(k+blockDepth, n)
			for i := from; i < to; i++ {
				row := sums[(i-from)*blockColumns:][:width]
				addBlock(row, a[i*n+k:i*n+end], b[k*n+j:], n)
			}
		}
		for i := from; i < to; i++ {
			for x, sum := range sums[(i-from)*blockColumns:][:width] {
				out[i*n+j+x] = reduce(sum)
			}
		}
	}
}

// addBlock adds a piece of a row of A, times a block of B whose rows are
// stride apart, to sums; four rows at a time, since that is how many products
// fit beside a folded sum.
func addBlock(sums []uint64, a, b []uint32, stride int) {
	for ; len(a) >= 4; a, b = a[4:], b[min(4*stride, len(b)):] {
		a0, a1, a2, a3 := uint64(a[0]), uint64(a[1]), uint64(a[2]), uint64(a[3])
		b0 := b[:len(sums)]
		b1 := b[stride:][:len(sums)]
		b2 := b[2*stride:][:len(sums)]
		b3 := b[3*stride:][:len(sums)]
		for j, sum := range sums {
			sums[j] = fold(sum + a0*uint64(b0[j]) + a1*uint64(b1[j]) + a2*uint64(b2[j]) + a3*uint64(b3[j]))
		}
	}
	for k, x := range a {
		row := b[k*stride:][:len(sums)]
		for j, sum := range sums {
			sums[j] = fold(sum + uint64(x)*uint64(row[j]))
		}
	}
}
