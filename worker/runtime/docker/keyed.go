package docker

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// keyedMutex locks one placement without holding up the others. Locks of
// placements that nobody uses take no memory.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[runtime.ID]*keyedLock
}

type keyedLock struct {
	mu    sync.Mutex
	users int
}

// lock returns the function that unlocks.
func (k *keyedMutex) lock(id runtime.ID) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[runtime.ID]*keyedLock{}
	}
	l, ok := k.locks[id]
	if !ok {
		l = &keyedLock{}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, id)
		}
	}
}

// isDialError is true for a connection that was refused, reset or cut: the
// engine is gone or going.
func isDialError(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}
