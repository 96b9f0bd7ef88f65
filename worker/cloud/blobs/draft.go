package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync/atomic"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// Draft is a blob that is being written. It is for one writer, and survives
// no restart. Commit or Abort must be called.
type Draft struct {
	store *Store
	ended bool
	// cancelled when the context that it was begun with ended.
	cancelled atomic.Bool
	unwatch   func() bool
	file      *os.File
	hash      hash.Hash
	cutter    *chunk.Cutter
	size      int64
	reserved  int64
	err       error // what Write failed with
}

// reserveStep is how much room a draft of unknown size asks for at a time, in
// bytes.
const reserveStep = 4 << 20

// Create begins a draft. When the context ends, writing to it and
// committing it fail.
func (s *Store) Create(ctx context.Context) (*Draft, error) {
	file, err := os.CreateTemp(s.path("tmp"), "draft-")
	if err != nil {
		return nil, fmt.Errorf("begin blob: %w", full(err))
	}
	d := &Draft{store: s, file: file, hash: sha256.New(), cutter: chunk.NewCutter()}
	d.unwatch = context.AfterFunc(ctx, func() { d.cancelled.Store(true) })
	return d, nil
}

// Size is how many bytes were written.
func (d *Draft) Size() int64 { return d.size }

// reserve has room for so many bytes in all.
func (d *Draft) reserve(total int64) error {
	if total > chunk.MaxBlob {
		return fmt.Errorf("%w: a blob has at most %d bytes", uai.ErrTooLarge, int64(chunk.MaxBlob))
	}
	if total <= d.reserved {
		return nil
	}
	if err := d.store.reserve(total - d.reserved); err != nil {
		return err
	}
	d.reserved = total
	return nil
}

// Write implements io.Writer. ErrFull, uai.ErrTooLarge.
func (d *Draft) Write(p []byte) (int, error) {
	if d.err == nil && d.cancelled.Load() {
		d.err = context.Canceled
	}
	if need := d.size + int64(len(p)); d.err == nil && need > d.reserved {
		if d.err = d.reserve(need + reserveStep); errors.Is(d.err, cloud.ErrFull) {
			d.err = d.reserve(need)
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.file.Write(p)
	d.size += int64(n)
	d.hash.Write(p[:n])
	_, _ = d.cutter.Write(p[:n]) // does not fail
	if err != nil {
		d.err = fmt.Errorf("write blob: %w", full(err))
	}
	return n, d.err
}

// Commit ends the draft: what was written is a blob of the store, on disk,
// or Commit fails and nothing of it is left. want may be empty. ErrLied if
// the content has another digest.
func (d *Draft) Commit(want uai.Digest) (cloud.Blob, error) {
	blob := cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(d.hash.Sum(nil))), Size: d.size}
	if d.err == nil && d.cancelled.Load() {
		d.err = context.Canceled
	}
	if d.err == nil && want != "" && want != blob.Digest {
		d.err = fmt.Errorf("%w: content is %s, not %s", cloud.ErrLied, blob.Digest, want)
	}
	if d.err == nil {
		d.err = d.commit(blob)
	}
	return blob, errors.Join(d.err, d.end())
}

func (d *Draft) commit(blob cloud.Blob) error {
	if _, err := d.store.Stat(blob.Digest); err == nil {
		return nil
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("write blob: %w", full(err))
	}
	chunks, err := d.cutter.Finish()
	if err != nil {
		return err
	}
	return d.store.install(d.file.Name(), cloud.Outline{Blob: blob, Chunks: chunks})
}

// Abort gives the draft up. It may follow Commit.
func (d *Draft) Abort() error { return d.end() }

func (d *Draft) end() error {
	if d.ended {
		return nil
	}
	d.ended = true
	d.unwatch()
	d.cutter.Abort()
	d.store.release(d.reserved)
	return errors.Join(d.file.Close(), remove(d.file.Name()))
}

// Put stores what a reader gives, to its end. It is a blob of the store when
// Put returns, on disk, and nothing is left if Put fails. want.Size is -1 if
// it is not known. ErrFull, ErrLied if the content is not as wanted.
func (s *Store) Put(ctx context.Context, r io.Reader, want cloud.Blob) (err error) {
	if want.Digest == "" {
		return fmt.Errorf("%w: no digest", uai.ErrMalformed)
	}
	d, err := s.Create(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Abort()) }()
	from := r
	if want.Size >= 0 {
		if err := d.reserve(want.Size); err != nil {
			return err
		}
		from = io.LimitReader(r, want.Size+1) // one more shows that there are too many
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{d}, &contextReader{ctx: ctx, from: from}, make([]byte, copyBuffer)); err != nil {
		return fmt.Errorf("put %s: %w", want.Digest, err)
	}
	if want.Size >= 0 && d.Size() != want.Size {
		return fmt.Errorf("%w: %s does not have %d bytes", cloud.ErrLied, want.Digest, want.Size)
	}
	_, err = d.Commit(want.Digest)
	return err
}

// install makes a synced file a blob. The outline goes first, so that it is
// there when the blob is.
func (s *Store) install(path string, o cloud.Outline) error {
	if len(o.Chunks) > 1 {
		raw, err := chunk.Append(nil, o)
		if err != nil {
			return err
		}
		if err := s.writeFile(s.outlinePath(o.Blob.Digest), raw); err != nil {
			return fmt.Errorf("write outline: %w", err)
		}
	}
	fresh, err := s.moveIn(path, o.Blob)
	if err != nil || !fresh {
		return err
	}
	s.addToIndex(o, nil)
	return nil
}

// moveIn is under the lock, so that a removal of the same blob comes before
// or after it.
func (s *Store) moveIn(path string, blob cloud.Blob) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[blob.Digest] != nil {
		return false, nil
	}
	if err := moveFile(path, s.blobPath(blob.Digest)); err != nil {
		return false, fmt.Errorf("store blob: %w", err)
	}
	s.blobs[blob.Digest] = &held{size: blob.Size, since: s.cfg.Now()}
	s.used += uint64(blob.Size)
	return true, nil
}
