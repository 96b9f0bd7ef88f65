// Package snapshot turns the volumes of a placement into a tree of encrypted
// blobs, and back.
//
// Files are cut by content, and each chunk is compressed and encrypted with a
// data key that the placement's node made for this placement. Chunks lie in
// packs; a list of files says which chunks they are made of, and lies in packs
// as well. The head names the packs and the list's chunks and carries the data
// key, encrypted with age to the lease's recipient: a node writes what the
// next one can only read if it is given the lease's identity. Manifest, head
// and packs are an OCI artifact. Snapshots of one placement share packs, so a
// later one sends what has changed.
//
//	manifest   artifactType ArtifactType, layers: head, packs
//	head       magic, age-wrapped data key, encrypted: what, when, packs, list
//	pack       chunks, each nonce and ciphertext, one after the other
//	list       for each volume its name and entries, cut and packed as files are
package snapshot

import (
	"context"
	"errors"
	"io"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Media types of a snapshot's blobs.
const (
	ArtifactType = "application/vnd.isun.snapshot.v1"
	TypeHead     = "application/vnd.isun.snapshot.head.v1+age"
	TypePack     = "application/vnd.isun.snapshot.pack.v1"
)

// Sentinels that callers decide by.
var (
	// ErrMalformed: a snapshot that no honest node has written, or that is
	// damaged.
	ErrMalformed = errors.New("malformed snapshot")
	// ErrNoKey: the identity is not the one that the snapshot was written to.
	ErrNoKey = errors.New("the key does not open the snapshot")
	// ErrTooLarge: more files or bytes than a limit.
	ErrTooLarge = errors.New("snapshot is too large")
	// ErrNotEmpty: something is in the folder to be filled.
	ErrNotEmpty = errors.New("folder is not empty")
	// ErrThawed: somebody thawed the placement while it was being read, so that
	// the state is not of one instant.
	ErrThawed = errors.New("placement was thawed during its snapshot")
	// ErrCache: what was remembered of the last snapshot is damaged; the next
	// begins anew.
	ErrCache = errors.New("damaged memory of the last snapshot")
)

// Limits that writer and reader share.
const (
	// MaxFiles of a snapshot, folders among them.
	MaxFiles = 2 << 20
	// maxListBytes bounds the list, unpacked.
	maxListBytes = 2 << 30
	// maxHeadBytes bounds the head, which names 10,000 packs and the list.
	maxHeadBytes = 8 << 20
	// maxPacks leaves room for manifest and head in a tree of 10,000 blobs.
	maxPacks     = 9_990
	maxVolumes   = 64
	maxNameBytes = 255
	maxPathBytes = 4096
	// maxDepth of folders: one descriptor each is open while they are read.
	maxDepth      = 512
	maxXattrs     = 128
	maxXattrBytes = 64 << 10
	maxFileBytes  = 1 << 44 // ext4's own

	// packTarget is the size at which a pack is closed: large enough that a
	// volume has few, small enough to be dropped when it is mostly dead.
	packTarget = 32 << 20
	// smallPack is merged with others once there are manySmall of them: every
	// snapshot leaves one.
	smallPack = packTarget / 8
	manySmall = 16
)

// Store is where blobs go; see package blobs.
type Store interface {
	cloud.Library
	// Create begins a blob.
	Create(ctx context.Context) (Draft, error)
	// Keep has blobs stay until release is called.
	Keep(digests []uai.Digest) (release func())
	// SetRoot keeps the blobs of a tree together.
	SetRoot(root uai.Digest, blobs []cloud.Blob, pin bool) error
}

// Draft is a blob that is being written.
type Draft interface {
	io.Writer
	Commit(want uai.Digest) (cloud.Blob, error)
	Abort() error
}

// Info says what a snapshot is of.
type Info struct {
	// Lease is tenant/number.
	Lease      string
	Replica    uint32
	Generation uint64
	// TakenMs is the instant of the state, in the clock of who asked for it.
	TakenMs uint64
	Volumes []VolumeInfo
}

// VolumeInfo sums a volume up.
type VolumeInfo struct {
	Name string
	// Files counts entries of every kind, Bytes what its files hold, without
	// holes.
	Files, Bytes uint64
}
