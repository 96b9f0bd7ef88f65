package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// LayoutLibrary serves the blobs of an OCI image layout folder. How a blob is cut is found when somebody asks first, and kept.
type LayoutLibrary struct {
	root *os.Root

	mu       sync.Mutex
	outlines map[uai.Digest]*outline
}

// outline is cut once, by the first who asks; the others wait.
type outline struct {
	once  sync.Once
	value cloud.Outline
	err   error
}

// OpenLayout opens a folder. Close it after use.
func OpenLayout(dir string) (*LayoutLibrary, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	return &LayoutLibrary{root: root, outlines: map[uai.Digest]*outline{}}, nil
}

// Close releases the folder.
func (l *LayoutLibrary) Close() error { return l.root.Close() }

// Stat implements cloud.Library.
func (l *LayoutLibrary) Stat(digest uai.Digest) (int64, error) {
	info, err := l.root.Stat(blobPath(digest))
	if err != nil {
		return 0, notHeld(digest, err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: %s is no file", cloud.ErrNotHeld, digest)
	}
	return info.Size(), nil
}

// Outline implements cloud.Library.
func (l *LayoutLibrary) Outline(digest uai.Digest) (cloud.Outline, error) {
	l.mu.Lock()
	o, ok := l.outlines[digest]
	if !ok {
		o = &outline{}
		l.outlines[digest] = o
	}
	l.mu.Unlock()
	o.once.Do(func() { o.value, o.err = l.cut(digest) })
	return o.value, o.err
}

func (l *LayoutLibrary) cut(digest uai.Digest) (cloud.Outline, error) {
	size, err := l.Stat(digest)
	if err != nil {
		return cloud.Outline{}, err
	}
	content, err := l.Open(digest)
	if err != nil {
		return cloud.Outline{}, err
	}
	defer content.Close()
	chunks, err := chunk.Cut(content)
	if err != nil {
		return cloud.Outline{}, fmt.Errorf("%s: %w", digest, err)
	}
	return cloud.Outline{Blob: cloud.Blob{Digest: digest, Size: size}, Chunks: chunks}, nil
}

// Open implements cloud.Library.
func (l *LayoutLibrary) Open(digest uai.Digest) (cloud.Content, error) {
	file, err := l.root.Open(blobPath(digest))
	if err != nil {
		return nil, notHeld(digest, err)
	}
	return file, nil
}

func blobPath(digest uai.Digest) string { return filepath.Join("blobs", "sha256", digest.Hex()) }

func notHeld(digest uai.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", cloud.ErrNotHeld, digest)
	}
	return err
}
