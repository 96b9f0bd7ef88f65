package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// follower hashes a partial blob from its beginning as far as it is there,
// while the rest comes: so there is little left to do at its end.
type follower struct {
	partial *Partial
	more    *sync.Cond // with the partial blob's lock
	stopped bool
	done    chan struct{}
	hash    hash.Hash
	err     error
}

// errEnded: the partial blob was closed or given up meanwhile.
var errEnded = errors.New("partial blob has ended")

func newFollower(p *Partial) *follower {
	f := &follower{partial: p, more: sync.NewCond(&p.mu), done: make(chan struct{}), hash: sha256.New()}
	go f.run()
	return f
}

// wake is called under the partial blob's lock when a chunk has come.
func (f *follower) wake() { f.more.Signal() }

func (f *follower) run() {
	defer close(f.done)
	buffer := make([]byte, chunk.Max)
	for i, c := range f.partial.outline.Chunks {
		if !f.wait(i) {
			return
		}
		content := buffer[:c.Size]
		if _, err := f.partial.file.ReadAt(content, f.partial.offsets[i]); err != nil {
			f.err = fmt.Errorf("read chunk: %w", err)
			return
		}
		f.hash.Write(content)
	}
}

// wait until a chunk is there; false if it will not be waited for.
func (f *follower) wait(i int) bool {
	f.partial.mu.Lock()
	defer f.partial.mu.Unlock()
	for !f.partial.have[i] && !f.stopped {
		f.more.Wait()
	}
	return !f.stopped
}

// finish waits for the end, once all chunks are there. errDamaged if the
// content is not the blob.
func (f *follower) finish() error {
	<-f.done
	f.partial.mu.Lock()
	stopped := f.stopped
	f.partial.mu.Unlock()
	if stopped {
		return errEnded
	}
	if f.err != nil {
		return f.err
	}
	if hex.EncodeToString(f.hash.Sum(nil)) != f.partial.outline.Blob.Digest.Hex() {
		return errDamaged
	}
	return nil
}

func (f *follower) stop() {
	f.partial.mu.Lock()
	f.stopped = true
	f.more.Signal()
	f.partial.mu.Unlock()
	<-f.done
}
