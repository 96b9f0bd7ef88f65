package uai

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// layoutArchive is an archive of a layout that is being made. Its content is
// gathered in a folder beside it.
type layoutArchive struct {
	path string
	work string
	file *os.File // locked as long as it is open
}

// beginArchive waits until nobody else makes the same archive, and removes
// what one who was killed left.
func beginArchive(ctx context.Context, path string) (*layoutArchive, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrNotLayout, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make archive: %w", err)
	}
	fresh := besidePath(path, ".new")
	for {
		file, err := lockPath(ctx, fresh, os.O_CREATE|os.O_RDWR)
		if err != nil {
			return nil, err
		}
		// Whoever had it may have given it its final name meanwhile.
		if !isStill(file, fresh) {
			if err := file.Close(); err != nil {
				return nil, err
			}
			continue
		}
		a := &layoutArchive{path: path, work: besidePath(path, ".work"), file: file}
		if err := os.RemoveAll(a.work); err != nil {
			return nil, errors.Join(fmt.Errorf("make archive: %w", err), file.Close())
		}
		return a, nil
	}
}

func isStill(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// abort removes what is not finished; after commit there is only the folder.
func (a *layoutArchive) abort() error {
	fresh := besidePath(a.path, ".new")
	err := os.RemoveAll(a.work)
	if isStill(a.file, fresh) {
		err = errors.Join(err, os.Remove(fresh))
	}
	return errors.Join(err, a.file.Close())
}

// unpackOld brings the images of the archive that is there.
func (a *layoutArchive) unpackOld(ctx context.Context) error {
	old, err := Open(a.path)
	if err != nil {
		return err
	}
	defer old.Close()
	entries, err := old.Entries()
	if err != nil {
		return err
	}
	w, err := newLayoutWriter(ctx, a.work)
	if err != nil {
		return err
	}
	for _, e := range entries {
		image, err := old.Image(e.Digest)
		if err == nil {
			err = w.copyImage(ctx, image, e.Name)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// commit writes the archive and gives it its name.
func (a *layoutArchive) commit(ctx context.Context) error {
	if err := a.file.Truncate(0); err != nil {
		return fmt.Errorf("make archive: %w", err)
	}
	out := tar.NewWriter(&contextWriter{ctx: ctx, to: a.file})
	root, err := os.OpenRoot(a.work)
	if err != nil {
		return fmt.Errorf("make archive: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			return out.WriteHeader(plainHeader(name+"/", tar.TypeDir, 0o755))
		}
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(writeFile(out, plainHeader(name, tar.TypeReg, 0o644), file), file.Close())
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("make archive: %w", err)
	}
	// It keeps its lock until it has its name.
	for _, step := range []func() error{
		func() error { return a.file.Chmod(0o644) },
		a.file.Sync,
		func() error { return os.Rename(a.file.Name(), a.path) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("make archive: %w", err)
		}
	}
	return nil
}

// copyImage copies an image of another layout, checked byte for byte on its
// way, and lists it.
func (w *layoutWriter) copyImage(ctx context.Context, image *Image, name string) error {
	root := Blob{Digest: image.Digest, Size: image.size}
	done := map[Digest]bool{}
	for _, b := range append(image.Blobs(), root) {
		if done[b.Digest] {
			continue
		}
		done[b.Digest] = true
		err := w.copyBlob(ctx, image.layout, b)
		if errors.Is(err, ErrNotFound) && image.isOptional(b.Digest) {
			continue
		}
		if err != nil {
			return err
		}
	}
	descriptor, err := descriptorOf(image.Digest, image.size, image.mediaType)
	if err != nil {
		return err
	}
	return w.list(descriptor, name)
}

func (w *layoutWriter) copyBlob(ctx context.Context, from *Layout, b Blob) error {
	source, err := from.openBlob(b)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.CreateTemp(filepath.Join(w.dir, "blobs", "sha256"), unfinishedLayer+"*")
	if err != nil {
		return fmt.Errorf("copy blob: %w", err)
	}
	defer discard(file)
	if _, err := io.Copy(&contextWriter{ctx: ctx, to: file}, source); err != nil {
		return fmt.Errorf("copy blob: %w", err)
	}
	return finish(file, filepath.Join(w.dir, b.Digest.blobPath()))
}

// Copy puts an image into another layout folder, made if it does not exist,
// under a name. Blobs are checked on their way.
func Copy(ctx context.Context, image *Image, dir, name string) error {
	w, err := newLayoutWriter(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(w.copyImage(ctx, image, name), w.Close())
}
