package uai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// DefaultUser is who a packed program runs as: nobody with a name, so that a
// flaw in it is nobody's on the host either.
const DefaultUser = "65532:65532"

// ArchiveSuffix ends the paths that are an archive of a layout, not a folder.
const ArchiveSuffix = ".tar"

// Source is the root file system of one variant: exactly one of Folder,
// Tarball, Binary, Stream and Image.
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
	// Stream writes the root file system as a plain tar archive.
	Stream func(w io.Writer) error
	// Base is the configuration that settings change; nil begins with none.
	Base *v1.Config
	// Image is one that exists, whose layers are taken as they are.
	Image *Existing
}

// Existing is an image as a container engine keeps it.
type Existing struct {
	// Config is kept byte for byte unless settings change it, so that the
	// engine knows the image again.
	Config []byte
	// Layers open the unpacked layers, the lowest first.
	Layers []func() (io.ReadCloser, error)
}

// PackOptions describe an image of a variant for each platform.
type PackOptions struct {
	Sources  []Source
	Settings Settings
	// Config is the UAI configuration; its platforms are filled in. Without
	// one the image is an ordinary OCI index.
	Config *Config
	// Name is written beside the digest in the layout's index, for people.
	Name string
	// Add keeps the variants of the image that has the name, or of the only
	// one, and its configuration if Config is nil. The new image takes its
	// place.
	Add bool
	// Gzip compresses layers. Without it equal input gives an equal digest
	// whatever built this program; with it, only the same Go release does.
	Gzip bool
	// Progress is told the bytes written; the total is not known.
	Progress Progress
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

// Pack is PackInto for programs that are not interrupted.
func Pack(path string, opts PackOptions) (Digest, error) {
	return PackInto(context.Background(), path, opts)
}

// PackInto writes an image into a layout folder, made if it does not exist, or
// into an archive of one if the path ends in ".tar", which is replaced as a
// whole. It returns the digest of the image's index: equal input, equal
// digest. Times are the epoch, owners root unless a source says otherwise, and
// the order of files alphabetic.
//
// Whatever interrupts it, the folder lists whole images only, and the next
// call removes what was left behind.
func PackInto(ctx context.Context, path string, opts PackOptions) (Digest, error) {
	if len(opts.Sources) == 0 {
		return "", fmt.Errorf("%w: nothing to pack", ErrMalformed)
	}
	if strings.HasSuffix(path, ArchiveSuffix) {
		return packArchive(ctx, path, opts)
	}
	w, err := newLayoutWriter(ctx, path)
	if err != nil {
		return "", err
	}
	digest, err := w.pack(ctx, opts)
	return digest, errors.Join(err, w.Close())
}

func (w *layoutWriter) pack(ctx context.Context, opts PackOptions) (Digest, error) {
	base, replaced, err := w.base(&opts)
	if err != nil {
		return "", err
	}
	packed := map[Platform]v1.Descriptor{}
	for _, source := range opts.Sources {
		if _, twice := packed[source.Platform]; twice {
			return "", fmt.Errorf("%w: platform %s occurs twice", ErrMalformed, source.Platform)
		}
		manifest, err := w.packVariant(ctx, source, opts)
		if err != nil {
			return "", fmt.Errorf("pack %s: %w", source.Platform, err)
		}
		packed[source.Platform] = manifest
	}
	for platform, manifest := range base {
		if _, anew := packed[platform]; !anew {
			packed[platform] = manifest
		}
	}
	descriptor, err := w.writeIndex(packed, opts.Config)
	if err != nil {
		return "", err
	}
	digest, err := ParseDigest(descriptor.Digest.String())
	if err != nil {
		return "", err
	}
	if err := w.list(descriptor, opts.Name); err != nil {
		return "", err
	}
	if replaced != "" && replaced != digest {
		err = w.drop(replaced)
	}
	return digest, err
}

// writeIndex lists variants by platform, so that it does not matter which was
// packed first.
func (w *layoutWriter) writeIndex(packed map[Platform]v1.Descriptor, config *Config) (v1.Descriptor, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	platforms := make([]Platform, 0, len(packed))
	for platform := range packed {
		platforms = append(platforms, platform)
	}
	slices.SortFunc(platforms, func(a, b Platform) int { return strings.Compare(a.String(), b.String()) })
	for _, platform := range platforms {
		index.Manifests = append(index.Manifests, packed[platform])
	}
	if config != nil {
		whole := *config
		whole.SchemaVersion = ConfigVersion
		whole.Platforms = platformNames(platforms)
		manifest, err := w.writeConfig(whole)
		if err != nil {
			return v1.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, manifest)
	}
	return w.writeJSON(index, types.OCIImageIndex)
}

// base finds the variants that an image is added to.
func (w *layoutWriter) base(opts *PackOptions) (map[Platform]v1.Descriptor, Digest, error) {
	if !opts.Add {
		return nil, "", nil
	}
	layout, err := Open(w.dir)
	if err != nil {
		return nil, "", err
	}
	defer layout.Close()
	entry, err := layout.Find(opts.Name)
	if err != nil {
		return nil, "", fmt.Errorf("add to an image: %w", err)
	}
	image, err := layout.Image(entry.Digest)
	if err != nil {
		return nil, "", err
	}
	variants := map[Platform]v1.Descriptor{}
	for _, v := range image.Variants {
		manifest, err := descriptorOf(v.Manifest.Digest, v.Manifest.Size, types.MediaType(v.Manifest.MediaType))
		if err != nil {
			return nil, "", err
		}
		manifest.Platform = v.Platform.v1()
		variants[v.Platform] = manifest
	}
	if opts.Config == nil {
		opts.Config = image.Config
	}
	if opts.Name == "" {
		opts.Name = entry.Name
	}
	return variants, entry.Digest, nil
}

func (p Platform) v1() *v1.Platform {
	return &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

func (w *layoutWriter) packVariant(ctx context.Context, source Source, opts PackOptions) (v1.Descriptor, error) {
	var layers []v1.Descriptor
	var diffIDs []v1.Hash
	for _, write := range source.layers() {
		layer, diffID, err := w.writeLayer(ctx, write, opts)
		if err != nil {
			return v1.Descriptor{}, err
		}
		layers, diffIDs = append(layers, layer), append(diffIDs, diffID)
	}
	raw, err := source.config(opts.Settings, diffIDs)
	if err != nil {
		return v1.Descriptor{}, err
	}
	config, err := w.writeRaw(raw, types.OCIConfigJSON)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := w.writeJSON(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: layers,
	}, types.OCIManifestSchema1)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest.Platform = source.Platform.v1()
	return manifest, nil
}

// layers write the layers of a source, each as a plain tar archive.
func (s Source) layers() []func(io.Writer) error {
	if s.Image == nil {
		return []func(io.Writer) error{func(w io.Writer) error { return writeRoot(w, s) }}
	}
	layers := make([]func(io.Writer) error, 0, len(s.Image.Layers))
	for _, open := range s.Image.Layers {
		layers = append(layers, func(w io.Writer) error {
			layer, err := open()
			if err != nil {
				return fmt.Errorf("read layer: %w", err)
			}
			_, err = io.Copy(w, layer)
			return errors.Join(err, layer.Close())
		})
	}
	return layers
}

// packArchive packs into a folder beside the archive, and makes the archive of
// that.
func packArchive(ctx context.Context, path string, opts PackOptions) (digest Digest, err error) {
	archive, err := beginArchive(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, archive.abort()) }()
	if opts.Add {
		if err := archive.unpackOld(ctx); err != nil {
			return "", err
		}
	}
	w, err := newLayoutWriter(ctx, archive.work)
	if err != nil {
		return "", err
	}
	digest, err = w.pack(ctx, opts)
	if err := errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	return digest, archive.commit(ctx)
}

// besidePath is a hidden name in the folder of a path, on the same disk.
func besidePath(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}
