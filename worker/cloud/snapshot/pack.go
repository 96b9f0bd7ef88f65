package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// packInfo is a pack by its serial number, which never changes, so that the
// part of a list whose files stay as they are stays as it is.
type packInfo struct {
	serial uint32
	blob   cloud.Blob
}

func (p packInfo) encode(e *encoder) error {
	sum, err := hex.DecodeString(p.blob.Digest.Hex())
	if err != nil {
		return fmt.Errorf("digest %s: %w", p.blob.Digest, err)
	}
	e.uint(uint64(p.serial))
	e.raw(sum)
	e.uint(uint64(p.blob.Size))
	return nil
}

func decodePack(d *decoder) packInfo {
	p := packInfo{serial: uint32(d.uint("pack", 1<<32-1))}
	var sum [sha256.Size]byte
	d.raw(sum[:])
	p.blob = cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(d.uint("pack size", 1<<32))}
	return p
}

// packer puts chunks into packs, each chunk once.
type packer struct {
	store Store
	keys  *keys
	// table finds chunks by their plain sums.
	table map[[32]byte]*chunkRef
	packs map[uint32]packInfo
	next  uint32

	draft   Draft
	serial  uint32
	written int64
	// fresh are packs of this snapshot.
	fresh   map[uint32]bool
	release []func()
	// list of the last snapshot: most of its chunks will be the next one's.
	list []*chunkRef
}

func newPacker(store Store, k *keys) *packer {
	return &packer{
		store: store, keys: k, table: map[[32]byte]*chunkRef{}, packs: map[uint32]packInfo{}, fresh: map[uint32]bool{},
	}
}

// keep has a pack stay until the snapshot's root needs it.
func (p *packer) keep(digest uai.Digest) {
	p.release = append(p.release, p.store.Keep([]uai.Digest{digest}))
}

// done lets go of everything. What was not finished is gone.
func (p *packer) done() error {
	for _, release := range p.release {
		release()
	}
	p.release = nil
	if p.draft == nil {
		return nil
	}
	draft := p.draft
	p.draft = nil
	return draft.Abort()
}

// batch is how many chunks are sealed at once: enough for a few processors.
const batch = 16

// add puts chunks into packs and says where they are. The slices are the
// caller's again when it returns.
func (p *packer) add(ctx context.Context, chunks [][]byte) ([]*chunkRef, error) {
	sums, sealed := make([][32]byte, len(chunks)), make([][]byte, len(chunks))
	one := func(i int) {
		sums[i] = sha256.Sum256(chunks[i])
		if p.table[sums[i]] == nil { // read only while the group runs
			sealed[i] = p.keys.sealChunk(chunks[i])
		}
	}
	if len(chunks) == 1 {
		one(0)
	} else {
		var group errgroup.Group
		group.SetLimit(4)
		for i := range chunks {
			group.Go(func() error { one(i); return nil })
		}
		_ = group.Wait() // nothing fails
	}
	refs := make([]*chunkRef, len(chunks))
	for i, sum := range sums {
		if refs[i] = p.table[sum]; refs[i] != nil {
			continue
		}
		refs[i] = &chunkRef{sum: sum, size: uint32(len(chunks[i]))}
		if err := p.put(ctx, refs[i], sealed[i]); err != nil {
			return nil, err
		}
		p.table[sum] = refs[i]
	}
	return refs, nil
}

// put writes a sealed chunk to the open pack.
func (p *packer) put(ctx context.Context, ref *chunkRef, sealed []byte) error {
	if p.draft == nil {
		draft, err := p.store.Create(ctx)
		if err != nil {
			return fmt.Errorf("begin a pack: %w", err)
		}
		p.draft, p.serial, p.written = draft, p.next, 0
		p.next++
		p.fresh[p.serial] = true
	}
	if _, err := p.draft.Write(sealed); err != nil {
		return fmt.Errorf("write a pack: %w", err)
	}
	ref.pack, ref.offset, ref.stored = p.serial, uint32(p.written), uint32(len(sealed))
	if p.written += int64(len(sealed)); p.written >= packTarget {
		return p.flush()
	}
	return nil
}

// flush closes the open pack.
func (p *packer) flush() error {
	if p.draft == nil {
		return nil
	}
	draft := p.draft
	p.draft = nil
	blob, err := draft.Commit("")
	if err != nil {
		return fmt.Errorf("finish a pack: %w", err)
	}
	p.packs[p.serial] = packInfo{serial: p.serial, blob: blob}
	p.keep(blob.Digest)
	return nil
}

// repack moves the chunks that are still used out of packs that are mostly
// dead, and out of small ones when there are many. live holds the used chunks.
func (p *packer) repack(ctx context.Context, live map[*chunkRef]bool) error {
	bytes := map[uint32]int64{}
	for ref := range live {
		bytes[ref.pack] += int64(ref.stored)
	}
	for _, ref := range p.list {
		bytes[ref.pack] += int64(ref.stored)
	}
	victims := map[uint32]bool{}
	var small []uint32
	for serial, pack := range p.packs {
		switch {
		case p.fresh[serial]:
		case bytes[serial] == 0:
			delete(p.packs, serial)
		case bytes[serial] < pack.blob.Size/2:
			victims[serial] = true
		case pack.blob.Size < smallPack:
			small = append(small, serial)
		}
	}
	if len(small) >= manySmall {
		for _, serial := range small {
			victims[serial] = true
		}
	}
	for ref := range live {
		if !victims[ref.pack] {
			continue
		}
		if err := p.move(ctx, ref); err != nil {
			return err
		}
	}
	for serial := range victims {
		delete(p.packs, serial)
	}
	// The list must not be found where nothing is any more.
	for sum, ref := range p.table {
		if _, ok := p.packs[ref.pack]; !ok && !p.fresh[ref.pack] {
			delete(p.table, sum)
		}
	}
	return nil
}

// move takes a chunk over as it is: the key is the same. It is looked at, so
// that no damage is carried on.
func (p *packer) move(ctx context.Context, ref *chunkRef) error {
	sealed, err := readSealed(p.store, p.packs[ref.pack].blob, ref)
	if err == nil {
		_, err = p.keys.openChunk(ref, sealed)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCache, err)
	}
	return p.put(ctx, ref, sealed)
}

// readSealed reads a chunk out of a pack.
func readSealed(lib cloud.Library, pack cloud.Blob, ref *chunkRef) (sealed []byte, err error) {
	content, err := lib.Open(pack.Digest)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", pack.Digest, err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return sealedAt(content, pack, ref)
}

func sealedAt(content cloud.Content, pack cloud.Blob, ref *chunkRef) ([]byte, error) {
	if int64(ref.offset)+int64(ref.stored) > pack.Size {
		return nil, fmt.Errorf("%w: a chunk lies beyond its pack's %d bytes", ErrMalformed, pack.Size)
	}
	sealed := make([]byte, ref.stored)
	if _, err := content.ReadAt(sealed, int64(ref.offset)); err != nil {
		return nil, fmt.Errorf("%w: pack %s: %w", ErrMalformed, pack.Digest, err)
	}
	return sealed, nil
}
