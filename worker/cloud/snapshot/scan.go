package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/restic/chunker"
	"golang.org/x/sys/unix"
)

// clockSlack is more than the clock of inodes lags behind: one tick of the
// slowest kernel.
const clockSlack = 100 * time.Millisecond

// scanner walks a volume. The tree is a tenant's, who may change it meanwhile:
// every name is looked up in a folder that is held open, and no link is
// followed.
type scanner struct {
	ctx    context.Context
	packer *packer
	cutter *chunker.Chunker
	buffer []byte
	chunks [][]byte

	// before is how the tree was read before, by path.
	before map[string]*Entry
	// settledBefore: what changed earlier than that, in nanoseconds since 1970,
	// was on disk when the walk began, so that a later write shows.
	settledBefore int64
	// still: nothing may change under the walk.
	still   bool
	dev     uint64
	links   map[uint64]string
	entries []*Entry
	read    int64
	budget  *int
}

// scan reads one volume anew, taking what did not change from before.
func (s *scanner) scan(folder string) error {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("volume %s: %w", folder, err)
	}
	root := os.NewFile(uintptr(fd), folder)
	defer root.Close()
	if !s.still {
		// What was written through a mapping shows in the file's times when
		// the page is written to again after it was on disk, not before.
		s.settledBefore = time.Now().Add(-clockSlack).UnixNano()
		if err := unix.Syncfs(fd); err != nil {
			return fmt.Errorf("volume %s: sync: %w", folder, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("volume %s: %w", folder, err)
	}
	s.dev, s.links = st.Dev, map[uint64]string{}
	n := s.entry(KindFolder, ".", st)
	if n.Xattrs, err = xattrsOf(fd); err != nil {
		return err
	}
	s.entries = append(s.entries, n)
	return s.folder(root, "", 1)
}

// entry begins an entry from what the kernel says.
func (s *scanner) entry(kind Kind, path string, st unix.Stat_t) *Entry {
	ctime := st.Ctim.Nano()
	shows := ctime
	if ctime%int64(time.Second) == 0 {
		shows += int64(time.Second) // a file system that counts in seconds
	}
	return &Entry{
		Kind: kind, Path: path, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		MtimeSec: st.Mtim.Sec, MtimeNsec: uint32(st.Mtim.Nsec),
		sign: sign{ino: st.Ino, dev: st.Dev, ctime: ctime, settled: shows < s.settledBefore},
	}
}

func (s *scanner) folder(dir *os.File, prefix string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: folders are more than %d deep at %q", ErrTooLarge, maxDepth, prefix)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", prefix, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		err := s.one(dir, name, prefix+name, depth)
		if errors.Is(err, unix.ENOENT) && !s.still {
			continue // gone since it was listed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errSwapped: a name stands for something else than a moment ago.
var errSwapped = fmt.Errorf("swapped: %w", unix.ENOENT)

func (s *scanner) one(dir *os.File, name, path string, depth int) error {
	if len(path) > maxPathBytes {
		return fmt.Errorf("%w: a path has more than %d bytes: %q…", ErrTooLarge, maxPathBytes, path[:80])
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	if st.Dev != s.dev {
		return nil // another file system is no part of the volume
	}
	if *s.budget--; *s.budget < 0 {
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, MaxFiles)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return s.subfolder(dir, name, path, st, depth)
	case unix.S_IFREG:
		return s.file(dir, name, path, st)
	case unix.S_IFLNK:
		return s.symlink(dir, name, path, st)
	case unix.S_IFIFO:
		n := s.entry(KindFifo, path, st)
		s.entries = append(s.entries, n)
	}
	return nil
}

func (s *scanner) subfolder(dir *os.File, name, path string, st unix.Stat_t, depth int) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return gone(path, err)
	}
	sub := os.NewFile(uintptr(fd), name)
	defer sub.Close()
	n := s.entry(KindFolder, path, st)
	if n.Xattrs, err = xattrsOf(fd); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	s.entries = append(s.entries, n)
	return s.folder(sub, path+"/", depth+1)
}

// gone turns what happens when a name was swapped into its absence.
func gone(path string, err error) error {
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%q: %w", path, errSwapped)
	}
	return fmt.Errorf("%q: %w", path, err)
}

func (s *scanner) symlink(dir *os.File, name, path string, st unix.Stat_t) error {
	buf := make([]byte, maxPathBytes)
	size, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if errors.Is(err, unix.EINVAL) {
		err = errSwapped
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	n := s.entry(KindSymlink, path, st)
	n.Target = string(buf[:size])
	s.entries = append(s.entries, n)
	return nil
}

func (s *scanner) file(dir *os.File, name, path string, st unix.Stat_t) error {
	n := s.entry(KindFile, path, st)
	if st.Nlink > 1 {
		if first, ok := s.links[st.Ino]; ok {
			n.Kind, n.Target = KindHardlink, first
			s.entries = append(s.entries, n)
			return nil
		}
	}
	n.Size = st.Size
	if old := s.before[path]; old != nil && same(old, n) {
		n.extents, n.Xattrs, n.sign = old.extents, old.Xattrs, old.sign
	} else if err := s.content(dir, n, st); err != nil {
		return err
	}
	if st.Nlink > 1 {
		s.links[st.Ino] = path
	}
	s.entries = append(s.entries, n)
	return nil
}

// same says that a file can only hold what it held before.
func same(old, now *Entry) bool {
	return old.Kind == KindFile && old.sign.settled && old.Size == now.Size &&
		old.MtimeSec == now.MtimeSec && old.MtimeNsec == now.MtimeNsec &&
		old.sign.ctime == now.sign.ctime && old.sign.ino == now.sign.ino && old.sign.dev == now.sign.dev
}

// content opens a file and packs what it holds.
func (s *scanner) content(dir *os.File, n *Entry, st unix.Stat_t) error {
	name := n.Path[strings.LastIndexByte(n.Path, '/')+1:]
	// Not blocking: what was a file may be a pipe by now.
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // not ours
		fd, err = unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return gone(n.Path, err)
	}
	file := os.NewFile(uintptr(fd), n.Path)
	defer file.Close()
	var opened unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil {
		return fmt.Errorf("%q: %w", n.Path, err)
	}
	if opened.Ino != st.Ino || opened.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%q: %w", n.Path, errSwapped)
	}
	if n.Xattrs, err = xattrsOf(fd); err != nil {
		return fmt.Errorf("%q: %w", n.Path, err)
	}
	if n.Size > maxFileBytes {
		return fmt.Errorf("%w: file %q has %d bytes", ErrTooLarge, n.Path, n.Size)
	}
	return s.extents(file, n)
}

// extents reads the pieces of a file that hold something.
func (s *scanner) extents(file *os.File, n *Entry) error {
	fd := int(file.Fd())
	at := int64(0)
	for at < n.Size {
		start, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole to the end
			start, err = n.Size, nil
		}
		if err != nil {
			return fmt.Errorf("%q: %w", n.Path, err)
		}
		if start = min(start, n.Size); start > at {
			n.extents = append(n.extents, extent{hole: start - at})
		}
		if at = start; at == n.Size {
			return nil
		}
		end, err := unix.Seek(fd, at, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("%q: %w", n.Path, err)
		}
		end = min(end, n.Size)
		got, err := s.piece(io.NewSectionReader(file, at, end-at), end-at, n)
		if err != nil {
			return fmt.Errorf("%q: %w", n.Path, err)
		}
		if at += got; at < end {
			// Cut off under our eyes.
			if s.still {
				return fmt.Errorf("%q: %w", n.Path, ErrThawed)
			}
			n.Size, n.sign.settled = at, false
		}
	}
	return nil
}

// piece packs a piece of a file. One of the least size is a chunk as it is.
func (s *scanner) piece(r io.Reader, size int64, n *Entry) (int64, error) {
	if s.buffer == nil {
		s.buffer = make([]byte, batch*chunkMax)
	}
	if size > chunkMin {
		return s.data(r, n)
	}
	got, err := io.ReadFull(r, s.buffer[:size])
	if got == 0 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, err
	}
	refs, err := s.packer.add(s.ctx, [][]byte{s.buffer[:got]})
	if err != nil {
		return 0, err
	}
	n.extents = append(n.extents, extent{ref: refs[0]})
	s.read += int64(got)
	return int64(got), nil
}

// data cuts a stream and packs it.
func (s *scanner) data(r io.Reader, n *Entry) (read int64, err error) {
	if s.cutter == nil {
		s.cutter = chunker.NewWithBoundaries(r, s.packer.keys.pol, chunkMin, chunkMax)
		s.cutter.SetAverageBits(chunkBits)
	} else {
		s.cutter.ResetWithBoundaries(r, s.packer.keys.pol, chunkMin, chunkMax)
		s.cutter.SetAverageBits(chunkBits)
	}
	for ended := false; !ended; {
		s.chunks = s.chunks[:0]
		for len(s.chunks) < batch {
			at := len(s.chunks) * chunkMax
			next, err := s.cutter.Next(s.buffer[at : at : at+chunkMax])
			if errors.Is(err, io.EOF) {
				ended = true
				break
			}
			if err != nil {
				return read, err
			}
			s.chunks = append(s.chunks, next.Data)
			read += int64(next.Length)
		}
		if len(s.chunks) == 0 {
			break
		}
		refs, err := s.packer.add(s.ctx, s.chunks)
		if err != nil {
			return read, err
		}
		for _, ref := range refs {
			n.extents = append(n.extents, extent{ref: ref})
		}
		if err := s.ctx.Err(); err != nil {
			return read, err
		}
	}
	s.read += read
	return read, nil
}

// xattrsOf reads the attributes of what is open, in order of their names.
func xattrsOf(fd int) ([]Xattr, error) {
	list := make([]byte, 4096)
	size, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ERANGE) {
		list = make([]byte, 64<<10) // the kernel's own bound
		size, err = unix.Flistxattr(fd, list)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || size == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	var out []Xattr
	for raw := range bytes.SplitSeq(bytes.TrimSuffix(list[:size], []byte{0}), []byte{0}) {
		name := string(raw)
		if !keptXattr(name) {
			continue
		}
		value := make([]byte, maxXattrBytes)
		n, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", strconv.Quote(name), err)
		}
		out = append(out, Xattr{Name: name, Value: string(value[:n])})
	}
	if len(out) > maxXattrs {
		return nil, fmt.Errorf("%w: %d attributes, at most %d", ErrTooLarge, len(out), maxXattrs)
	}
	slices.SortFunc(out, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
