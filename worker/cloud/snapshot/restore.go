package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// RestoreOptions say how much a snapshot may bring.
type RestoreOptions struct {
	// MaxBytes bounds what files hold, for each volume, by its name; a volume
	// without an entry is not bounded but by the disk.
	MaxBytes map[string]uint64
	// Owners restores owners and groups, which takes root.
	Owners bool
	// SetID keeps the set-user-id and set-group-id bits.
	SetID bool
	// Progress is told of bytes written; nil is told nothing.
	Progress func(bytes int64)
}

// Restore fills folders with the volumes of a snapshot. Each folder must be
// there and empty, and nobody else may write to it; a volume without a folder
// is an error. All is on disk when it returns. Whoever calls it must not use
// the folders if it does not: what a crash leaves is half a volume. Extract
// sees to that itself. ErrMalformed, ErrTooLarge, ErrNotEmpty.
func Restore(ctx context.Context, s *Snapshot, folders map[string]string, opts RestoreOptions) (err error) {
	writers := map[string]*writer{}
	defer func() {
		for _, w := range writers {
			err = errors.Join(err, w.root.Close())
		}
	}()
	for _, v := range s.Info.Volumes {
		folder, ok := folders[v.Name]
		if !ok {
			return fmt.Errorf("restore: there is no volume %q to fill", v.Name)
		}
		w, err := openWriter(s, folder, v.Name, opts)
		if err != nil {
			return err
		}
		writers[v.Name] = w
	}
	err = s.Entries(ctx, func(volume string, n *Entry) error {
		if err := writers[volume].entry(ctx, n); err != nil {
			return fmt.Errorf("restore volume %s: %w", volume, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name, w := range writers {
		if err := w.finish(); err != nil {
			return fmt.Errorf("restore volume %s: %w", name, err)
		}
	}
	return nil
}

// Extract restores into a folder that does not exist or is empty, one folder
// below it for each volume. It appears whole or not at all.
func Extract(ctx context.Context, s *Snapshot, out string, opts RestoreOptions) (err error) {
	out, err = filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	names, err := os.ReadDir(out)
	if err == nil && len(names) > 0 {
		return fmt.Errorf("%w: %s", ErrNotEmpty, out)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".partial-")
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	folders := map[string]string{}
	for _, v := range s.Info.Volumes {
		if !localPath(v.Name) || path.Base(v.Name) != v.Name {
			return fmt.Errorf("%w: volume %q", ErrMalformed, v.Name)
		}
		folders[v.Name] = filepath.Join(tmp, v.Name)
		if err := os.Mkdir(folders[v.Name], 0o700); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	if err := Restore(ctx, s, folders, opts); err != nil {
		return err
	}
	if err := unix.Rename(tmp, out); err != nil { // takes an empty folder's place, unlike os.Rename
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func parent(p string) string { return path.Dir(p) }

// writer fills one folder. Every path goes through its root, which nothing
// leads out of.
type writer struct {
	snapshot *Snapshot
	root     *os.Root
	opts     RestoreOptions
	left     uint64
	bounded  bool
	limit    uint64
	// folders get their times and modes when all is in them.
	folders []*Entry
}

func openWriter(s *Snapshot, folder, volume string, opts RestoreOptions) (*writer, error) {
	names, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotEmpty, folder)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	w := &writer{snapshot: s, root: root, opts: opts}
	w.limit, w.bounded = opts.MaxBytes[volume]
	w.left = w.limit
	return w, nil
}

func (w *writer) entry(ctx context.Context, n *Entry) (err error) {
	switch n.Kind {
	case KindFolder:
		if n.Path != "." {
			err = w.root.Mkdir(n.Path, 0o700)
		}
		w.folders = append(w.folders, n)
		return err
	case KindFile:
		return w.file(ctx, n)
	case KindHardlink:
		return w.root.Link(n.Target, n.Path)
	case KindSymlink:
		if err := w.root.Symlink(n.Target, n.Path); err != nil {
			return err
		}
		return w.inParent(n.Path, func(dir int, name string) error { return w.noFollow(dir, name, n) })
	case KindFifo:
		return w.inParent(n.Path, func(dir int, name string) error {
			if err := unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0); err != nil {
				return fmt.Errorf("%q: %w", n.Path, err)
			}
			if err := unix.Fchmodat(dir, name, n.Mode&0o777, 0); err != nil {
				return fmt.Errorf("%q: %w", n.Path, err)
			}
			return w.noFollow(dir, name, n)
		})
	}
	return fmt.Errorf("%w: an entry of kind %d", ErrMalformed, n.Kind)
}

// inParent opens the folder that a path lies in, one of those that were made
// before.
func (w *writer) inParent(p string, do func(dir int, name string) error) error {
	dir, err := w.root.Open(parent(p))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(int(dir.Fd()), path.Base(p))
}

// noFollow sets owner and times of what is not opened.
func (w *writer) noFollow(dir int, name string, n *Entry) error {
	if w.opts.Owners {
		if err := unix.Fchownat(dir, name, int(n.UID), int(n.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("%q: owner: %w", n.Path, err)
		}
	}
	times := timesOf(n)
	if err := unix.UtimesNanoAt(dir, name, times[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%q: times: %w", n.Path, err)
	}
	return nil
}

func timesOf(n *Entry) [2]unix.Timespec {
	t := unix.NsecToTimespec(int64(n.MtimeNsec))
	t.Sec = n.MtimeSec
	return [2]unix.Timespec{t, t}
}

func (w *writer) file(ctx context.Context, n *Entry) (err error) {
	file, err := w.root.OpenFile(n.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	at := int64(0)
	for _, x := range n.extents {
		if x.ref == nil {
			at += x.hole
			continue
		}
		if err := errors.Join(ctx.Err(), w.spend(uint64(x.ref.size))); err != nil {
			return err
		}
		plain, err := w.snapshot.chunk(x.ref)
		if err != nil {
			return fmt.Errorf("%q: %w", n.Path, err)
		}
		if _, err := file.WriteAt(plain, at); err != nil {
			return err
		}
		at += int64(len(plain))
		if w.opts.Progress != nil {
			w.opts.Progress(int64(len(plain)))
		}
	}
	if err := file.Truncate(n.Size); err != nil { // a hole at the end
		return err
	}
	return w.dress(file, n)
}

func (w *writer) spend(bytes uint64) error {
	if !w.bounded {
		return nil
	}
	if bytes > w.left {
		return fmt.Errorf("%w: files hold more than the volume's %d bytes", ErrTooLarge, w.limit)
	}
	w.left -= bytes
	return nil
}

// dress sets attributes, owner, mode and times, in this order: each may undo
// one after it.
func (w *writer) dress(file *os.File, n *Entry) error {
	fd := int(file.Fd())
	if w.opts.Owners {
		if err := unix.Fchown(fd, int(n.UID), int(n.GID)); err != nil {
			return fmt.Errorf("%q: owner: %w", n.Path, err)
		}
	}
	mode := n.Mode
	if !w.opts.SetID {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return fmt.Errorf("%q: mode: %w", n.Path, err)
	}
	for _, x := range n.Xattrs {
		if err := unix.Fsetxattr(fd, x.Name, []byte(x.Value), 0); err != nil {
			return fmt.Errorf("%q: attribute %s: %w", n.Path, strconv.Quote(x.Name), err)
		}
	}
	times := timesOf(n)
	// By its descriptor, which no name stands between.
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), times[:], 0); err != nil {
		return fmt.Errorf("%q: times: %w", n.Path, err)
	}
	return nil
}

// finish dresses the folders, the deepest first, and has all of it on disk.
func (w *writer) finish() error {
	for i := len(w.folders) - 1; i >= 0; i-- {
		if err := w.dressFolder(w.folders[i]); err != nil {
			return err
		}
	}
	root, err := w.root.Open(".")
	if err != nil {
		return err
	}
	defer root.Close()
	return unix.Syncfs(int(root.Fd()))
}

func (w *writer) dressFolder(n *Entry) error {
	dir, err := w.root.Open(n.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return w.dress(dir, n)
}

// Age is how old a state was at an instant of the same clock.
func (i Info) Age(nowMs uint64) time.Duration {
	if nowMs <= i.TakenMs {
		return 0
	}
	return time.Duration(nowMs-i.TakenMs) * time.Millisecond
}
