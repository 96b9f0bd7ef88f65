// Package uai reads, verifies and writes the image format of the network: an
// OCI image layout, a folder or an archive of one, in which an image is named by the digest of its
// index. That digest is what the chain stores; everything below it is checked
// byte for byte, so it does not matter whose folder the bytes came from.
//
// It needs neither a chain nor a container engine.
package uai

import "errors"

// Sentinels that callers decide by.
var (
	// ErrNotLayout: the folder is not an OCI image layout.
	ErrNotLayout = errors.New("not an OCI image layout")
	// ErrNotFound: the layout does not hold the digest asked for.
	ErrNotFound = errors.New("not in this layout")
	// ErrMismatch: bytes differ from what their digest or size says.
	ErrMismatch = errors.New("content does not match its digest")
	// ErrMalformed: an index, manifest or configuration that cannot be used.
	ErrMalformed = errors.New("malformed image")
	// ErrTooLarge: beyond a limit; see Limits.
	ErrTooLarge = errors.New("image is too large")
	// ErrNoPlatform: the image has no variant for the platform asked for.
	ErrNoPlatform = errors.New("image has no variant for this platform")
)

// Limits bound what a hostile image can make its reader do.
type Limits struct {
	// MetadataBytes bounds each index, manifest and configuration.
	MetadataBytes int64
	// Manifests bounds the variants of an index.
	Manifests int
	// Layers bounds the layers of a variant; an engine takes 127.
	Layers int
	// UnpackedBytes bounds the unpacked layers of one variant: a few packed
	// kilobytes can unpack to terabytes.
	UnpackedBytes int64
	// Entries bounds the files of each layer.
	Entries int
	// Ratio bounds how many times larger than stored a layer may be unpacked,
	// beyond the first RatioFrom bytes: what packs better is made to fill disks.
	Ratio     int64
	RatioFrom int64
}

// DefaultLimits suit images that are leased: models of tens of gigabytes fit.
func DefaultLimits() Limits {
	return Limits{
		MetadataBytes: 4 << 20, Manifests: 64, Layers: 127, UnpackedBytes: 256 << 30,
		Entries: 2_000_000, Ratio: 200, RatioFrom: 1 << 30,
	}
}
