package images

import (
	"context"
	"time"

	"github.com/isuncoin/isuncoin/uai"
)

// DefaultSpare is how long an image stays that nothing runs any more: the next
// lease of it starts at once, and a disk is not full for good of what was
// popular once.
const DefaultSpare = 24 * time.Hour

// Tidier removes from the engine what is needed no longer. It is for one
// goroutine.
type Tidier struct {
	store *Store
	spare time.Duration
	clock func() time.Duration
	// idle says since when an image has not been needed.
	idle map[uai.Digest]time.Duration
}

// NewTidier tidies up after a store, by a monotonic clock; spare 0 means
// DefaultSpare.
func NewTidier(store *Store, spare time.Duration, clock func() time.Duration) *Tidier {
	if spare == 0 {
		spare = DefaultSpare
	}
	return &Tidier{store: store, spare: spare, clock: clock, idle: map[uai.Digest]time.Duration{}}
}

// Tidy removes the images whose digests are not needed: private ones at once,
// for they lie there decrypted, and others when nobody has needed them for the
// spare time.
func (t *Tidier) Tidy(ctx context.Context, needed map[string]bool) error {
	now, keep, idle := t.clock(), map[string]bool{}, map[uai.Digest]time.Duration{}
	for digest, image := range t.store.records.all() {
		if needed[digest.String()] {
			keep[digest.String()] = true
			continue
		}
		since, known := t.idle[digest]
		if !known {
			since = now
		}
		idle[digest] = since
		keep[digest.String()] = image.Subject == "" && now-since < t.spare
	}
	t.idle = idle
	return t.store.Prune(ctx, keep)
}
