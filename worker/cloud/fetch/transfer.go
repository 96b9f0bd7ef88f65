package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

var (
	// errOutlineLied: all chunks fit the outline and the whole does not fit
	// the digest.
	errOutlineLied = errors.New("outline is false")
	// errStalled, errDone and errGone are why a request was ended: it sent
	// nothing, others were quicker, its source is done without.
	errStalled = errors.New("nothing came for too long")
	errDone    = errors.New("others were quicker")
	errGone    = errors.New("source is not used any more")
)

const (
	// leastRequest in bytes: of a small blob every source gets a part.
	leastRequest = chunk.Max
	// mostFailures in a row, without a chunk between, that a source may have.
	mostFailures = 3
	// firstBackoff of a source that failed; it doubles.
	firstBackoff = 100 * time.Millisecond
	// tick is how often rates are taken and slow requests looked at.
	tick = 100 * time.Millisecond
)

// transfer gets the chunks of an outline and commits the blob. errOutlineLied,
// ErrNoSource; what came stays for the next time.
func (s *session) transfer(ctx context.Context, o cloud.Outline, members []*member) (err error) {
	partial, err := s.store.Partial(o)
	if errors.Is(err, blobs.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	count := &counter{session: s}
	defer func() {
		err = errors.Join(err, partial.Close())
		if err != nil {
			count.takeBack()
		}
	}()
	if err := takeLocal(ctx, s.store, partial, count); err != nil {
		return err
	}
	if partial.Left() > 0 {
		if err := newWork(s, partial, members, count).run(ctx); err != nil {
			return err
		}
	}
	err = partial.Commit()
	if errors.Is(err, cloud.ErrLied) {
		return fmt.Errorf("%w: %w", errOutlineLied, err)
	}
	return err
}

// takeLocal fills in what other blobs of the store have.
func takeLocal(ctx context.Context, store *blobs.Store, partial *blobs.Partial, count *counter) error {
	o := partial.Outline()
	missing := partial.Missing()
	local := o.Blob.Size
	for _, i := range missing {
		local -= int64(o.Chunks[i].Size)
	}
	count.add(local, 0)
	for _, i := range missing {
		if err := ctx.Err(); err != nil {
			return err
		}
		if partial.Has(i) {
			continue
		}
		content, ok := store.Chunk(o.Chunks[i].Sum)
		if !ok || len(content) != int(o.Chunks[i].Size) {
			continue
		}
		added, err := partial.Write(i, content)
		if err != nil {
			return err
		}
		count.add(added, 0)
	}
	return nil
}

// span is a run of chunks that is asked for at once.
type span struct {
	next, end int // next moves as chunks come, end when somebody steals
	owner     *member
	moved     time.Time // when next last moved
	twin      bool      // somebody else fetches its last chunk too
	cancel    context.CancelCauseFunc
}

// work is the rest of a blob, divided among members.
type work struct {
	session *session
	partial *blobs.Partial
	outline cloud.Outline
	members []*member
	count   *counter

	mu      sync.Mutex
	change  *sync.Cond
	queue   []*span
	active  map[*span]bool
	ended   bool
	failure error
}

func newWork(s *session, partial *blobs.Partial, members []*member, count *counter) *work {
	w := &work{session: s, partial: partial, count: count, outline: partial.Outline(), active: map[*span]bool{}}
	for _, m := range members {
		if m.gone == nil && !m.aside {
			m.failures, m.active, m.rate, m.bytes, m.notBefore = 0, 0, 0, 0, time.Time{}
			w.members = append(w.members, m)
		}
	}
	w.change = sync.NewCond(&w.mu)
	w.divide()
	return w
}

// divide makes requests of what is missing, in order, so that the blob can be
// hashed from its beginning while the rest comes.
func (w *work) divide() {
	missing := w.partial.Missing()
	var left int64
	for _, i := range missing {
		left += int64(w.outline.Chunks[i].Size)
	}
	share := left / int64(max(1, 2*len(w.members)*w.session.opts.InFlight))
	limit := min(w.session.opts.RequestBytes, max(leastRequest, share))
	var last *span
	var size int64
	for _, i := range missing {
		c := int64(w.outline.Chunks[i].Size)
		if last == nil || last.end != i || size+c > limit {
			last, size = &span{next: i, end: i}, 0
			w.queue = append(w.queue, last)
		}
		last.end, size = i+1, size+c
	}
}

// run has every member fetch until all is there, nobody is left, or the
// context ends.
func (w *work) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.end(ctx.Err()) })
	defer stop()
	var group sync.WaitGroup
	for _, m := range w.members {
		for range w.session.opts.InFlight {
			group.Go(func() { w.serve(ctx, m) })
		}
	}
	if len(w.members) == 0 {
		w.end(ErrNoSource)
	}
	ticking := make(chan struct{})
	go func() {
		defer close(ticking)
		w.tick(ctx)
	}()
	group.Wait()
	stop()
	cancel()
	<-ticking
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// end stops everybody; the first reason counts, nil means that all is there.
func (w *work) end(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked(reason)
}

func (w *work) endLocked(reason error) {
	if w.ended {
		return
	}
	w.ended, w.failure = true, reason
	for sp := range w.active {
		sp.cancel(errDone)
	}
	w.change.Broadcast()
}

// tick takes rates, and wakes those who wait for something to steal.
func (w *work) tick(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w.mu.Lock()
		for _, m := range w.members {
			if m.active > 0 || m.bytes > 0 {
				m.rate = 0.7*m.rate + 0.3*float64(m.bytes)/tick.Seconds()
				m.bytes = 0
			}
		}
		w.change.Broadcast()
		w.mu.Unlock()
	}
}

// serve fetches one span after the other from a member.
func (w *work) serve(ctx context.Context, m *member) {
	buffer := make([]byte, chunk.Max)
	for {
		requestCtx, cancel := context.WithCancelCause(ctx)
		sp := w.take(m, cancel)
		if sp == nil {
			cancel(nil)
			return
		}
		err := w.fetch(requestCtx, m, sp, buffer)
		if cause := context.Cause(requestCtx); err != nil && cause != nil {
			err = cause
		}
		cancel(nil)
		if errors.Is(err, cloud.ErrLied) && w.cutsOtherwise(ctx, m) {
			err = errGone
		}
		w.done(ctx, m, sp, err)
	}
}

// take waits for a span that the member should fetch; nil when there is
// nothing more to do for it.
func (w *work) take(m *member, cancel context.CancelCauseFunc) *span {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.ended || m.gone != nil || m.aside {
			return nil
		}
		if now := time.Now(); !now.Before(m.notBefore) {
			sp := w.fromQueue()
			if sp == nil {
				sp = w.steal(m, now)
			}
			if sp != nil {
				sp.owner, sp.cancel, sp.moved = m, cancel, now
				m.active++
				w.active[sp] = true
				return sp
			}
		}
		w.change.Wait()
	}
}

func (w *work) fromQueue() *span {
	for len(w.queue) > 0 {
		sp := w.queue[0]
		w.queue = w.queue[1:]
		for sp.next < sp.end && w.partial.Has(sp.next) { // a chunk may come in several places
			sp.next++
		}
		if sp.next < sp.end {
			return sp
		}
	}
	return nil
}

// fetch asks for a span and writes what comes.
func (w *work) fetch(ctx context.Context, m *member, sp *span, buffer []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(w.session.opts.Stall, func() { cancel(errStalled) })
	defer stall.Stop()
	err := w.stream(ctx, m, sp, buffer, func() { stall.Reset(w.session.opts.Stall) })
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

func (w *work) stream(ctx context.Context, m *member, sp *span, buffer []byte, alive func()) error {
	w.mu.Lock()
	first, count := sp.next, sp.end-sp.next
	w.mu.Unlock()
	from, err := m.source.Chunks(ctx, w.outline.Blob.Digest, first, count)
	if err != nil {
		return fmt.Errorf("ask for chunks: %w", err)
	}
	closing := sync.OnceFunc(func() { _ = from.Close() }) // what it says does not matter any more
	defer closing()
	defer context.AfterFunc(ctx, closing)()
	for i := first; w.wants(sp, i); i++ {
		content := buffer[:w.outline.Chunks[i].Size]
		if err := w.read(m, from, content, alive); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		added, err := w.partial.Write(i, content)
		if err != nil {
			return err
		}
		w.count.add(0, added)
		w.wrote(m, sp, i)
	}
	return nil
}

// wants tells whether a chunk is still the span's to fetch.
func (w *work) wants(sp *span, i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return i < sp.end && !w.ended
}

// read fills a chunk, and counts every byte as a sign of life.
func (w *work) read(m *member, from io.Reader, content []byte, alive func()) error {
	for got := 0; got < len(content); {
		n, err := from.Read(content[got:])
		if n > 0 {
			got += n
			alive()
			w.mu.Lock()
			m.bytes += int64(n)
			w.mu.Unlock()
		}
		if got == len(content) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *work) wrote(m *member, sp *span, i int) {
	all := w.partial.Left() == 0
	w.mu.Lock()
	defer w.mu.Unlock()
	sp.next, sp.moved = i+1, time.Now()
	m.failures = 0
	if all {
		w.endLocked(nil)
		return
	}
	for other := range w.active {
		if other != sp && other.twin && other.next+1 == other.end && w.partial.Has(other.next) {
			other.cancel(errDone)
		}
	}
}

// cutsOtherwise tells whether a member that was never asked has another
// outline: then its chunks are other ones, and it need not have lied.
func (w *work) cutsOtherwise(ctx context.Context, m *member) bool {
	w.mu.Lock()
	asked := m.vote != nil || len(w.outline.Chunks) == 1
	w.mu.Unlock()
	if asked {
		return false
	}
	o, err := w.session.outline(ctx, w.outline.Blob, m.source)
	if err != nil {
		return false
	}
	p := printOf(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	m.vote = &p
	m.aside = p != printOf(w.outline)
	return m.aside
}

// done gives back what is left of a span, and judges the member by how it
// ended.
func (w *work) done(ctx context.Context, m *member, sp *span, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.active, sp)
	m.active--
	if sp.next < sp.end {
		w.queue = append([]*span{{next: sp.next, end: sp.end}}, w.queue...)
	}
	if err != nil && !w.ended && ctx.Err() == nil && m.gone == nil {
		w.judge(m, err)
	}
	w.change.Broadcast()
}

func (w *work) judge(m *member, err error) {
	switch {
	case errors.Is(err, errDone):
		return
	case errors.Is(err, errGone): // set aside
	case errors.Is(err, cloud.ErrLied):
		w.session.drop(m, Lied, err)
	case errors.Is(err, cloud.ErrNotHeld):
		m.gone = err
	case errors.Is(err, cloud.ErrFull), errors.Is(err, chunk.ErrMalformed):
		w.endLocked(err)
		return
	default:
		m.failures++
		m.notBefore = time.Now().Add(firstBackoff << m.failures)
		if m.failures < mostFailures {
			return
		}
		kind := Failed
		if errors.Is(err, errStalled) {
			kind = Stalled
		}
		w.session.drop(m, kind, err)
	}
	for sp := range w.active {
		if sp.owner == m {
			sp.cancel(errGone)
		}
	}
	for _, other := range w.members {
		if other.gone == nil && !other.aside {
			return
		}
	}
	w.endLocked(ErrNoSource)
}
