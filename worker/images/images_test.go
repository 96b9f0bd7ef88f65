package images_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/images"
)

var platform = uai.Platform{OS: "linux", Architecture: "amd64"}

// fakeEngine keeps images by id and by name, and takes archives as an engine
// of the classic store does.
type fakeEngine struct {
	mu       sync.Mutex
	byName   map[string]string // reference or id -> id
	loads    atomic.Int32
	pulls    []string
	pullErr  error
	loadErr  error
	remote   map[string]image.InspectResponse
	block    chan struct{}
	mistaken bool // makes something else of what it loads
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{byName: map[string]string{}, remote: map[string]image.InspectResponse{}}
}

func (f *fakeEngine) ImageInspect(_ context.Context, ref string) (image.InspectResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.remote[ref]; ok {
		return r, nil
	}
	id, ok := f.byName[ref]
	if !ok {
		return image.InspectResponse{}, fmt.Errorf("no such image %s: %w", ref, cerrdefs.ErrNotFound)
	}
	return image.InspectResponse{ID: id}, nil
}

func (f *fakeEngine) Load(_ context.Context, archive io.Reader) error {
	f.loads.Add(1)
	if f.block != nil {
		<-f.block
	}
	if f.loadErr != nil {
		return f.loadErr
	}
	var items []struct {
		Config   string
		RepoTags []string
	}
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Name == "manifest.json" {
			if err := json.NewDecoder(r).Decode(&items); err != nil {
				return err
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := "sha256:" + strings.TrimSuffix(items[0].Config, ".json")
	if f.mistaken {
		id = "sha256:" + strings.Repeat("0", 64)
	}
	f.byName[id], f.byName[items[0].RepoTags[0]] = id, id
	return nil
}

func (f *fakeEngine) Pull(_ context.Context, ref, platform string, _ func(done, total int64)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulls = append(f.pulls, ref+" for "+platform)
	return f.pullErr
}

func (f *fakeEngine) Tag(_ context.Context, id, ref string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byName[ref] = id
	return nil
}

func (f *fakeEngine) RemoveTag(_ context.Context, ref string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.byName[ref]
	if ref == id {
		maps.DeleteFunc(f.byName, func(_, of string) bool { return of == id })
	}
	delete(f.byName, id)
	delete(f.byName, ref)
	return nil
}

// layout packs a small image and returns its folder and digest.
func layout(t *testing.T, content string) (string, string) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "file"), []byte(content), 0o644))
	dir := filepath.Join(t.TempDir(), "layout")
	digest, err := uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{Platform: platform, Folder: root}}})
	require.NoError(t, err)
	return dir, digest.String()
}

func newStore(t *testing.T, engine images.Engine, cfg images.Config) *images.Store {
	cfg.Platform = platform
	s, err := images.New(engine, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestResolveFromALayout(t *testing.T) {
	dir, digest := layout(t, "hello")
	engine := newFakeEngine()
	var mu sync.Mutex
	var stages []images.Stage
	state := filepath.Join(t.TempDir(), "state", "images.json")
	s := newStore(t, engine, images.Config{Layouts: []string{dir}, StateFile: state, OnProgress: func(p images.Progress) {
		mu.Lock()
		defer mu.Unlock()
		stages = append(stages, p.Stage)
	}})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, "isun/"+digest[7:47]+":linux-amd64", got.Ref)
	require.Equal(t, engine.byName[got.Ref], got.ID)
	require.Equal(t, dir, got.Source)
	require.Equal(t, []images.Stage{images.StageFind, images.StageLoad, images.StageReady}, stages)

	// Known now, also to a store that starts later and without the layout.
	require.NoError(t, os.RemoveAll(dir))
	again, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, got, again)
	later := newStore(t, engine, images.Config{StateFile: state})
	again, err = later.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, got, again)
	require.EqualValues(t, 1, engine.loads.Load())

	// Removed from the engine behind our back, it has to be found again.
	require.NoError(t, engine.RemoveTag(t.Context(), got.Ref))
	_, err = later.Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorIs(t, err, images.ErrImageNotFound)
}

func TestResolveUsesWhatTheEngineHas(t *testing.T) {
	dir, digest := layout(t, "hello")
	engine := newFakeEngine()
	_, err := newStore(t, engine, images.Config{Layouts: []string{dir}}).Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	_, err = newStore(t, engine, images.Config{Layouts: []string{dir}}).Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.EqualValues(t, 1, engine.loads.Load(), "a worker without records finds the image by its id")
}

func TestLayoutsBelowAFolder(t *testing.T) {
	parent := t.TempDir()
	dir, digest := layout(t, "below")
	require.NoError(t, os.Rename(dir, filepath.Join(parent, "one")))
	s := newStore(t, newFakeEngine(), images.Config{Layouts: []string{filepath.Join(parent, "absent"), parent}})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(parent, "one"), got.Source)
}

func TestNotFoundSaysWhere(t *testing.T) {
	dir, _ := layout(t, "a")
	_, other := layout(t, "b")
	s := newStore(t, newFakeEngine(), images.Config{Layouts: []string{dir}})
	_, err := s.Resolve(t.Context(), images.Request{Digest: other})
	require.ErrorIs(t, err, images.ErrImageNotFound)
	require.ErrorContains(t, err, dir)

	s = newStore(t, newFakeEngine(), images.Config{})
	_, err = s.Resolve(t.Context(), images.Request{Digest: other})
	require.ErrorContains(t, err, "no layout folder is configured")

	_, err = s.Resolve(t.Context(), images.Request{Digest: "sha256:short"})
	require.ErrorIs(t, err, uai.ErrMalformed)
}

// damage changes a byte in the largest blob: the layer.
func damage(t *testing.T, dir string) {
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	require.NoError(t, err)
	var largest string
	var size int64
	for _, b := range blobs {
		info, err := os.Stat(b)
		require.NoError(t, err)
		if info.Size() > size {
			largest, size = b, info.Size()
		}
	}
	content, err := os.ReadFile(largest)
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.WriteFile(largest, content, 0o600))
}

func TestDamagedLayouts(t *testing.T) {
	dir, digest := layout(t, "same")
	whole, same := layout(t, "same")
	require.Equal(t, digest, same)
	damage(t, dir)

	engine := newFakeEngine()
	_, err := newStore(t, engine, images.Config{Layouts: []string{dir}}).Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorIs(t, err, images.ErrDigestMismatch)
	require.Empty(t, engine.byName)

	got, err := newStore(t, engine, images.Config{Layouts: []string{dir, whole}}).Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, whole, got.Source)
}

func TestEngineTrouble(t *testing.T) {
	dir, digest := layout(t, "x")
	engine := newFakeEngine()
	engine.loadErr = errors.New("disk full")
	s := newStore(t, engine, images.Config{Layouts: []string{dir}})
	_, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorContains(t, err, "disk full")

	engine.loadErr, engine.mistaken = nil, true
	_, err = s.Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorIs(t, err, images.ErrDigestMismatch)
}

func TestOtherPlatformAndLimits(t *testing.T) {
	dir, digest := layout(t, "x")
	s, err := images.New(newFakeEngine(), images.Config{Layouts: []string{dir}, Platform: uai.Platform{OS: "linux", Architecture: "arm64"}})
	require.NoError(t, err)
	_, err = s.Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorIs(t, err, uai.ErrNoPlatform)

	limits := uai.DefaultLimits()
	limits.UnpackedBytes = 100
	_, err = newStore(t, newFakeEngine(), images.Config{Layouts: []string{dir}, Limits: limits}).Resolve(t.Context(), images.Request{Digest: digest})
	require.ErrorIs(t, err, uai.ErrTooLarge)
}

func TestOneFetchForAll(t *testing.T) {
	dir, digest := layout(t, "x")
	engine := newFakeEngine()
	engine.block = make(chan struct{})
	s := newStore(t, engine, images.Config{Layouts: []string{dir}})

	// The first gives up; its fetch goes on for the others.
	impatient, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.Resolve(impatient, images.Request{Digest: digest})
		gone <- err
	}()
	require.Eventually(t, func() bool { return engine.loads.Load() == 1 }, waitLong, tick)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)

	const callers = 8
	results := make(chan error, callers)
	for range callers {
		go func() {
			_, err := s.Resolve(t.Context(), images.Request{Digest: digest})
			results <- err
		}()
	}
	close(engine.block)
	for range callers {
		require.NoError(t, <-results)
	}
	require.EqualValues(t, 1, engine.loads.Load())
}

func TestPull(t *testing.T) {
	_, digest := layout(t, "remote")
	engine := newFakeEngine()
	pinned := "registry.example.com/app@" + digest
	engine.remote[pinned] = image.InspectResponse{
		ID: "sha256:1", Os: "linux", Architecture: "amd64", RepoDigests: []string{pinned},
	}
	s := newStore(t, engine, images.Config{})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest, Reference: "registry.example.com/app:v1"})
	require.NoError(t, err)
	require.Equal(t, []string{pinned + " for linux/amd64"}, engine.pulls)
	require.Equal(t, pinned, got.Source)
	require.Equal(t, "sha256:1", engine.byName[got.Ref])
}

func TestPullRefusals(t *testing.T) {
	_, digest := layout(t, "remote")
	pinned := "registry.example.com/app@" + digest
	good := image.InspectResponse{ID: "sha256:1", Os: "linux", Architecture: "amd64", RepoDigests: []string{pinned}}
	for name, c := range map[string]struct {
		ref    string
		change func(*fakeEngine, *images.Config, *image.InspectResponse)
		want   error
	}{
		"registry says no": {"registry.example.com/app", func(e *fakeEngine, _ *images.Config, _ *image.InspectResponse) {
			e.pullErr = errors.New("denied")
		}, images.ErrImageNotFound},
		"another digest": {"registry.example.com/app", func(_ *fakeEngine, _ *images.Config, r *image.InspectResponse) {
			r.RepoDigests = []string{"registry.example.com/app@sha256:" + strings.Repeat("0", 64)}
		}, images.ErrDigestMismatch},
		"another platform": {"registry.example.com/app", func(_ *fakeEngine, _ *images.Config, r *image.InspectResponse) {
			r.Architecture = "arm64"
		}, uai.ErrNoPlatform},
		"not wanted": {"registry.example.com/app", func(_ *fakeEngine, c *images.Config, _ *image.InspectResponse) {
			c.NoPull = true
		}, images.ErrImageNotFound},
		"not on the list": {"registry.example.com/app", func(_ *fakeEngine, c *images.Config, _ *image.InspectResponse) {
			c.Registries = []string{"docker.io"}
		}, images.ErrRegistryRefused},
		"nonsense":      {"app name", nil, uai.ErrMalformed},
		"this machine":  {"localhost:5000/app", nil, images.ErrRegistryRefused},
		"loopback":      {"127.0.0.1:5000/app", nil, images.ErrRegistryRefused},
		"the LAN":       {"192.168.1.1/app", nil, images.ErrRegistryRefused},
		"metadata":      {"169.254.169.254/app", nil, images.ErrRegistryRefused},
		"IPv6 loopback": {"[::1]:5000/app", nil, images.ErrRegistryRefused},
		"a local name":  {"nas.local/app", nil, images.ErrRegistryRefused},
	} {
		t.Run(name, func(t *testing.T) {
			engine, cfg, answer := newFakeEngine(), images.Config{}, good
			if c.change != nil {
				c.change(engine, &cfg, &answer)
			}
			engine.remote[pinned] = answer
			_, err := newStore(t, engine, cfg).Resolve(t.Context(), images.Request{Digest: digest, Reference: c.ref})
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestPrune(t *testing.T) {
	one, first := layout(t, "1")
	two, second := layout(t, "2")
	engine := newFakeEngine()
	s := newStore(t, engine, images.Config{Layouts: []string{one, two}})
	kept, err := s.Resolve(t.Context(), images.Request{Digest: first})
	require.NoError(t, err)
	gone, err := s.Resolve(t.Context(), images.Request{Digest: second})
	require.NoError(t, err)
	require.NoError(t, s.Prune(t.Context(), map[string]bool{first: true}))
	require.Contains(t, engine.byName, kept.Ref)
	require.NotContains(t, engine.byName, gone.Ref)
}
