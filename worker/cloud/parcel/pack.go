package parcel

import (
	"archive/tar"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"filippo.io/age"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// PackOptions say how content is packed.
type PackOptions struct {
	// Recipient encrypts it; nil leaves it for everybody to read.
	Recipient age.Recipient
	// Mark is the key of the fingerprint of private content; see Mark.
	Mark []byte
	// Progress is told of all bytes that were read; it may be nil.
	Progress func(bytes int64)
	// pieceBytes is another size in tests.
	pieceBytes int64
}

// Packed is what was packed.
type Packed struct {
	Root uai.Digest
	// ContentBytes is what was read.
	ContentBytes int64
	// Fingerprint under the mark, if there is one.
	Fingerprint string
}

// Pack packs a file or folder into dir, in the form of an OCI layout's blobs.
// What a person would expect comes back: names, contents, permissions, times.
// Owners and attributes do not; a folder's links must lead nowhere outside.
func Pack(ctx context.Context, source, dir string, opts PackOptions) (Packed, error) {
	info, err := os.Stat(source)
	if err != nil {
		return Packed{}, err
	}
	return pack(ctx, dir, TypeTar, opts, func(w io.Writer) error {
		archive := tar.NewWriter(w)
		if info.IsDir() {
			err = writeFolder(ctx, archive, source)
		} else {
			err = writeFile(archive, info, filepath.Base(source), func() (fs.File, error) { return os.Open(source) })
		}
		return errors.Join(err, archive.Close())
	})
}

// PackStream packs bytes as they are.
func PackStream(ctx context.Context, r io.Reader, dir string, opts PackOptions) (Packed, error) {
	return pack(ctx, dir, TypeRaw, opts, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

func pack(ctx context.Context, dir, kind string, opts PackOptions, write func(io.Writer) error) (Packed, error) {
	store := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return Packed{}, err
	}
	pieces := &pieceWriter{dir: store, limit: opts.pieceBytes, sum: sha256.New()}
	if pieces.limit == 0 {
		pieces.limit = pieceBytes
	}
	defer pieces.abort()
	meter := &meter{ctx: ctx, to: pieces, progress: opts.Progress}
	closers := []io.Closer{pieces}
	if opts.Recipient != nil {
		kind += encrypted
		sealed, err := age.Encrypt(pieces, opts.Recipient)
		if err != nil {
			return Packed{}, fmt.Errorf("encrypt: %w", err)
		}
		meter.to, closers = sealed, []io.Closer{sealed, pieces}
		meter.mark = hmac.New(sha256.New, opts.Mark)
	}
	if err := write(meter); err != nil {
		return Packed{}, err
	}
	for _, c := range closers {
		if err := c.Close(); err != nil {
			return Packed{}, err
		}
	}
	packed := Packed{ContentBytes: meter.done}
	if meter.mark != nil {
		packed.Fingerprint = hex.EncodeToString(meter.mark.Sum(nil))
	}
	var err error
	packed.Root, err = writeManifest(store, kind, pieces.done, packed.Fingerprint)
	return packed, err
}

func writeManifest(store, kind string, pieces []cloud.Blob, fingerprint string) (uai.Digest, error) {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeEmptyJSON, Digest: ocispec.DescriptorEmptyJSON.Digest, Size: ocispec.DescriptorEmptyJSON.Size,
		},
	}
	if fingerprint != "" {
		manifest.Annotations = map[string]string{fingerprintName: fingerprint}
	}
	for _, p := range pieces {
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: kind, Digest: digest.Digest(p.Digest), Size: p.Size})
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return "", err
	}
	for _, blob := range [][]byte{ocispec.DescriptorEmptyJSON.Data, raw} {
		if err := os.WriteFile(filepath.Join(store, digestOf(blob).Hex()), blob, 0o600); err != nil {
			return "", err
		}
	}
	return digestOf(raw), nil
}

func digestOf(raw []byte) uai.Digest {
	sum := sha256.Sum256(raw)
	return uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// meter counts plain bytes on their way, marks them and ends it when it should.
type meter struct {
	ctx      context.Context
	to       io.Writer
	mark     hash.Hash
	done     int64
	progress func(int64)
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	if m.mark != nil {
		m.mark.Write(p)
	}
	n, err := m.to.Write(p)
	m.done += int64(n)
	if m.progress != nil {
		m.progress(m.done)
	}
	return n, err
}

// pieceWriter cuts a stream into files that are named by their digests. Even
// an empty stream has a piece.
type pieceWriter struct {
	dir   string
	limit int64
	file  *os.File
	sum   hash.Hash
	size  int64
	done  []cloud.Blob
}

// Write implements io.Writer.
func (w *pieceWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if w.size == w.limit {
			if err := w.finish(); err != nil {
				return written, err
			}
		}
		if err := w.begin(); err != nil {
			return written, err
		}
		n, err := w.file.Write(p[:min(int64(len(p)), w.limit-w.size)])
		w.sum.Write(p[:n])
		w.size += int64(n)
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

func (w *pieceWriter) begin() (err error) {
	if w.file == nil {
		w.file, err = os.CreateTemp(w.dir, ".piece-*")
	}
	return err
}

func (w *pieceWriter) finish() error {
	if len(w.done) == maxPieces {
		return fmt.Errorf("it is larger than %d pieces of %d MiB: store it in parts", maxPieces, w.limit>>20)
	}
	blob := cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(w.sum.Sum(nil))), Size: w.size}
	name := w.file.Name()
	if err := w.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(name, filepath.Join(w.dir, blob.Digest.Hex())); err != nil {
		return err
	}
	w.done = append(w.done, blob)
	w.file, w.size = nil, 0
	w.sum.Reset()
	return nil
}

// Close ends the last piece.
func (w *pieceWriter) Close() error {
	if err := w.begin(); err != nil {
		return err
	}
	return w.finish()
}

// abort drops a piece that is not whole; there is none after Close.
func (w *pieceWriter) abort() {
	if w.file != nil {
		_ = w.file.Close()
		_ = os.Remove(w.file.Name())
	}
}

// writeFolder walks by the names' order, so that equal folders give equal
// archives.
func writeFolder(ctx context.Context, archive *tar.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			header := newHeader(name+"/", info)
			header.Typeflag = tar.TypeDir
			return archive.WriteHeader(header)
		case info.Mode()&fs.ModeSymlink != 0:
			return writeLink(archive, root, name, info)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file, a folder nor a link: leave it out", filepath.Join(dir, name))
		}
		return writeFile(archive, info, name, func() (fs.File, error) { return root.Open(name) })
	})
}

func writeLink(archive *tar.Writer, root *os.Root, name string, info fs.FileInfo) error {
	target, err := root.Readlink(name)
	if err != nil {
		return err
	}
	if !staysInside(name, target) {
		return fmt.Errorf("%s is a link to %s, outside of the folder: store what it leads to, or leave it out", name, target)
	}
	header := newHeader(name, info)
	header.Typeflag, header.Linkname = tar.TypeSymlink, target
	return archive.WriteHeader(header)
}

// staysInside says whether a link leads nowhere outside of the folder it is in.
func staysInside(name, target string) bool {
	return target != "" && !path.IsAbs(target) && filepath.IsLocal(path.Join(path.Dir(name), target)) && !strings.Contains(target, "\x00")
}

func newHeader(name string, info fs.FileInfo) *tar.Header {
	return &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
}

func writeFile(archive *tar.Writer, info fs.FileInfo, name string, open func() (fs.File, error)) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a folder", name)
	}
	file, err := open()
	if err != nil {
		return err
	}
	defer file.Close()
	header := newHeader(name, info)
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.CopyN(archive, file, info.Size()); errors.Is(err, io.EOF) {
		return fmt.Errorf("%s became shorter while it was read: put it again", name)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
