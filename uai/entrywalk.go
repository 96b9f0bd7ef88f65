package uai

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
)

// Walk gives every entry of every layer, the lowest first, with its content.
// Blobs are checked as by Verify, so what was visited counts only if it
// succeeds. Entries that Verify refuses are refused.
func (v *Variant) Walk(ctx context.Context, visit func(*tar.Header, io.Reader) error) error {
	left := v.layout.limits.UnpackedBytes
	for n, layer := range v.Layers {
		if layer.Encrypted() && len(v.keys) == 0 {
			return fmt.Errorf("layer %d is encrypted, and there is no key to read it", n+1)
		}
		size, err := v.readLayer(ctx, n, left, visit)
		if err != nil {
			return fmt.Errorf("layer %d: %w", n+1, err)
		}
		left -= size
	}
	return nil
}

// eachEntry reads an archive to the end of its last entry.
func eachEntry(archive io.Reader, most int, visit func(*tar.Header, io.Reader) error) error {
	reader := tar.NewReader(archive)
	for entries := 0; ; entries++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrTooLarge), errors.Is(err, ErrMismatch), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return err
		case err != nil:
			return fmt.Errorf("%w: not a tar archive: %w", ErrMalformed, err)
		case most > 0 && entries >= most:
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, most)
		}
		if err := visit(header, reader); err != nil {
			return err
		}
	}
}
