package uai

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// DefaultUser is who a packed program runs as: nobody with a name, so that a
// flaw in it is nobody's on the host either.
const DefaultUser = "65532:65532"

// Settings are the parts of an image's configuration that an author chooses.
type Settings struct {
	Entrypoint   []string
	Cmd          []string
	Env          []string // NAME=value
	ExposedPorts []string // "8080/tcp"
	Volumes      []string // absolute paths
	WorkingDir   string
	User         string // empty means DefaultUser
	Labels       map[string]string
}

// Source is the root file system of one variant: exactly one of Folder,
// Tarball and Binary.
type Source struct {
	Platform Platform
	// Folder is copied as it is, but for times and owners.
	Folder string
	// Tarball is a plain or gzipped tar file, taken byte for byte once
	// unpacked.
	Tarball string
	// Binary is a static executable; it becomes /app/<its name>, which is also
	// the entry point unless the settings say another.
	Binary string
}

// PackOptions describe an image of one layer for each platform.
type PackOptions struct {
	Sources  []Source
	Settings Settings
	// Name is written beside the digest in the layout's index, for people.
	Name string
	// Gzip compresses layers. Without it equal input gives an equal digest
	// whatever built this program; with it, only the same Go release does.
	Gzip bool
}

// PackBinary packs one static binary for the platform it was built for, and
// returns the digest of the image's index. The layout is made if it does not
// exist and added to if it does.
func PackBinary(layoutDir, binary string, settings Settings) (Digest, error) {
	platform, err := BinaryPlatform(binary)
	if err != nil {
		return "", err
	}
	return Pack(layoutDir, PackOptions{
		Sources:  []Source{{Platform: platform, Binary: binary}},
		Settings: settings,
	})
}

// Pack writes an image into a layout folder, made if it does not exist, and
// returns the digest of its index: equal input, equal digest. Times are the
// epoch, owners root, and the order of files alphabetic.
func Pack(layoutDir string, opts PackOptions) (Digest, error) {
	if len(opts.Sources) == 0 {
		return "", fmt.Errorf("%w: nothing to pack", ErrMalformed)
	}
	w, err := newLayoutWriter(layoutDir)
	if err != nil {
		return "", err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	seen := map[Platform]bool{}
	for _, source := range opts.Sources {
		if seen[source.Platform] {
			return "", fmt.Errorf("%w: platform %s occurs twice", ErrMalformed, source.Platform)
		}
		seen[source.Platform] = true
		manifest, err := w.packVariant(source, opts)
		if err != nil {
			return "", fmt.Errorf("pack %s: %w", source.Platform, err)
		}
		index.Manifests = append(index.Manifests, manifest)
	}
	descriptor, err := w.writeJSON(index, types.OCIImageIndex)
	if err != nil {
		return "", err
	}
	digest, err := ParseDigest(descriptor.Digest.String())
	if err != nil {
		return "", err
	}
	return digest, w.list(descriptor, opts.Name)
}

func (w *layoutWriter) packVariant(source Source, opts PackOptions) (v1.Descriptor, error) {
	layer, diffID, err := w.writeLayer(source, opts.Gzip)
	if err != nil {
		return v1.Descriptor{}, err
	}
	config, err := w.writeJSON(configFile(source, opts.Settings, diffID), types.OCIConfigJSON)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := w.writeJSON(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{layer},
	}, types.OCIManifestSchema1)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest.Platform = &v1.Platform{OS: source.Platform.OS, Architecture: source.Platform.Architecture, Variant: source.Platform.Variant}
	return manifest, nil
}

func configFile(source Source, s Settings, diffID v1.Hash) v1.ConfigFile {
	config := v1.Config{
		Entrypoint: s.Entrypoint, Cmd: s.Cmd, Env: s.Env, User: s.User, WorkingDir: s.WorkingDir, Labels: s.Labels,
		ExposedPorts: setOf(s.ExposedPorts), Volumes: setOf(s.Volumes),
	}
	if config.User == "" {
		config.User = DefaultUser
	}
	if len(config.Entrypoint) == 0 && source.Binary != "" {
		config.Entrypoint = []string{binaryPath(source.Binary)}
	}
	return v1.ConfigFile{
		Architecture: source.Platform.Architecture, OS: source.Platform.OS, Variant: source.Platform.Variant,
		Config: config, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}},
	}
}

func setOf(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]struct{}, len(list))
	for _, s := range list {
		set[s] = struct{}{}
	}
	return set
}

// layoutWriter adds content to a layout folder.
type layoutWriter struct {
	dir string
}

func newLayoutWriter(dir string) (*layoutWriter, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("make layout: %w", err)
	}
	w := &layoutWriter{dir: dir}
	marker := filepath.Join(dir, layoutFile)
	if _, err := os.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		content := fmt.Sprintf(`{"imageLayoutVersion":%q}`, layoutVersion)
		return w, w.replace(layoutFile, []byte(content))
	}
	existing, err := Open(dir) // refuses other versions
	if err != nil {
		return nil, err
	}
	return w, existing.Close()
}

func (w *layoutWriter) writeJSON(value any, mediaType types.MediaType) (v1.Descriptor, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	digest := digestOf(raw)
	if err := w.replace(digest.blobPath(), raw); err != nil {
		return v1.Descriptor{}, err
	}
	return descriptorOf(digest, int64(len(raw)), mediaType)
}

func descriptorOf(digest Digest, size int64, mediaType types.MediaType) (v1.Descriptor, error) {
	hash, err := v1.NewHash(digest.String())
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v1.Descriptor{MediaType: mediaType, Digest: hash, Size: size}, nil
}

// writeLayer streams the root file system into a blob, whose name is known
// only at its end.
func (w *layoutWriter) writeLayer(source Source, packed bool) (v1.Descriptor, v1.Hash, error) {
	none := v1.Hash{}
	file, err := os.CreateTemp(filepath.Join(w.dir, "blobs", "sha256"), ".layer-*")
	if err != nil {
		return v1.Descriptor{}, none, fmt.Errorf("write layer: %w", err)
	}
	defer discard(file)
	stored := newCountingHash(file)
	var sink io.Writer = stored
	var packer *gzip.Writer
	mediaType := types.OCIUncompressedLayer
	if packed {
		packer = gzip.NewWriter(stored)
		sink, mediaType = packer, types.OCILayer
	}
	unpacked := newCountingHash(sink)
	if err := writeRoot(unpacked, source); err != nil {
		return v1.Descriptor{}, none, err
	}
	if packer != nil {
		if err := packer.Close(); err != nil {
			return v1.Descriptor{}, none, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := finish(file, filepath.Join(w.dir, stored.digest().blobPath())); err != nil {
		return v1.Descriptor{}, none, err
	}
	diffID, err := v1.NewHash(unpacked.digest().String())
	if err != nil {
		return v1.Descriptor{}, none, err
	}
	layer, err := descriptorOf(stored.digest(), stored.size, mediaType)
	return layer, diffID, err
}

// replace writes a small file so that readers see the old content or the new.
func (w *layoutWriter) replace(name string, content []byte) error {
	target := filepath.Join(w.dir, filepath.FromSlash(name))
	file, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer discard(file)
	if _, err := file.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return finish(file, target)
}

// discard removes a temporary file that was not finished. After finish there
// is nothing under its name any more, and both calls fail, as they should.
func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}

// finish makes a temporary file durable under its name. Blobs are public, so
// a worker of another user may read them.
func finish(file *os.File, target string) error {
	for _, step := range []func() error{
		func() error { return file.Chmod(0o644) },
		file.Sync,
		file.Close,
		func() error { return os.Rename(file.Name(), target) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Base(target), err)
		}
	}
	return nil
}

// list adds an image to index.json. Packed again it stays one entry, and a
// name moves to the image that had it last.
func (w *layoutWriter) list(image v1.Descriptor, name string) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	raw, err := os.ReadFile(filepath.Join(w.dir, indexFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read %s: %w", indexFile, err)
	default:
		parsed, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrMalformed, indexFile, err)
		}
		index = *parsed
	}
	if name != "" {
		image.Annotations = map[string]string{refAnnotation: name}
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
		return d.Digest == image.Digest || name != "" && d.Annotations[refAnnotation] == name
	})
	index.Manifests = append(index.Manifests, image)
	out, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", indexFile, err)
	}
	return w.replace(indexFile, append(out, '\n'))
}
