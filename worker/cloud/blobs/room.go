package blobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Usage is what a store takes, in bytes. Outlines and the index, a
// thousandth of it, are not counted.
type Usage struct {
	// Used by blobs, and promised to those that are being written.
	Used uint64 `json:"used"`
	// Limit as configured; 0 means none.
	Limit uint64 `json:"limit"`
	// Pinned is the part of Used that pinned roots need.
	Pinned uint64 `json:"pinned"`
}

// Usage tells what the store takes.
func (s *Store) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage()
}

func (s *Store) usage() Usage {
	u := Usage{Used: s.used + s.reserved, Limit: s.cfg.LimitBytes}
	counted := map[uai.Digest]bool{}
	for _, r := range s.roots {
		for _, b := range r.blobs {
			if h := s.blobs[b.Digest]; r.pinned && h != nil && !counted[b.Digest] {
				counted[b.Digest] = true
				u.Pinned += uint64(h.size)
			}
		}
	}
	return u
}

// reserve promises room, dropping what was not used for longest. If that does
// not make enough of it, nothing is dropped. ErrFull.
func (s *Store) reserve(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserveLocked(size)
}

func (s *Store) reserveLocked(size int64) error {
	if limit := s.cfg.LimitBytes; limit > 0 && s.used+s.reserved+uint64(size) > limit {
		victims, ok := s.victims(s.used + s.reserved + uint64(size) - limit)
		if !ok {
			u := s.usage()
			return fmt.Errorf("%w: %d bytes do not fit: %d of %d are taken, %d of them pinned", cloud.ErrFull, size, u.Used, u.Limit, u.Pinned)
		}
		for _, v := range victims {
			if err := v.drop(); err != nil {
				return fmt.Errorf("make room: %w", err)
			}
		}
	}
	s.reserved += uint64(size)
	return nil
}

func (s *Store) release(size int64) {
	s.mu.Lock()
	s.reserved -= uint64(size)
	s.mu.Unlock()
}

// victim is something that can be dropped to make room.
type victim struct {
	used time.Time
	name uai.Digest // of the root, blob or partial blob
	root *root      // nil if it is none
	free uint64     // what a blob or partial blob frees
	drop func() error
}

// victims chooses what to drop, the oldest first, until enough bytes are
// free. A blob goes when its last root does.
func (s *Store) victims(need uint64) ([]victim, bool) {
	all := append(s.unpinned(), s.idle()...)
	slices.SortFunc(all, func(a, b victim) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name))
	})
	var freed uint64
	gone := map[uai.Digest]int{} // roots of a blob that go
	for i, v := range all {
		freed += v.free
		if v.root != nil {
			for _, b := range v.root.blobs {
				gone[b.Digest]++
				if h := s.blobs[b.Digest]; h != nil && h.roots == gone[b.Digest] && s.kept[b.Digest] == 0 {
					freed += uint64(h.size)
				}
			}
		}
		if freed >= need {
			return all[:i+1], true
		}
	}
	return nil, false
}

func (s *Store) unpinned() []victim {
	var all []victim
	for digest, r := range s.roots {
		if !r.pinned {
			all = append(all, victim{used: r.used, name: digest, root: r, drop: func() error {
				s.log.Info("root is dropped to make room", "root", digest, "used", r.used)
				return s.removeRoot(digest)
			}})
		}
	}
	return all
}

// idle are blobs without a root and partial blobs that nobody fetches, once
// their grace is over.
func (s *Store) idle() []victim {
	var all []victim
	before := s.cfg.Now().Add(-Grace)
	for digest, h := range s.blobs {
		if h.roots == 0 && s.kept[digest] == 0 && h.since.Before(before) {
			all = append(all, victim{used: h.since, name: digest, free: uint64(h.size), drop: func() error { return s.removeBlob(digest) }})
		}
	}
	for digest, p := range s.partials {
		if !p.open && p.used.Before(before) {
			all = append(all, victim{used: p.used, name: digest, free: uint64(p.size), drop: func() error { return s.removePartial(digest) }})
		}
	}
	return all
}

// Keep has blobs stay, held or still to come, until release is called, though
// they belong to no root yet. It does not outlive the process.
func (s *Store) Keep(digests []uai.Digest) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range digests {
		s.kept[d]++
	}
	released := false
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if released {
			return
		}
		released = true
		for _, d := range digests {
			if s.kept[d]--; s.kept[d] == 0 {
				delete(s.kept, d)
			}
		}
	}
}

// Acquire has one at a time work on a blob: who waits finds the blob held, or
// goes on with what the other left. Call release when done.
func (s *Store) Acquire(ctx context.Context, digest uai.Digest) (release func(), err error) {
	for {
		s.mu.Lock()
		busy := s.acquired[digest]
		if busy == nil {
			mine := make(chan struct{})
			s.acquired[digest] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.acquired[digest] == mine {
					delete(s.acquired, digest)
					close(mine)
				}
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Remove drops a blob that no root needs. ErrNotHeld, ErrReferenced.
func (s *Store) Remove(digest uai.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.blobs[digest]
	if h == nil {
		return notHeld(digest)
	}
	if h.roots > 0 {
		return fmt.Errorf("%w: %s", ErrReferenced, digest)
	}
	return s.removeBlob(digest)
}

// removeBlob is called under the lock. The index forgets first: a blob that
// it does not know is added to it at the next start.
func (s *Store) removeBlob(digest uai.Digest) error {
	h := s.blobs[digest]
	o, err := s.readOutline(s.outlinePath(digest), cloud.Blob{Digest: digest, Size: h.size})
	if err != nil {
		o = cloud.Outline{Blob: cloud.Blob{Digest: digest}} // without one there is less to forget
	}
	if s.index != nil {
		if err := s.index.forget(o); err != nil {
			s.log.Warn("index of chunks keeps a blob that is gone", "blob", digest, "error", err)
		}
	}
	if err := os.Remove(s.blobPath(digest)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove blob: %w", err)
	}
	delete(s.blobs, digest)
	s.used -= uint64(h.size)
	return remove(s.outlinePath(digest))
}

// drop removes a blob that is damaged, and the roots that need it.
func (s *Store) drop(digest uai.Digest) (lost []uai.Digest, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.roots {
		if r.has(digest) {
			lost = append(lost, name)
		}
	}
	for _, name := range lost {
		if err := s.loosen(name); err != nil {
			return lost, err
		}
	}
	if s.blobs[digest] == nil {
		return lost, nil
	}
	return lost, s.removeBlob(digest)
}
