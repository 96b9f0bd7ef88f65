package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// member is a source in the fetch of one blob.
type member struct {
	source cloud.Source
	// gone is why it is not asked any more.
	gone error
	// aside while an outline is tried that is not its own.
	aside bool
	// vote is the print of its outline, nil if it was not asked.
	vote *print

	// The rest belongs to a transfer and is guarded by its lock.
	active    int // requests
	failures  int // in a row
	notBefore time.Time
	bytes     int64 // since the rate was last taken
	rate      float64
}

// print tells outlines apart.
type print [sha256.Size]byte

func printOf(o cloud.Outline) print {
	raw, err := chunk.Append(nil, o)
	if err != nil {
		return print{}
	}
	return sha256.Sum256(raw)
}

// answer is what a member said of a blob's outline.
type answer struct {
	member  *member
	outline cloud.Outline
	err     error
}

// agree finds the outline to fetch by: two sources are asked, and if they
// differ, one more at a time until one outline is ahead. Those that gave
// another are set aside.
func (s *session) agree(ctx context.Context, blob cloud.Blob, members []*member) (cloud.Outline, error) {
	if o, ok := chunk.Whole(blob); ok {
		if !usable(members) {
			return cloud.Outline{}, noSource(blob, members)
		}
		return o, nil
	}
	waiting := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m.gone != nil })
	ballot := ballot{outlines: map[print]cloud.Outline{}, votes: map[print]int{}}
	for batch := 2; len(waiting) > 0 && !ballot.decided(); batch = 1 {
		batch = min(batch, len(waiting))
		for _, a := range s.ask(ctx, blob, waiting[:batch]) {
			if a.err == nil {
				ballot.add(a)
			}
		}
		waiting = waiting[batch:]
		if err := ctx.Err(); err != nil {
			return cloud.Outline{}, err
		}
	}
	best, ok := ballot.best()
	if !ok {
		return cloud.Outline{}, noSource(blob, members)
	}
	for _, m := range members {
		m.aside = m.vote != nil && *m.vote != best
	}
	return ballot.outlines[best], nil
}

// ballot counts who gave which outline.
type ballot struct {
	order    []print
	outlines map[print]cloud.Outline
	votes    map[print]int
}

func (b *ballot) add(a answer) {
	p := printOf(a.outline)
	a.member.vote = &p
	if b.votes[p] == 0 {
		b.order = append(b.order, p)
		b.outlines[p] = a.outline
	}
	b.votes[p]++
}

// best is the outline of most sources, the first asked among equals.
func (b *ballot) best() (best print, ok bool) {
	for _, p := range b.order {
		if !ok || b.votes[p] > b.votes[best] {
			best, ok = p, true
		}
	}
	return best, ok
}

// decided when two sources agree and no other two or more do.
func (b *ballot) decided() bool {
	best, ok := b.best()
	if !ok || b.votes[best] < 2 {
		return false
	}
	for p, votes := range b.votes {
		if p != best && votes >= b.votes[best] {
			return false
		}
	}
	return true
}

// ask several members at once.
func (s *session) ask(ctx context.Context, blob cloud.Blob, members []*member) []answer {
	answers := make(chan answer, len(members))
	for _, m := range members {
		go func() {
			o, err := s.outline(ctx, blob, m.source)
			answers <- answer{member: m, outline: o, err: err}
		}()
	}
	all := make([]answer, 0, len(members))
	for range members {
		a := <-answers
		if a.err != nil && ctx.Err() == nil {
			s.failedToAnswer(a.member, a.err)
		}
		all = append(all, a)
	}
	// In the order of asking, so that equal inputs give equal choices.
	slices.SortFunc(all, func(a, b answer) int { return slices.Index(members, a.member) - slices.Index(members, b.member) })
	return all
}

func (s *session) failedToAnswer(m *member, err error) {
	switch {
	case errors.Is(err, cloud.ErrNotHeld):
		m.gone = err // no fault
	case errors.Is(err, cloud.ErrLied):
		s.drop(m, Lied, err)
	case errors.Is(err, context.DeadlineExceeded):
		s.drop(m, Stalled, err)
	default:
		s.drop(m, Failed, err)
	}
}

// outline asks a source. cloud.ErrLied if what it says cannot be.
func (s *session) outline(ctx context.Context, blob cloud.Blob, source cloud.Source) (cloud.Outline, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Stall)
	defer cancel()
	o, err := source.Outline(ctx, blob.Digest)
	if errors.Is(err, chunk.ErrMalformed) {
		err = fmt.Errorf("%w: %w", cloud.ErrLied, err)
	}
	if err != nil {
		return cloud.Outline{}, fmt.Errorf("outline: %w", err)
	}
	if o.Blob != blob {
		return cloud.Outline{}, fmt.Errorf("%w: asked for the outline of %s with %d bytes, it gave that of %s with %d", cloud.ErrLied, blob.Digest, blob.Size, o.Blob.Digest, o.Blob.Size)
	}
	if err := chunk.Check(o); err != nil {
		return cloud.Outline{}, fmt.Errorf("%w: %w", cloud.ErrLied, err)
	}
	return o, nil
}
