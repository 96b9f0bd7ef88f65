package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// Taker takes snapshots of this node's placements. It is safe for concurrent
// use, for different keys.
type Taker struct {
	// Store is where they go.
	Store Store
	// Dir is a folder of the worker's own for what it remembers of the last
	// snapshot of each placement.
	Dir string
	Log *slog.Logger
}

// Request says what to take.
type Request struct {
	// Key names the placement in the taker's folder; see runtime.ID.Key.
	Key        string
	Lease      string // tenant/number
	Replica    uint32
	Generation uint64
	// Recipient is the lease's, "age1…".
	Recipient string
	// Volumes are folders of this host by the volumes' names.
	Volumes map[string]string
	// Freeze stops all writers until thaw is called. thaw fails with ErrThawed
	// if they were not still all the while. Nil if there are none.
	Freeze func(ctx context.Context) (thaw func() error, err error)
	// Clock gives TakenMs; it is asked while all is still.
	Clock func() uint64
	// RequestMs is remembered with the snapshot; see Taker.Last.
	RequestMs uint64
}

// Result says what was taken.
type Result struct {
	Info Info
	// Root is the manifest; Blobs are the tree's, the root first.
	Root  cloud.Blob
	Blobs []cloud.Blob
	// SizeBytes of the tree; NewBytes of those blobs that the last snapshot
	// had not.
	SizeBytes, NewBytes uint64
	// ReadBytes is what was read of files, ReadFrozen how much of it while the
	// placement stood still, which was for Pause.
	ReadBytes, ReadFrozen uint64
	Pause                 time.Duration
}

// Last tells of the last snapshot of a placement that this node took: its
// request and its instant, 0 if there is none.
func (t *Taker) Last(key string) (requestMs, takenMs uint64) {
	m, err := loadMemory(t.Dir, key)
	if err != nil || m == nil {
		return 0, 0
	}
	return m.requestMs, m.takenMs
}

// Forget drops what is remembered of a placement that is gone.
func (t *Taker) Forget(key string) error {
	if err := os.Remove(memoryPath(t.Dir, key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("last snapshot: %w", err)
	}
	return nil
}

// Take takes a snapshot. The tree is in the store, pinned, when it returns. A
// snapshot that fails leaves nothing but packs that belong to no root.
func (t *Taker) Take(ctx context.Context, req Request) (result Result, err error) {
	if len(req.Volumes) == 0 || len(req.Volumes) > maxVolumes {
		return result, fmt.Errorf("snapshot of %s: %d volumes, want 1 to %d", req.Lease, len(req.Volumes), maxVolumes)
	}
	s, err := t.begin(ctx, req)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.packer.done()) }()
	if err := s.read(); err != nil {
		if errors.Is(err, ErrCache) {
			err = errors.Join(err, t.Forget(req.Key))
		}
		return s.result, err
	}
	if err := s.finish(); err != nil {
		if errors.Is(err, ErrCache) {
			err = errors.Join(err, t.Forget(req.Key))
		}
		return s.result, err
	}
	return s.result, nil
}

// session is one snapshot in the making.
type session struct {
	ctx     context.Context
	taker   *Taker
	req     Request
	packer  *packer
	names   []string
	before  map[string]map[string]*Entry
	settled map[string]int64
	volumes []volume
	result  Result
}

// begin goes on from the last snapshot, or with a new data key if there is
// none or the recipient is another one now.
func (t *Taker) begin(ctx context.Context, req Request) (*session, error) {
	last, err := loadMemory(t.Dir, req.Key)
	if err != nil && !errors.Is(err, ErrCache) {
		return nil, err
	}
	if err != nil && t.Log != nil {
		t.Log.Warn("a snapshot begins anew", "lease", req.Lease, "replica", req.Replica, "error", err)
	}
	if last != nil && last.recipient != req.Recipient {
		last = nil
	}
	var data []byte
	if last != nil {
		data = last.data
	} else if data, err = newDataKey(); err != nil {
		return nil, err
	}
	k, err := deriveKeys(data)
	if err != nil {
		return nil, err
	}
	s := &session{
		ctx: ctx, taker: t, req: req, packer: newPacker(t.Store, k), settled: map[string]int64{},
		names: slices.Sorted(maps.Keys(req.Volumes)), before: map[string]map[string]*Entry{},
	}
	if last != nil {
		s.before = last.resume(s.packer)
	}
	return s, nil
}

const (
	// warmPasses bounds how often volumes are read while the placement runs;
	// each leaves less to read while it stands still.
	warmPasses = 4
	// coldBytes is little enough to be read while it stands still.
	coldBytes = 16 << 20
)

// read reads the volumes while the placement runs, until little changes, and
// then what has changed since while it stands still.
func (s *session) read() error {
	if s.req.Freeze == nil {
		// Twice costs a walk, and what is settled need not be read next time.
		if err := s.pass(false); err != nil {
			return err
		}
		return s.instant()
	}
	last := int64(-1)
	for range warmPasses {
		before := s.result.ReadBytes
		if err := s.pass(false); err != nil {
			return err
		}
		read := int64(s.result.ReadBytes - before)
		if read <= coldBytes || last >= 0 && read > last/2 {
			break
		}
		last = read
	}
	thaw, err := s.req.Freeze(s.ctx)
	if err != nil {
		return fmt.Errorf("freeze the placement: %w", err)
	}
	begin := time.Now()
	err = s.instant()
	if thawErr := thaw(); err == nil {
		err = thawErr
	}
	s.result.Pause = time.Since(begin)
	return err
}

// instant reads while nothing changes.
func (s *session) instant() error {
	before := s.result.ReadBytes
	s.result.Info.TakenMs = s.req.Clock()
	err := s.pass(true)
	s.result.ReadFrozen = s.result.ReadBytes - before
	return err
}

// pass reads all volumes once.
func (s *session) pass(still bool) error {
	budget := MaxFiles
	s.volumes = s.volumes[:0]
	scan := &scanner{ctx: s.ctx, packer: s.packer, still: still, budget: &budget}
	for _, name := range s.names {
		scan.before, scan.settledBefore, scan.entries = s.before[name], s.settled[name], nil
		if err := scan.scan(s.req.Volumes[name]); err != nil {
			return fmt.Errorf("snapshot of volume %s: %w", name, err)
		}
		s.settled[name] = scan.settledBefore
		s.volumes = append(s.volumes, volume{name: name, entries: scan.entries})
		before := make(map[string]*Entry, len(scan.entries))
		for _, n := range scan.entries {
			before[n.Path] = n
		}
		s.before[name] = before
	}
	s.result.ReadBytes += uint64(scan.read)
	return nil
}

// finish packs the list, writes head and manifest, and remembers.
func (s *session) finish() error {
	p := s.packer
	live := map[*chunkRef]bool{}
	for _, v := range s.volumes {
		sum := VolumeInfo{Name: v.name, Files: uint64(len(v.entries))}
		for _, n := range v.entries {
			for _, x := range n.extents {
				if x.ref != nil {
					live[x.ref] = true
					sum.Bytes += uint64(x.ref.size)
				}
			}
		}
		s.result.Info.Volumes = append(s.result.Info.Volumes, sum)
	}
	// Before the list: it says where chunks are.
	if err := p.repack(s.ctx, live); err != nil {
		return err
	}
	list, size, err := s.packList()
	if err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	packs := s.neededPacks(live, list)
	if len(packs) > maxPacks {
		return fmt.Errorf("%w: %d packs, at most %d", ErrTooLarge, len(packs), maxPacks)
	}
	if err := s.writeTree(packs, list, size); err != nil {
		return err
	}
	m := &memory{
		data: p.keys.data, recipient: s.req.Recipient, requestMs: s.req.RequestMs, takenMs: s.result.Info.TakenMs,
		next: p.next, packs: packs, list: list, volumes: s.volumes,
	}
	return m.save(s.taker.Dir, s.req.Key)
}

// packList writes the list of files and packs it as if it were one.
func (s *session) packList() (list []*chunkRef, size int64, err error) {
	e := &encoder{}
	for _, v := range s.volumes {
		e.uint(tagVolume)
		e.text(v.name)
		for _, n := range v.entries {
			n.encode(e)
		}
	}
	if len(e.out) > maxListBytes {
		return nil, 0, fmt.Errorf("%w: the list of files takes %d bytes", ErrTooLarge, len(e.out))
	}
	scan := &scanner{ctx: s.ctx, packer: s.packer}
	var n Entry
	if _, err := scan.piece(bytes.NewReader(e.out), int64(len(e.out)), &n); err != nil {
		return nil, 0, err
	}
	for _, x := range n.extents {
		list = append(list, x.ref)
	}
	return list, int64(len(e.out)), nil
}

// neededPacks are those that something of the snapshot lies in, by serial.
func (s *session) neededPacks(live map[*chunkRef]bool, list []*chunkRef) []packInfo {
	needed := map[uint32]bool{}
	for ref := range live {
		needed[ref.pack] = true
	}
	for _, ref := range list {
		needed[ref.pack] = true
	}
	var packs []packInfo
	for _, serial := range slices.Sorted(maps.Keys(needed)) {
		packs = append(packs, s.packer.packs[serial])
	}
	return packs
}

func (s *session) writeTree(packs []packInfo, list []*chunkRef, size int64) error {
	s.result.Info.Lease, s.result.Info.Replica = s.req.Lease, s.req.Replica
	s.result.Info.Generation = s.req.Generation
	body, err := encodeHead(s.result.Info, packs, list, size)
	if err != nil {
		return err
	}
	sealed, err := s.packer.keys.sealHead(s.req.Recipient, body)
	if err != nil {
		return err
	}
	head, err := s.put(sealed)
	if err != nil {
		return err
	}
	config, err := s.put(ocispec.DescriptorEmptyJSON.Data)
	if err != nil {
		return err
	}
	layers := []ocispec.Descriptor{descriptor(TypeHead, head)}
	blobs := []cloud.Blob{config, head}
	for _, p := range packs {
		layers = append(layers, descriptor(TypePack, p.blob))
		blobs = append(blobs, p.blob)
		if s.packer.fresh[p.serial] {
			s.result.NewBytes += uint64(p.blob.Size)
		}
	}
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: descriptor(ocispec.MediaTypeEmptyJSON, config), Layers: layers,
	}
	manifest.SchemaVersion = 2
	raw, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if s.result.Root, err = s.put(raw); err != nil {
		return err
	}
	s.result.NewBytes += uint64(head.Size + s.result.Root.Size)
	s.result.Blobs = append([]cloud.Blob{s.result.Root}, blobs...)
	for _, b := range s.result.Blobs {
		s.result.SizeBytes += uint64(b.Size)
	}
	if err := s.taker.Store.SetRoot(s.result.Root.Digest, s.result.Blobs, true); err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	return nil
}

func descriptor(mediaType string, b cloud.Blob) ocispec.Descriptor {
	d := ocispec.DescriptorEmptyJSON
	d.MediaType, d.Size, d.Data = mediaType, b.Size, nil
	d.Digest = digestOf(b)
	return d
}

// put writes a small blob.
func (s *session) put(content []byte) (cloud.Blob, error) {
	draft, err := s.taker.Store.Create(s.ctx)
	if err != nil {
		return cloud.Blob{}, fmt.Errorf("write blob: %w", err)
	}
	if _, err := draft.Write(content); err != nil {
		return cloud.Blob{}, errors.Join(fmt.Errorf("write blob: %w", err), draft.Abort())
	}
	sum := sha256.Sum256(content)
	blob, err := draft.Commit(uai.Digest("sha256:" + hex.EncodeToString(sum[:])))
	if err != nil {
		return cloud.Blob{}, fmt.Errorf("write blob: %w", err)
	}
	s.packer.keep(blob.Digest)
	return blob, nil
}

const headVersion = 1

// encodeHead writes what the head keeps secret, packed.
func encodeHead(info Info, packs []packInfo, list []*chunkRef, size int64) ([]byte, error) {
	e := &encoder{}
	e.uint(headVersion)
	e.text(info.Lease)
	e.uint(uint64(info.Replica))
	e.uint(info.Generation)
	e.uint(info.TakenMs)
	e.uint(uint64(len(info.Volumes)))
	for _, v := range info.Volumes {
		e.text(v.Name)
		e.uint(v.Files)
		e.uint(v.Bytes)
	}
	e.uint(uint64(len(packs)))
	for _, p := range packs {
		if err := p.encode(e); err != nil {
			return nil, err
		}
	}
	e.uint(uint64(size))
	e.uint(uint64(len(list)))
	for _, ref := range list {
		ref.encode(e)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, fmt.Errorf("pack the head: %w", err)
	}
	return encoder.EncodeAll(e.out, nil), encoder.Close()
}
