package blobs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

const (
	// killedEnv makes this program one that writes to a store until it is killed.
	killedEnv = "ISUN_TEST_WRITE_INTO"
	// smallDiskEnv makes it one that runs out of disk, on a disk of its own.
	smallDiskEnv = "ISUN_TEST_SMALL_DISK"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedEnv); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// killedBlob is what the killed process writes.
func killedBlob(i int) []byte { return noise(uint64(i), 60_000+i%7*40_000) }

func writeUntilKilled(dir string) {
	store, err := Open(Config{Dir: dir, LimitBytes: 4_000_000})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		blob := blobOf(killedBlob(i))
		if err := store.Put(context.Background(), bytes.NewReader(killedBlob(i)), blob); err != nil {
			panic(err)
		}
		if err := store.SetRoot(blob.Digest, []cloud.Blob{blob}, i%5 == 0 && i < 30); err != nil {
			panic(err)
		}
		_, _ = os.Stdout.Write([]byte{byte(i)})
	}
}

func TestNothingIsLostOrTornByKill9(t *testing.T) {
	dir := t.TempDir()
	for _, after := range []byte{3, 17, 40, 90} {
		command := exec.Command(os.Args[0], "-test.run", "^$")
		command.Env = append(os.Environ(), killedEnv+"="+dir)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		deadline := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
		var last [1]byte
		for last[0] < after {
			_, err := out.Read(last[:])
			require.NoError(t, err)
		}
		require.NoError(t, command.Process.Kill())
		require.Error(t, command.Wait())
		deadline.Stop()
		s, err := Open(Config{Dir: dir, LimitBytes: 4_000_000})
		require.NoError(t, err)
		_, err = s.Root(blobOf(killedBlob(int(last[0]))).Digest)
		require.NoError(t, err, "what was answered for is there")
		s.List(func(b cloud.Blob) bool {
			_, err := s.Check(context.Background(), b.Digest)
			require.NoError(t, err)
			o, err := s.Outline(b.Digest)
			require.NoError(t, err)
			for _, c := range o.Chunks {
				_, ok := s.Chunk(c.Sum)
				require.True(t, ok)
			}
			return true
		})
		require.NoError(t, s.Close())
	}
}

func TestALostOrTornIndexLosesNoBlob(t *testing.T) {
	contents := [][]byte{noise(1, 700_000), noise(2, 300_000), []byte("small")}
	for name, harm := range map[string]func(t *testing.T, dir string){
		"lost":      func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "index.db"))) },
		"truncated": func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "index.db"), 5000)) },
		"emptied":   func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "index.db"), 0)) },
		"a byte":    func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "index.db"), 9000) },
		"heads": func(t *testing.T, dir string) {
			flip(t, filepath.Join(dir, "index.db"), 40)
			flip(t, filepath.Join(dir, "index.db"), int64(os.Getpagesize()+40))
		},
		"no state": func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "index.state"))) },
		"of another boot": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "index.state"), []byte("open another"), 0o600))
			flip(t, filepath.Join(dir, "index.db"), 9000)
		},
		"killed, then truncated": func(t *testing.T, dir string) {
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "index.state"), append([]byte("open "), bytes.TrimSpace(boot)...), 0o600))
			require.NoError(t, os.Truncate(filepath.Join(dir, "index.db"), 8192))
		},
		"outlines too": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "index.db")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "outlines")))
		},
		"outlines torn": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "index.db")))
			entries, err := os.ReadDir(filepath.Join(dir, "outlines"))
			require.NoError(t, err)
			for _, entry := range entries {
				require.NoError(t, os.Truncate(filepath.Join(dir, "outlines", entry.Name()), 100))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 0)
			blobs := make([]cloud.Blob, len(contents))
			for i, c := range contents {
				blobs[i] = f.put(c)
			}
			require.NoError(t, f.store.SetRoot(blobs[0].Digest, blobs, true))
			f.close()
			harm(t, f.dir)
			f.open()
			for _, c := range contents {
				f.requireHeld(c)
			}
			require.True(t, f.store.Roots()[0].Pinned)
			f.reopen()
			f.requireHeld(contents[0])
		})
	}
}

func TestATornRootIsNoneAndItsBlobsStay(t *testing.T) {
	f := newFixture(t, 0)
	content := noise(1, 300_000)
	blob := f.put(content)
	require.NoError(t, f.store.SetRoot(blob.Digest, []cloud.Blob{blob}, true))
	f.close()
	require.NoError(t, os.Truncate(filepath.Join(f.dir, "roots", blob.Digest.Hex()), 10))
	f.open()
	require.Empty(t, f.store.Roots())
	f.requireHeld(content)
}

func TestForeignFilesInTheFolderAreLeftAlone(t *testing.T) {
	f := newFixture(t, 0)
	f.close()
	note := filepath.Join(f.dir, "blobs/sha256/README")
	require.NoError(t, os.WriteFile(note, []byte("mine"), 0o600))
	f.open()
	require.FileExists(t, note)
	require.Zero(t, f.store.Usage().Used)
	f.close()
	folder := filepath.Join(f.dir, "blobs/sha256", blobOf(nil).Digest.Hex())
	require.NoError(t, os.Mkdir(folder, 0o700))
	_, err := Open(Config{Dir: f.dir})
	require.ErrorContains(t, err, folder)
	require.NoError(t, os.Remove(folder))
	f.open()
}

// TestAFullDiskSaysSo runs itself on a disk of 8 MiB, mounted where nobody
// else sees it.
func TestAFullDiskSaysSo(t *testing.T) {
	if dir := os.Getenv(smallDiskEnv); dir != "" {
		require.NoError(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		require.NoError(t, syscall.Mount("small", dir, "tmpfs", 0, "size=8m"))
		runOutOfDisk(t, dir)
		return
	}
	command := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), smallDiskEnv+"="+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func runOutOfDisk(t *testing.T, dir string) {
	f := &fixture{T: t, dir: dir, now: time.Now()}
	f.open()
	small := noise(1, 2<<20)
	f.put(small)
	large := noise(2, 16<<20)
	before := f.files()
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(large), blobOf(large)), cloud.ErrFull)
	require.Equal(t, before, f.files())
	p, err := f.store.Partial(outlineOf(t, large))
	require.NoError(t, err)
	for i := 0; err == nil; i++ {
		_, err = p.Write(i, large[p.offsets[i]:p.offsets[i]+int64(p.outline.Chunks[i].Size)])
	}
	require.ErrorIs(t, err, cloud.ErrFull)
	require.NoError(t, p.Close())
	require.ErrorIs(t, f.store.Put(context.Background(), bytes.NewReader(noise(3, 1<<20)), blobOf(noise(3, 1<<20))), cloud.ErrFull)
	f.close()
	require.NoError(t, os.Remove(filepath.Join(dir, "index.state")))
	f.open() // on a full disk what is held can be read all the same
	size, err := f.store.Stat(blobOf(small).Digest)
	require.NoError(t, err)
	require.EqualValues(t, len(small), size)
	p, err = f.store.Partial(outlineOf(t, large))
	if err == nil {
		require.NoError(t, p.Abort())
	} else {
		require.ErrorIs(t, err, cloud.ErrFull)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "partials")))
	}
	f.reopen()
	f.put(noise(3, 1<<20))
	f.requireHeld(small)
	f.requireNotHeld(blobOf(large).Digest)
	f.close()
}
