package uai_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
)

// staticBinary builds a small static program once.
var staticBinary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "uai")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello\") }\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	return os.ReadFile(binary)
})

// buildBinary returns a static program that says it is for a machine. It is
// never run, so the code in it need not agree.
func buildBinary(t *testing.T, machine elf.Machine) string {
	content, err := staticBinary()
	require.NoError(t, err)
	content = bytes.Clone(content)
	binary.LittleEndian.PutUint16(content[18:], uint16(machine)) // e_machine
	name := filepath.Join(t.TempDir(), "hello")
	require.NoError(t, os.WriteFile(name, content, 0o755))
	return name
}

// folder is a source tree with a link, an executable and a sticky folder.
func folder(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(dir, "tmp"), fs.ModeSticky|0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "run"), []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "readme"), []byte(strings.Repeat("read me\n", 1000)), 0o644))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	return dir
}

var amd64 = uai.Platform{OS: "linux", Architecture: "amd64"}

func packFolder(t *testing.T, change ...func(*uai.PackOptions)) (string, uai.Digest) {
	layout := filepath.Join(t.TempDir(), "layout")
	opts := uai.PackOptions{
		Sources:  []uai.Source{{Platform: amd64, Folder: folder(t)}},
		Settings: uai.Settings{Entrypoint: []string{"/bin/run"}, ExposedPorts: []string{"8080/tcp"}, Env: []string{"A=b"}},
		Name:     "test:1",
	}
	for _, c := range change {
		c(&opts)
	}
	digest, err := uai.Pack(layout, opts)
	require.NoError(t, err)
	return layout, digest
}

func open(t *testing.T, dir string) *uai.Layout {
	l, err := uai.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestPackBinary(t *testing.T) {
	program := buildBinary(t, elf.EM_X86_64)
	dir := filepath.Join(t.TempDir(), "layout")
	digest, err := uai.PackBinary(dir, program, uai.Settings{ExposedPorts: []string{"8080/tcp"}})
	require.NoError(t, err)

	image, err := open(t, dir).Image(digest)
	require.NoError(t, err)
	require.Equal(t, []uai.Platform{amd64}, image.Platforms())
	require.NoError(t, image.Verify(t.Context(), nil))
	v, err := image.Select(amd64)
	require.NoError(t, err)
	require.Equal(t, []string{"/app/hello"}, v.Settings.Config.Entrypoint)
	require.Equal(t, uai.DefaultUser, v.Settings.Config.User)
	require.Contains(t, v.Settings.Config.ExposedPorts, "8080/tcp")
	require.Greater(t, image.Size(), v.Size())

	_, err = image.Select(uai.Platform{OS: "linux", Architecture: "arm64"})
	require.ErrorIs(t, err, uai.ErrNoPlatform)
	require.ErrorContains(t, err, "linux/amd64")
}

func TestPackBinaryRefuses(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755))
	_, err := uai.PackBinary(t.TempDir(), script, uai.Settings{})
	require.ErrorIs(t, err, uai.ErrMalformed)

	_, err = uai.PackBinary(t.TempDir(), buildBinary(t, elf.EM_RISCV), uai.Settings{})
	require.ErrorIs(t, err, uai.ErrNoPlatform)

	// The go command itself is linked against the C library on some systems;
	// the shell is on nearly all.
	shell, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	if _, err := uai.PackBinary(t.TempDir(), shell, uai.Settings{}); !errors.Is(err, uai.ErrNotStatic) {
		t.Logf("%s is static here: %v", shell, err)
	}
}

func TestPackIsReproducible(t *testing.T) {
	for name, change := range map[string]func(*uai.PackOptions){
		"plain": func(*uai.PackOptions) {},
		"gzip":  func(o *uai.PackOptions) { o.Gzip = true },
	} {
		t.Run(name, func(t *testing.T) {
			_, first := packFolder(t, change) // each call makes a new tree, with new times
			_, second := packFolder(t, change)
			require.Equal(t, first, second)
		})
	}
}

func TestPackSeveralPlatforms(t *testing.T) {
	dir := t.TempDir()
	arm := uai.Platform{OS: "linux", Architecture: "arm64"}
	digest, err := uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{
		{Platform: amd64, Binary: buildBinary(t, elf.EM_X86_64)},
		{Platform: arm, Binary: buildBinary(t, elf.EM_AARCH64)},
	}})
	require.NoError(t, err)
	image, err := open(t, dir).Image(digest)
	require.NoError(t, err)
	require.NoError(t, image.Verify(t.Context(), nil))
	require.Equal(t, []uai.Platform{amd64, arm}, image.Platforms())
	v, err := image.Select(uai.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"})
	require.NoError(t, err)
	require.Equal(t, arm, v.Platform)

	_, err = uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{Platform: arm, Binary: buildBinary(t, elf.EM_X86_64)}}})
	require.ErrorIs(t, err, uai.ErrNoPlatform)
	_, err = uai.Pack(dir, uai.PackOptions{})
	require.ErrorIs(t, err, uai.ErrMalformed)
}

func TestPackAddsToALayout(t *testing.T) {
	dir, first := packFolder(t)
	second, err := uai.PackBinary(dir, buildBinary(t, elf.EM_X86_64), uai.Settings{})
	require.NoError(t, err)
	again, err := uai.PackBinary(dir, buildBinary(t, elf.EM_X86_64), uai.Settings{})
	require.NoError(t, err)
	require.Equal(t, second, again)

	entries, err := open(t, dir).Entries()
	require.NoError(t, err)
	require.Equal(t, []uai.Entry{{Digest: first, Name: "test:1"}, {Digest: second}}, entries)
}

// writeTar writes a tarball of the given headers, each with a short content.
func writeTar(t *testing.T, compress bool, headers ...tar.Header) string {
	var out bytes.Buffer
	var sink io.Writer = &out
	if compress {
		packer := gzip.NewWriter(&out)
		defer packer.Close()
		sink = packer
	}
	w := tar.NewWriter(sink)
	for _, h := range headers {
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte("text"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	if packer, ok := sink.(*gzip.Writer); ok {
		require.NoError(t, packer.Close())
	}
	name := filepath.Join(t.TempDir(), "root.tar")
	require.NoError(t, os.WriteFile(name, out.Bytes(), 0o600))
	return name
}

func TestPackTarball(t *testing.T) {
	var digests []uai.Digest
	for _, compress := range []bool{false, true} {
		dir := t.TempDir()
		digest, err := uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{
			Platform: amd64, Tarball: writeTar(t, compress, tar.Header{Name: "file", Mode: 0o644}),
		}}})
		require.NoError(t, err)
		image, err := open(t, dir).Image(digest)
		require.NoError(t, err)
		require.NoError(t, image.Verify(t.Context(), nil))
		digests = append(digests, digest)
	}
	require.Equal(t, digests[0], digests[1])

	for name, h := range map[string]tar.Header{
		"climbing":           {Name: "../file"},
		"climbing inside":    {Name: "a/../../file"},
		"hard link climbing": {Name: "x", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"},
	} {
		_, err := uai.Pack(t.TempDir(), uai.PackOptions{Sources: []uai.Source{{Platform: amd64, Tarball: writeTar(t, false, h)}}})
		require.ErrorIs(t, err, uai.ErrMalformed, name)
	}
}

func TestPackWantsOneSource(t *testing.T) {
	for _, s := range []uai.Source{{Platform: amd64}, {Platform: amd64, Folder: "a", Binary: "b"}} {
		_, err := uai.Pack(t.TempDir(), uai.PackOptions{Sources: []uai.Source{s}})
		require.ErrorIs(t, err, uai.ErrMalformed)
	}
	same := uai.Source{Platform: amd64, Folder: folder(t)}
	_, err := uai.Pack(t.TempDir(), uai.PackOptions{Sources: []uai.Source{same, same}})
	require.ErrorIs(t, err, uai.ErrMalformed)
}

// readArchive returns the entries of an archive for "docker load".
func readArchive(t *testing.T, raw []byte) map[string][]byte {
	entries := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		require.NoError(t, err)
		entries[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func TestWriteArchive(t *testing.T) {
	for _, packed := range []bool{false, true} {
		dir, digest := packFolder(t, func(o *uai.PackOptions) { o.Gzip = packed })
		image, err := open(t, dir).Image(digest)
		require.NoError(t, err)
		v, err := image.Select(amd64)
		require.NoError(t, err)

		var out bytes.Buffer
		var last, total int64
		require.NoError(t, v.WriteArchive(t.Context(), &out, []string{"isun/x:1"}, func(d, n int64) { last, total = d, n }))
		require.Equal(t, v.Size(), total)
		require.Equal(t, total, last)

		entries := readArchive(t, out.Bytes())
		var items []struct {
			Config   string
			RepoTags []string
			Layers   []string
		}
		require.NoError(t, json.Unmarshal(entries["manifest.json"], &items))
		require.Len(t, items, 1)
		require.Equal(t, []string{"isun/x:1"}, items[0].RepoTags)
		require.Equal(t, v.Config.Digest.Hex()+".json", items[0].Config)
		require.NotEmpty(t, entries[items[0].Config])
		layer := readArchive(t, entries[items[0].Layers[0]])
		require.Equal(t, "#!/bin/sh\n", string(layer["bin/run"]))
		require.Contains(t, layer, "link", "a link is packed as a link")
		require.Empty(t, layer["link"])
	}
}
