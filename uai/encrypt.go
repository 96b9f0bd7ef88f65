package uai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// Encrypt adds to a layout folder a private copy of an image in it: the same
// in everything but its layers, which only the recipient's identity opens. It
// returns the copy's digest, another each time, and lists the copy under the
// name, if that is not empty.
//
// Builders' attestations, which tell what is in the layers, are left out.
func Encrypt(ctx context.Context, dir string, digest Digest, recipient age.Recipient, name string) (Digest, error) {
	return recode(ctx, dir, digest, name, &recoding{
		refuse: func(v *Variant) error {
			if v.Private() {
				return fmt.Errorf("%w: it is private already", ErrMalformed)
			}
			return nil
		},
		mediaType: func(t string) string { return t + EncryptedSuffix },
		copy: func(to io.Writer, from io.Reader) error {
			sealed, err := age.Encrypt(to, recipient)
			if err != nil {
				return fmt.Errorf("encrypt layer: %w", err)
			}
			_, err = io.Copy(sealed, from)
			return errors.Join(err, sealed.Close())
		},
	})
}

// Decrypt adds to a layout folder the image that Encrypt made a private one
// of, byte for byte and so of the same digest, unless there were attestations.
// ErrWrongKey if it is encrypted to somebody else.
func Decrypt(ctx context.Context, dir string, digest Digest, key age.Identity, name string) (Digest, error) {
	return recode(ctx, dir, digest, name, &recoding{
		refuse: func(v *Variant) error {
			if !v.Private() {
				return fmt.Errorf("%w: it is not private", ErrMalformed)
			}
			return nil
		},
		mediaType: func(t string) string { return strings.TrimSuffix(t, EncryptedSuffix) },
		copy: func(to io.Writer, from io.Reader) error {
			plain, err := decrypt(from, key)
			if err != nil {
				return err
			}
			_, err = io.Copy(to, plain)
			return err
		},
	})
}

// recoding makes an image of another by changing its layers.
type recoding struct {
	refuse    func(*Variant) error
	mediaType func(string) string
	copy      func(io.Writer, io.Reader) error

	ctx    context.Context
	writer *layoutWriter
	layout *Layout
	// done are layers by their digest before: variants share some.
	done map[Digest]Blob
}

func recode(ctx context.Context, dir string, digest Digest, name string, r *recoding) (_ Digest, err error) {
	if r.writer, err = newLayoutWriter(ctx, dir); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.writer.Close()) }()
	if r.layout, err = Open(dir); err != nil {
		return "", err
	}
	defer r.layout.Close()
	r.ctx, r.done = ctx, map[Digest]Blob{}
	image, err := r.layout.Image(digest)
	if err != nil {
		return "", err
	}
	root, err := r.image(image)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", digest, err)
	}
	// Whatever went wrong is found before anybody can run it.
	made, err := r.layout.Image(root.Digest)
	if err == nil {
		err = made.Verify(ctx, nil)
	}
	if err != nil {
		return "", fmt.Errorf("image %s became %s: %w", digest, root.Digest, err)
	}
	descriptor, err := descriptorOf(root.Digest, root.Size, image.mediaType)
	if err != nil {
		return "", err
	}
	return root.Digest, r.writer.list(descriptor, name)
}

func (r *recoding) image(image *Image) (Blob, error) {
	manifests := map[Digest]Blob{}
	for _, v := range image.Variants {
		if err := r.refuse(v); err != nil {
			return Blob{}, err
		}
		manifest, err := r.manifest(v)
		if err != nil {
			return Blob{}, fmt.Errorf("variant %s: %w", v.Platform, err)
		}
		manifests[v.Manifest.Digest] = manifest
	}
	if only, ok := manifests[image.Digest]; ok { // an image without an index
		return only, nil
	}
	raw, err := r.layout.readBlob(image.Digest, image.size)
	if err != nil {
		return Blob{}, err
	}
	raw, err = editObject(raw, edits{"manifests": func(list json.RawMessage) (json.RawMessage, error) {
		return editArray(list, func(entry json.RawMessage) (json.RawMessage, error) {
			return r.entry(image, entry, manifests)
		})
	}})
	if err != nil {
		return Blob{}, err
	}
	return r.write(raw)
}

// entry changes what an index says of a manifest, or leaves it out.
func (r *recoding) entry(image *Image, entry json.RawMessage, manifests map[Digest]Blob) (json.RawMessage, error) {
	var d struct{ Digest Digest }
	if err := json.Unmarshal(entry, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	manifest, ok := manifests[d.Digest]
	switch {
	case ok:
		return editDescriptor(entry, manifest)
	case image.isOptional(d.Digest):
		return nil, nil
	}
	return entry, nil
}

func (r *recoding) manifest(v *Variant) (Blob, error) {
	raw, err := r.layout.readBlob(v.Manifest.Digest, v.Manifest.Size)
	if err != nil {
		return Blob{}, err
	}
	n := 0
	raw, err = editObject(raw, edits{"layers": func(list json.RawMessage) (json.RawMessage, error) {
		return editArray(list, func(entry json.RawMessage) (json.RawMessage, error) {
			layer, err := r.layer(v.Layers[n])
			if err != nil {
				return nil, fmt.Errorf("layer %d: %w", n+1, err)
			}
			n++
			return editDescriptor(entry, layer)
		})
	}})
	if err != nil {
		return Blob{}, err
	}
	return r.write(raw)
}

func (r *recoding) layer(old Blob) (Blob, error) {
	if done, ok := r.done[old.Digest]; ok {
		return done, nil
	}
	source, err := r.layout.openBlob(old)
	if err != nil {
		return Blob{}, err
	}
	defer source.Close()
	file, err := os.CreateTemp(filepath.Join(r.writer.dir, "blobs", "sha256"), unfinishedLayer+"*")
	if err != nil {
		return Blob{}, fmt.Errorf("write layer: %w", err)
	}
	defer discard(file)
	hash := newCountingHash(file)
	if err := r.copy(hash, &contextReader{ctx: r.ctx, from: source}); err != nil {
		return Blob{}, err
	}
	if err := finish(file, filepath.Join(r.writer.dir, hash.digest().blobPath())); err != nil {
		return Blob{}, err
	}
	layer := Blob{Digest: hash.digest(), Size: hash.size, MediaType: r.mediaType(old.MediaType)}
	r.done[old.Digest] = layer
	return layer, nil
}

// write stores an index or a manifest.
func (r *recoding) write(raw []byte) (Blob, error) {
	digest := digestOf(raw)
	return Blob{Digest: digest, Size: int64(len(raw))}, r.writer.replace(digest.blobPath(), raw)
}
