package bench

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pages says how the system should lay out a buffer. Left to itself it decides
// by what memory happens to be in one piece, and figures differ from run to
// run.
type pages int

const (
	smallPages pages = unix.MADV_NOHUGEPAGE
	hugePages  pages = unix.MADV_HUGEPAGE
)

// buffer is memory outside the garbage collector's, at the start of a page,
// given back as soon as it is freed.
type buffer []byte

func newBuffer(size int, p pages) (buffer, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("%d MiB of memory to measure with: %w", size>>20, err)
	}
	_ = unix.Madvise(b, int(p)) // a kernel without huge pages has small ones
	return b, nil
}

func (b buffer) free() {
	if b != nil {
		_ = unix.Munmap(b) // it was mapped just so, which cannot fail
	}
}

// of is the buffer as elements of a type without pointers.
func of[T any](b buffer) []T {
	var element T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(element)))
}
