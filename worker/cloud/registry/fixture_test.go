package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
)

func digestOf(content []byte) uai.Digest {
	sum := sha256.Sum256(content)
	return uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// folder is a store of plain files that can be told to fail.
type folder struct {
	dir string

	mu     sync.Mutex
	pinned map[uai.Digest][]cloud.Blob
	drafts int
	full   bool
}

func newFolder(t testing.TB) *folder {
	return &folder{dir: t.TempDir(), pinned: map[uai.Digest][]cloud.Blob{}}
}

func (f *folder) path(d uai.Digest) string { return filepath.Join(f.dir, d.Hex()) }

func (f *folder) Stat(d uai.Digest) (int64, error) {
	info, err := os.Stat(f.path(d))
	if err != nil {
		return 0, fmt.Errorf("%w: %s", cloud.ErrNotHeld, d)
	}
	return info.Size(), nil
}

func (f *folder) Open(d uai.Digest) (cloud.Content, error) {
	file, err := os.Open(f.path(d))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", cloud.ErrNotHeld, d)
	}
	return file, nil
}

func (f *folder) Put(_ context.Context, r io.Reader, want cloud.Blob) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if f.full {
		return cloud.ErrFull
	}
	if digestOf(content) != want.Digest {
		return uai.ErrMismatch
	}
	return os.WriteFile(f.path(want.Digest), content, 0o600)
}

func (f *folder) put(t testing.TB, content []byte) uai.Digest {
	d := digestOf(content)
	require.NoError(t, f.Put(t.Context(), bytes.NewReader(content), cloud.Blob{Digest: d}))
	return d
}

func (f *folder) SetRoot(root uai.Digest, blobs []cloud.Blob, pin bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if pin {
		f.pinned[root] = blobs
	}
	return nil
}

func (f *folder) Unpin(root uai.Digest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pinned, root)
	return nil
}

func (f *folder) create(context.Context) (registry.Draft, error) {
	file, err := os.CreateTemp(f.dir, "draft-*")
	if err != nil {
		return nil, err
	}
	f.count(1)
	return &draft{folder: f, file: file}, nil
}

func (f *folder) count(by int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drafts += by
	return f.drafts
}

type draft struct {
	folder *folder
	file   *os.File
	done   bool
}

func (d *draft) Write(p []byte) (int, error) {
	if d.folder.full {
		return 0, cloud.ErrFull
	}
	return d.file.Write(p)
}

func (d *draft) Commit(want uai.Digest) (cloud.Blob, error) {
	content, err := os.ReadFile(d.file.Name())
	if err != nil {
		return cloud.Blob{}, err
	}
	if digestOf(content) != want {
		return cloud.Blob{}, fmt.Errorf("%w: it is %s", uai.ErrMismatch, digestOf(content))
	}
	d.done = true
	d.folder.count(-1)
	if err := d.file.Close(); err != nil {
		return cloud.Blob{}, err
	}
	return cloud.Blob{Digest: want, Size: int64(len(content))}, os.Rename(d.file.Name(), d.folder.path(want))
}

func (d *draft) Abort() error {
	if d.done {
		return nil
	}
	d.done = true
	d.folder.count(-1)
	_ = d.file.Close()
	return os.Remove(d.file.Name())
}

// writable serves a registry that takes pushes.
func writable(t testing.TB, store *folder, change ...func(*registry.Config)) string {
	cfg := registry.Config{Store: store, Create: store.create, File: filepath.Join(t.TempDir(), "registry.db")}
	for _, c := range change {
		c(&cfg)
	}
	return serve(t, cfg)
}

// serve listens until the test ends, and wants no upload left behind.
func serve(t testing.TB, cfg registry.Config) string {
	s, err := registry.Listen("127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s.Address()
}

// ask sends a request; headers are "Name: value" pairs.
func ask(t testing.TB, method, url string, body io.Reader, headers ...string) (*http.Response, []byte) {
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for n := 0; n+1 < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, content
}
