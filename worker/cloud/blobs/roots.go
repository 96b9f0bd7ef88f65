package blobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Root is a tree that is held whole.
type Root struct {
	Digest uai.Digest `json:"digest"`
	// Blobs of the tree, the root among them.
	Blobs []cloud.Blob `json:"blobs"`
	// Size is the sum of theirs, in bytes.
	Size int64 `json:"size"`
	// Pinned roots are not dropped to make room.
	Pinned bool `json:"pinned"`
	// Used is when it was last used.
	Used time.Time `json:"used"`
}

// root is the memory of a file in roots/.
type root struct {
	blobs  []cloud.Blob
	pinned bool
	used   time.Time
}

func (r *root) has(digest uai.Digest) bool {
	return slices.ContainsFunc(r.blobs, func(b cloud.Blob) bool { return b.Digest == digest })
}

// rootFile is what a file in roots/ says.
type rootFile struct {
	Pinned bool         `json:"pinned"`
	Blobs  []cloud.Blob `json:"blobs"`
}

func (s *Store) rootPath(d uai.Digest) string { return filepath.Join(s.cfg.Dir, "roots", d.Hex()) }

// loadRoots finds the trees. One that is not whole any more is none.
func (s *Store) loadRoots() error {
	return s.each("roots", func(digest uai.Digest, entry fs.DirEntry) error {
		r, err := s.readRoot(digest, entry)
		if err == nil {
			err = s.allHeld(digest, r.blobs)
		}
		if err != nil {
			s.log.Warn("root is dropped: it is not whole", "root", digest, "error", err)
			return remove(s.rootPath(digest))
		}
		s.addRoot(digest, r)
		return nil
	})
}

func (s *Store) readRoot(digest uai.Digest, entry fs.DirEntry) (*root, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(s.rootPath(digest))
	if err != nil {
		return nil, err
	}
	var f rootFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	return &root{blobs: f.Blobs, pinned: f.Pinned, used: info.ModTime()}, nil
}

// allHeld checks the blobs of a tree.
func (s *Store) allHeld(digest uai.Digest, blobs []cloud.Blob) error {
	for _, b := range blobs {
		h := s.blobs[b.Digest]
		if h == nil {
			return notHeld(b.Digest)
		}
		if h.size != b.Size {
			return fmt.Errorf("%w: %s has %d bytes, not %d", uai.ErrMismatch, b.Digest, h.size, b.Size)
		}
	}
	if !slices.ContainsFunc(blobs, func(b cloud.Blob) bool { return b.Digest == digest }) {
		return fmt.Errorf("%w: a tree without its root", uai.ErrMalformed)
	}
	return nil
}

func (s *Store) addRoot(digest uai.Digest, r *root) {
	s.roots[digest] = r
	for _, b := range r.blobs {
		s.blobs[b.Digest].roots++
	}
}

// SetRoot has the blobs of a tree kept together, the root's own among them.
// All must be held. A root that is there is used anew, and pinned if pin says
// so; only Unpin takes a pin away. ErrNotHeld, ErrFull.
func (s *Store) SetRoot(digest uai.Digest, blobs []cloud.Blob, pin bool) error {
	blobs = slices.Clone(blobs)
	slices.SortFunc(blobs, func(a, b cloud.Blob) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	blobs = slices.Compact(blobs)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allHeld(digest, blobs); err != nil {
		return fmt.Errorf("set root %s: %w", digest, err)
	}
	r := &root{blobs: blobs, pinned: pin, used: s.cfg.Now()}
	before := s.roots[digest]
	if before != nil {
		r.pinned = r.pinned || before.pinned
	}
	if err := s.writeRoot(digest, r); err != nil {
		return err
	}
	s.addRoot(digest, r)
	if before != nil {
		s.unref(before)
	}
	return nil
}

func (s *Store) writeRoot(digest uai.Digest, r *root) error {
	raw, err := json.Marshal(rootFile{Pinned: r.pinned, Blobs: r.blobs})
	if err != nil {
		return err
	}
	if err := s.writeFile(s.rootPath(digest), raw); err != nil {
		return fmt.Errorf("write root %s: %w", digest, err)
	}
	return os.Chtimes(s.rootPath(digest), r.used, r.used)
}

// unref counts a root off its blobs and gives those that have none left.
func (s *Store) unref(r *root) (loose []uai.Digest) {
	for _, b := range r.blobs {
		h := s.blobs[b.Digest]
		if h == nil {
			continue
		}
		if h.roots--; h.roots == 0 {
			h.since = s.cfg.Now()
			loose = append(loose, b.Digest)
		}
	}
	return loose
}

// Root gives a tree that is held. ErrNotHeld.
func (s *Store) Root(digest uai.Digest) (Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.roots[digest]
	if r == nil {
		return Root{}, notHeld(digest)
	}
	return r.public(digest), nil
}

func (r *root) public(digest uai.Digest) Root {
	p := Root{Digest: digest, Blobs: slices.Clone(r.blobs), Pinned: r.pinned, Used: r.used}
	for _, b := range r.blobs {
		p.Size += b.Size
	}
	return p
}

// Roots gives all trees, by digest.
func (s *Store) Roots() []Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Root, 0, len(s.roots))
	for digest, r := range s.roots {
		all = append(all, r.public(digest))
	}
	slices.SortFunc(all, func(a, b Root) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return all
}

// Pin has a tree never dropped to make room. ErrNotHeld.
func (s *Store) Pin(digest uai.Digest) error { return s.setPinned(digest, true) }

// Unpin takes the pin away. ErrNotHeld.
func (s *Store) Unpin(digest uai.Digest) error { return s.setPinned(digest, false) }

func (s *Store) setPinned(digest uai.Digest, pinned bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.roots[digest]
	if r == nil {
		return notHeld(digest)
	}
	if r.pinned == pinned {
		return nil
	}
	changed := *r
	changed.pinned = pinned
	if err := s.writeRoot(digest, &changed); err != nil {
		return err
	}
	*r = changed
	return nil
}

// Touch says that a tree is used now. ErrNotHeld.
func (s *Store) Touch(digest uai.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.roots[digest]
	if r == nil {
		return notHeld(digest)
	}
	r.used = s.cfg.Now()
	return os.Chtimes(s.rootPath(digest), r.used, r.used)
}

// RemoveRoot drops a tree, pinned or not, and those of its blobs that no
// other tree has. ErrNotHeld.
func (s *Store) RemoveRoot(digest uai.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeRoot(digest)
}

// removeRoot takes the root's file first: blobs that a crash leaves behind
// belong to no root and go later.
func (s *Store) removeRoot(digest uai.Digest) error {
	r := s.roots[digest]
	if r == nil {
		return notHeld(digest)
	}
	loose, err := s.takeRoot(digest, r)
	if err != nil {
		return err
	}
	for _, b := range loose {
		if s.kept[b] > 0 {
			continue
		}
		if err := s.removeBlob(b); err != nil {
			return err
		}
	}
	return nil
}

// loosen drops a root and keeps its blobs for their grace.
func (s *Store) loosen(digest uai.Digest) error {
	_, err := s.takeRoot(digest, s.roots[digest])
	return err
}

func (s *Store) takeRoot(digest uai.Digest, r *root) (loose []uai.Digest, err error) {
	path := s.rootPath(digest)
	if err := errors.Join(remove(path), syncDir(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("remove root: %w", err)
	}
	delete(s.roots, digest)
	return s.unref(r), nil
}
