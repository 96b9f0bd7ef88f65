package snapshot

import (
	"path"
	"strings"
)

// Kind is what an entry is.
type Kind uint8

// The kinds of entries. Sockets and devices are left out: a socket without its
// server is nothing, and a volume allows no devices.
const (
	KindFolder Kind = iota + 1
	KindFile
	KindSymlink
	KindHardlink
	KindFifo
)

// Entry is a file of a volume.
type Entry struct {
	Kind Kind
	// Path is relative to the volume, with slashes; "." is the volume itself.
	Path string
	// Mode is the permissions with set-id and sticky bits, 12 bits.
	Mode     uint32
	UID, GID uint32
	// MtimeSec and MtimeNsec are since 1970.
	MtimeSec  int64
	MtimeNsec uint32
	Xattrs    []Xattr
	// Size of a file in bytes, holes included.
	Size int64
	// Target of a symbolic link, as it stands there, or the path of the entry
	// that a hard link is another name of.
	Target string

	extents []extent
	sign    sign
}

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// extent is a piece of a file: a chunk, or a hole.
type extent struct {
	ref  *chunkRef
	hole int64
}

func (x extent) size() int64 {
	if x.ref != nil {
		return int64(x.ref.size)
	}
	return x.hole
}

// sign is how a file looked when it was read, to know it again.
type sign struct {
	ino, dev uint64
	ctime    int64 // nanoseconds
	// settled: whatever writes to it later changes its ctime.
	settled bool
}

// chunkRef is where a chunk lies. One is shared by all that use the chunk, so
// that moving it to another pack moves it for all.
type chunkRef struct {
	sum    [32]byte
	pack   uint32
	offset uint32
	stored uint32
	size   uint32
}

const (
	tagVolume  = 0
	tagChunk   = 1
	tagHole    = 2
	tagFileEnd = 0
)

func (c *chunkRef) encode(e *encoder) {
	e.uint(uint64(c.pack))
	e.uint(uint64(c.offset))
	e.uint(uint64(c.stored))
	e.uint(uint64(c.size))
	e.raw(c.sum[:])
}

func decodeRef(d *decoder) *chunkRef {
	c := &chunkRef{
		pack: uint32(d.uint("pack", 1<<32-1)), offset: uint32(d.uint("offset", 1<<31)),
		stored: uint32(d.uint("stored size", maxSealed)), size: uint32(d.uint("chunk size", chunkMax)),
	}
	d.raw(c.sum[:])
	if d.err == nil && (c.size == 0 || c.stored <= sealOverhead) {
		d.fail("a chunk of nothing")
	}
	return c
}

func (n *Entry) encode(e *encoder) {
	e.uint(uint64(n.Kind))
	e.text(n.Path)
	e.uint(uint64(n.Mode))
	e.uint(uint64(n.UID))
	e.uint(uint64(n.GID))
	e.int(n.MtimeSec)
	e.uint(uint64(n.MtimeNsec))
	e.uint(uint64(len(n.Xattrs)))
	for _, x := range n.Xattrs {
		e.text(x.Name)
		e.text(x.Value)
	}
	switch n.Kind {
	case KindSymlink, KindHardlink:
		e.text(n.Target)
	case KindFile:
		e.uint(uint64(n.Size))
		for _, x := range n.extents {
			if x.ref != nil {
				e.uint(tagChunk)
				x.ref.encode(e)
			} else {
				e.uint(tagHole)
				e.uint(uint64(x.hole))
			}
		}
		e.uint(tagFileEnd)
	}
}

// decodeEntry reads an entry whose kind was read already, and checks all that
// can be told from it alone.
func decodeEntry(d *decoder, kind Kind) *Entry {
	n := &Entry{
		Kind: kind, Path: d.text("path", maxPathBytes), Mode: uint32(d.uint("mode", 0o7777)),
		UID: uint32(d.uint("owner", 1<<32-1)), GID: uint32(d.uint("group", 1<<32-1)),
		MtimeSec: d.int(), MtimeNsec: uint32(d.uint("nanoseconds", 1e9-1)),
	}
	for range d.uint("attributes", maxXattrs) {
		x := Xattr{Name: d.text("attribute", maxNameBytes), Value: d.text("attribute", maxXattrBytes)}
		if !keptXattr(x.Name) {
			d.fail("attribute %q", x.Name)
			break
		}
		n.Xattrs = append(n.Xattrs, x)
	}
	switch kind {
	case KindFolder, KindFifo:
	case KindSymlink, KindHardlink:
		n.Target = d.text("target", maxPathBytes)
		if n.Target == "" || strings.ContainsRune(n.Target, 0) || kind == KindHardlink && !localPath(n.Target) {
			d.fail("%q links to %q", n.Path, n.Target)
		}
	case KindFile:
		n.Size = int64(d.uint("file size", maxFileBytes))
		n.decodeExtents(d)
	default:
		d.fail("an entry of kind %d", kind)
	}
	if d.err == nil && !localPath(n.Path) && !(n.Path == "." && kind == KindFolder) {
		d.fail("path %q", n.Path)
	}
	return n
}

func (n *Entry) decodeExtents(d *decoder) {
	left := n.Size
	for d.err == nil {
		var x extent
		switch d.uint("extent", tagHole) {
		case tagFileEnd:
			if left != 0 {
				d.fail("%q lacks %d bytes", n.Path, left)
			}
			return
		case tagChunk:
			x.ref = decodeRef(d)
		case tagHole:
			x.hole = int64(d.uint("hole", maxFileBytes))
		}
		if d.err == nil && (x.size() <= 0 || x.size() > left) {
			d.fail("%q has extents beyond its %d bytes", n.Path, n.Size)
		}
		left -= x.size()
		n.extents = append(n.extents, x)
	}
}

// localPath is true for a clean path that stays inside.
func localPath(p string) bool {
	if p == "" || p == "." || p[0] == '/' || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsRune(p, 0) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if len(part) > maxNameBytes {
			return false
		}
	}
	return strings.Count(p, "/") < maxDepth
}

// keptXattr chooses the attributes that mean the same on another host. Those
// that give rights or speak to the host's own layers are left out.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && len(name) > 5 && !strings.ContainsRune(name, 0) ||
		name == "system.posix_acl_access" || name == "system.posix_acl_default"
}
