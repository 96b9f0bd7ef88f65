// Package cloud is iSunCloud: every node holds blobs named by their digests,
// and nodes and tenants pull them from each other. docs/adr/0007 says why it
// is built this way. This package has the words that its parts share:
//
//	chunk     cuts blobs by content
//	blobs     the store: whole blobs, outlines, partial blobs, roots, eviction
//	object    walks an index or manifest and everything below it
//	fetch     pulls blobs from several sources at once
//	peer      libp2p: serves a store to others, and others as sources
//	registry  the OCI distribution API on loopback, over a store
//	duty      announces, replicates and drops
//	vault     keys: age identities, shares, sealing, release
//	snapshot  volumes as objects, and back
package cloud

import (
	"context"
	"errors"
	"io"

	"github.com/isuncoin/isuncoin/uai"
)

// Sentinels that callers decide by.
var (
	// ErrNotHeld: the blob is not here.
	ErrNotHeld = errors.New("blob is not held")
	// ErrFull: the folder's limit or the disk leaves no room.
	ErrFull = errors.New("no room for the blob")
	// ErrRefused: the other side does not do this for us; the message says why.
	ErrRefused = errors.New("refused")
	// ErrLied: a source sent what does not match its digest or its own words.
	ErrLied = errors.New("source sent false content")
)

// Blob is content to move: its digest and size in bytes.
type Blob struct {
	Digest uai.Digest `json:"digest"`
	Size   int64      `json:"size"`
}

// Chunk is a piece of a blob.
type Chunk struct {
	// Sum is the SHA-256 of its bytes.
	Sum [32]byte
	// Size is in bytes, at most chunk.Max.
	Size uint32
}

// Outline is how a blob is cut. It is a claim of whoever sent it until the
// whole blob matched its digest.
type Outline struct {
	Blob   Blob
	Chunks []Chunk
}

// Source is somebody who may hold blobs: a peer, or a folder of this machine.
// It is safe for concurrent use. Nothing it says is believed.
type Source interface {
	// Name tells sources apart and is what logs show, such as a peer's id.
	Name() string
	// Stat gives the sizes in bytes of those blobs that it holds.
	Stat(ctx context.Context, digests []uai.Digest) (map[uai.Digest]int64, error)
	// Outline gives the outline of a blob. ErrNotHeld.
	Outline(ctx context.Context, digest uai.Digest) (Outline, error)
	// Chunks streams the bytes of count chunks from the first on, as the
	// source's own outline cuts them. Close ends the stream early.
	Chunks(ctx context.Context, digest uai.Digest, first, count int) (io.ReadCloser, error)
}

// Library is what can be served to others: the reading side of a store.
type Library interface {
	// Stat gives the size of a blob in bytes. ErrNotHeld.
	Stat(digest uai.Digest) (int64, error)
	// Outline gives the outline of a blob that is held whole. ErrNotHeld.
	Outline(digest uai.Digest) (Outline, error)
	// Open opens a blob that is held whole. ErrNotHeld.
	Open(digest uai.Digest) (Content, error)
}

// Content is an open blob.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
}
