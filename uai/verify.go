package uai

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// zstdMemory bounds the window a zstd stream may ask for.
const zstdMemory = 256 << 20

// Progress is told how many stored bytes have been dealt with, of how many.
// It may be nil.
type Progress func(done, total int64)

func (p Progress) report(done, total int64) {
	if p != nil {
		p(done, total)
	}
}

// Verify reads every blob of every variant and checks it byte for byte.
// ErrNotFound, ErrMismatch, ErrMalformed or ErrTooLarge.
func (i *Image) Verify(ctx context.Context, progress Progress) error {
	var total, done int64
	for _, v := range i.Variants {
		total += v.Size()
	}
	for _, v := range i.Variants {
		if _, err := v.Verify(ctx, func(d, _ int64) { progress.report(done+d, total) }); err != nil {
			return fmt.Errorf("variant %s: %w", v.Platform, err)
		}
		done += v.Size()
	}
	return i.verifyAttached()
}

// Verify reads every layer, checks it as stored and as unpacked, and returns
// the unpacked bytes of all together. Encrypted layers are checked as stored
// only, unless Unlock gave their key.
func (v *Variant) Verify(ctx context.Context, progress Progress) (unpackedBytes int64, err error) {
	done, total := v.Manifest.Size+v.Config.Size, v.Size()
	left := v.layout.limits.UnpackedBytes
	for n, layer := range v.Layers {
		size, err := v.verifyLayer(ctx, n, left)
		if err != nil {
			return 0, fmt.Errorf("layer %d: %w", n+1, err)
		}
		left -= size
		done += layer.Size
		progress.report(done, total)
	}
	return v.layout.limits.UnpackedBytes - left, nil
}

func (v *Variant) verifyLayer(ctx context.Context, n int, most int64) (int64, error) {
	return v.readLayer(ctx, n, most, func(*tar.Header, io.Reader) error { return nil })
}

// readLayer checks a layer as stored and as unpacked while visit looks at its
// entries, and gives its unpacked bytes.
func (v *Variant) readLayer(ctx context.Context, n int, most int64, visit func(*tar.Header, io.Reader) error) (int64, error) {
	stored, err := v.layout.openBlob(v.Layers[n])
	if err != nil {
		return 0, err
	}
	defer stored.Close()
	source := &contextReader{ctx: ctx, from: stored}
	if v.Layers[n].Encrypted() && len(v.keys) == 0 {
		_, err := io.Copy(io.Discard, source)
		return 0, err
	}
	unpacked, err := v.unpackLayer(n, source)
	if err != nil {
		return 0, blame(source, err)
	}
	defer unpacked.Close()
	hash := newCountingHash(io.Discard)
	limits := v.layout.limits
	bounded := io.TeeReader(&boundedReader{from: unpacked, left: min(most, limits.mostUnpacked(v.Layers[n].Size))}, hash)
	room := most
	err = eachEntry(bounded, limits.Entries, func(h *tar.Header, content io.Reader) error {
		if err := checkEntry(h); err != nil {
			return err
		}
		// A sparse file's holes are not in the archive, but engines write them.
		if room -= h.Size; room < 0 {
			return fmt.Errorf("%w: files of more than %d bytes", ErrTooLarge, most)
		}
		return visit(h, content)
	})
	if err == nil {
		_, err = io.Copy(io.Discard, bounded)
	}
	if err != nil {
		return 0, blame(source, err)
	}
	size := hash.size
	// Whatever follows the packed stream belongs to the digest too.
	if _, err := io.Copy(io.Discard, source); err != nil {
		return 0, err
	}
	want := v.Settings.RootFS.DiffIDs[n].String()
	if got := hash.digest(); got.String() != want {
		return 0, fmt.Errorf("%w: unpacked %s is really %s", ErrMismatch, want, got)
	}
	return size, nil
}

// unpackLayer reads the plain tar archive inside a layer.
func (v *Variant) unpackLayer(n int, stored io.Reader) (io.ReadCloser, error) {
	plain, err := v.decrypt(v.Layers[n], stored)
	if err != nil {
		return nil, err
	}
	return Unpack(plain)
}

// blame finds out why a layer does not unpack: its bytes are not those of its
// digest, or its author packed it badly.
func blame(source io.Reader, unpackErr error) error {
	if _, err := io.Copy(io.Discard, source); err != nil {
		return err
	}
	for _, known := range []error{ErrTooLarge, ErrMalformed, ErrWrongKey} {
		if errors.Is(unpackErr, known) {
			return unpackErr
		}
	}
	return fmt.Errorf("%w: unpack: %w", ErrMalformed, unpackErr)
}

// mostUnpacked is what a layer of so many stored bytes may be unpacked.
func (l Limits) mostUnpacked(stored int64) int64 {
	if l.Ratio <= 0 || stored > l.UnpackedBytes/l.Ratio {
		return l.UnpackedBytes
	}
	return min(max(stored*l.Ratio, l.RatioFrom), l.UnpackedBytes)
}

// boundedReader fails with ErrTooLarge where an ordinary limit would end.
type boundedReader struct {
	from io.Reader
	left int64
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fmt.Errorf("%w: layers unpack to more than is allowed", ErrTooLarge)
	}
	return n, err
}

// Unpack recognises gzip and zstd by their first bytes, as engines do, and
// takes everything else as it is.
func Unpack(from io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(from, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return r, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return r.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// contextReader stops a long read when its context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(p)
}
