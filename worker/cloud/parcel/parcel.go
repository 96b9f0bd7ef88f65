// Package parcel makes a tree of blobs of a tenant's file or folder, encrypted
// or not, and gives it back.
//
// A parcel is an OCI artifact whose layers are pieces of one stream: a tar
// archive, or bytes of unknown origin as they are. A private stream is
// encrypted with age as a whole, names and times with it, so that what the
// nodes hold, put together, is what the tools age and tar read.
//
//	manifest  artifactType ArtifactType, layers: pieces of the stream in order
//	piece     TypeTar or TypeRaw, "+age" behind it if the stream is encrypted
package parcel

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// Media types of a parcel.
const (
	ArtifactType = "application/vnd.isun.object.v1"
	// TypeTar is a tar archive of a file, or of a folder.
	TypeTar = "application/vnd.isun.object.content.v1.tar"
	// TypeRaw is bytes without a name.
	TypeRaw = "application/vnd.isun.object.content.v1"

	encrypted = "+age"
	// fingerprintName of the manifest's annotation.
	fingerprintName = "isun.object.fingerprint"
)

// Sentinels that callers decide by.
var (
	// ErrMalformed: a parcel that Pack has not made, or that is damaged.
	ErrMalformed = errors.New("malformed parcel")
	// ErrNoKey: the content is encrypted to somebody else.
	ErrNoKey = errors.New("the key does not open it")
	// ErrPrivate: the content is encrypted and no key was given.
	ErrPrivate = errors.New("it is private")
	// ErrExists: something is where the content should go.
	ErrExists = errors.New("there is something already")
)

const (
	// pieceBytes is the size at which a piece ends: no more is fetched again
	// when a blob turns out damaged, and 9,000 of them make 4 TiB.
	pieceBytes = 512 << 20
	// maxPieces leaves room in a tree of 10,000 blobs.
	maxPieces        = 9_000
	maxManifestBytes = 4 << 20
)

// Mark is the key by which the owner of a private object knows its content
// again without reading it: nobody else learns from the fingerprint what it
// is of.
func Mark(identity *vault.Identity) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(identity.Text()), nil, "isun/parcel/1/fingerprint", sha256.Size)
}

// Parcel is one that is open for reading.
type Parcel struct {
	// Private content needs a key.
	Private bool
	// Fingerprint of the content under the owner's mark; empty if it is not
	// private.
	Fingerprint string
	// Size of all pieces in bytes.
	Size int64

	tar    bool
	pieces []cloud.Blob
	lib    cloud.Library
}

// Open reads the manifest of a parcel. The pieces may come later.
// ErrMalformed, cloud.ErrNotHeld.
func Open(lib cloud.Library, root uai.Digest) (*Parcel, error) {
	content, err := lib.Open(root)
	if err != nil {
		return nil, fmt.Errorf("parcel %s: %w", root, err)
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxManifestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("parcel %s: %w", root, err)
	}
	p, err := parse(raw, root)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, root, err)
	}
	p.lib = lib
	return p, nil
}

func parse(raw []byte, root uai.Digest) (*Parcel, error) {
	if len(raw) > maxManifestBytes {
		return nil, fmt.Errorf("its manifest has more than %d bytes", maxManifestBytes)
	}
	if digestOf(raw) != root {
		return nil, errors.New("its manifest has another digest")
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, err
	}
	if manifest.ArtifactType != ArtifactType {
		return nil, fmt.Errorf("it is no stored object but %.80q", manifest.ArtifactType)
	}
	if len(manifest.Layers) == 0 || len(manifest.Layers) > maxPieces {
		return nil, fmt.Errorf("it has %d pieces, want 1 to %d", len(manifest.Layers), maxPieces)
	}
	p := &Parcel{Fingerprint: manifest.Annotations[fingerprintName]}
	kind := manifest.Layers[0].MediaType
	switch kind {
	case TypeTar, TypeTar + encrypted:
		p.tar = true
	case TypeRaw, TypeRaw + encrypted:
	default:
		return nil, fmt.Errorf("its content is of the unknown type %.80q", kind)
	}
	p.Private = kind == TypeTar+encrypted || kind == TypeRaw+encrypted
	for _, layer := range manifest.Layers {
		digest, err := uai.ParseDigest(string(layer.Digest))
		if err != nil {
			return nil, err
		}
		if layer.MediaType != kind || layer.Size < 0 {
			return nil, fmt.Errorf("piece %s does not go with the others", digest)
		}
		p.pieces = append(p.pieces, cloud.Blob{Digest: digest, Size: layer.Size})
		p.Size += layer.Size
	}
	return p, nil
}
