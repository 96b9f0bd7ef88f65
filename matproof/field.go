package matproof

// P is the field's prime, 2^31 − 1. A residue is an integer from 0 to P − 1, so
// a product of two fits 62 bits and four of them a uint64.
const P uint32 = 1<<31 - 1

// fold brings a 64-bit sum to below 2^34 without changing it modulo P: since
// 2^31 is 1 there, the high bits are added to the low ones. Four more products
// of residues then fit: 4·(P−1)² + 2^34 < 2^64.
func fold(x uint64) uint64 { return x&uint64(P) + x>>31 }

// reduce gives the residue of any 64-bit sum.
func reduce(x uint64) uint32 {
	x = fold(fold(x))
	if x >= uint64(P) {
		x -= uint64(P)
	}
	if x >= uint64(P) {
		x -= uint64(P)
	}
	return uint32(x)
}

// canonical says whether every value is a residue. Without this a value and
// the value plus P would be two writings of one number.
func canonical(values []uint32) bool {
	for _, v := range values {
		if v >= P {
			return false
		}
	}
	return true
}

// dot is the inner product of two vectors of residues; b is at least as long
// as a.
func dot(a, b []uint32) uint32 {
	b = b[:len(a)]
	var sum uint64
	for len(a) >= 4 && len(b) >= 4 {
		sum += uint64(a[0])*uint64(b[0]) + uint64(a[1])*uint64(b[1]) +
			uint64(a[2])*uint64(b[2]) + uint64(a[3])*uint64(b[3])
		sum = fold(sum)
		a, b = a[4:], b[4:]
	}
	for i := range a {
		sum += uint64(a[i]) * uint64(b[i])
	}
	return reduce(sum)
}
