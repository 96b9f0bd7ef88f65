package uai

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// TreeOptions say how a folder becomes a layer.
type TreeOptions struct {
	// KeepOwners keeps user and group numbers and extended attributes (file
	// capabilities, user.*); without it all is root's and has none.
	KeepOwners bool
	// Skip leaves out what it says yes to, a folder with all below it. Names
	// are relative, without a slash at the beginning.
	Skip func(name string, entry fs.DirEntry) bool
	// Adjust changes owner and mode of what is written; may be nil.
	Adjust func(name string, header *tar.Header)
	// Live: files change meanwhile, and may be unreadable or gone. Such are
	// told to Warn and not an error.
	Live bool
	// Warn is told what was left out or changed while it was read; may be nil.
	Warn func(name, why string)
	// More are files that the folder lacks or has otherwise; they come last.
	More []MoreFile
}

// MoreFile is a file that is added to a tree.
type MoreFile struct {
	Name    string // relative
	Mode    int64
	Content []byte
}

// treeWriter writes one folder.
type treeWriter struct {
	archive *tar.Writer
	root    *os.Root
	opts    TreeOptions
	// first are the names under which files with several were written.
	first map[[2]uint64]string
}

// WriteTree writes a folder as a plain tar archive: in alphabetic order, times
// the epoch. It reads through os.Root, so a link that leads outside is packed
// as a link and never followed. Devices below dev and sockets are left out,
// for an engine makes the first and nothing answers on the second.
func WriteTree(w io.Writer, dir string, opts TreeOptions) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pack folder: %w", err)
	}
	defer root.Close()
	t := &treeWriter{archive: tar.NewWriter(w), root: root, opts: opts, first: map[[2]uint64]string{}}
	if err := t.walk("."); err != nil {
		return fmt.Errorf("pack folder: %w", err)
	}
	if err := t.addMore(); err != nil {
		return fmt.Errorf("pack folder: %w", err)
	}
	return t.archive.Close()
}

// walk visits what is in a folder. It does so without fs.FS, which takes no
// names but in UTF-8; file systems take any.
func (t *treeWriter) walk(dir string) error {
	// A pipe or another folder's link may have taken its place meanwhile.
	folder, err := t.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return t.forgive(dir, err)
	}
	entries, err := folder.ReadDir(-1)
	if err := errors.Join(err, folder.Close()); err != nil {
		return t.forgive(dir, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		if err := t.visit(path.Join(dir, entry.Name()), entry); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeWriter) visit(name string, entry fs.DirEntry) error {
	if t.opts.Skip != nil && t.opts.Skip(name, entry) || t.isReplaced(name) {
		return nil
	}
	if err := t.write(name, entry); err != nil {
		return t.forgive(name, err)
	}
	if entry.IsDir() {
		return t.walk(name)
	}
	return nil
}

// forgive tells of a file that cannot be read and lets it go by while its
// machine runs: it may be gone or something else by now, or not for us.
func (t *treeWriter) forgive(name string, err error) error {
	var lost *lostError
	if !t.opts.Live || name == "." || errors.As(err, &lost) {
		return err
	}
	t.warn(name, "left out: "+err.Error())
	return nil
}

// lostError: the archive itself cannot be written any more.
type lostError struct{ error }

// Unwrap gives the cause.
func (l *lostError) Unwrap() error { return l.error }

func lost(err error) error {
	if err == nil {
		return nil
	}
	return &lostError{err}
}

func (t *treeWriter) warn(name, why string) {
	if t.opts.Warn != nil {
		t.opts.Warn(name, why)
	}
}

func (t *treeWriter) isReplaced(name string) bool {
	return slices.ContainsFunc(t.opts.More, func(m MoreFile) bool { return m.Name == name })
}

// modeBits are permissions with what makes a program run as its owner and a
// folder safe to share.
func modeBits(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

func (t *treeWriter) write(name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := plainHeader(name, tar.TypeReg, modeBits(info.Mode()))
	if t.opts.KeepOwners {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			header.Uid, header.Gid = int(st.Uid), int(st.Gid)
		}
	}
	if t.opts.Adjust != nil {
		t.opts.Adjust(name, header)
	}
	switch kind := info.Mode().Type(); {
	case kind == fs.ModeDir:
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return lost(t.archive.WriteHeader(header))
	case kind == fs.ModeSymlink:
		header.Typeflag, header.Mode = tar.TypeSymlink, 0o777
		if header.Linkname, err = t.root.Readlink(name); err != nil {
			return err
		}
		return lost(t.archive.WriteHeader(header))
	case kind == fs.ModeNamedPipe:
		header.Typeflag = tar.TypeFifo
		return lost(t.archive.WriteHeader(header))
	case kind == 0:
		return t.writeRegular(header, name, info)
	case kind == fs.ModeSocket, strings.HasPrefix(name, "dev/"):
		return nil
	case t.opts.Live:
		t.warn(name, "left out: it is a device")
		return nil
	}
	return fmt.Errorf("%w: %s is a device; only files, folders, links and pipes can be packed", ErrMalformed, name)
}

// writeRegular writes a file, or a link to it if it was written under another
// name.
func (t *treeWriter) writeRegular(header *tar.Header, name string, info fs.FileInfo) (err error) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		id := [2]uint64{st.Dev, st.Ino}
		if first, ok := t.first[id]; ok {
			header.Typeflag, header.Linkname = tar.TypeLink, first
			return lost(t.archive.WriteHeader(header))
		}
		defer func() {
			if err == nil {
				t.first[id] = name
			}
		}()
	}
	// A pipe that took the file's place must not hold us up.
	file, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	now, err := file.Stat()
	if err != nil {
		return err
	}
	if !now.Mode().IsRegular() {
		return fmt.Errorf("%s changed into something else: %w", name, fs.ErrNotExist)
	}
	header.Size = now.Size()
	t.tellHoles(name, now)
	if t.opts.KeepOwners {
		if err := addAttributes(header, file); err != nil {
			return err
		}
	}
	if err := t.archive.WriteHeader(header); err != nil {
		return lost(err)
	}
	if err := lost(t.copyContent(name, file, header.Size)); err != nil {
		return err
	}
	return t.compare(name, file, now)
}

// compare tells of a file that changed while it was read: what was packed is
// of no one moment.
func (t *treeWriter) compare(name string, file *os.File, before fs.FileInfo) error {
	after, err := file.Stat()
	if err != nil {
		return err
	}
	if after.Size() >= before.Size() && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		t.warn(name, "it changed while it was read; stop its program and pack again")
	}
	return nil
}

// sparseFrom is how many bytes of holes are worth a word.
const sparseFrom = 64 << 20

// tellHoles tells of a file that takes more room in the image than on its
// disk: layers have no holes.
func (t *treeWriter) tellHoles(name string, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && info.Size()-st.Blocks*512 >= sparseFrom {
		t.warn(name, fmt.Sprintf("%d MiB of it are holes, which are packed as zeros", (info.Size()-st.Blocks*512)>>20))
	}
}

// copyContent copies exactly so many bytes: what a file grew by meanwhile is
// left out, what it lost is zeros, as after a crash.
func (t *treeWriter) copyContent(name string, file io.Reader, size int64) error {
	n, err := io.Copy(t.archive, io.LimitReader(file, size))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n == size {
		return nil
	}
	if !t.opts.Live {
		return fmt.Errorf("%w: %s shrank while it was read", ErrMismatch, name)
	}
	t.warn(name, "it shrank while it was read; the rest is zeros")
	_, err = io.Copy(t.archive, io.LimitReader(zeros{}, size-n))
	return err
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// maxAttribute bounds one extended attribute; the kernel's own bound.
const maxAttribute = 64 << 10

// addAttributes takes over file capabilities and what users set. Others belong
// to the host: labels of its security modules, marks of its overlays.
func addAttributes(header *tar.Header, file *os.File) error {
	names := make([]byte, maxAttribute)
	n, err := unix.Flistxattr(int(file.Fd()), names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("attributes of %s: %w", header.Name, err)
	}
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if name != "security.capability" && !strings.HasPrefix(name, "user.") {
			continue
		}
		value := make([]byte, maxAttribute)
		n, err := unix.Fgetxattr(int(file.Fd()), name, value)
		if err != nil {
			return fmt.Errorf("attribute %s of %s: %w", name, header.Name, err)
		}
		if header.PAXRecords == nil {
			header.PAXRecords = map[string]string{}
		}
		header.PAXRecords["SCHILY.xattr."+name] = string(value[:n])
	}
	return nil
}

// addMore writes the added files, and the folders of their own that they lie
// in.
func (t *treeWriter) addMore() error {
	made := map[string]bool{}
	for _, m := range t.opts.More {
		if err := t.addFolders(path.Dir(m.Name), made); err != nil {
			return err
		}
		header := plainHeader(m.Name, tar.TypeReg, m.Mode)
		header.Size = int64(len(m.Content))
		if err := t.archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.archive.Write(m.Content); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeWriter) addFolders(dir string, made map[string]bool) error {
	if dir == "." || made[dir] {
		return nil
	}
	made[dir] = true
	if err := t.addFolders(path.Dir(dir), made); err != nil {
		return err
	}
	if _, err := t.root.Lstat(dir); err == nil {
		return nil // written already
	}
	return t.archive.WriteHeader(plainHeader(dir+"/", tar.TypeDir, 0o755))
}
