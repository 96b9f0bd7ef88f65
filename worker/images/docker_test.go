package images_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/images"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
)

const (
	waitLong = 30 * time.Second
	tick     = 10 * time.Millisecond
)

// program packs a small program for this machine; its output is unique, so no
// earlier run's image can stand in for it.
func program(t *testing.T, gzip bool) (dir string, digest uai.Digest) {
	source := filepath.Join(t.TempDir(), "main.go")
	code := fmt.Sprintf("package main\n\nfunc main() { println(\"packed %d\") }\n", time.Now().UnixNano())
	require.NoError(t, os.WriteFile(source, []byte(code), 0o600))
	binary := filepath.Join(t.TempDir(), "hello")
	build := exec.Command("go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	p, err := uai.BinaryPlatform(binary)
	require.NoError(t, err)
	dir = filepath.Join(t.TempDir(), "layout")
	digest, err = uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{Platform: p, Binary: binary}}, Gzip: gzip})
	require.NoError(t, err)
	return dir, digest
}

func dockerStore(t *testing.T, api *client.Client, cfg images.Config) *images.Store {
	before := pulledNames(t, api)
	s, err := images.New(images.Docker(api), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Prune(context.Background(), nil))
		require.Subset(t, before, pulledNames(t, api), "nothing is left of what the test pulled")
		require.NoError(t, s.Close())
	})
	return s
}

// pulledNames are those of the engine's images that came from this machine. Workers that run here have some too.
func pulledNames(t *testing.T, api *client.Client) []string {
	list, err := api.ImageList(context.Background(), image.ListOptions{})
	require.NoError(t, err)
	names := []string{}
	for _, i := range list {
		for _, name := range append(i.RepoTags, i.RepoDigests...) {
			if strings.HasPrefix(name, "127.0.0.1:") {
				names = append(names, name)
			}
		}
	}
	return names
}

// requireRuns starts the image and waits for what it has to say.
func requireRuns(t *testing.T, api *client.Client, ref string) {
	created, err := api.ContainerCreate(t.Context(), &container.Config{Image: ref}, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, api.ContainerRemove(context.Background(), created.ID, container.RemoveOptions{Force: true}))
	})
	done, failed := api.ContainerWait(t.Context(), created.ID, container.WaitConditionNextExit)
	require.NoError(t, api.ContainerStart(t.Context(), created.ID, container.StartOptions{}))
	select {
	case result := <-done:
		require.Zero(t, result.StatusCode)
	case err := <-failed:
		require.NoError(t, err)
	}
	logs, err := api.ContainerLogs(t.Context(), created.ID, container.LogsOptions{ShowStderr: true})
	require.NoError(t, err)
	defer logs.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(logs)
	require.NoError(t, err)
	require.Contains(t, text.String(), "packed")
}

func TestDockerLoadsALayout(t *testing.T) {
	api := dockertest.Client(t)
	for _, gzip := range []bool{false, true} {
		dir, digest := program(t, gzip)
		s := dockerStore(t, api, images.Config{Layouts: []string{dir}})
		got, err := s.Resolve(t.Context(), images.Request{Digest: digest.String()})
		require.NoError(t, err)
		// The container first: cleaning up goes the other way round.
		t.Run("runs", func(t *testing.T) { requireRuns(t, api, got.ID) })

		require.NoError(t, os.RemoveAll(dir))
		again, err := s.Resolve(t.Context(), images.Request{Digest: digest.String()})
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
}

func TestDockerTakesNoDamagedLayout(t *testing.T) {
	api := dockertest.Client(t)
	dir, digest := program(t, false)
	damage(t, dir)
	s := dockerStore(t, api, images.Config{Layouts: []string{dir}})
	_, err := s.Resolve(t.Context(), images.Request{Digest: digest.String()})
	require.ErrorIs(t, err, images.ErrDigestMismatch)
	list, err := api.ImageList(t.Context(), image.ListOptions{})
	require.NoError(t, err)
	for _, i := range list {
		require.NotContains(t, strings.Join(i.RepoTags, " "), digest.Hex()[:40])
	}
}

// serveLayout puts a layout into a registry on this machine.
func serveLayout(t *testing.T, dir string, digest uai.Digest) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	layout, err := uai.Open(dir)
	require.NoError(t, err)
	defer layout.Close()
	img, err := layout.Image(digest)
	require.NoError(t, err)
	v := img.Variants[0]
	content := func(d uai.Digest) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", d.Hex()))
		require.NoError(t, err)
		return raw
	}
	send := func(method, path, kind string, body []byte) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", kind)
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusCreated, response.StatusCode, path)
	}
	for _, b := range append([]uai.Blob{v.Config}, v.Layers...) {
		send(http.MethodPost, "/v2/app/blobs/uploads/?digest="+b.Digest.String(), "application/octet-stream", content(b.Digest))
	}
	send(http.MethodPut, "/v2/app/manifests/"+v.Manifest.Digest.String(), v.Manifest.MediaType, content(v.Manifest.Digest))
	send(http.MethodPut, "/v2/app/manifests/v1", "application/vnd.oci.image.index.v1+json", content(digest))
	return strings.TrimPrefix(server.URL, "http://")
}

func TestDockerPullsPinned(t *testing.T) {
	api := dockertest.Client(t)
	dir, digest := program(t, true)
	host := serveLayout(t, dir, digest)
	s := dockerStore(t, api, images.Config{Registries: []string{host}})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest.String(), Reference: host + "/app:v1"})
	require.NoError(t, err)
	require.Equal(t, host+"/app@"+digest.String(), got.Source)
	t.Run("runs", func(t *testing.T) { requireRuns(t, api, got.ID) })

	other := "sha256:" + strings.Repeat("ab", 32)
	_, err = s.Resolve(t.Context(), images.Request{Digest: other, Reference: host + "/app:v1"})
	require.ErrorIs(t, err, images.ErrImageNotFound, "a tag alone is not enough")
}
