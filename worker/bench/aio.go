package bench

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// aioQueue has several reads and writes of one file under way at once without
// a thread for each, whose changing over would cost more than a fast disk
// takes for a page. It is Linux's own asynchronous I/O, which works on every
// file that is open for direct I/O.
type aioQueue struct {
	context uintptr
	fd      int
	ready   []*iocb
	flying  int
	events  [depth]ioEvent
}

// errNoAIO: the kernel, or what a container is fenced with, has none.
var errNoAIO = errors.New("the system has no asynchronous I/O")

// iocb and ioEvent are the kernel's structures (linux/aio_abi.h), for machines
// that keep the low byte first.
type iocb struct {
	data      uint64
	_         [2]uint32 // key, flags of the operation
	operation uint16
	_         int16 // priority
	fd        uint32
	buffer    uint64
	length    uint64
	offset    int64
	_         [2]uint64 // reserved, flags, descriptor to tell
}

type ioEvent struct {
	data   uint64
	_      uint64 // the request's place in memory
	result int64
	_      int64
}

// The operations of an iocb.
const (
	aioRead  = 0
	aioWrite = 1
)

func newAIO(fd int) (*aioQueue, error) {
	q := &aioQueue{fd: fd}
	_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, depth, uintptr(unsafe.Pointer(&q.context)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("%w: %w", errNoAIO, errno)
	}
	return q, nil
}

// close waits for what is under way, so that buffers may be given back after.
func (q *aioQueue) close() {
	_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, q.context, 0, 0) // fails only for a queue that is none
}

// put queues a request; number comes back with its end. The buffer must not be
// the garbage collector's.
func (q *aioQueue) put(number int, operation uint16, page buffer, offset int64) {
	q.ready = append(q.ready, &iocb{
		data: uint64(number), operation: operation, fd: uint32(q.fd),
		buffer: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(page)))), length: uint64(len(page)), offset: offset,
	})
}

// submit starts all that was put.
func (q *aioQueue) submit() error {
	for len(q.ready) > 0 {
		n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, q.context, uintptr(len(q.ready)), uintptr(unsafe.Pointer(&q.ready[0])))
		if errno == unix.EINTR || errno == unix.EAGAIN {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("start reads and writes: %w", errno)
		}
		q.flying += int(n)
		q.ready = q.ready[n:]
	}
	q.ready = q.ready[:0]
	return nil
}

// ended calls done for each request that has ended, after waiting for one, but
// no longer than a while.
func (q *aioQueue) ended(wait time.Duration, done func(number int) error) error {
	limit := unix.NsecToTimespec(int64(wait))
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, q.context, 1, depth,
		uintptr(unsafe.Pointer(&q.events[0])), uintptr(unsafe.Pointer(&limit)), 0)
	if errno == unix.EINTR {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("wait for reads and writes: %w", errno)
	}
	q.flying -= int(n)
	for _, event := range q.events[:n] {
		switch {
		case event.result < 0:
			return fmt.Errorf("page of the scratch file: %w", unix.Errno(-event.result))
		case event.result != pageBytes:
			return fmt.Errorf("page of the scratch file: %d of %d bytes", event.result, pageBytes)
		}
		if err := done(int(event.data)); err != nil {
			return err
		}
	}
	return nil
}
