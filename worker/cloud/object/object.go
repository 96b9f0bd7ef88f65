// Package object walks OCI indexes and manifests: it finds every blob that
// belongs to a root, in whatever order it is stored. It takes trees from
// strangers, so what two readers could understand in two ways is refused.
//
// A subject is checked and not followed: it names what a manifest speaks
// about, which has a root of its own.
package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

const (
	// MaxDepth is how many indexes and manifests lie one below the other.
	MaxDepth = 4
	// MaxBlobs bounds the blobs of a tree.
	MaxBlobs = 10_000
)

// Read gives an index or manifest. It need not check the bytes: Walk does. It
// must not give more than maxBytes.
type Read func(ctx context.Context, digest uai.Digest, maxBytes int64) ([]byte, error)

// Walk gives the blobs of a tree, each once: the root first, a document
// before what it names. uai.ErrMalformed, uai.ErrTooLarge, uai.ErrMismatch,
// and what read fails with.
func Walk(ctx context.Context, root uai.Digest, read Read) ([]cloud.Blob, error) {
	if _, err := uai.ParseDigest(string(root)); err != nil {
		return nil, err
	}
	w := &walk{read: read, limits: uai.DefaultLimits(), seen: map[uai.Digest]found{}}
	if err := w.document(ctx, descriptor{Digest: root, Size: -1}, 1); err != nil {
		return nil, fmt.Errorf("object %s: %w", root, err)
	}
	return w.blobs, nil
}

// role is what a blob is taken for.
type role int

const (
	leaf role = iota
	manifest
	index
)

// found is a blob that was named before.
type found struct {
	size int64
	role role
}

type walk struct {
	read   Read
	limits uai.Limits
	blobs  []cloud.Blob
	seen   map[uai.Digest]found
}

// add notes a blob. It tells whether it is new, and refuses one that was
// named before with another size or as another thing.
func (w *walk) add(d descriptor, as role) (fresh bool, err error) {
	before, ok := w.seen[d.Digest]
	if ok && (before.size != d.Size || before.role != as) {
		return false, fmt.Errorf("%w: %s is named twice, differently", uai.ErrMalformed, d.Digest)
	}
	if ok {
		return false, nil
	}
	if len(w.blobs) >= MaxBlobs {
		return false, fmt.Errorf("%w: more than %d blobs", uai.ErrTooLarge, MaxBlobs)
	}
	w.seen[d.Digest] = found{size: d.Size, role: as}
	w.blobs = append(w.blobs, cloud.Blob{Digest: d.Digest, Size: d.Size})
	return true, nil
}

// document reads an index or manifest and goes on below it. The size of a
// root is not known before.
func (w *walk) document(ctx context.Context, d descriptor, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d documents below each other", uai.ErrTooLarge, MaxDepth)
	}
	raw, err := w.bytes(ctx, d)
	if err != nil {
		return err
	}
	doc, err := parse(raw, d.MediaType)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	d.Size = int64(len(raw))
	if fresh, err := w.add(d, doc.role); err != nil || !fresh {
		return err
	}
	if err := w.checkCounts(doc); err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	for _, below := range doc.below {
		if err := w.descend(ctx, below, depth); err != nil {
			return fmt.Errorf("in %s: %w", d.Digest, err)
		}
	}
	return nil
}

func (w *walk) descend(ctx context.Context, d descriptor, depth int) error {
	as := roleOf(d.MediaType)
	if before, ok := w.seen[d.Digest]; ok || as == leaf {
		if ok && before.role != as {
			return fmt.Errorf("%w: %s is named twice, differently", uai.ErrMalformed, d.Digest)
		}
		_, err := w.add(d, as)
		return err
	}
	return w.document(ctx, d, depth+1)
}

func (w *walk) checkCounts(doc document) error {
	layers := w.limits.Layers
	if !doc.image {
		layers = MaxBlobs
	}
	switch {
	case doc.role == index && len(doc.below) > w.limits.Manifests:
		return fmt.Errorf("%w: %d manifests, at most %d", uai.ErrTooLarge, len(doc.below), w.limits.Manifests)
	case doc.role == manifest && len(doc.below)-1 > layers:
		return fmt.Errorf("%w: %d layers, at most %d", uai.ErrTooLarge, len(doc.below)-1, layers)
	}
	return nil
}

// bytes reads a document and checks it against its descriptor.
func (w *walk) bytes(ctx context.Context, d descriptor) ([]byte, error) {
	most := w.limits.MetadataBytes
	if d.Size > most {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", uai.ErrTooLarge, d.Digest, d.Size, most)
	}
	if d.Size >= 0 {
		most = d.Size
	}
	raw, err := w.read(ctx, d.Digest, most)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Digest, err)
	}
	if int64(len(raw)) > most || d.Size >= 0 && int64(len(raw)) != d.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", uai.ErrMismatch, d.Digest, len(raw), most)
	}
	sum := sha256.Sum256(raw)
	if hex.EncodeToString(sum[:]) != d.Digest.Hex() {
		return nil, fmt.Errorf("%w: %s has other content", uai.ErrMismatch, d.Digest)
	}
	return raw, nil
}

// roleOf tells documents from content by their media type.
func roleOf(mediaType string) role {
	switch mediaType {
	case typeIndex, typeDockerList:
		return index
	case typeManifest, typeDockerManifest:
		return manifest
	}
	return leaf
}

// checkDescriptor refuses sizes that no store holds, and content that is kept
// elsewhere.
func checkDescriptor(d descriptor) error {
	if _, err := uai.ParseDigest(string(d.Digest)); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > chunk.MaxBlob {
		return fmt.Errorf("%w: %s announces %d bytes, at most %d", uai.ErrMalformed, d.Digest, d.Size, int64(chunk.MaxBlob))
	}
	if len(d.URLs) > 0 || strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.") {
		return fmt.Errorf("%w: %s is kept elsewhere; only content that may be distributed can be held", uai.ErrMalformed, d.Digest)
	}
	if d.MediaType == "" {
		return fmt.Errorf("%w: %s has no media type", uai.ErrMalformed, d.Digest)
	}
	return nil
}
