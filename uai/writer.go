package uai

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Unfinished files have these names until they are whole.
const (
	unfinishedLayer = ".layer-"
	unfinishedFile  = ".new-"
)

// layoutWriter adds content to a layout folder. One at a time has the folder.
type layoutWriter struct {
	dir  string
	lock *os.File
}

func newLayoutWriter(ctx context.Context, dir string) (_ *layoutWriter, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("make layout: %w", err)
	}
	w := &layoutWriter{dir: dir}
	if w.lock, err = lockPath(ctx, dir, os.O_RDONLY); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.tidy(); err != nil {
		return nil, err
	}
	marker := filepath.Join(dir, layoutFile)
	if _, err := os.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		content := fmt.Sprintf(`{"imageLayoutVersion":%q}`, layoutVersion)
		return w, w.replace(layoutFile, []byte(content))
	}
	existing, err := Open(dir) // refuses other versions
	if err != nil {
		return nil, err
	}
	return w, existing.Close()
}

// Close lets others write to the folder.
func (w *layoutWriter) Close() error { return w.lock.Close() }

// lockPath opens a file or folder and waits until nobody else has it locked.
// The lock goes with the file, also when the process is killed.
func lockPath(ctx context.Context, path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	locked := make(chan error, 1)
	go func() {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		return file, nil
	case <-ctx.Done():
		// It is let go as soon as it is had.
		go func() { _ = errors.Join(<-locked, file.Close()) }()
		return nil, fmt.Errorf("waiting for another program that writes to %s: %w", path, ctx.Err())
	}
}

// tidy removes what a writer that was killed left. It holds the lock, so
// nobody else is writing.
func (w *layoutWriter) tidy() error {
	for _, pattern := range []string{
		filepath.Join(w.dir, unfinishedFile+"*"),
		filepath.Join(w.dir, "blobs", "sha256", unfinishedFile+"*"),
		filepath.Join(w.dir, "blobs", "sha256", unfinishedLayer+"*"),
	} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("make layout: %w", err)
		}
		for _, name := range left {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("make layout: %w", err)
			}
		}
	}
	return nil
}

func (w *layoutWriter) writeJSON(value any, mediaType types.MediaType) (v1.Descriptor, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return w.writeRaw(raw, mediaType)
}

func (w *layoutWriter) writeRaw(raw []byte, mediaType types.MediaType) (v1.Descriptor, error) {
	digest := digestOf(raw)
	if err := w.replace(digest.blobPath(), raw); err != nil {
		return v1.Descriptor{}, err
	}
	return descriptorOf(digest, int64(len(raw)), mediaType)
}

func descriptorOf(digest Digest, size int64, mediaType types.MediaType) (v1.Descriptor, error) {
	hash, err := v1.NewHash(digest.String())
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v1.Descriptor{MediaType: mediaType, Digest: hash, Size: size}, nil
}

// contextWriter stops a long write when its context ends, and counts.
type contextWriter struct {
	ctx      context.Context
	to       io.Writer
	progress Progress
	done     int64
}

// Write implements io.Writer.
func (c *contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.to.Write(p)
	c.done += int64(n)
	c.progress.report(c.done, 0)
	return n, err
}

// writeLayer streams a plain tar archive into a blob, whose name is known only
// at its end.
func (w *layoutWriter) writeLayer(
	ctx context.Context, write func(io.Writer) error, opts PackOptions,
) (v1.Descriptor, v1.Hash, error) {
	none := v1.Hash{}
	file, err := os.CreateTemp(filepath.Join(w.dir, "blobs", "sha256"), unfinishedLayer+"*")
	if err != nil {
		return v1.Descriptor{}, none, fmt.Errorf("write layer: %w", err)
	}
	defer discard(file)
	stored := newCountingHash(file)
	var sink io.Writer = stored
	var packer *gzip.Writer
	mediaType := types.OCIUncompressedLayer
	if opts.Gzip {
		packer = gzip.NewWriter(stored)
		sink, mediaType = packer, types.OCILayer
	}
	unpacked := newCountingHash(&contextWriter{ctx: ctx, to: sink, progress: opts.Progress})
	if err := write(unpacked); err != nil {
		return v1.Descriptor{}, none, err
	}
	if packer != nil {
		if err := packer.Close(); err != nil {
			return v1.Descriptor{}, none, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := finish(file, filepath.Join(w.dir, stored.digest().blobPath())); err != nil {
		return v1.Descriptor{}, none, err
	}
	diffID, err := v1.NewHash(unpacked.digest().String())
	if err != nil {
		return v1.Descriptor{}, none, err
	}
	layer, err := descriptorOf(stored.digest(), stored.size, mediaType)
	return layer, diffID, err
}

// replace writes a small file so that readers see the old content or the new.
func (w *layoutWriter) replace(name string, content []byte) error {
	target := filepath.Join(w.dir, filepath.FromSlash(name))
	file, err := os.CreateTemp(filepath.Dir(target), unfinishedFile+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer discard(file)
	if _, err := file.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return finish(file, target)
}

// discard removes a temporary file that was not finished. After finish there
// is nothing under its name any more, and both calls fail, as they should.
func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}

// finish makes a temporary file durable under its name. Blobs are public, so
// a worker of another user may read them.
func finish(file *os.File, target string) error {
	for _, step := range []func() error{
		func() error { return file.Chmod(0o644) },
		file.Sync,
		file.Close,
		func() error { return os.Rename(file.Name(), target) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Base(target), err)
		}
	}
	return nil
}

// list adds an image to index.json. Packed again it stays one entry, and a
// name moves to the image that had it last.
func (w *layoutWriter) list(image v1.Descriptor, name string) error {
	if name != "" {
		image.Annotations = map[string]string{refAnnotation: name}
	}
	return w.changeIndex(func(manifests []v1.Descriptor) []v1.Descriptor {
		others := slices.DeleteFunc(manifests, func(d v1.Descriptor) bool {
			return d.Digest == image.Digest || name != "" && d.Annotations[refAnnotation] == name
		})
		return append(others, image)
	})
}

// changeIndex rewrites index.json, which is made if it is not there.
func (w *layoutWriter) changeIndex(change func([]v1.Descriptor) []v1.Descriptor) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	raw, err := os.ReadFile(filepath.Join(w.dir, indexFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read %s: %w", indexFile, err)
	default:
		parsed, err := parseIndex(raw)
		if err != nil {
			return err
		}
		index = *parsed
	}
	if index.Manifests = change(index.Manifests); index.Manifests == nil {
		index.Manifests = []v1.Descriptor{}
	}
	out, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", indexFile, err)
	}
	return w.replace(indexFile, append(out, '\n'))
}
