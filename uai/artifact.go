package uai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// emptyType is what OCI gives manifests that have no configuration of
	// their own; its content is "{}".
	emptyType    types.MediaType = "application/vnd.oci.empty.v1+json"
	emptyContent string          = "{}"
	// unknownOS is the platform of manifests that nobody runs.
	unknownOS string = "unknown"
)

// isConfigType says whether a type is a UAI configuration's, of any version.
func isConfigType(mediaType string) bool {
	return strings.HasPrefix(mediaType, configTypePrefix) && strings.HasSuffix(mediaType, configTypeSuffix)
}

func parseManifest(digest Digest, raw []byte) (*v1.Manifest, error) {
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: manifest %s: %w", ErrMalformed, digest, err)
	}
	if manifest.MediaType != "" && !manifest.MediaType.IsImage() {
		return nil, fmt.Errorf("%w: manifest %s says of itself that it is %q", ErrMalformed, digest, manifest.MediaType)
	}
	return manifest, nil
}

// addArtifact takes a manifest that is for no platform. Only the UAI
// configuration is read; of others the blobs are remembered.
func (i *Image) addArtifact(digest Digest, raw []byte) error {
	manifest, err := parseManifest(digest, raw)
	if err != nil {
		return err
	}
	if len(manifest.Layers) > i.layout.limits.Layers {
		return fmt.Errorf("%w: manifest %s: %d layers, at most %d", ErrTooLarge, digest, len(manifest.Layers), i.layout.limits.Layers)
	}
	blobs := []Blob{{Digest: digest, Size: int64(len(raw)), MediaType: string(types.OCIManifestSchema1)}}
	for _, d := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		blob, err := blobOf(d)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", digest, err)
		}
		blobs = append(blobs, blob)
	}
	i.attached = append(i.attached, blobs...)
	if !isConfigType(manifest.ArtifactType) {
		return nil
	}
	i.configBlobs = append(i.configBlobs, digestsOf(blobs)...)
	if manifest.ArtifactType != ConfigMediaType {
		return fmt.Errorf("%w: %s; a newer isun may read it", ErrVersion, manifest.ArtifactType)
	}
	return i.readConfig(digest, blobs[2:])
}

func (i *Image) readConfig(manifest Digest, blobs []Blob) error {
	if i.Config != nil {
		return fmt.Errorf("%w: index %s has two UAI configurations", ErrMalformed, i.Digest)
	}
	if len(blobs) != 1 || blobs[0].MediaType != ConfigMediaType {
		return fmt.Errorf("%w: manifest %s is to hold one blob of the type %s", ErrMalformed, manifest, ConfigMediaType)
	}
	raw, err := i.layout.readBlob(blobs[0].Digest, blobs[0].Size)
	if err != nil {
		return fmt.Errorf("UAI configuration: %w", err)
	}
	config, err := ParseConfig(raw)
	if err != nil {
		return err
	}
	i.Config = &config
	return nil
}

// checkPlatforms makes sure that what the configuration announces is there.
func (i *Image) checkPlatforms() error {
	if i.Config == nil {
		return nil
	}
	if have := platformNames(i.Platforms()); !slices.Equal(have, i.Config.Platforms) {
		return fmt.Errorf("%w: the UAI configuration says platforms %v, and the index has %v", ErrMalformed, i.Config.Platforms, have)
	}
	return nil
}

// platformNames are platforms as a configuration and the chain list them:
// without variants, sorted, each once.
func platformNames(platforms []Platform) []string {
	names := make([]string, 0, len(platforms))
	for _, p := range platforms {
		names = append(names, p.OS+"/"+p.Architecture)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// verifyAttached checks what is attached as far as the layout has it; the
// configuration was read and checked when the image was found.
func (i *Image) verifyAttached() error {
	for _, b := range i.attached {
		file, err := i.layout.openBlob(b)
		if errors.Is(err, ErrNotFound) && i.isOptional(b.Digest) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isOptional says whether an image is whole without a blob: it is of some
// builder's attestation, and of nothing else.
func (i *Image) isOptional(digest Digest) bool {
	if digest == i.Digest || slices.Contains(i.configBlobs, digest) {
		return false
	}
	for _, v := range i.Variants {
		if slices.Contains(digestsOf(v.Blobs()), digest) {
			return false
		}
	}
	return true
}

// writeConfig writes a configuration and the manifest that carries it.
func (w *layoutWriter) writeConfig(c Config) (v1.Descriptor, error) {
	if err := c.Validate(); err != nil {
		return v1.Descriptor{}, err
	}
	blob, err := w.writeJSON(c, ConfigMediaType)
	if err != nil {
		return v1.Descriptor{}, err
	}
	empty := digestOf([]byte(emptyContent))
	if err := w.replace(empty.blobPath(), []byte(emptyContent)); err != nil {
		return v1.Descriptor{}, err
	}
	none, err := descriptorOf(empty, int64(len(emptyContent)), emptyType)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := w.writeJSON(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: ConfigMediaType,
		Config: none, Layers: []v1.Descriptor{blob},
	}, types.OCIManifestSchema1)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest.ArtifactType = ConfigMediaType
	manifest.Platform = &v1.Platform{OS: unknownOS, Architecture: unknownOS}
	return manifest, nil
}
