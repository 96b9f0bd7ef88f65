package snapshot

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// forge writes a snapshot of entries that no tree has. content is what a file
// without extents of its own holds.
func (f *fixture) forge(content []byte, entries ...*Entry) Result {
	s, err := f.taker.begin(f.t.Context(), f.request)
	require.NoError(f.t, err)
	for _, n := range entries {
		if n.Kind != KindFile || n.extents != nil || n.Size != 0 {
			continue
		}
		scan := &scanner{ctx: f.t.Context(), packer: s.packer}
		_, err := scan.piece(bytes.NewReader(content), int64(len(content)), n)
		require.NoError(f.t, err)
		n.Size = int64(len(content))
	}
	s.volumes = []volume{{name: "data", entries: entries}}
	require.NoError(f.t, s.finish())
	require.NoError(f.t, s.packer.done())
	require.NoError(f.t, f.taker.Forget(f.request.Key))
	return s.result
}

var volumeRoot = &Entry{Kind: KindFolder, Path: ".", Mode: 0o755}

func TestHostileListsAreRefusedAndReachNothing(t *testing.T) {
	file := func(path string) *Entry { return &Entry{Kind: KindFile, Path: path, Mode: 0o644} }
	folder := func(path string) *Entry { return &Entry{Kind: KindFolder, Path: path, Mode: 0o755} }
	link := func(kind Kind, path, target string) *Entry { return &Entry{Kind: kind, Path: path, Target: target} }
	for name, entries := range map[string][]*Entry{
		"above the volume":            {volumeRoot, file("../evil")},
		"above it in the middle":      {volumeRoot, folder("a"), file("a/../../evil")},
		"absolute":                    {volumeRoot, file("/tmp/evil")},
		"not clean":                   {volumeRoot, folder("a"), file("a//evil")},
		"a zero byte":                 {volumeRoot, file("a\x00b")},
		"empty":                       {volumeRoot, file("")},
		"a name too long":             {volumeRoot, file(strings.Repeat("n", 256))},
		"through a symlink":           {volumeRoot, link(KindSymlink, "a", "/tmp"), file("a/evil")},
		"through its own file":        {volumeRoot, file("a"), file("a/evil")},
		"a folder that never came":    {volumeRoot, file("a/evil")},
		"one name twice":              {volumeRoot, file("a"), link(KindSymlink, "a", "/etc/passwd")},
		"a folder over a symlink":     {volumeRoot, link(KindSymlink, "a", "/tmp"), folder("a")},
		"hard link to the outside":    {volumeRoot, link(KindHardlink, "a", "../../etc/passwd")},
		"hard link to an absolute":    {volumeRoot, link(KindHardlink, "a", "/etc/passwd")},
		"hard link through a symlink": {volumeRoot, link(KindSymlink, "s", "/etc"), link(KindHardlink, "a", "s/passwd")},
		"hard link to a symlink":      {volumeRoot, link(KindSymlink, "s", "/etc/passwd"), link(KindHardlink, "a", "s")},
		"hard link to a folder":       {volumeRoot, folder("d"), link(KindHardlink, "a", "d")},
		"hard link to nothing":        {volumeRoot, link(KindHardlink, "a", "b")},
		"symlink to nothing":          {volumeRoot, link(KindSymlink, "a", "")},
		"a kind that is none":         {volumeRoot, {Kind: 9, Path: "a"}},
		"no volume root":              {file("a")},
		"two volume roots":            {volumeRoot, volumeRoot},
		"a mode with more":            {volumeRoot, {Kind: KindFile, Path: "a", Mode: unix.S_IFBLK | 0o644}},
		"an attribute of the host":    {volumeRoot, {Kind: KindFile, Path: "a", Xattrs: []Xattr{{"trusted.overlay.opaque", "y"}}}},
		"a capability":                {volumeRoot, {Kind: KindFile, Path: "a", Xattrs: []Xattr{{"security.capability", "x"}}}},
		"extents beyond the size":     {volumeRoot, {Kind: KindFile, Path: "a", Size: 1, extents: []extent{{hole: 5}}}},
		"extents short of the size":   {volumeRoot, {Kind: KindFile, Path: "a", Size: 9, extents: []extent{{hole: 5}}}},
		"too deep":                    {volumeRoot, file(strings.Repeat("d/", maxDepth) + "f")},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			r := f.forge([]byte("evil"), entries...)
			dir := t.TempDir()
			s, err := Open(f.store, r.Root.Digest, f.identity.Age())
			require.NoError(t, err)
			defer s.Close()
			require.ErrorIs(t, Extract(t.Context(), s, filepath.Join(dir, "in", "out"), RestoreOptions{}), os.ErrNotExist)
			require.NoError(t, os.Mkdir(filepath.Join(dir, "in"), 0o755))
			require.ErrorIs(t, Extract(t.Context(), s, filepath.Join(dir, "in", "out"), RestoreOptions{}), ErrMalformed)
			left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			require.NoError(t, err)
			require.Empty(t, left, "nothing half-written remains")
		})
	}
}

func TestBombsStopAtTheVolumesSize(t *testing.T) {
	f := newFixture(t)
	bomb := &Entry{Kind: KindFile, Path: "bomb", Mode: 0o644}
	zeros := make([]byte, chunkMax)
	f.forge(zeros, volumeRoot, bomb) // finds out what its chunk is called
	ref := *bomb.extents[0].ref
	bomb.extents, bomb.Size = nil, 0
	more := &Entry{Kind: KindFile, Path: "more", Mode: 0o644, Size: 1000 * int64(ref.size)}
	for range 1000 {
		more.extents = append(more.extents, extent{ref: &ref})
	}
	r := f.forge(zeros, volumeRoot, bomb, more)
	require.Less(t, r.SizeBytes, uint64(1<<20), "a little packed is a lot unpacked")

	out := filepath.Join(t.TempDir(), "out")
	err := Extract(t.Context(), f.open(r), out, RestoreOptions{MaxBytes: map[string]uint64{"data": 10 * uint64(ref.size)}})
	require.ErrorIs(t, err, ErrTooLarge)
	require.NoDirExists(t, out)
	require.NoError(t, Extract(t.Context(), f.open(r), out, RestoreOptions{MaxBytes: map[string]uint64{"data": 1000*uint64(ref.size) + chunkMax}}))
}

func TestOnlyEmptyFoldersAreFilled(t *testing.T) {
	f := newFixture(t)
	f.write("a", []byte("x"))
	r := f.take()
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	require.NoError(t, os.Mkdir(full, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(full, "mine"), nil, 0o644))
	require.ErrorIs(t, Extract(t.Context(), f.open(r), full, RestoreOptions{}), ErrNotEmpty)
	err := Restore(t.Context(), f.open(r), map[string]string{"data": full}, RestoreOptions{})
	require.ErrorIs(t, err, ErrNotEmpty)
	require.ErrorContains(t, Restore(t.Context(), f.open(r), nil, RestoreOptions{}), `no volume "data"`)
	require.FileExists(t, filepath.Join(full, "mine"))

	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	require.NoError(t, Extract(t.Context(), f.open(r), empty, RestoreOptions{}))
}

func TestSetUserIDBitsAreForWhoAsks(t *testing.T) {
	f := newFixture(t)
	f.write("a", []byte("x"))
	require.NoError(t, os.Chmod(filepath.Join(f.volume, "a"), os.ModeSetuid|0o755))
	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, Extract(t.Context(), f.open(f.take()), out, RestoreOptions{}))
	info, err := os.Stat(filepath.Join(out, "data", "a"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode())
}

// bent is a library in which one blob reads differently.
type bent struct {
	cloud.Library
	digest uai.Digest
	bytes  []byte
}

type bentContent struct{ *bytes.Reader }

func (bentContent) Close() error { return nil }

func (b bent) Open(d uai.Digest) (cloud.Content, error) {
	if d == b.digest {
		return bentContent{bytes.NewReader(b.bytes)}, nil
	}
	return b.Library.Open(d)
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	f := newFixture(t)
	f.write("a", noise(1, 1000))
	f.write("b", bytes.Repeat([]byte("compressible "), 1000))
	r := f.take()
	for _, blob := range r.Blobs {
		if blob.Digest == r.Blobs[1].Digest {
			continue // the empty configuration, which nobody reads
		}
		raw, err := readBlob(f.store, blob.Digest, 1<<20)
		require.NoError(t, err)
		for i := range raw {
			raw[i] ^= 0x40
			require.Error(t, readAll(t, bent{f.store, blob.Digest, raw}, r, f), "byte %d of %s", i, blob.Digest)
			raw[i] ^= 0x40
		}
		require.Error(t, readAll(t, bent{f.store, blob.Digest, raw[:len(raw)-1]}, r, f), "cut off")
	}
	require.NoError(t, readAll(t, f.store, r, f))
}

// readAll reads every chunk.
func readAll(t *testing.T, lib cloud.Library, r Result, f *fixture) error {
	s, err := Open(lib, r.Root.Digest, f.identity.Age())
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Entries(t.Context(), func(_ string, n *Entry) error {
		for _, x := range n.extents {
			if _, err := s.chunk(x.ref); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestOtherArtifactsAreNoSnapshots(t *testing.T) {
	f := newFixture(t)
	f.write("a", []byte("x"))
	r := f.take()
	raw, err := readBlob(f.store, r.Root.Digest, 1<<20)
	require.NoError(t, err)
	for name, change := range map[string]func(m map[string]any){
		"another type":      func(m map[string]any) { m["artifactType"] = "application/vnd.isun.object.v1" },
		"no layers":         func(m map[string]any) { m["layers"] = []any{} },
		"no head":           func(m map[string]any) { m["layers"] = m["layers"].([]any)[1:] },
		"packs not named":   func(m map[string]any) { m["layers"] = m["layers"].([]any)[:1] },
		"layers of no kind": func(m map[string]any) { m["layers"] = "x" },
	} {
		var m map[string]any
		require.NoError(t, json.Unmarshal(raw, &m))
		change(m)
		other, err := json.Marshal(m)
		require.NoError(t, err)
		s := &session{ctx: t.Context(), taker: f.taker, packer: newPacker(f.taker.Store, nil)}
		blob, err := s.put(other)
		require.NoError(t, err)
		_, err = Open(f.store, blob.Digest, f.identity.Age())
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	_, err = Open(f.store, uai.Digest("sha256:"+strings.Repeat("0", 64)), f.identity.Age())
	require.ErrorIs(t, err, cloud.ErrNotHeld)
}

const killedEnv = "ISUN_TEST_KILLED_EXTRACT"

func TestAKilledExtractLeavesNoFolder(t *testing.T) {
	if line := os.Getenv(killedEnv); line != "" {
		extractAndDie(t, line)
	}
	f := newFixture(t)
	for i := range 8 {
		f.write(string(rune('a'+i)), noise(uint64(i), 1<<20))
	}
	r := f.take()
	require.NoError(t, f.store.Close())
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", t.Name())
	cmd.Env = append(os.Environ(), killedEnv+"="+strings.Join([]string{filepath.Join(filepath.Dir(f.volume), "store"), string(r.Root.Digest), f.identity.Text(), out}, " "))
	err := cmd.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
	require.NoDirExists(t, out)
	f.reopen()
	require.NoError(t, Extract(t.Context(), f.open(r), out, RestoreOptions{Owners: os.Getuid() == 0}))
	require.Equal(t, describe(t, f.volume), describe(t, filepath.Join(out, "data")))
}

func FuzzOpenHead(f *testing.F) {
	f.Add([]byte(headMagic + "\x00\x10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	body, err := encodeHead(Info{Lease: "a/1", Volumes: []VolumeInfo{{Name: "v"}}}, nil, nil, 0)
	require.NoError(f, err)
	f.Add(body)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _, _ = openHead(raw)
		s := &Snapshot{packs: map[uint32]cloud.Blob{}}
		_ = s.decodeHead(raw)
	})
}

func FuzzDecodeEntry(f *testing.F) {
	e := &encoder{}
	(&Entry{Kind: KindFile, Path: "a/b", Size: 6, extents: []extent{{hole: 5}, {ref: &chunkRef{stored: 100, size: 1}}}}).encode(e)
	f.Add(e.out)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder(bytes.NewReader(raw))
		n := decodeEntry(d, Kind(d.uint("kind", 255)))
		if d.err != nil {
			require.ErrorIs(t, d.err, ErrMalformed)
			return
		}
		again := &encoder{}
		n.encode(again)
		require.True(t, n.Path == "." || filepath.IsLocal(n.Path))
	})
}

func FuzzDecodeMemory(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = decodeMemory(raw) })
}
