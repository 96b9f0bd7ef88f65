package uai

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"filippo.io/age"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Platform is what a variant runs on.
type Platform struct {
	OS           string // "linux"
	Architecture string // "amd64", "arm64"
	Variant      string // "v8", mostly empty
}

// HostPlatform is this machine's, as containers on it see it.
func HostPlatform() Platform { return Platform{OS: "linux", Architecture: runtime.GOARCH} }

// ParsePlatform reads "linux/amd64" or "linux/arm64/v8".
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, fmt.Errorf("platform %q is not os/architecture", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// String is the form that ParsePlatform reads.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// serves says whether a variant for p runs on host. The only variant of arm64
// in use is v8, which is what leaving it out means.
func (p Platform) serves(host Platform) bool {
	if p.OS != host.OS || p.Architecture != host.Architecture {
		return false
	}
	plain := func(v string) bool { return v == "" || v == "v8" }
	return p.Variant == host.Variant || plain(p.Variant) && plain(host.Variant)
}

// Blob is content of a layout.
type Blob struct {
	Digest    Digest
	Size      int64 // bytes, as stored
	MediaType string
}

// Image is an index and its variants. Its metadata has been verified; its
// layers only by Verify.
type Image struct {
	layout   *Layout
	Digest   Digest
	Variants []*Variant
	// Config is the UAI configuration; nil for an image that other tools made.
	Config *Config
	// attached are blobs of manifests that are no variants: the UAI
	// configuration's, and builders' attestations as far as the layout has them.
	attached []Blob
	// configBlobs are those among them that the UAI configuration needs.
	configBlobs []Digest
	size        int64
	mediaType   types.MediaType
}

// Variant is an image for one platform.
type Variant struct {
	layout   *Layout
	Platform Platform
	Manifest Blob
	Config   Blob
	Layers   []Blob
	// Settings is the configuration: entry point, environment, ports and so on.
	Settings *v1.ConfigFile
	// raw is the configuration as stored.
	raw []byte
	// keys open encrypted layers.
	keys []age.Identity
}

func (i *Image) readIndex(raw []byte) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%w: index %s: %w", ErrMalformed, i.Digest, err)
	}
	if len(index.Manifests) > i.layout.limits.Manifests {
		return fmt.Errorf("%w: %d manifests, at most %d", ErrTooLarge, len(index.Manifests), i.layout.limits.Manifests)
	}
	for _, d := range index.Manifests {
		if !d.MediaType.IsImage() {
			continue
		}
		if err := i.readManifest(d); err != nil {
			return err
		}
	}
	if len(i.Variants) == 0 {
		return fmt.Errorf("%w: index %s lists no image", ErrMalformed, i.Digest)
	}
	return i.checkPlatforms()
}

// readManifest reads one that an index lists.
func (i *Image) readManifest(d v1.Descriptor) error {
	digest, err := ParseDigest(d.Digest.String())
	if err != nil {
		return err
	}
	raw, err := i.layout.readBlob(digest, d.Size)
	// Builders add attestations as manifests for an unknown platform; copies
	// of an image for one platform leave them out.
	aside := d.Platform != nil && d.Platform.OS == "unknown"
	if aside && errors.Is(err, ErrNotFound) && !isConfigType(d.ArtifactType) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("manifest of index %s: %w", i.Digest, err)
	}
	if aside {
		return i.addArtifact(digest, raw)
	}
	return i.addVariant(d, digest, raw)
}

func (i *Image) addVariant(d v1.Descriptor, digest Digest, raw []byte) error {
	manifest, err := parseManifest(digest, raw)
	if err != nil {
		return err
	}
	if manifest.ArtifactType != "" || !manifest.Config.MediaType.IsConfig() {
		return fmt.Errorf("%w: manifest %s is announced as an image and has a configuration of the type %q",
			ErrMalformed, digest, manifest.Config.MediaType)
	}
	v := &Variant{layout: i.layout, Manifest: Blob{Digest: digest, Size: int64(len(raw)), MediaType: string(manifest.MediaType)}}
	if v.Config, err = blobOf(manifest.Config); err != nil {
		return fmt.Errorf("configuration in manifest %s: %w", digest, err)
	}
	if v.raw, err = i.layout.readBlob(v.Config.Digest, v.Config.Size); err != nil {
		return fmt.Errorf("configuration in manifest %s: %w", digest, err)
	}
	if err := checkJSON(v.raw); err != nil {
		return fmt.Errorf("configuration %s: %w", v.Config.Digest, err)
	}
	if v.Settings, err = v1.ParseConfigFile(bytes.NewReader(v.raw)); err != nil {
		return fmt.Errorf("%w: configuration %s: %w", ErrMalformed, v.Config.Digest, err)
	}
	if err := v.readLayers(manifest); err != nil {
		return fmt.Errorf("manifest %s: %w", digest, err)
	}
	v.Platform = Platform{OS: v.Settings.OS, Architecture: v.Settings.Architecture, Variant: v.Settings.Variant}
	// What an index announces decides which variant a machine takes, so it has
	// to be what the image says of itself.
	if p := d.Platform; p != nil && (p.OS != v.Platform.OS || p.Architecture != v.Platform.Architecture) {
		return fmt.Errorf("%w: manifest %s is announced for %s/%s and made for %s", ErrMalformed, digest, p.OS, p.Architecture, v.Platform)
	}
	i.Variants = append(i.Variants, v)
	return nil
}

func (v *Variant) readLayers(manifest *v1.Manifest) error {
	if len(manifest.Layers) > v.layout.limits.Layers {
		return fmt.Errorf("%w: %d layers, at most %d", ErrTooLarge, len(manifest.Layers), v.layout.limits.Layers)
	}
	if len(manifest.Layers) != len(v.Settings.RootFS.DiffIDs) {
		return fmt.Errorf("%w: %d layers, but the configuration names %d", ErrMalformed, len(manifest.Layers), len(v.Settings.RootFS.DiffIDs))
	}
	for _, l := range manifest.Layers {
		blob, err := blobOf(l)
		if err != nil {
			return err
		}
		inside := types.MediaType(strings.TrimSuffix(string(l.MediaType), EncryptedSuffix))
		if !inside.IsLayer() || !inside.IsDistributable() {
			return fmt.Errorf("%w: layer %s has the media type %q", ErrMalformed, blob.Digest, l.MediaType)
		}
		v.Layers = append(v.Layers, blob)
	}
	return nil
}

func blobOf(d v1.Descriptor) (Blob, error) {
	digest, err := ParseDigest(d.Digest.String())
	if err != nil {
		return Blob{}, err
	}
	if d.Size < 0 {
		return Blob{}, fmt.Errorf("%w: %s announces %d bytes", ErrMalformed, digest, d.Size)
	}
	return Blob{Digest: digest, Size: d.Size, MediaType: string(d.MediaType)}, nil
}

// Platforms lists what the image runs on, in the order of the index.
func (i *Image) Platforms() []Platform {
	platforms := make([]Platform, len(i.Variants))
	for n, v := range i.Variants {
		platforms[n] = v.Platform
	}
	return platforms
}

// Size is the bytes of the index and of everything below it, each blob
// counted once.
func (i *Image) Size() int64 {
	seen := map[Digest]bool{i.Digest: true}
	total := i.size
	for _, b := range i.Blobs() {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			total += b.Size
		}
	}
	return total
}

// Blobs lists everything below the index, some of it perhaps twice.
func (i *Image) Blobs() []Blob {
	blobs := slices.Clone(i.attached)
	for _, v := range i.Variants {
		blobs = append(blobs, v.Blobs()...)
	}
	return blobs
}

// Select returns the variant for a platform: the first that fits, as the
// image's author ordered them. ErrNoPlatform lists what there is.
func (i *Image) Select(p Platform) (*Variant, error) {
	for _, v := range i.Variants {
		if v.Platform.serves(p) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is not among %v", ErrNoPlatform, p, i.Platforms())
}

// Blobs lists manifest, configuration and layers.
func (v *Variant) Blobs() []Blob {
	return append([]Blob{v.Manifest, v.Config}, v.Layers...)
}

// Size is the stored bytes of the variant.
func (v *Variant) Size() int64 {
	var total int64
	for _, b := range v.Blobs() {
		total += b.Size
	}
	return total
}
