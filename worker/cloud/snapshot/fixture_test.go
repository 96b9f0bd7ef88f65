package snapshot

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// fixture is a node with a store, and a placement with one volume, "data".
type fixture struct {
	t        *testing.T
	store    *blobs.Store
	taker    *Taker
	identity *vault.Identity
	volume   string
	now      uint64
	request  Request
}

func newFixture(t *testing.T) *fixture {
	dir := t.TempDir()
	store, err := blobs.Open(blobs.Config{Dir: filepath.Join(dir, "store")})
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	identity, err := vault.NewIdentity()
	require.NoError(t, err)
	f := &fixture{t: t, store: store, identity: identity, volume: filepath.Join(dir, "data"), now: 1000}
	require.NoError(t, os.Mkdir(f.volume, 0o755))
	f.taker = &Taker{Store: Blobs(store), Dir: filepath.Join(dir, "memory")}
	f.request = Request{
		Key: "key", Lease: "isun1tenant/7", Replica: 1, Generation: 3, Recipient: identity.Recipient(),
		Volumes: map[string]string{"data": f.volume}, Clock: func() uint64 { f.now++; return f.now },
	}
	return f
}

// reopen opens the store again after another process had it.
func (f *fixture) reopen() {
	store, err := blobs.Open(blobs.Config{Dir: filepath.Join(filepath.Dir(f.volume), "store")})
	require.NoError(f.t, err)
	f.store, f.taker.Store = store, Blobs(store)
	f.t.Cleanup(func() { require.NoError(f.t, store.Close()) })
}

// extractAndDie extracts what the line says, and kills its process in the
// middle.
func extractAndDie(t *testing.T, line string) {
	words := strings.Fields(line)
	store, err := blobs.Open(blobs.Config{Dir: words[0]})
	require.NoError(t, err)
	identity, err := age.ParseX25519Identity(words[2])
	require.NoError(t, err)
	s, err := Open(store, uai.Digest(words[1]), identity)
	require.NoError(t, err)
	written := int64(0)
	require.NoError(t, Extract(t.Context(), s, words[3], RestoreOptions{Progress: func(n int64) {
		if written += n; written > 4<<20 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}}))
	t.Fatal("it was not killed")
}

func (f *fixture) take() Result {
	result, err := f.taker.Take(f.t.Context(), f.request)
	require.NoError(f.t, err)
	return result
}

func (f *fixture) open(r Result) *Snapshot {
	s, err := Open(f.store, r.Root.Digest, f.identity.Age())
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, s.Close()) })
	return s
}

// restored gives the volume of a snapshot in a folder of its own.
func (f *fixture) restored(r Result) string {
	out := filepath.Join(f.t.TempDir(), "out")
	require.NoError(f.t, Extract(f.t.Context(), f.open(r), out, RestoreOptions{Owners: os.Getuid() == 0, SetID: true}))
	return filepath.Join(out, "data")
}

func (f *fixture) write(name string, content []byte) {
	path := filepath.Join(f.volume, name)
	require.NoError(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(f.t, os.WriteFile(path, content, 0o644))
}

// age makes all look as if it had been written long ago, as far as the taker
// can tell: what is newer than a tick is read again.
func (f *fixture) age() { time.Sleep(clockSlack + 10*time.Millisecond) }

func noise(seed uint64, size int) []byte {
	out := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(out)
	return out
}

// describe lists a tree with all that a snapshot keeps of it.
func describe(t require.TestingT, root string) string {
	var out strings.Builder
	names := map[uint64]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(path, &st))
		fmt.Fprintf(&out, "%q mode %o owner %d:%d time %d", rel, st.Mode, st.Uid, st.Gid, st.Mtim.Nano())
		switch d.Type() {
		case 0:
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			fmt.Fprintf(&out, " size %d sum %x", len(content), sum(content))
			if first, ok := names[st.Ino]; ok {
				fmt.Fprintf(&out, " is %s", first)
			}
			names[st.Ino] = rel
			value := make([]byte, 100)
			if n, err := unix.Lgetxattr(path, "user.test", value); err == nil {
				fmt.Fprintf(&out, " attribute %q", value[:n])
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			fmt.Fprintf(&out, " to %q", target)
		}
		out.WriteByte('\n')
		return nil
	}))
	return out.String()
}

// frozen is a Freeze that does something first, as a placement would.
func frozen(before func()) func(context.Context) (func() error, error) {
	return func(context.Context) (func() error, error) {
		if before != nil {
			before()
		}
		return func() error { return nil }, nil
	}
}
