package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"syscall"
)

// bbolt trusts its pages: a tree that leads back into itself, as a torn write
// may leave it, has it descend until memory is full. So the pages are walked
// here first, by bbolt's file format (version 2), and only a sound tree is
// handed to it.
const (
	pageHeader    = 16 // id, flags, count, overflow
	pageElement   = 16
	bucketHeader  = 16 // root, sequence
	metaLength    = 64 // of which the last 8 are the checksum of the rest
	flagBranch    = 0x01
	flagLeaf      = 0x02
	flagFreelist  = 0x10
	elementBucket = 0x01 // flag of a leaf's element that is a bucket
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	// noFreelist in place of a page: the list is not kept in the file.
	noFreelist = ^uint64(0)
	// countAhead in place of a count: the first entry is the count.
	countAhead = 0xFFFF
)

// checkPages says whether bbolt may be trusted with a file. It takes nothing
// from a worker that has the journal open: bbolt finds that out by itself.
func checkPages(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if len(content) == 0 {
		return nil
	}
	t, err := newTree(content)
	if err != nil {
		return err
	}
	if err := t.freelist(); err != nil {
		return err
	}
	return t.page(t.root)
}

// tree is a file's newest state.
type tree struct {
	content        []byte
	size           uint64 // of a page
	root, free     uint64
	pages          uint64 // how many there are by the head
	transaction    uint64
	seen           map[uint64]bool
	headIsComplete bool
}

// newTree reads the newer of the two heads that are whole.
func newTree(content []byte) (*tree, error) {
	t := &tree{content: content, seen: make(map[uint64]bool)}
	t.head(0)
	second := t.size
	if second == 0 {
		second = uint64(os.Getpagesize())
	}
	t.head(second)
	if !t.headIsComplete {
		return nil, fmt.Errorf("%w: neither of its heads is whole", errDamaged)
	}
	return t, nil
}

func (t *tree) head(at uint64) {
	if uint64(len(t.content)) < at+pageHeader+metaLength {
		return
	}
	meta := t.content[at+pageHeader : at+pageHeader+metaLength]
	sum := fnv.New64a()
	sum.Write(meta[:metaLength-8])
	transaction := binary.LittleEndian.Uint64(meta[48:])
	if binary.LittleEndian.Uint32(meta) != boltMagic || binary.LittleEndian.Uint32(meta[4:]) != boltVersion ||
		binary.LittleEndian.Uint64(meta[56:]) != sum.Sum64() || t.headIsComplete && transaction < t.transaction {
		return
	}
	t.headIsComplete, t.transaction = true, transaction
	t.size = uint64(binary.LittleEndian.Uint32(meta[8:]))
	t.root, t.free = binary.LittleEndian.Uint64(meta[16:]), binary.LittleEndian.Uint64(meta[32:])
	t.pages = binary.LittleEndian.Uint64(meta[40:])
}

func damagedPage(number uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", errDamaged, number, what)
}

// read finds a page that nothing else has led to, with its overflow.
func (t *tree) read(number uint64) (page []byte, flags uint16, count int, err error) {
	files := uint64(len(t.content)) / max(t.size, 1)
	if t.size < 512 || number >= t.pages || number >= files {
		return nil, 0, 0, damagedPage(number, "is beyond the end")
	}
	start := number * t.size
	header := t.content[start:]
	overflow := uint64(binary.LittleEndian.Uint32(header[12:]))
	if number+overflow >= min(t.pages, files) {
		return nil, 0, 0, damagedPage(number, "goes beyond the end")
	}
	for i := range overflow + 1 {
		if t.seen[number+i] {
			return nil, 0, 0, damagedPage(number+i, "is in two places")
		}
		t.seen[number+i] = true
	}
	if binary.LittleEndian.Uint64(header) != number {
		return nil, 0, 0, damagedPage(number, "is another one")
	}
	return t.content[start : start+(overflow+1)*t.size], binary.LittleEndian.Uint16(header[8:]),
		int(binary.LittleEndian.Uint16(header[10:])), nil
}

func (t *tree) freelist() error {
	if t.free == noFreelist {
		return nil
	}
	page, flags, count, err := t.read(t.free)
	if err != nil {
		return err
	}
	entries := uint64(count)
	if count == countAhead {
		entries = binary.LittleEndian.Uint64(page[pageHeader:]) // a count of its own takes a place too
	}
	if flags != flagFreelist || entries > uint64(len(page)-pageHeader)/8 {
		return damagedPage(t.free, "is no list of free pages")
	}
	return nil
}

// page walks a branch or a leaf, and all below it.
func (t *tree) page(number uint64) error {
	page, flags, count, err := t.read(number)
	if err != nil {
		return err
	}
	return t.elements(number, page, flags, count)
}

func (t *tree) elements(number uint64, page []byte, flags uint16, count int) error {
	if flags != flagBranch && flags != flagLeaf || flags == flagBranch && count == 0 || pageHeader+count*pageElement > len(page) {
		return damagedPage(number, "is neither a branch nor a leaf")
	}
	for i := range count {
		at := pageHeader + i*pageElement
		element := page[at : at+pageElement]
		if flags == flagBranch {
			if !within(page, at, binary.LittleEndian.Uint32(element), binary.LittleEndian.Uint32(element[4:]), 0) {
				return damagedPage(number, "has a key beyond its end")
			}
			if err := t.page(binary.LittleEndian.Uint64(element[8:])); err != nil {
				return err
			}
			continue
		}
		position, key, value := binary.LittleEndian.Uint32(element[4:]), binary.LittleEndian.Uint32(element[8:]), binary.LittleEndian.Uint32(element[12:])
		if !within(page, at, position, key, value) {
			return damagedPage(number, "has a value beyond its end")
		}
		if binary.LittleEndian.Uint32(element)&elementBucket != 0 {
			from := at + int(position) + int(key)
			if err := t.bucket(number, page[from:from+int(value)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// within says whether a key and its value lie inside a page; positions count
// from the element.
func within(page []byte, at int, position, key, value uint32) bool {
	return uint64(at)+uint64(position)+uint64(key)+uint64(value) <= uint64(len(page))
}

// bucket walks a bucket's own tree, or the one page that it holds itself.
func (t *tree) bucket(number uint64, value []byte) error {
	if len(value) < bucketHeader {
		return damagedPage(number, "has a bucket without a head")
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return t.page(root)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return damagedPage(number, "has a bucket without a page")
	}
	return t.elements(number, inline, flagLeaf, int(binary.LittleEndian.Uint16(inline[10:])))
}
