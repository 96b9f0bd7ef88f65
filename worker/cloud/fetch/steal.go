package fetch

import "time"

const (
	// patience with a request before its rate is judged.
	patience = 200 * time.Millisecond
	// gain that stealing has to promise: the time left without it over the
	// time with it. What the owner has under way is lost.
	gain = 1.5
	// twinAfter is how long a request's last chunk may be late before
	// somebody else fetches it too.
	twinAfter = 500 * time.Millisecond
)

// steal takes the second half of the request that will take longest, when
// there is nothing else to do; of one that is at its last chunk, the chunk
// itself if it is late. It is called under the lock.
func (w *work) steal(thief *member, now time.Time) *span {
	var victim *span
	var longest time.Duration
	for sp := range w.active {
		if sp.owner == thief || sp.owner.gone != nil {
			continue
		}
		if left := w.timeLeft(sp, now); left > longest && w.worthwhile(thief, sp, left, now) {
			victim, longest = sp, left
		}
	}
	if victim == nil {
		return nil
	}
	if victim.end-victim.next < 2 {
		victim.twin = true
		return &span{next: victim.next, end: victim.end, twin: true}
	}
	middle := victim.next + (victim.end-victim.next+1)/2
	stolen := &span{next: middle, end: victim.end}
	victim.end = middle
	return stolen
}

// bytesOf a run of chunks.
func (w *work) bytesOf(first, end int) (size int64) {
	for _, c := range w.outline.Chunks[first:end] {
		size += int64(c.Size)
	}
	return size
}

// never is the time left of a request that does not move.
const never = time.Duration(1<<62 - 1)

// timeLeft of a request at its member's rate.
func (w *work) timeLeft(sp *span, now time.Time) time.Duration {
	late := now.Sub(sp.moved)
	if sp.owner.rate <= 0 || late > twinAfter {
		if late < patience {
			return 0
		}
		return never
	}
	return timeFor(w.bytesOf(sp.next, sp.end), sp.owner.rate/float64(sp.owner.active))
}

func timeFor(size int64, rate float64) time.Duration {
	seconds := float64(size) / rate
	if seconds > never.Seconds() {
		return never
	}
	return time.Duration(seconds * float64(time.Second))
}

// worthwhile tells whether a thief would be so much quicker.
func (w *work) worthwhile(thief *member, sp *span, left time.Duration, now time.Time) bool {
	if sp.end-sp.next < 2 {
		return !sp.twin && now.Sub(sp.moved) > twinAfter
	}
	if left == never || thief.rate <= 0 {
		return true
	}
	middle := sp.next + (sp.end-sp.next+1)/2
	with := timeFor(w.bytesOf(middle, sp.end), thief.rate/float64(thief.active+1))
	return left.Seconds() > gain*with.Seconds()
}
