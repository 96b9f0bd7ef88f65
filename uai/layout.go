package uai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	layoutFile    = "oci-layout"
	layoutVersion = "1.0.0"
	indexFile     = "index.json"
	// refAnnotation gives an entry of index.json a name for people.
	refAnnotation = "org.opencontainers.image.ref.name"
)

// Layout is an OCI image layout, open for reading: a folder, all access to
// which goes through os.Root, so that not even a symbolic link in it leads
// outside, or a tar archive of one, which is read where it lies.
type Layout struct {
	files  files
	limits Limits
}

// files are the contents of a layout by name. A name that is not there is
// fs.ErrNotExist, one that is no regular file ErrMalformed.
type files interface {
	open(name string) (io.ReadCloser, int64, error)
	Close() error
}

// Entry is an image that a layout's own index lists.
type Entry struct {
	Digest Digest
	// Name is the entry's reference annotation, often empty.
	Name string
}

// Open opens a layout folder or a tar archive of one. ErrNotLayout if it is
// neither. Close it after use.
func Open(path string) (*Layout, error) { return OpenLimited(path, DefaultLimits()) }

// OpenLimited is Open with other limits.
func OpenLimited(path string, limits Limits) (*Layout, error) {
	found, err := openFiles(path, limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLayout, err)
	}
	l := &Layout{files: found, limits: limits}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, found.Close())
	}
	return l, nil
}

func openFiles(path string, limits Limits) (files, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return openTarFiles(path, limits)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return rootFiles{root}, nil
}

// rootFiles are the files of a folder.
type rootFiles struct{ *os.Root }

func (r rootFiles) open(name string) (io.ReadCloser, int64, error) {
	file, err := r.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", ErrMalformed, name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

func (l *Layout) checkVersion() error {
	raw, err := l.readFile(layoutFile)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLayout, err)
	}
	var marker struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &marker); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotLayout, layoutFile, err)
	}
	if marker.Version != layoutVersion {
		return fmt.Errorf("%w: version %q, want %s", ErrNotLayout, marker.Version, layoutVersion)
	}
	return nil
}

// Close releases the folder or the archive.
func (l *Layout) Close() error { return l.files.Close() }

// Entries lists the images of index.json, in its order.
func (l *Layout) Entries() ([]Entry, error) {
	index, err := l.topIndex()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(index.Manifests))
	for _, d := range index.Manifests {
		digest, err := ParseDigest(d.Digest.String())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", indexFile, err)
		}
		entries = append(entries, Entry{Digest: digest, Name: d.Annotations[refAnnotation]})
	}
	return entries, nil
}

func (l *Layout) topIndex() (*v1.IndexManifest, error) {
	raw, err := l.readFile(indexFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLayout, err)
	}
	return parseIndex(raw)
}

// parseIndex reads index.json.
func parseIndex(raw []byte) (*v1.IndexManifest, error) {
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, indexFile, err)
	}
	return index, nil
}

// Image finds an image by the digest of its index, or of its manifest for one
// that was never given an index. The layout need not list it: the digest says
// enough. ErrNotFound, ErrMismatch, ErrMalformed or ErrTooLarge.
func (l *Layout) Image(digest Digest) (*Image, error) {
	raw, err := l.readBlob(digest, -1)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", digest, err)
	}
	var head struct {
		MediaType types.MediaType   `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
		Layers    []json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, digest, err)
	}
	image := &Image{layout: l, Digest: digest, size: int64(len(raw)), mediaType: head.MediaType}
	switch {
	// The same bytes must not be an index to one reader and a manifest to
	// another.
	case head.Manifests != nil && head.Layers != nil:
		return nil, fmt.Errorf("%w: %s is both an index and a manifest", ErrMalformed, digest)
	case head.MediaType.IsIndex(), head.MediaType == "" && head.Manifests != nil:
		if err := image.readIndex(raw); err != nil {
			return nil, err
		}
	case head.MediaType.IsImage(), head.MediaType == "" && head.Layers != nil:
		if err := image.addVariant(v1.Descriptor{Size: int64(len(raw))}, digest, raw); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: %s has the media type %q", ErrMalformed, digest, head.MediaType)
	}
	if image.mediaType == "" && head.Manifests != nil {
		image.mediaType = types.OCIImageIndex
	} else if image.mediaType == "" {
		image.mediaType = types.OCIManifestSchema1
	}
	return image, nil
}

// open opens a regular file of the layout and tells its size.
func (l *Layout) open(name string) (io.ReadCloser, int64, error) {
	file, size, err := l.files.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return file, size, err
}

func (l *Layout) readFile(name string) ([]byte, error) {
	file, size, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > l.limits.MetadataBytes {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, name, size, l.limits.MetadataBytes)
	}
	return io.ReadAll(io.LimitReader(file, l.limits.MetadataBytes))
}

// readBlob reads a small blob and verifies it. A negative size means that
// nobody announced one.
func (l *Layout) readBlob(digest Digest, size int64) ([]byte, error) {
	raw, err := l.readFile(digest.blobPath())
	if err != nil {
		return nil, err
	}
	if size >= 0 && int64(len(raw)) != size {
		return nil, fmt.Errorf("%w: %s has %d bytes instead of %d", ErrMismatch, digest, len(raw), size)
	}
	if got := digestOf(raw); got != digest {
		return nil, fmt.Errorf("%w: %s is really %s", ErrMismatch, digest, got)
	}
	return raw, nil
}

// openBlob opens a blob for reading; its reader fails with ErrMismatch at the
// end if the content is not as announced.
func (l *Layout) openBlob(d Blob) (io.ReadCloser, error) {
	file, size, err := l.open(d.Digest.blobPath())
	if err != nil {
		return nil, err
	}
	if size != d.Size {
		err := fmt.Errorf("%w: %s has %d bytes instead of %d", ErrMismatch, d.Digest, size, d.Size)
		return nil, errors.Join(err, file.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{newVerifyingReader(file, d.Digest, d.Size), file}, nil
}
