package fetch

import (
	"context"
	"fmt"
	"io"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// FromLibrary is a library of this machine as a source, to move blobs from
// one store to another.
func FromLibrary(name string, library cloud.Library) cloud.Source {
	return librarySource{name: name, library: library}
}

type librarySource struct {
	name    string
	library cloud.Library
}

// Name implements cloud.Source.
func (s librarySource) Name() string { return s.name }

// Stat implements cloud.Source.
func (s librarySource) Stat(_ context.Context, digests []uai.Digest) (map[uai.Digest]int64, error) {
	sizes := make(map[uai.Digest]int64, len(digests))
	for _, d := range digests {
		if size, err := s.library.Stat(d); err == nil {
			sizes[d] = size
		}
	}
	return sizes, nil
}

// Outline implements cloud.Source.
func (s librarySource) Outline(_ context.Context, digest uai.Digest) (cloud.Outline, error) {
	return s.library.Outline(digest)
}

// Chunks implements cloud.Source.
func (s librarySource) Chunks(_ context.Context, digest uai.Digest, first, count int) (io.ReadCloser, error) {
	o, err := s.library.Outline(digest)
	if err != nil {
		return nil, err
	}
	offset, size, err := Range(o, first, count)
	if err != nil {
		return nil, err
	}
	content, err := s.library.Open(digest)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(content, offset, size), content}, nil
}

// Range is where a run of chunks lies in its blob, in bytes.
// chunk.ErrMalformed if the outline has no such chunks.
func Range(o cloud.Outline, first, count int) (offset, size int64, err error) {
	if first < 0 || count < 0 || first > len(o.Chunks) || count > len(o.Chunks)-first {
		return 0, 0, fmt.Errorf("%w: %s has %d chunks, asked for %d from %d on", chunk.ErrMalformed, o.Blob.Digest, len(o.Chunks), count, first)
	}
	for _, c := range o.Chunks[:first] {
		offset += int64(c.Size)
	}
	for _, c := range o.Chunks[first : first+count] {
		size += int64(c.Size)
	}
	return offset, size, nil
}
