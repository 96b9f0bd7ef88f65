package uai

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Find gives the entry of index.json that has a name, or the only one if the
// name is empty. ErrNotFound lists what there is.
func (l *Layout) Find(name string) (Entry, error) {
	entries, err := l.Entries()
	if err != nil {
		return Entry{}, err
	}
	if name == "" && len(entries) == 1 {
		return entries[0], nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if name != "" && (e.Name == name || e.Digest.String() == name) {
			return e, nil
		}
		names = append(names, strings.TrimSpace(e.Name+" "+e.Digest.String()))
	}
	switch {
	case len(entries) == 0:
		return Entry{}, fmt.Errorf("%w: the layout holds no image", ErrNotFound)
	case name == "":
		return Entry{}, fmt.Errorf("%w: the layout holds several images, name one of: %s", ErrNotFound, strings.Join(names, ", "))
	}
	return Entry{}, fmt.Errorf("%w: %q; there is: %s", ErrNotFound, name, strings.Join(names, ", "))
}

// Remove takes an image out of a layout folder's index, and deletes what no
// other image listed there uses. ErrNotFound if the index does not list it.
func Remove(ctx context.Context, dir string, digest Digest) error {
	existing, err := Open(dir)
	if err != nil {
		return err
	}
	_, err = existing.Find(digest.String())
	if err := errors.Join(err, existing.Close()); err != nil {
		return err
	}
	w, err := newLayoutWriter(ctx, dir)
	if err != nil {
		return err
	}
	err = w.changeIndex(func(manifests []v1.Descriptor) []v1.Descriptor {
		return slices.DeleteFunc(manifests, func(d v1.Descriptor) bool { return d.Digest.String() == digest.String() })
	})
	if err == nil {
		err = w.drop(digest)
	}
	return errors.Join(err, w.Close())
}

// drop deletes the blobs of an image that is no longer listed, but for those
// that a listed one uses. The root goes last, so that a second try after a
// crash finds the rest.
func (w *layoutWriter) drop(digest Digest) error {
	layout, err := Open(w.dir)
	if err != nil {
		return err
	}
	defer layout.Close()
	used, err := layout.used()
	if err != nil || used[digest] {
		return nil // what a damaged neighbour needs is not known
	}
	digests := []Digest{digest}
	// Of a damaged image only the root can be found.
	if gone, err := layout.Image(digest); err == nil {
		digests = append(digestsOf(gone.Blobs()), digest)
	}
	for _, d := range digests {
		if used[d] {
			continue
		}
		err := os.Remove(filepath.Join(w.dir, d.blobPath()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove blob: %w", err)
		}
	}
	return nil
}

// used are the blobs of all images that the layout lists.
func (l *Layout) used() (map[Digest]bool, error) {
	entries, err := l.Entries()
	if err != nil {
		return nil, err
	}
	used := map[Digest]bool{}
	for _, e := range entries {
		image, err := l.Image(e.Digest)
		if err != nil {
			return nil, err
		}
		used[e.Digest] = true
		for _, b := range image.Blobs() {
			used[b.Digest] = true
		}
	}
	return used, nil
}

func digestsOf(blobs []Blob) []Digest {
	digests := make([]Digest, 0, len(blobs))
	for _, b := range blobs {
		digests = append(digests, b.Digest)
	}
	return digests
}
