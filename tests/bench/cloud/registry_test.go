package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	reference "github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
)

const (
	// imageBytes is what the image of a registry's benchmarks weighs.
	imageBytes = 256 << 20
	// registryRounds is how often both registries take turns; medians are the figures.
	registryRounds = 3
	// goalRegistry is how many times as long as with the other registry a pull or a push may take.
	goalRegistry = 1.5
	// goalRegistryMemory is what the registry may take meanwhile, in MiB.
	goalRegistryMemory = 200
)

// BenchmarkRegistry pulls an image into the Docker engine, and pushes it, through a node's registry and through that of
// go-containerregistry, which keeps blobs as plain files and does nothing else with them.
func BenchmarkRegistry(b *testing.B) {
	f := newRegistries(b)
	var pulls, pulled, pushes, pushed []float64
	var memory float64
	for b.Loop() {
		for range registryRounds {
			stop := watchMemory(b)
			pulls = append(pulls, f.pull(f.node))
			memory = max(memory, stop())
			pulled = append(pulled, f.pull(f.other))
			stop = watchMemory(b)
			pushes = append(pushes, f.push(f.node, f.newNode()))
			memory = max(memory, stop())
			pushed = append(pushed, f.push(f.node, newOther(b, b.TempDir())))
		}
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	pull, push := median(pulls), median(pushes)
	report.Figure(b, "cloud_registry_pull_mib_s", imageBytes>>20/pull)
	report.Figure(b, "cloud_registry_pull_vs_registry", pull/median(pulled))
	report.Figure(b, "cloud_registry_pull_vs_registry_vs_goal", pull/median(pulled)/goalRegistry)
	report.Figure(b, "cloud_registry_push_mib_s", imageBytes>>20/push)
	report.Figure(b, "cloud_registry_push_vs_registry", push/median(pushed))
	report.Figure(b, "cloud_registry_push_vs_registry_vs_goal", push/median(pushed)/goalRegistry)
	report.Figure(b, "cloud_registry_memory_mib", memory)
	report.Figure(b, "cloud_registry_memory_vs_goal", memory/goalRegistryMemory)
}

// registries are a node's and another, with the same image.
type registries struct {
	b           *testing.B
	docker      *client.Client
	digest      uai.Digest
	node, other string // host:port/repository
}

func newRegistries(b *testing.B) *registries {
	b.Helper()
	f := &registries{b: b, docker: dockertest.Client(b)}
	root, dir := b.TempDir(), filepath.Join(b.TempDir(), "layout")
	content, err := os.Create(filepath.Join(root, "noise"))
	require.NoError(b, err)
	var seed [32]byte
	copy(seed[:], time.Now().String()) // an engine that has the layer would not pull it
	_, err = io.CopyN(content, rand.NewChaCha8(seed), imageBytes)
	require.NoError(b, errors.Join(err, content.Close()))
	f.digest, err = uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{Platform: uai.HostPlatform(), Folder: root}}})
	require.NoError(b, err)
	f.node = f.serveNode(dir)
	f.other = newOther(b, filepath.Join(dir, "blobs"))
	putManifests(b, f.other, dir, f.digest)
	return f
}

func (f *registries) openStore() *blobs.Store {
	f.b.Helper()
	store, err := blobs.Open(blobs.Config{Dir: filepath.Join(f.b.TempDir(), "blobs")})
	require.NoError(f.b, err)
	f.b.Cleanup(func() { require.NoError(f.b, store.Close()) })
	return store
}

func (f *registries) listen(cfg registry.Config) string {
	f.b.Helper()
	server, err := registry.Listen("127.0.0.1:0", cfg)
	require.NoError(f.b, err)
	f.b.Cleanup(func() { require.NoError(f.b, server.Close()) })
	return server.Address()
}

// serveNode has a node hold the image of a layout.
func (f *registries) serveNode(dir string) string {
	f.b.Helper()
	store := f.openStore()
	files, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	require.NoError(f.b, err)
	for _, entry := range files {
		file, err := os.Open(filepath.Join(dir, "blobs", "sha256", entry.Name()))
		require.NoError(f.b, err)
		err = store.Put(f.b.Context(), file, cloud.Blob{Digest: uai.Digest("sha256:" + entry.Name()), Size: -1})
		require.NoError(f.b, errors.Join(err, file.Close()))
	}
	return f.listen(registry.Config{Store: store}) + "/" + registry.Repository(f.digest)
}

// newNode serves an empty store that takes pushes.
func (f *registries) newNode() string {
	f.b.Helper()
	store := f.openStore()
	file := filepath.Join(f.b.TempDir(), "registry.db")
	return f.listen(registry.Config{Store: store, Create: registry.Drafts(store), File: file}) + "/isun1publisher/app"
}

// newOther serves a folder of blobs.
func newOther(b *testing.B, dir string) string {
	b.Helper()
	handler := reference.New(reference.Logger(log.New(io.Discard, "", 0)), reference.WithBlobHandler(reference.NewDiskBlobHandler(dir)))
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/isun1publisher/app"
}

// putManifests pushes an index and its manifests; the blobs are there.
func putManifests(b *testing.B, repository, dir string, digest uai.Digest) {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", digest.Hex()))
	require.NoError(b, err)
	var document struct {
		MediaType string
		Manifests []struct{ Digest uai.Digest }
	}
	require.NoError(b, json.Unmarshal(raw, &document))
	for _, m := range document.Manifests {
		putManifests(b, repository, dir, m.Digest)
	}
	host, name, _ := strings.Cut(repository, "/")
	url := "http://" + host + "/v2/" + name + "/manifests/" + digest.String()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPut, url, bytes.NewReader(raw))
	require.NoError(b, err)
	request.Header.Set("Content-Type", document.MediaType)
	response, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	require.NoError(b, response.Body.Close())
	require.Equal(b, http.StatusCreated, response.StatusCode)
}

// pull has the engine take the image, and gives the seconds it took. The image is gone afterwards.
func (f *registries) pull(repository string) float64 {
	f.b.Helper()
	seconds, remove := f.take(repository)
	remove()
	return seconds
}

func (f *registries) take(repository string) (seconds float64, remove func()) {
	f.b.Helper()
	ref := repository + "@" + f.digest.String()
	start := time.Now()
	stream, err := f.docker.ImagePull(f.b.Context(), ref, image.PullOptions{})
	require.NoError(f.b, err)
	f.drain(stream)
	seconds = time.Since(start).Seconds()
	return seconds, func() { f.remove(ref) }
}

func (f *registries) remove(ref string) {
	f.b.Helper()
	_, err := f.docker.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true, PruneChildren: true})
	require.NoError(f.b, err)
}

// push has the engine send what it took from one registry to another, and gives the seconds that took.
func (f *registries) push(from, to string) float64 {
	f.b.Helper()
	_, remove := f.take(from)
	defer remove()
	require.NoError(f.b, f.docker.ImageTag(f.b.Context(), from+"@"+f.digest.String(), to+":v1"))
	defer f.remove(to + ":v1")
	start := time.Now()
	stream, err := f.docker.ImagePush(f.b.Context(), to+":v1", image.PushOptions{RegistryAuth: "e30="}) // {}
	require.NoError(f.b, err)
	f.drain(stream)
	return time.Since(start).Seconds()
}

// drain reads the engine's progress to its end, where it tells what went wrong.
func (f *registries) drain(stream io.ReadCloser) {
	f.b.Helper()
	defer stream.Close()
	for decoder := json.NewDecoder(stream); ; {
		var message struct{ Error string }
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(f.b, err)
		require.Empty(f.b, message.Error)
	}
}
