package bench

import "math/bits"

const (
	// tableWords keeps the working set at 16 KiB, inside every first-level
	// cache, so that the figure is the core's and not the memory's.
	tableWords = 2048
	// integerRounds makes a slice take some 2 ms on the reference core.
	integerRounds = 450_000
)

// integerKernel is arithmetic, table look-ups and data-dependent branches in
// the proportion of ordinary server code, in two chains, as a core can follow
// several at once.
type integerKernel struct {
	seed  uint64
	table [tableWords]uint64
	sum   uint64
}

func newInteger(seed uint64) *integerKernel { return &integerKernel{seed: seed} }

func (k *integerKernel) slice() error {
	return same(&k.sum, k.work())
}

func (k *integerKernel) result() uint64 { return k.sum }

func (k *integerKernel) work() uint64 {
	state := k.seed
	for i := range k.table {
		state = state*6364136223846793005 + 1442695040888963407
		k.table[i] = state
	}
	a, b := state, ^state
	for i := range uint64(integerRounds) {
		a = bits.RotateLeft64(a^k.table[a%tableWords], 23)*0x9e3779b97f4a7c15 + i
		b = (b>>29 ^ b + k.table[(b>>7)%tableWords]) * 0xbf58476d1ce4e5b9
		if a&7 == 0 {
			k.table[i%tableWords] ^= b
		}
	}
	return a ^ bits.RotateLeft64(b, 32)
}
