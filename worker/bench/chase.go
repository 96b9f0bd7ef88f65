package bench

import (
	"context"
	"fmt"
)

const (
	// chaseLines of 64 bytes are 128 MiB: beyond the second-level caches of any
	// machine and most third-level ones.
	chaseLines = 1 << 21
	// chaseSteps makes a slice take some 2 ms on the reference core.
	chaseSteps = 6 << 14
	// chains are followed at once by each thread, as a core looks ahead.
	chains = 4
	// linesPerPage: the walk goes through the lines of a page in disorder
	// before it leaves the page, so that the figure tells of caches and memory
	// and little of how the system happened to lay out pages.
	linesPerPage = 64
	lineBytes    = 64
)

// chaseLine is a line of the cache with the place of the next one, and how
// far along the walk it is, by which the walk is checked.
type chaseLine struct {
	next uint32
	rank uint32
	_    [lineBytes - 8]byte
}

// chaseTable is one long walk through memory, shared by all threads: they only
// read it.
type chaseTable struct {
	memory buffer
	lines  []chaseLine
	first  uint32
}

// newChaseTable lays out the walk: pages in seeded disorder, and in each page
// its lines in disorder.
func newChaseTable(ctx context.Context, seed uint64) (*chaseTable, error) {
	next := sequence(seed)
	order := make([]uint32, 0, chaseLines)
	for i, page := range shuffled(&next, chaseLines/linesPerPage) {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("measure processor: %w", ctx.Err())
		}
		for _, line := range shuffled(&next, linesPerPage) {
			order = append(order, page*linesPerPage+line)
		}
	}
	memory, err := newBuffer(chaseLines*lineBytes, smallPages)
	if err != nil {
		return nil, err
	}
	t := &chaseTable{memory: memory, lines: of[chaseLine](memory), first: order[0]}
	for rank, line := range order {
		t.lines[line] = chaseLine{next: order[(rank+1)%len(order)], rank: uint32(rank)}
	}
	return t, nil
}

// shuffled is 0 … n-1 in disorder (Fisher and Yates).
func shuffled(next *sequence, n uint32) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		j := next.below(uint32(i) + 1)
		out[i], out[j] = out[j], uint32(i)
	}
	return out
}

// chaseKernel follows the walk. Its slices go on where the last one ended, or
// they would find in the caches what they have just read.
type chaseKernel struct {
	table *chaseTable
	at    [chains]uint32
	sum   uint64
}

// newChase starts the chains of a thread apart from each other and from those
// of other threads.
func newChase(table *chaseTable, thread int) *chaseKernel {
	k := &chaseKernel{table: table}
	// The result is that of the first steps from the start, on every thread.
	line, sum := table.first, uint64(0)
	for range chaseSteps / chains {
		sum = sum*31 + uint64(line)
		line = table.lines[line].next
	}
	k.sum = sum
	for c := range k.at {
		// Odd parts of the circle, so that no two start at the same place.
		part := uint64(thread*chains+c) * 0x9e3779b97f4a7c15 >> 32
		k.at[c] = uint32(part * chaseLines >> 32)
	}
	return k
}

func (k *chaseKernel) slice() error {
	lines := k.table.lines
	a, b, c, d := k.at[0], k.at[1], k.at[2], k.at[3]
	for range chaseSteps / chains {
		a, b, c, d = lines[a].next, lines[b].next, lines[c].next, lines[d].next
	}
	for i, end := range [chains]uint32{a, b, c, d} {
		if (lines[k.at[i]].rank+chaseSteps/chains)%chaseLines != lines[end].rank {
			return ErrWrongResult
		}
		k.at[i] = end
	}
	return nil
}

func (k *chaseKernel) result() uint64 { return k.sum }
