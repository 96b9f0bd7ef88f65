package uai_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/uai"
)

// treeEntry is what was written of a file.
type treeEntry struct {
	*tar.Header
	content string
}

func writeTree(t *testing.T, dir string, opts uai.TreeOptions) (map[string]treeEntry, error) {
	t.Helper()
	var out bytes.Buffer
	if err := uai.WriteTree(&out, dir, opts); err != nil {
		return nil, err
	}
	entries := map[string]treeEntry{}
	for reader := tar.NewReader(&out); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		entries[header.Name] = treeEntry{header, string(content)}
	}
}

func putFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// told collects what a walk warns about.
func told(opts *uai.TreeOptions) map[string]string {
	warnings := map[string]string{}
	opts.Warn = func(name, why string) { warnings[name] = why }
	return warnings
}

func TestTreeKeepsWhatFilesAre(t *testing.T) {
	dir := t.TempDir()
	first := putFile(t, dir, "a/first", "content")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "b"), 0o755))
	require.NoError(t, os.Link(first, filepath.Join(dir, "b/second")))
	require.NoError(t, os.Chmod(first, fs.ModeSetuid|0o755))
	require.NoError(t, unix.Setxattr(first, "user.note", []byte("kept"), 0))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(socket)
	require.NoError(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}))

	entries, err := writeTree(t, dir, uai.TreeOptions{KeepOwners: true})
	require.NoError(t, err)
	require.Equal(t, "content", entries["a/first"].content)
	require.EqualValues(t, 0o4755, entries["a/first"].Mode)
	require.Equal(t, "kept", entries["a/first"].PAXRecords["SCHILY.xattr.user.note"])
	require.EqualValues(t, tar.TypeLink, entries["b/second"].Typeflag)
	require.Equal(t, "a/first", entries["b/second"].Linkname)
	require.EqualValues(t, tar.TypeFifo, entries["pipe"].Typeflag)
	require.NotContains(t, entries, "socket")
}

// A folder of somebody else's must not bring files of this machine along.
func TestTreeFollowsNoLink(t *testing.T) {
	outside := t.TempDir()
	putFile(t, outside, "secret", "theirs")
	dir := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "folder")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "file")))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	require.NoError(t, os.Symlink("../../../../etc/passwd", filepath.Join(dir, "up")))
	entries, err := writeTree(t, dir, uai.TreeOptions{})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"folder", "file", "loop", "up"}, slices.Collect(maps.Keys(entries)))
	for name, e := range entries {
		require.EqualValues(t, tar.TypeSymlink, e.Typeflag, name)
	}
}

func TestTreeTakesNamesOfAnyKind(t *testing.T) {
	dir := t.TempDir()
	names := []string{"with\nnewline", "latin\xe9/inside\xff", "-rf", "back\\slash", "long/" + strings.Repeat("x", 250)}
	for _, name := range names {
		putFile(t, dir, name, name)
	}
	entries, err := writeTree(t, dir, uai.TreeOptions{KeepOwners: true})
	require.NoError(t, err)
	for _, name := range names {
		require.Equal(t, name, entries[name].content)
	}
}

// swapped makes something else of files between the look and the reading:
// Skip is asked in between.
func swapped(t *testing.T, dir string, swap map[string]func(path string)) uai.TreeOptions {
	return uai.TreeOptions{Live: true, Skip: func(name string, entry fs.DirEntry) bool {
		_, err := entry.Info()
		require.NoError(t, err)
		if change := swap[name]; change != nil {
			change(filepath.Join(dir, name))
		}
		return false
	}}
}

func TestTreeOfALiveMachineChanges(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	putFile(t, outside, "secret", "theirs")
	for _, name := range []string{"gone", "pipe", "link", "stays", "folder/inside", "linked/inside"} {
		putFile(t, dir, name, "content")
	}
	remove := func(path string) { require.NoError(t, os.RemoveAll(path)) }
	opts := swapped(t, dir, map[string]func(string){
		"gone":   remove,
		"folder": remove,
		"pipe":   func(path string) { remove(path); require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"link": func(path string) {
			remove(path)
			require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), path))
		},
		"linked": func(path string) { remove(path); require.NoError(t, os.Symlink(outside, path)) },
	})
	told(&opts)
	done := make(chan struct{})
	go func() {
		defer close(done)
		entries, err := writeTree(t, dir, opts)
		if err != nil {
			t.Error(err)
			return
		}
		for name, e := range entries {
			if strings.Contains(e.content, "theirs") || strings.HasSuffix(name, "secret") {
				t.Errorf("%s came from outside", name)
			}
		}
		if entries["stays"].content != "content" {
			t.Error("what did not change is missing")
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a pipe holds it up")
	}
}

func TestTreeTellsOfAFileThatChanges(t *testing.T) {
	dir := t.TempDir()
	large := putFile(t, dir, "log", strings.Repeat("x", 1<<20))
	later := time.Now().Add(time.Hour)
	for name, change := range map[string]func() error{
		"grows":      func() error { return appendTo(large, "more") },
		"is written": func() error { return os.Chtimes(large, later, later) },
		"shrinks":    func() error { return os.Truncate(large, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := uai.TreeOptions{Live: true}
			warnings := told(&opts)
			w := &changing{change: change}
			require.NoError(t, uai.WriteTree(w, dir, opts))
			require.Contains(t, warnings["log"], "while it was read")
		})
	}
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(text)
	return err
}

// changing changes a file after its header was written.
type changing struct {
	change func() error
	writes int
}

func (c *changing) Write(p []byte) (int, error) {
	if c.writes++; c.writes == 1 {
		return len(p), c.change()
	}
	return len(p), nil
}

func TestTreeThatCannotBeReadIsSaidSo(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(putFile(t, dir, "file", ""), 0))
	require.NoError(t, os.Chmod(filepath.Dir(putFile(t, dir, "folder/x", "")), 0))
	defer func() { require.NoError(t, os.Chmod(filepath.Join(dir, "folder"), 0o700)) }()
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		// This thread reads as nobody in particular, and root may go back.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		require.NoError(t, syscall.Setfsuid(65532))
		defer func() { require.NoError(t, syscall.Setfsuid(0)) }()
	}
	_, err := writeTree(t, dir, uai.TreeOptions{})
	require.ErrorIs(t, err, fs.ErrPermission)
	opts := uai.TreeOptions{Live: true}
	warnings := told(&opts)
	_, err = writeTree(t, dir, opts)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"file", "folder"}, slices.Collect(maps.Keys(warnings)))
}

func TestTreeTellsOfHoles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Truncate(putFile(t, dir, "sparse", ""), 65<<20))
	opts := uai.TreeOptions{}
	warnings := told(&opts)
	require.NoError(t, uai.WriteTree(io.Discard, dir, opts))
	require.Contains(t, warnings["sparse"], "holes")
}

// A few bytes can stand for a file of terabytes, all of it a hole, which an
// engine would write out.
func TestSparseBombIsRefused(t *testing.T) {
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	require.NoError(t, archive.WriteHeader(&tar.Header{
		Name: "bomb", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX,
		// The writer takes no such records by their own name.
		PAXRecords: map[string]string{"XNU.sparse.size": "1099511627776", "XNU.sparse.numblocks": "1", "XNU.sparse.map": "0,0"},
	}))
	require.NoError(t, archive.Close())
	bomb := bytes.ReplaceAll(plain.Bytes(), []byte("XNU.sparse"), []byte("GNU.sparse"))
	header, err := tar.NewReader(bytes.NewReader(bomb)).Next()
	require.NoError(t, err)
	require.Equal(t, int64(1<<40), header.Size)

	layout, digest := packFolder(t, func(o *uai.PackOptions) {
		o.Sources[0].Folder = ""
		o.Sources[0].Stream = func(w io.Writer) error {
			_, err := w.Write(bomb)
			return err
		}
	})
	image, err := open(t, layout).Image(digest)
	require.NoError(t, err)
	require.ErrorIs(t, image.Verify(t.Context(), nil), uai.ErrTooLarge)
}
