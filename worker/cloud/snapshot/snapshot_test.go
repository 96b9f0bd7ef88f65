package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/object"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

func sum(b []byte) []byte { s := sha256.Sum256(b); return s[:8] }

// fill puts one of everything into a volume.
func (f *fixture) fill() {
	t := f.t
	f.write("empty", nil)
	f.write("small", []byte("hello"))
	f.write("big", noise(1, 3<<20))
	f.write("dir/sub/text", bytes.Repeat([]byte("all work and no play\n"), 20_000))
	f.write("strange \xff\nname", []byte{0})
	at := func(name string) string { return filepath.Join(f.volume, name) }
	require.NoError(t, os.Chmod(at("small"), 0o4751))
	require.NoError(t, os.Mkdir(at("closed"), 0o500))
	require.NoError(t, os.Symlink("../../etc/passwd", at("out")))
	require.NoError(t, os.Symlink("dir", at("in")))
	require.NoError(t, os.Link(at("big"), at("dir/big again")))
	require.NoError(t, unix.Mkfifo(at("pipe"), 0o620))
	require.NoError(t, unix.Setxattr(at("small"), "user.test", []byte("v\x00w"), 0))
	hole, err := os.Create(at("sparse"))
	require.NoError(t, err)
	require.NoError(t, hole.Truncate(64<<20))
	_, err = hole.WriteAt([]byte("island"), 32<<20)
	require.NoError(t, err)
	require.NoError(t, hole.Close())
	if os.Getuid() == 0 {
		require.NoError(t, os.Lchown(at("out"), 12, 34))
		require.NoError(t, os.Chown(at("dir"), 56, 78))
	}
	past := time.Unix(1234567890, 123456789)
	require.NoError(t, os.Chtimes(at("dir"), past, past))
	require.NoError(t, os.Chtimes(at("big"), past, past))
}

func TestARestoredVolumeIsTheOneThatWasTaken(t *testing.T) {
	f := newFixture(t)
	f.fill()
	r := f.take()
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(r)))

	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(f.restored(r), "sparse"), &st))
	require.Less(t, st.Blocks*512, int64(1<<20), "holes stay holes")
	s := f.open(r)
	require.Equal(t, "isun1tenant/7", s.Info.Lease)
	require.Equal(t, uint64(1001), s.Info.TakenMs)
	require.Equal(t, 5*time.Second, s.Info.Age(6001))
	require.Equal(t, r.Info, s.Info)
}

func TestASnapshotIsATreeThatAnyStoreCanWalk(t *testing.T) {
	f := newFixture(t)
	f.fill()
	r := f.take()
	walked, err := object.Walk(t.Context(), r.Root.Digest, func(_ context.Context, d uai.Digest, most int64) ([]byte, error) {
		return readBlob(f.store, d, most)
	})
	require.NoError(t, err)
	require.ElementsMatch(t, r.Blobs, walked)
	root, err := f.store.Root(r.Root.Digest)
	require.NoError(t, err)
	require.True(t, root.Pinned)
	require.Equal(t, uint64(root.Size), r.SizeBytes)
}

func TestALaterSnapshotSendsWhatHasChanged(t *testing.T) {
	f := newFixture(t)
	for i := range 40 {
		f.write(fmt.Sprintf("d%d/f%d", i%4, i), noise(uint64(i), 1<<20))
	}
	f.age()
	first := f.take()
	require.Equal(t, first.SizeBytes-uint64(blobOf(t, first, "config").Size), first.NewBytes)

	same := f.take()
	require.Less(t, same.NewBytes, uint64(1<<16))
	require.Zero(t, same.ReadBytes, "nothing is read that has not changed")

	f.write("d1/f5", append([]byte("inserted"), noise(5, 1<<20)...))
	f.age()
	changed := f.take()
	require.Less(t, changed.NewBytes, uint64(300<<10), "a chunk or two of one file")
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(changed)))
	require.NotEqual(t, describe(t, f.volume), describe(t, f.restored(first)), "the first is still what it was")
}

func blobOf(t *testing.T, r Result, which string) struct{ Size int64 } {
	require.Equal(t, "config", which)
	return struct{ Size int64 }{r.Blobs[1].Size}
}

func TestWhatIsWrittenBetweenThePassesIsInTheState(t *testing.T) {
	f := newFixture(t)
	f.write("a", noise(1, 1<<20))
	f.write("b", noise(2, 1<<20))
	f.age()
	var at string
	f.request.Freeze = frozen(func() {
		f.write("a", noise(3, 1<<20)) // of the same size
		require.NoError(t, os.Remove(filepath.Join(f.volume, "b")))
		f.write("c", []byte("new"))
		at = describe(t, f.volume)
	})
	r := f.take()
	require.Equal(t, at, describe(t, f.restored(r)))
	require.Equal(t, uint64(1<<20+3), r.ReadFrozen, "only what changed is read while it stands still")
	require.Positive(t, r.Pause)
}

func TestWhatAMappingWritesIsInTheNextSnapshot(t *testing.T) {
	f := newFixture(t)
	f.write("mapped", noise(1, 1<<20))
	f.age()
	file, err := os.OpenFile(filepath.Join(f.volume, "mapped"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	mapped, err := unix.Mmap(int(file.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(mapped)) }()
	mapped[5000]++ // the page is writable from here on, without a fault
	f.request.Freeze = frozen(func() { mapped[5000]++ })
	r := f.take()
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(r)))
	for range 3 {
		mapped[5000]++
		r = f.take()
		got, err := os.ReadFile(filepath.Join(f.restored(r), "mapped"))
		require.NoError(t, err)
		require.Equal(t, mapped[5000], got[5000])
	}
}

func TestAPlacementThatWasThawedGivesNoSnapshot(t *testing.T) {
	f := newFixture(t)
	f.write("a", []byte("x"))
	f.request.Freeze = func(context.Context) (func() error, error) {
		return func() error { return ErrThawed }, nil
	}
	_, err := f.taker.Take(t.Context(), f.request)
	require.ErrorIs(t, err, ErrThawed)
	require.Empty(t, f.store.Roots())

	f.request.Freeze = func(context.Context) (func() error, error) { return nil, errors.New("engine is away") }
	_, err = f.taker.Take(t.Context(), f.request)
	require.ErrorContains(t, err, "engine is away")
}

func TestItIsThawedWhateverHappens(t *testing.T) {
	f := newFixture(t)
	f.write("a", []byte("x"))
	thawed := 0
	ctx, cancel := context.WithCancel(t.Context())
	f.request.Freeze = func(context.Context) (func() error, error) {
		cancel()
		return func() error { thawed++; return nil }, nil
	}
	_, err := f.taker.Take(ctx, f.request)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, thawed)
}

func TestAnotherRecipientBeginsWithAnotherDataKey(t *testing.T) {
	f := newFixture(t)
	f.write("a", noise(1, 1<<20))
	first := f.take()
	other, err := vault.NewIdentity()
	require.NoError(t, err)
	f.request.Recipient = other.Recipient()
	second := f.take()
	require.Greater(t, second.NewBytes, uint64(1<<20), "nothing is shared with what the old key opens")
	_, err = Open(f.store, second.Root.Digest, f.identity.Age())
	require.ErrorIs(t, err, ErrNoKey)
	_, err = Open(f.store, first.Root.Digest, other.Age())
	require.ErrorIs(t, err, ErrNoKey)
	_, err = Open(f.store, second.Root.Digest, other.Age())
	require.NoError(t, err)
}

func TestADamagedMemoryCostsAWholeSnapshotAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.write("a", noise(1, 1<<20))
	f.take()
	path := memoryPath(f.taker.Dir, "key")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	r := f.take()
	require.Greater(t, r.NewBytes, uint64(1<<20))
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(r)))
	require.NoError(t, f.taker.Forget("key"))
	require.NoError(t, f.taker.Forget("key"))
}

func TestPacksThatWereLostAreWrittenAgain(t *testing.T) {
	f := newFixture(t)
	f.write("a", noise(1, 1<<20))
	f.age()
	first := f.take()
	require.NoError(t, f.store.RemoveRoot(first.Root.Digest))
	r := f.take()
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(r)))
}

func TestPacksThatAreMostlyDeadAreLeftBehind(t *testing.T) {
	f := newFixture(t)
	for i := range 8 {
		f.write(fmt.Sprint(i), noise(uint64(i), 1<<20))
	}
	f.age()
	first := f.take()
	for i := range 6 {
		f.write(fmt.Sprint(i), []byte("gone"))
	}
	f.age()
	second := f.take()
	require.Less(t, second.SizeBytes, uint64(3<<20))
	require.NoError(t, f.store.RemoveRoot(first.Root.Digest))
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(second)))

	for i := range 3 * manySmall { // each leaves a small pack
		f.write("log", noise(uint64(100+i), 40<<10))
		second = f.take()
		require.Less(t, len(second.Blobs), manySmall+8)
	}
	require.Equal(t, describe(t, f.volume), describe(t, f.restored(second)))
}

func TestRandomTreesAndEditsComeBack(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		paths := func() string {
			n := rapid.IntRange(1, 3).Draw(rt, "depth")
			var parts []string
			for range n {
				parts = append(parts, rapid.SampledFrom(names).Draw(rt, "name"))
			}
			return filepath.Join(f.volume, strings.Join(parts, "/"))
		}
		edit := func() { // what fails, such as a file in a file, changes nothing
			p := paths()
			_ = os.MkdirAll(filepath.Dir(p), 0o755)
			switch rapid.IntRange(0, 7).Draw(rt, "edit") {
			case 0, 1:
				size := rapid.SampledFrom([]int{0, 1, 100, chunkMin, chunkMin + 1, 300_000}).Draw(rt, "size")
				_ = os.WriteFile(p, noise(rapid.Uint64Range(0, 9).Draw(rt, "seed"), size), 0o600)
			case 2:
				_ = os.Symlink(rapid.SampledFrom([]string{"/etc", "..", "a", "x/y"}).Draw(rt, "target"), p)
			case 3:
				_ = os.Link(p, paths())
			case 4:
				_ = os.RemoveAll(p)
			case 5:
				_ = os.Rename(p, paths())
			case 6:
				if file, err := os.OpenFile(p, os.O_WRONLY, 0); err == nil {
					_, _ = file.WriteAt([]byte("edited"), rapid.Int64Range(0, 1<<20).Draw(rt, "at"))
					_ = file.Close()
				}
			case 7:
				_ = os.Truncate(p, rapid.Int64Range(0, 1<<20).Draw(rt, "cut"))
			}
		}
		for range rapid.IntRange(1, 3).Draw(rt, "snapshots") {
			for range rapid.IntRange(0, 12).Draw(rt, "edits") {
				edit()
			}
			if rapid.Bool().Draw(rt, "edits between the passes") {
				f.request.Freeze = frozen(edit)
			} else {
				f.request.Freeze = nil
			}
			r := f.take()
			require.Equal(rt, describe(rt, f.volume), describe(rt, f.restored(r)))
		}
	})
}

func TestATenantWhoSwapsNamesLeadsTheNodeNowhere(t *testing.T) {
	f := newFixture(t)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("the host's own secret"), 0o600))
	name, folder := filepath.Join(f.volume, "name"), filepath.Join(f.volume, "folder")
	swap := func() {
		_ = os.RemoveAll(name)
		_ = os.RemoveAll(folder)
		switch rand.IntN(4) {
		case 0:
			_ = os.Symlink(secret, name)
			_ = os.Symlink(filepath.Dir(secret), folder)
		case 1:
			_ = os.WriteFile(name, []byte("mine"), 0o600)
			_ = os.Mkdir(folder, 0o700)
			_ = os.WriteFile(filepath.Join(folder, "secret"), []byte("mine"), 0o600)
		case 2:
			_ = unix.Mkfifo(name, 0o600)
			_ = unix.Mkfifo(folder, 0o600)
		}
	}
	for range 20 {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					swap()
				}
			}
		}()
		f.request.Freeze = frozen(func() { close(stop); <-done })
		r := f.take()
		require.NoError(t, f.open(r).Entries(t.Context(), func(_ string, n *Entry) error {
			require.NotEqual(t, int64(len("the host's own secret")), n.Size)
			return nil
		}))
	}
}
