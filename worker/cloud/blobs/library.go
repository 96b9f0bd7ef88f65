package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// Stat implements cloud.Library.
func (s *Store) Stat(digest uai.Digest) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.blobs[digest]; h != nil {
		return h.size, nil
	}
	return 0, notHeld(digest)
}

// Outline implements cloud.Library.
func (s *Store) Outline(digest uai.Digest) (cloud.Outline, error) {
	size, err := s.Stat(digest)
	if err != nil {
		return cloud.Outline{}, err
	}
	blob := cloud.Blob{Digest: digest, Size: size}
	if o, ok := chunk.Whole(blob); ok {
		return o, nil
	}
	if o, err := s.readOutline(s.outlinePath(digest), blob); err == nil {
		return o, nil
	}
	return s.recut(blob)
}

// readOutline reads an outline that must be of the given blob.
func (s *Store) readOutline(path string, blob cloud.Blob) (cloud.Outline, error) {
	file, err := os.Open(path)
	if err != nil {
		return cloud.Outline{}, err
	}
	defer file.Close()
	o, err := chunk.Decode(file, blob.Size)
	if err != nil {
		return cloud.Outline{}, err
	}
	if o.Blob != blob {
		return cloud.Outline{}, fmt.Errorf("%w: %s is of another blob", chunk.ErrMalformed, path)
	}
	return o, nil
}

// recut makes an outline anew whose file is lost or damaged, and looks at the
// blob on the way.
func (s *Store) recut(blob cloud.Blob) (cloud.Outline, error) {
	s.log.Warn("outline is missing or damaged; cutting the blob again", "blob", blob.Digest)
	file, err := s.open(blob.Digest)
	if err != nil {
		return cloud.Outline{}, err
	}
	defer file.Close()
	o, err := cutFile(context.Background(), file, blob)
	if err != nil {
		return cloud.Outline{}, err
	}
	raw, err := chunk.Append(nil, o)
	if err != nil {
		return cloud.Outline{}, err
	}
	return o, s.writeFile(s.outlinePath(blob.Digest), raw)
}

// errDamaged: a file does not have the content that it is named by.
var errDamaged = errors.New("content is damaged")

// cutFile reads a blob from the beginning and gives its outline. errDamaged
// if it is not the one that is wanted.
func cutFile(ctx context.Context, r io.Reader, blob cloud.Blob) (cloud.Outline, error) {
	cutter := chunk.NewCutter()
	defer cutter.Abort()
	whole := sha256.New()
	size, err := io.CopyBuffer(io.MultiWriter(cutter, whole), &contextReader{ctx: ctx, from: r}, make([]byte, copyBuffer))
	if err != nil {
		return cloud.Outline{}, fmt.Errorf("read blob: %w", err)
	}
	if size != blob.Size || hex.EncodeToString(whole.Sum(nil)) != blob.Digest.Hex() {
		return cloud.Outline{}, fmt.Errorf("%w: %s", errDamaged, blob.Digest)
	}
	chunks, err := cutter.Finish()
	return cloud.Outline{Blob: blob, Chunks: chunks}, err
}

// copyBuffer is how many bytes are read at a time.
const copyBuffer = 256 << 10

// contextReader ends reading when a context does.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// Open implements cloud.Library. The content stays readable when the blob is
// removed meanwhile.
func (s *Store) Open(digest uai.Digest) (cloud.Content, error) {
	if _, err := s.Stat(digest); err != nil {
		return nil, err
	}
	file, err := s.open(digest)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (s *Store) open(digest uai.Digest) (*os.File, error) {
	file, err := os.Open(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notHeld(digest)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return file, nil
}

// Read gives a small blob, verified. ErrNotHeld, uai.ErrTooLarge.
func (s *Store) Read(digest uai.Digest, maxBytes int64) ([]byte, error) {
	size, err := s.Stat(digest)
	if err != nil {
		return nil, err
	}
	if size > maxBytes {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", uai.ErrTooLarge, digest, size, maxBytes)
	}
	raw, err := os.ReadFile(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notHeld(digest)
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != digest.Hex() {
		return nil, fmt.Errorf("%w: %s", errDamaged, digest)
	}
	return raw, nil
}

// Chunk gives a chunk of any blob that is held, verified. ok is false if none
// has it.
func (s *Store) Chunk(sum [32]byte) ([]byte, bool) {
	if raw, err := s.Read(digestOf(sum), chunk.Max); err == nil {
		return raw, true
	}
	for _, at := range s.index.find(sum) {
		raw, err := s.readChunk(at)
		if err == nil && sha256.Sum256(raw) == sum {
			return raw, true
		}
		if err == nil || !errors.Is(err, cloud.ErrNotHeld) {
			s.log.Warn("a chunk is not where it should be", "blob", at.blob, "offset", at.offset, "error", err)
		}
	}
	return nil, false
}

func (s *Store) readChunk(at place) ([]byte, error) {
	if at.size > chunk.Max {
		return nil, errDamaged
	}
	file, err := s.open(at.blob)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw := make([]byte, at.size)
	if _, err := file.ReadAt(raw, at.offset); err != nil {
		return nil, err
	}
	return raw, nil
}

// List visits the blobs that are held whole, until the function says false.
func (s *Store) List(visit func(cloud.Blob) bool) {
	s.mu.Lock()
	all := make([]cloud.Blob, 0, len(s.blobs))
	for digest, h := range s.blobs {
		all = append(all, cloud.Blob{Digest: digest, Size: h.size})
	}
	s.mu.Unlock()
	for _, b := range all {
		if !visit(b) {
			return
		}
	}
}

// Check reads a blob from the disk. One that is damaged is dropped, and with
// it the roots that need it: their digests are returned, to be fetched again.
func (s *Store) Check(ctx context.Context, digest uai.Digest) (lost []uai.Digest, err error) {
	size, err := s.Stat(digest)
	if err != nil {
		return nil, err
	}
	file, err := s.open(digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	_, err = cutFile(ctx, file, cloud.Blob{Digest: digest, Size: size})
	if !errors.Is(err, errDamaged) && !errors.Is(err, syscall.EIO) {
		return nil, err
	}
	s.log.Warn("blob is damaged and dropped", "blob", digest, "error", err)
	return s.drop(digest)
}

func digestOf(sum [32]byte) uai.Digest { return uai.Digest("sha256:" + hex.EncodeToString(sum[:])) }

func sameOutline(a, b cloud.Outline) bool {
	return a.Blob == b.Blob && slices.Equal(a.Chunks, b.Chunks)
}
