package bench

import "errors"

// Seed makes every run do the same work. It is below 2^53, so that no reader
// of JSON rounds it.
const Seed uint64 = 0x6973756e3032

// ErrWrongResult: slices of equal work gave different results, or what was
// written came back changed: the machine computes or keeps data wrongly and
// must not be rented out.
var ErrWrongResult = errors.New("the machine gave different results for the same work")

// sequence is SplitMix64: numbers that follow from a seed, the same on every
// machine. (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, OOPSLA 2014.)
type sequence uint64

func (s *sequence) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	return mix(uint64(*s))
}

// unit is a number from 0 to below 1.
func (s *sequence) unit() float64 { return float64(s.next()>>11) / (1 << 53) }

// below is a number below n, by the high bits of a product.
func (s *sequence) below(n uint32) uint32 { return uint32(s.next() >> 32 * uint64(n) >> 32) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// same keeps the first result of a kernel and compares all others with it.
func same(first *uint64, result uint64) error {
	if *first == 0 {
		*first = result
	}
	if *first != result {
		return ErrWrongResult
	}
	return nil
}
