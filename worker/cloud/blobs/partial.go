package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// partialState is what the store knows of a partial blob in its folder.
type partialState struct {
	size int64 // reserved
	used time.Time
	open bool
}

// Partial is a blob that is being fetched by the chunks of an outline that
// somebody claims. It outlives the process. It is safe for concurrent use;
// Commit, Close or Abort ends it.
type Partial struct {
	store   *Store
	outline cloud.Outline
	file    *os.File
	offsets []int64
	// again are the later places of chunks that come more than once.
	again map[[32]byte][]int

	mu     sync.Mutex
	have   []bool
	left   int
	odd    bool // a chunk is not one that the protocol cuts
	ended  bool
	follow *follower
}

func (s *Store) partialDir(d uai.Digest) string { return filepath.Join(s.cfg.Dir, "partials", d.Hex()) }

// loadPartials finds what an earlier process left. What cannot be gone on
// with goes.
func (s *Store) loadPartials() error {
	return s.each("partials", func(digest uai.Digest, entry fs.DirEntry) error {
		dir := s.partialDir(digest)
		o, err := s.readPartialOutline(digest)
		info, statErr := os.Stat(filepath.Join(dir, "data"))
		if err != nil || statErr != nil || s.blobs[digest] != nil {
			return os.RemoveAll(dir)
		}
		s.partials[digest] = &partialState{size: o.Blob.Size, used: info.ModTime()}
		s.reserved += uint64(o.Blob.Size)
		return nil
	})
}

func (s *Store) readPartialOutline(digest uai.Digest) (cloud.Outline, error) {
	file, err := os.Open(filepath.Join(s.partialDir(digest), "outline"))
	if err != nil {
		return cloud.Outline{}, err
	}
	defer file.Close()
	o, err := chunk.Decode(file, chunk.MaxBlob)
	if err == nil && o.Blob.Digest != digest {
		err = fmt.Errorf("%w: it is of another blob", chunk.ErrMalformed)
	}
	return o, err
}

// Partial begins to fetch a blob, or goes on with what an earlier fetch by
// the same outline left; its chunks are read and checked again. Room for the
// whole blob is taken at once. ErrHeld, ErrBusy, ErrFull, chunk.ErrMalformed.
func (s *Store) Partial(o cloud.Outline) (*Partial, error) {
	if err := chunk.Check(o); err != nil {
		return nil, err
	}
	if err := s.claim(o); err != nil {
		return nil, err
	}
	p, err := s.openPartial(o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin to fetch %s: %w", o.Blob.Digest, full(err)), s.endPartial(o.Blob.Digest, true))
	}
	return p, nil
}

// claim has the partial blob be open, with room for it, and removes one that
// was cut otherwise.
func (s *Store) claim(o cloud.Outline) error {
	digest := o.Blob.Digest
	kept, err := s.readPartialOutline(digest)
	same := err == nil && sameOutline(kept, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[digest] != nil {
		return fmt.Errorf("%w: %s", ErrHeld, digest)
	}
	state := s.partials[digest]
	if state != nil && state.open {
		return fmt.Errorf("%w: %s", ErrBusy, digest)
	}
	if state != nil && same {
		state.open = true
		return nil
	}
	if state != nil {
		if err := s.removePartial(digest); err != nil {
			return err
		}
	}
	if err := s.reserveLocked(o.Blob.Size); err != nil {
		return err
	}
	s.partials[digest] = &partialState{size: o.Blob.Size, used: s.cfg.Now(), open: true}
	return nil
}

// openPartial opens the files, which are there or not.
func (s *Store) openPartial(o cloud.Outline) (*Partial, error) {
	dir := s.partialDir(o.Blob.Digest)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	raw, err := chunk.Append(nil, o)
	if err != nil {
		return nil, err
	}
	if err := s.writeFile(filepath.Join(dir, "outline"), raw); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "data"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(o.Blob.Size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	p := &Partial{store: s, outline: o, file: file, again: map[[32]byte][]int{}}
	p.offsets, p.have, p.left = make([]int64, len(o.Chunks)), make([]bool, len(o.Chunks)), len(o.Chunks)
	first := make(map[[32]byte]bool, len(o.Chunks))
	var offset int64
	for i, c := range o.Chunks {
		p.offsets[i] = offset
		offset += int64(c.Size)
		if first[c.Sum] {
			p.again[c.Sum] = append(p.again[c.Sum], i)
		}
		first[c.Sum] = true
	}
	p.follow = newFollower(p)
	p.resume()
	return p, nil
}

// resume finds the chunks that are on the disk. What was never written is
// skipped.
func (p *Partial) resume() {
	buffer := make([]byte, chunk.Max)
	data := int64(-1) // from where on something was written, as far as asked
	for i, c := range p.outline.Chunks {
		end := p.offsets[i] + int64(c.Size)
		if data < p.offsets[i] {
			at, err := unix.Seek(int(p.file.Fd()), p.offsets[i], unix.SEEK_DATA)
			if errors.Is(err, unix.ENXIO) {
				return // nothing more
			}
			if err == nil {
				data = at
			}
		}
		if data >= end {
			continue
		}
		if _, err := p.file.ReadAt(buffer[:c.Size], p.offsets[i]); err == nil && sha256.Sum256(buffer[:c.Size]) == c.Sum {
			p.mark(i, chunk.Fits(buffer[:c.Size], false) || p.fitsLast(i, buffer[:c.Size]))
		}
	}
}

// Outline is what the blob is fetched by.
func (p *Partial) Outline() cloud.Outline { return p.outline }

// Missing gives the numbers of the chunks that are not there yet, in order.
func (p *Partial) Missing() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := make([]int, 0, p.left)
	for i, have := range p.have {
		if !have {
			missing = append(missing, i)
		}
	}
	return missing
}

// Left is how many chunks are missing.
func (p *Partial) Left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Has tells whether a chunk is there: what is written once fills all places
// that it has in the blob.
func (p *Partial) Has(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return i >= 0 && i < len(p.have) && p.have[i]
}

// Write takes a chunk, wherever in the blob it comes, and gives how many
// bytes of the blob are there for it that were not before. ErrLied if it does
// not have its sum, ErrFull.
func (p *Partial) Write(i int, content []byte) (int64, error) {
	if i < 0 || i >= len(p.outline.Chunks) {
		return 0, fmt.Errorf("%w: %s has no chunk %d", chunk.ErrMalformed, p.outline.Blob.Digest, i)
	}
	c := p.outline.Chunks[i]
	if len(content) != int(c.Size) || sha256.Sum256(content) != c.Sum {
		return 0, fmt.Errorf("%w: chunk %d of %s does not have its sum", cloud.ErrLied, i, p.outline.Blob.Digest)
	}
	if p.Has(i) {
		return 0, nil
	}
	within := chunk.Fits(content, false)
	var added int64
	for _, at := range append([]int{i}, p.again[c.Sum]...) {
		if p.Has(at) {
			continue
		}
		if _, err := p.file.WriteAt(content, p.offsets[at]); err != nil {
			return added, fmt.Errorf("write chunk: %w", full(err))
		}
		if p.mark(at, within || p.fitsLast(at, content)) {
			added += int64(c.Size)
		}
	}
	return added, nil
}

// fitsLast: the last chunk need not end where another would.
func (p *Partial) fitsLast(i int, content []byte) bool {
	return i == len(p.outline.Chunks)-1 && chunk.Fits(content, true)
}

// mark a chunk as there, and whether the protocol cuts it.
func (p *Partial) mark(i int, fits bool) (fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have[i] {
		return false
	}
	p.have[i] = true
	p.left--
	p.odd = p.odd || !fits
	p.follow.wake()
	return true
}

// Commit makes the blob one of the store, on disk, once all its chunks are
// there. ErrLied if they are not the blob, though each of them fits the
// outline: then nothing of it is left.
func (p *Partial) Commit() error {
	if missing := p.Left(); missing > 0 {
		return fmt.Errorf("%s lacks %d chunks", p.outline.Blob.Digest, missing)
	}
	err := p.follow.finish()
	if errors.Is(err, errDamaged) {
		lied := fmt.Errorf("%w: the outline of %s fits its chunks and not its digest", cloud.ErrLied, p.outline.Blob.Digest)
		return errors.Join(lied, p.Abort())
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", p.outline.Blob.Digest, full(err))
	}
	o := p.outline
	p.mu.Lock()
	odd := p.odd
	p.mu.Unlock()
	if odd {
		// Others would take us for a liar if we passed this on.
		p.store.log.Warn("outline does not cut as the protocol does; cutting the blob again", "blob", o.Blob.Digest)
		if _, err := p.file.Seek(0, 0); err != nil {
			return err
		}
		if o, err = cutFile(context.Background(), p.file, o.Blob); err != nil {
			return err
		}
	}
	if err := p.store.install(p.file.Name(), o); err != nil {
		return err
	}
	return p.end(true)
}

// Close stops and leaves what is there for the next.
func (p *Partial) Close() error { return p.end(false) }

// Abort stops and leaves nothing.
func (p *Partial) Abort() error { return p.end(true) }

// end may be called again.
func (p *Partial) end(forGood bool) error {
	p.mu.Lock()
	ended := p.ended
	p.ended = true
	p.mu.Unlock()
	if ended {
		return nil
	}
	p.follow.stop()
	return errors.Join(p.file.Close(), p.store.endPartial(p.outline.Blob.Digest, forGood))
}

func (s *Store) endPartial(digest uai.Digest, forGood bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if forGood {
		return s.removePartial(digest)
	}
	state := s.partials[digest]
	state.open, state.used = false, s.cfg.Now()
	return nil
}

// removePartial is called under the lock.
func (s *Store) removePartial(digest uai.Digest) error {
	state := s.partials[digest]
	delete(s.partials, digest)
	s.reserved -= uint64(state.size)
	if err := os.RemoveAll(s.partialDir(digest)); err != nil {
		return fmt.Errorf("remove partial blob: %w", err)
	}
	return nil
}
