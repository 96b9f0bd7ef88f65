package opencl

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// wordOf is word_of() of fill.cl: word i of a stream.
func wordOf(seed, stream, i uint32) uint32 {
	x := i*0x9E3779B9 + seed + stream*0x85EBCA6B
	x ^= x >> 16
	x *= 0x7FEB352D
	x ^= x >> 15
	x *= 0x846CA68B
	return x ^ x>>16
}

// fold makes the seed of 32 bits that kernels take.
func fold(seed uint64) uint32 { return uint32(seed) ^ uint32(seed>>32) }

// Steps of a chain: with entries below 16 its sums stay below 2^24, where
// fp32 counts exactly.
const (
	chainCount = 8
	chainSteps = 4096
	maxEntry   = 16
)

// chains is what a lane of fma_chains computes.
func chains(from, step float32) float32 {
	var sum float32
	for k := range chainCount {
		sum += from + float32(k) + chainSteps*step
	}
	return sum
}

// arithmetic is what a matrix product computes in.
type arithmetic struct {
	// figure is the measurement's name and unit its unit.
	figure, unit string
	// option chooses it in product.cl.
	option string
	// entry makes an entry of a matrix from a seeded word.
	entry func(uint32) uint32
	// add is sum + x*y, all of them as the integers they stand for.
	add func(sum, x, y uint64) uint64
}

const prime = 1<<31 - 1

var (
	floats = arithmetic{
		figure: "accelerator.fp32_product", unit: "GFLOP/s", option: "FLOATS",
		entry: func(w uint32) uint32 { return w % maxEntry },
		add:   func(sum, x, y uint64) uint64 { return sum + x*y },
	}
	words = arithmetic{
		figure: "accelerator.integer_product", unit: "GOP/s", option: "WORDS",
		entry: func(w uint32) uint32 { return w },
		add:   func(sum, x, y uint64) uint64 { return uint64(uint32(sum + x*y)) },
	}
	field = arithmetic{
		figure: "accelerator.field_product", unit: "GOP/s", option: "FIELD",
		entry: func(w uint32) uint32 { return w % prime },
		add:   func(sum, x, y uint64) uint64 { return (sum + x*y) % prime },
	}
)

// matrix is the seeded matrix number so-and-so.
func (a arithmetic) matrix(seed uint64, stream uint32, n int) []uint32 {
	m := make([]uint32, n*n)
	for i := range m {
		m[i] = a.entry(wordOf(fold(seed), stream, uint32(i)))
	}
	return m
}

// product is the plain product, which devices must equal.
func (a arithmetic) product(n int, x, y []uint32) []uint32 {
	out, row := make([]uint32, n*n), make([]uint64, n)
	for i := range n {
		clear(row)
		for k, v := range x[i*n : (i+1)*n] {
			for j, w := range y[k*n : (k+1)*n] {
				row[j] = a.add(row[j], uint64(v), uint64(w))
			}
		}
		for j, sum := range row {
			out[i*n+j] = uint32(sum)
		}
	}
	return out
}

// plausible checks a product by Freivalds' method: with a random vector r it
// compares x·(y·r) with z·r, in n² steps for n³ of work. In words a wrong
// product passes one round with probability 1/2 at most, in the field 2^-31.
func (a arithmetic) plausible(seed uint64, n int, x, y, z []uint32) bool {
	const rounds = 2
	for round := range uint32(rounds) {
		r := make([]uint64, n)
		for i := range r {
			r[i] = uint64(a.entry(wordOf(^fold(seed), 100+round, uint32(i))))
		}
		left, right := a.times(n, x, a.times(n, y, r)), a.times(n, z, r)
		for i := range left {
			if left[i] != right[i] {
				return false
			}
		}
	}
	return true
}

// times is a matrix times a vector. In floats the sums grow beyond fp32: they
// are integers of 64 bits here.
func (a arithmetic) times(n int, m []uint32, v []uint64) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		var sum uint64
		for j, w := range m[i*n : (i+1)*n] {
			sum = a.add(sum, uint64(w), v[j])
		}
		out[i] = sum
	}
	return out
}

// digest is the SHA-256 of words, the same on every machine.
func digest(words []uint32) string {
	raw := make([]byte, 0, 4*len(words))
	for _, w := range words {
		raw = binary.BigEndian.AppendUint32(raw, w)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
