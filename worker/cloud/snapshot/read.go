package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func digestOf(b cloud.Blob) digest.Digest { return digest.Digest(b.Digest) }

// Snapshot is one that is open for reading. It is for one reader.
type Snapshot struct {
	Info  Info
	lib   cloud.Library
	keys  *keys
	packs map[uint32]cloud.Blob
	list  []*chunkRef
	size  int64
	// files are packs that are open, the last used at the end.
	files []openPack
}

type openPack struct {
	serial  uint32
	content cloud.Content
}

// openPacks bounds the packs that are open at once.
const openPacks = 32

// Open reads manifest and head of a snapshot whose tree is in lib. ErrNoKey,
// ErrMalformed, cloud.ErrNotHeld.
func Open(lib cloud.Library, root uai.Digest, identities ...age.Identity) (*Snapshot, error) {
	raw, err := readBlob(lib, root, 4<<20)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrMalformed, err)
	}
	if manifest.ArtifactType != ArtifactType || len(manifest.Layers) == 0 || manifest.Layers[0].MediaType != TypeHead {
		return nil, fmt.Errorf("%w: %s is no snapshot but %q", ErrMalformed, root, clip(manifest.ArtifactType))
	}
	head, err := uai.ParseDigest(string(manifest.Layers[0].Digest))
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", ErrMalformed, err)
	}
	if raw, err = readBlob(lib, head, maxHeadBytes); err != nil {
		return nil, err
	}
	k, body, err := openHead(raw, identities...)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{lib: lib, keys: k, packs: map[uint32]cloud.Blob{}}
	if err := s.decodeHead(body); err != nil {
		return nil, err
	}
	return s, s.checkPacks(manifest.Layers[1:])
}

func clip(s string) string { return s[:min(len(s), 80)] }

// readBlob reads a blob of at most so many bytes and checks its digest.
func readBlob(lib cloud.Library, want uai.Digest, most int64) ([]byte, error) {
	content, err := lib.Open(want)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", want, err)
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, most+1))
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", want, err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrTooLarge, want, most)
	}
	if sum := sha256.Sum256(raw); want.Hex() != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%w: %s has another digest", ErrMalformed, want)
	}
	return raw, nil
}

func (s *Snapshot) decodeHead(packed []byte) error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(4*maxHeadBytes), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("unpack the head: %w", err)
	}
	defer decoder.Close()
	body, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return fmt.Errorf("%w: the head does not unpack: %w", ErrMalformed, err)
	}
	d := newDecoder(bytes.NewReader(body))
	if v := d.uint("version", 1<<32); d.err == nil && v != headVersion {
		return fmt.Errorf("%w: the head is of version %d, this program reads %d", ErrMalformed, v, headVersion)
	}
	s.Info = Info{
		Lease: d.text("lease", 256), Replica: uint32(d.uint("replica", 1<<32-1)),
		Generation: d.uint("generation", 1<<64-1), TakenMs: d.uint("time", 1<<63),
	}
	for range d.uint("volumes", maxVolumes) {
		v := VolumeInfo{Name: d.text("volume", maxNameBytes), Files: d.uint("files", MaxFiles), Bytes: d.uint("bytes", 1<<62)}
		s.Info.Volumes = append(s.Info.Volumes, v)
	}
	for range d.uint("packs", maxPacks) {
		p := decodePack(d)
		if _, twice := s.packs[p.serial]; twice {
			d.fail("pack %d occurs twice", p.serial)
		}
		s.packs[p.serial] = p.blob
	}
	s.size = int64(d.uint("size of the list", maxListBytes))
	for range d.uint("list", maxListBytes/chunkMin) {
		s.list = append(s.list, decodeRef(d))
	}
	if !d.end() {
		d.fail("the head has bytes left over")
	}
	return d.err
}

// checkPacks wants the manifest to name the packs that the head names: what
// others keep for us goes by the manifest.
func (s *Snapshot) checkPacks(layers []ocispec.Descriptor) error {
	named := make(map[cloud.Blob]bool, len(layers))
	for _, l := range layers {
		named[cloud.Blob{Digest: uai.Digest(l.Digest), Size: l.Size}] = true
	}
	for serial, blob := range s.packs {
		if !named[blob] {
			return fmt.Errorf("%w: the manifest does not name pack %d", ErrMalformed, serial)
		}
	}
	return nil
}

// Close closes what reading has opened.
func (s *Snapshot) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.content.Close())
	}
	s.files = nil
	return errors.Join(errs...)
}

// pack opens a pack, or finds it open.
func (s *Snapshot) pack(serial uint32) (cloud.Content, error) {
	if i := slices.IndexFunc(s.files, func(f openPack) bool { return f.serial == serial }); i >= 0 {
		f := s.files[i]
		s.files = append(slices.Delete(s.files, i, i+1), f)
		return f.content, nil
	}
	blob, ok := s.packs[serial]
	if !ok {
		return nil, fmt.Errorf("%w: no pack %d", ErrMalformed, serial)
	}
	if len(s.files) == openPacks {
		if err := s.files[0].content.Close(); err != nil {
			return nil, err
		}
		s.files = slices.Delete(s.files, 0, 1)
	}
	content, err := s.lib.Open(blob.Digest)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", blob.Digest, err)
	}
	s.files = append(s.files, openPack{serial, content})
	return content, nil
}

// chunk reads a chunk and checks it.
func (s *Snapshot) chunk(ref *chunkRef) ([]byte, error) {
	content, err := s.pack(ref.pack)
	if err != nil {
		return nil, err
	}
	sealed, err := sealedAt(content, s.packs[ref.pack], ref)
	if err != nil {
		return nil, err
	}
	return s.keys.openChunk(ref, sealed)
}

// listReader reads the list of files, chunk after chunk.
type listReader struct {
	s    *Snapshot
	next int
	rest []byte
}

// Read implements io.Reader.
func (r *listReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.next == len(r.s.list) {
			return 0, io.EOF
		}
		var err error
		if r.rest, err = r.s.chunk(r.s.list[r.next]); err != nil {
			return 0, err
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Entries calls do for each entry of each volume, a folder before what is in
// it, checked against all that came before it.
func (s *Snapshot) Entries(ctx context.Context, do func(volume string, n *Entry) error) error {
	var total int64
	for _, ref := range s.list {
		total += int64(ref.size)
	}
	if total != s.size {
		return fmt.Errorf("%w: the list has %d bytes, not %d", ErrMalformed, total, s.size)
	}
	d := newDecoder(&listReader{s: s})
	at := -1
	var order *treeOrder
	count := 0
	for !d.end() {
		kind := d.uint("kind", 255)
		if kind == tagVolume {
			name := d.text("volume", maxNameBytes)
			if at++; d.err == nil && (at >= len(s.Info.Volumes) || s.Info.Volumes[at].Name != name) {
				d.fail("volume %q is not announced", name)
			}
			order = newTreeOrder()
			continue
		}
		n := decodeEntry(d, Kind(kind))
		if d.err == nil && order == nil {
			d.fail("an entry of no volume")
		}
		if d.err != nil {
			break
		}
		if count++; count > MaxFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, MaxFiles)
		}
		if err := errors.Join(ctx.Err(), order.check(n)); err != nil {
			return err
		}
		if err := do(s.Info.Volumes[at].Name, n); err != nil {
			return err
		}
	}
	if d.err == nil && at+1 != len(s.Info.Volumes) {
		d.fail("volumes are missing")
	}
	return d.err
}

// treeOrder sees to it that every name is new and lies in a folder that came
// before, and that hard links lead to files that did.
type treeOrder struct {
	kinds map[string]Kind
}

func newTreeOrder() *treeOrder { return &treeOrder{kinds: map[string]Kind{}} }

func (o *treeOrder) check(n *Entry) error {
	if _, twice := o.kinds[n.Path]; twice {
		return fmt.Errorf("%w: %q occurs twice", ErrMalformed, n.Path)
	}
	if len(o.kinds) == 0 != (n.Path == ".") {
		return fmt.Errorf("%w: the volume itself is not its first entry", ErrMalformed)
	}
	if n.Path != "." && o.kinds[parent(n.Path)] != KindFolder {
		return fmt.Errorf("%w: %q lies in no folder", ErrMalformed, n.Path)
	}
	if n.Kind == KindHardlink && o.kinds[n.Target] != KindFile {
		return fmt.Errorf("%w: %q is another name of no file %q", ErrMalformed, n.Path, n.Target)
	}
	o.kinds[n.Path] = n.Kind
	return nil
}
