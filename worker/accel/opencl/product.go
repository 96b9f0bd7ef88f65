package opencl

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/worker/measure"
)

// MaxProduct bounds the edge of the matrices that Product takes: three of them
// are 3 GiB.
const MaxProduct = 16384

// Product multiplies two n × n matrices of residues modulo 2^31 - 1 on a
// device, row-major; every entry must be below the prime, as the result's are.
// Errors: accel.ErrNoDevice, accel.ErrCannotMeasure, *Error. It says nothing
// about whether the device computes rightly: who needs to know checks.
func Product(ctx context.Context, deviceID string, n int, a, b []uint32) ([]uint32, error) {
	return New("/sys").Product(ctx, deviceID, n, a, b)
}

// Product is the function of that name.
func (s *Source) Product(ctx context.Context, deviceID string, n int, a, b []uint32) ([]uint32, error) {
	if n < 1 || n > MaxProduct || len(a) != n*n || len(b) != n*n {
		return nil, fmt.Errorf("product of %d and %d entries: want n × n each, n of 1 to %d, not %d", len(a), len(b), MaxProduct, n)
	}
	for _, m := range [][]uint32{a, b} {
		if at := slices.IndexFunc(m, func(v uint32) bool { return v >= prime }); at >= 0 {
			return nil, fmt.Errorf("entry %d is %d, no residue modulo %d", at, m[at], prime)
		}
	}
	var out []uint32
	err := s.use(ctx, deviceID, func(session *session) error {
		p, err := session.multiply(field, n, a, b)
		if err != nil {
			return err
		}
		if _, err := session.run(p.task, 1); err != nil {
			return err
		}
		out, err = p.result()
		return err
	})
	return out, err
}

// multiplication is a product ready to run.
type multiplication struct {
	task    task
	session *session
	out     handle
	in      arithmetic
	n       int
}

// side is how many rows and columns of items share a tile.
func (f facts) side() int {
	switch {
	case f.WorkGroup >= 256 && f.LocalMemory >= 16<<10:
		return 16
	case f.WorkGroup >= 64 && f.LocalMemory >= 4<<10:
		return 8
	default:
		return 4
	}
}

// multiply sets a product up.
func (s *session) multiply(in arithmetic, n int, x, y []uint32) (multiplication, error) {
	side := s.entry.facts.side()
	program, err := s.compile("product.cl", fmt.Sprintf("-D%s -DSIDE=%d -cl-mad-enable", in.option, side))
	if err != nil {
		return multiplication{}, err
	}
	p := multiplication{session: s, in: in, n: n}
	if p.out, err = s.buffer(4 * n * n); err != nil {
		return multiplication{}, err
	}
	var inputs [2]handle
	for i, m := range [][]uint32{x, y} {
		if in.option == floats.option {
			inputs[i], err = filled(s, asFloats(m))
		} else {
			inputs[i], err = filled(s, m)
		}
		if err != nil {
			return multiplication{}, err
		}
	}
	const per = 4 // PER of product.cl
	groups := (n + side*per - 1) / (side * per)
	global, local := uintptr(groups*side), uintptr(side)
	p.task, err = s.task(program, "product", []uintptr{global, global}, []uintptr{local, local}, p.out, inputs[0], inputs[1], uint32(n))
	return p, err
}

// result reads the product as the integers it stands for.
func (p multiplication) result() ([]uint32, error) {
	out := make([]uint32, p.n*p.n)
	if p.in.option != floats.option {
		return out, read(p.session, p.out, 0, out)
	}
	got := make([]float32, len(out))
	if err := read(p.session, p.out, 0, got); err != nil {
		return nil, err
	}
	return asWords(got), nil
}

// product measures the product at the smallest size that keeps the device busy
// for a while, and checks it at two: entry by entry at the first, where the
// digest is of, and by Freivalds' method at the one that was timed.
func (b *bench) product(in arithmetic) (measure.Measurement, error) {
	first := b.effort.first
	m, took, got, err := b.productOf(in, first, false)
	if err != nil {
		return m, err
	}
	x, y := in.matrix(b.opts.Seed, 4, first), in.matrix(b.opts.Seed, 5, first)
	if !slices.Equal(got, in.product(first, x, y)) {
		return m, fmt.Errorf("%w: %s of %d rows differs", ErrComputesWrongly, in.figure, first)
	}
	told := digest(got)
	n := first
	for took < b.effort.slice/2 && 2*n <= b.largest() {
		// Eight times the work in, at the least, the time of twice the data.
		if n *= 2; took*8 < b.effort.slice && 2*n <= b.largest() {
			took *= 8
			continue
		}
		if _, took, _, err = b.productOf(in, n, false); err != nil {
			return m, err
		}
	}
	if m, _, got, err = b.productOf(in, n, true); err != nil {
		return m, err
	}
	x, y = in.matrix(b.opts.Seed, 4, n), in.matrix(b.opts.Seed, 5, n)
	if !in.plausible(b.opts.Seed, n, x, y, got) {
		return m, fmt.Errorf("%w: %s of %d rows differs", ErrComputesWrongly, in.figure, n)
	}
	m.Name, m.Unit, m.Digest = in.figure, in.unit, told
	return m, nil
}

// largest is how many rows the device has room for.
func (b *bench) largest() int {
	f, n := b.session.entry.facts, b.effort.first
	for 2*n <= b.effort.edge && uint64(16*n*n) <= min(f.MaxAlloc, f.Memory/8) {
		n *= 2
	}
	return n
}

// productOf runs the product of one size, once or for a figure.
func (b *bench) productOf(in arithmetic, n int, timed bool) (m measure.Measurement, took time.Duration, got []uint32, err error) {
	if err := b.ctx.Err(); err != nil {
		return m, 0, nil, err
	}
	mark := b.session.mark()
	p, err := b.session.multiply(in, n, in.matrix(b.opts.Seed, 4, n), in.matrix(b.opts.Seed, 5, n))
	if err != nil {
		return m, 0, nil, err
	}
	if timed {
		m, err = b.timed(p.task, 2*float64(n)*float64(n)*float64(n)/1e9)
	} else {
		took, err = b.twice(p.task)
	}
	if err != nil {
		return m, took, nil, err
	}
	if got, err = p.result(); err != nil {
		return m, took, nil, err
	}
	return m, took, got, b.session.release(mark)
}

// twice gives the better of two runs: in the first a card may still sleep.
func (b *bench) twice(t task) (time.Duration, error) {
	first, err := b.session.run(t, 1)
	if err != nil {
		return 0, err
	}
	second, err := b.session.run(t, 1)
	return min(first, second), err
}

// asFloats and asWords go between integers and the floats that stand for them.
func asFloats(words []uint32) []float32 {
	out := make([]float32, len(words))
	for i, w := range words {
		out[i] = float32(w)
	}
	return out
}

// asWords gives what is no small integer a word that no product has.
func asWords(floats []float32) []uint32 {
	out := make([]uint32, len(floats))
	for i, f := range floats {
		if f >= 0 && f < 1<<24 && float32(uint32(f)) == f {
			out[i] = uint32(f)
		} else {
			out[i] = 1<<32 - 1
		}
	}
	return out
}
