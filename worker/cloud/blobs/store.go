// Package blobs is a node's or a tenant's store of blobs. Its folder:
//
//	blobs/sha256/HEX     whole blobs; what is here has been verified
//	outlines/HEX         how blobs of more than one chunk are cut
//	roots/HEX            the blobs of a tree and whether it is pinned; the time of the file is that of its last use
//	partials/HEX/        a blob that is being fetched: outline and data
//	tmp/                 drafts; emptied at start
//	index.db, index.state  where chunks are; made anew from the rest if lost
//	lock                 held by the one process that has the store open
//
// Whatever happens, a file of the first three kinds is whole or not there: it
// is written elsewhere, synced and renamed. Everything else can be lost.
package blobs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Sentinels that callers decide by, besides those of package cloud.
var (
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("store is in use by another process")
	// ErrBusy: the partial blob is open already; see Store.Acquire.
	ErrBusy = errors.New("blob is being fetched already")
	// ErrHeld: the blob is here whole, so there is nothing to fetch.
	ErrHeld = errors.New("blob is held already")
	// ErrReferenced: a root needs the blob.
	ErrReferenced = errors.New("blob belongs to a root")
)

// Grace is how long a blob that belongs to no root is kept at least, and a
// partial blob that nobody goes on with: a tree is only complete when its
// last blob has come.
const Grace = time.Hour

// Config of a store.
type Config struct {
	// Dir is the store's folder, made if it does not exist.
	Dir string
	// LimitBytes bounds what blobs take; 0 means that only the disk does.
	LimitBytes uint64
	// Logger is told of damage and of what was dropped; nil discards.
	Logger *slog.Logger
	// Now is the clock of last uses; nil means the system's.
	Now func() time.Time
	// Proc is where /proc is mounted; empty means /proc. The boot's id tells
	// whether an index that was not closed can be trusted.
	Proc string
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	cfg   Config
	log   *slog.Logger
	lock  *os.File
	index *index

	mu    sync.Mutex
	blobs map[uai.Digest]*held
	// used are the bytes of blobs, reserved those promised to drafts and partial blobs.
	used, reserved uint64
	roots          map[uai.Digest]*root
	partials       map[uai.Digest]*partialState
	kept           map[uai.Digest]int
	acquired       map[uai.Digest]chan struct{}
}

var _ cloud.Library = (*Store)(nil)

// held is a whole blob.
type held struct {
	size  int64
	roots int       // how many roots have it
	since time.Time // when it came, or when its last root went
}

// Open opens the store of a folder, and begins it if there is none. ErrInUse.
func Open(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, blobs: map[uai.Digest]*held{}, roots: map[uai.Digest]*root{},
		partials: map[uai.Digest]*partialState{}, kept: map[uai.Digest]int{}, acquired: map[uai.Digest]chan struct{}{},
	}
	if err := s.lockFolder(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Dir, err), s.lock.Close())
	}
	return s, nil
}

func (s *Store) lockFolder() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("open store: %w", full(err))
	}
	path := filepath.Join(s.cfg.Dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open store: %w", full(err))
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s; end that process, or name another folder", ErrInUse, s.cfg.Dir)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	s.lock = file
	return nil
}

// load finds out what the folder has.
func (s *Store) load() error {
	if err := os.RemoveAll(s.path("tmp")); err != nil {
		return err
	}
	for _, dir := range []string{"blobs/sha256", "outlines", "roots", "partials", "tmp"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return full(err)
		}
	}
	if err := s.loadBlobs(); err != nil {
		return err
	}
	if err := s.loadPartials(); err != nil {
		return err
	}
	if err := s.loadRoots(); err != nil {
		return err
	}
	boot := ""
	if clock, err := bootclock.New(s.cfg.Proc); err == nil {
		boot = clock.Boot()
	}
	var err error
	if s.index, err = openIndex(s.path("index.db"), s.path("index.state"), boot, s.log); err != nil {
		return err
	}
	if err := s.reindex(); err != nil {
		return errors.Join(err, s.index.close())
	}
	return nil
}

func (s *Store) loadBlobs() error {
	return s.each("blobs/sha256", func(digest uai.Digest, entry fs.DirEntry) error {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file: remove it", s.blobPath(digest))
		}
		s.blobs[digest] = &held{size: info.Size(), since: info.ModTime()}
		s.used += uint64(info.Size())
		return nil
	})
}

// each visits the entries of a folder that are named by a digest.
func (s *Store) each(dir string, visit func(uai.Digest, fs.DirEntry) error) error {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		digest, err := uai.ParseDigest("sha256:" + entry.Name())
		if err != nil {
			s.log.Warn("store has a file that it did not write", "path", filepath.Join(s.path(dir), entry.Name()))
			continue
		}
		if err := visit(digest, entry); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the use of the store. Partial blobs stay for the next.
func (s *Store) Close() error { return errors.Join(s.index.close(), s.lock.Close()) }

func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

func (s *Store) blobPath(d uai.Digest) string {
	return filepath.Join(s.cfg.Dir, "blobs/sha256", d.Hex())
}

func (s *Store) outlinePath(d uai.Digest) string {
	return filepath.Join(s.cfg.Dir, "outlines", d.Hex())
}

// notHeld says what is missing.
func notHeld(d uai.Digest) error { return fmt.Errorf("%w: %s", cloud.ErrNotHeld, d) }
