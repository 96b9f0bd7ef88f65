package uai

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// maxArchiveEntries bounds the files of an archived layout: an image has at
// most some thousand blobs.
const maxArchiveEntries = 100_000

// tarFiles are the files of a tar archive, found by one look through its
// headers and read where they lie.
type tarFiles struct {
	file  *os.File
	where map[string]span
}

// span is a stretch of the archive.
type span struct{ offset, size int64 }

func openTarFiles(name string, limits Limits) (*tarFiles, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	t := &tarFiles{file: file, where: map[string]span{}}
	if err := t.scan(limits); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return t, nil
}

func (t *tarFiles) scan(limits Limits) error {
	// The reader seeks past contents, so a content begins where the file
	// stands after its header.
	reader := tar.NewReader(t.file)
	for entries := 1; ; entries++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("neither a folder nor a plain tar archive: %w", err)
		}
		if entries > maxArchiveEntries {
			return fmt.Errorf("%w: more than %d entries", ErrTooLarge, maxArchiveEntries)
		}
		if err := t.add(header, limits); err != nil {
			return err
		}
	}
}

func (t *tarFiles) add(header *tar.Header, limits Limits) error {
	if strings.HasPrefix(header.Name, "/") || slices.Contains(strings.Split(header.Name, "/"), "..") {
		return fmt.Errorf("%w: entry %q leaves the archive", ErrMalformed, header.Name)
	}
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
	default:
		return fmt.Errorf("%w: entry %q is neither a file nor a folder", ErrMalformed, header.Name)
	}
	// A sparse file's content does not lie in one piece.
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%w: entry %q is sparse", ErrMalformed, header.Name)
		}
	}
	if _, twice := t.where[name]; twice {
		return fmt.Errorf("%w: entry %q is there twice", ErrMalformed, header.Name)
	}
	if header.Size > limits.UnpackedBytes {
		return fmt.Errorf("%w: entry %q has %d bytes", ErrTooLarge, header.Name, header.Size)
	}
	offset, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	t.where[name] = span{offset, header.Size}
	return nil
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	at, ok := t.where[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.file, at.offset, at.size)), at.size, nil
}

// Close implements files.
func (t *tarFiles) Close() error { return t.file.Close() }
