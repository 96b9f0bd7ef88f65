package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

// memory is what a node remembers of a placement's last snapshot. It lies in
// the worker's own folder, for its owner only: the data key is in it, and the
// state itself lies beside it.
type memory struct {
	data      []byte
	recipient string
	// requestMs is the last request that was answered, takenMs of the state.
	requestMs, takenMs uint64
	next               uint32
	packs              []packInfo
	list               []*chunkRef
	volumes            []volume
}

// volume is a volume with its entries.
type volume struct {
	name    string
	entries []*Entry
}

const memoryMagic = "isun-snapshot-memory-1\n"

func memoryPath(dir, key string) string { return filepath.Join(dir, key+".snapshot") }

// loadMemory gives nil if there is none. ErrCache if it is damaged.
func loadMemory(dir, key string) (*memory, error) {
	raw, err := os.ReadFile(memoryPath(dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("last snapshot: %w", err)
	}
	size := len(raw) - sha256.Size
	if size < len(memoryMagic) || string(raw[:len(memoryMagic)]) != memoryMagic {
		return nil, ErrCache
	}
	if sum := sha256.Sum256(raw[:size]); !bytes.Equal(sum[:], raw[size:]) {
		return nil, ErrCache
	}
	m, err := decodeMemory(raw[len(memoryMagic):size])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCache, err)
	}
	return m, nil
}

func decodeMemory(raw []byte) (*memory, error) {
	d := newDecoder(bytes.NewReader(raw))
	m := &memory{data: make([]byte, dataKeyBytes)}
	d.raw(m.data)
	m.recipient = d.text("recipient", 256)
	m.requestMs, m.takenMs = d.uint("request", 1<<63), d.uint("time", 1<<63)
	m.next = uint32(d.uint("pack", 1<<32-1))
	for range d.uint("packs", maxPacks) {
		m.packs = append(m.packs, decodePack(d))
	}
	for range d.uint("list", maxListBytes/chunkMin) {
		m.list = append(m.list, decodeRef(d))
	}
	for range d.uint("volumes", maxVolumes) {
		v := volume{name: d.text("volume", maxNameBytes)}
		for range d.uint("files", MaxFiles) {
			n := decodeEntry(d, Kind(d.uint("kind", 255)))
			n.sign = sign{
				ino: d.uint("inode", 1<<64-1), dev: d.uint("device", 1<<64-1),
				ctime: d.int(), settled: d.uint("settled", 1) == 1,
			}
			if d.err != nil {
				return nil, d.err
			}
			v.entries = append(v.entries, n)
		}
		m.volumes = append(m.volumes, v)
	}
	if !d.end() {
		d.fail("bytes are left over")
	}
	return m, d.err
}

func (m *memory) save(dir, key string) error {
	e := &encoder{out: []byte(memoryMagic)}
	e.raw(m.data)
	e.text(m.recipient)
	e.uint(m.requestMs)
	e.uint(m.takenMs)
	e.uint(uint64(m.next))
	e.uint(uint64(len(m.packs)))
	for _, p := range m.packs {
		if err := p.encode(e); err != nil {
			return err
		}
	}
	e.uint(uint64(len(m.list)))
	for _, ref := range m.list {
		ref.encode(e)
	}
	e.uint(uint64(len(m.volumes)))
	for _, v := range m.volumes {
		e.text(v.name)
		e.uint(uint64(len(v.entries)))
		for _, n := range v.entries {
			n.encode(e)
			e.uint(n.sign.ino)
			e.uint(n.sign.dev)
			e.int(n.sign.ctime)
			e.bool(n.sign.settled)
		}
	}
	sum := sha256.Sum256(e.out)
	return writeWhole(memoryPath(dir, key), append(e.out, sum[:]...))
}

// writeWhole replaces a file: a power failure leaves the old or the new one.
func writeWhole(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("last snapshot: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("last snapshot: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone already after the rename
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("last snapshot: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("last snapshot: %w", err)
	}
	return nil
}

// resume puts what is remembered into a packer, as far as the store still has
// the packs, and gives the entries that can be taken over.
func (m *memory) resume(p *packer) map[string]map[string]*Entry {
	p.next = m.next
	for _, pack := range m.packs {
		p.keep(pack.blob.Digest)
		if held(p.store, pack.blob) {
			p.packs[pack.serial] = pack
		}
	}
	for _, ref := range m.list {
		if known := p.know(ref); known != nil {
			p.list = append(p.list, known)
		}
	}
	before := map[string]map[string]*Entry{}
	for _, v := range m.volumes {
		entries := make(map[string]*Entry, len(v.entries))
		for _, n := range v.entries {
			if p.knowAll(n) {
				entries[n.Path] = n
			}
		}
		before[v.name] = entries
	}
	return before
}

// know makes a chunk's place known, and gives the one place that is shared.
func (p *packer) know(ref *chunkRef) *chunkRef {
	if shared := p.table[ref.sum]; shared != nil {
		return shared
	}
	if _, ok := p.packs[ref.pack]; !ok {
		return nil
	}
	p.table[ref.sum] = ref
	return ref
}

// knowAll is false if a chunk of a file is lost: the file is read again.
func (p *packer) knowAll(n *Entry) bool {
	whole := true
	for i, x := range n.extents {
		if x.ref == nil {
			continue
		}
		if n.extents[i].ref = p.know(x.ref); n.extents[i].ref == nil {
			n.extents[i].ref, whole = x.ref, false
		}
	}
	return whole
}

// held tells whether a store has a pack.
func held(lib cloud.Library, pack cloud.Blob) bool {
	size, err := lib.Stat(pack.Digest)
	return err == nil && size == pack.Size
}
