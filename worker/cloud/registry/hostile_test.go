package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
)

const (
	waitLong = 20 * time.Second
	tick     = 5 * time.Millisecond
)

func TestHostilePathsAreRefused(t *testing.T) {
	store := newFolder(t)
	host := writable(t, store)
	digest := store.put(t, []byte("held, but in no repository"))
	for path, status := range map[string]int{
		"/": 404, "/v1/": 404, "/v2/x": 404, "/v2/a/b": 404, "/v2//manifests/v1": 400,
		"/v2/UPPER/manifests/v1":                                     400,
		"/v2/a/../../etc/manifests/v1":                               400,
		"/v2/%2e%2e/%2e%2e/manifests/v1":                             400,
		"/v2/a%00b/manifests/v1":                                     400,
		"/v2/" + strings.Repeat("a", 256) + "/manifests/v1":          400,
		"/v2/" + strings.Repeat("a", 255) + "/manifests/v1":          404,
		"/v2/a/manifests/" + strings.Repeat("t", 129):                400,
		"/v2/a/manifests/-tag":                                       400,
		"/v2/a/manifests/..":                                         400,
		"/v2/a/blobs/sha256:" + strings.Repeat("0", 63):              400,
		"/v2/a/blobs/sha256:" + strings.Repeat("A", 64):              400,
		"/v2/a/blobs/sha512:" + strings.Repeat("0", 128):             400,
		"/v2/a/blobs/sha256:" + strings.Repeat("../", 21) + "x":      404,
		"/v2/a/blobs/" + digest.String():                             404,
		"/v2/a/referrers/v1":                                         400,
		"/v2/a/blobs/uploads/nothing":                                404,
		"/v2/isun/short/manifests/v1":                                400,
		"/v2/isun/" + digest.Hex() + "/x/manifests/v1":               400,
		"/v2/isun/" + digest.Hex() + "/manifests/v1":                 404,
		"/v2/isun/" + digest.Hex() + "/blobs/" + digest.String():     200,
		"/v2/isun/" + digest.Hex() + "/manifests/" + digest.String(): 404,
	} {
		repo{t, "http://" + host, host}.want(status, http.MethodGet, path, nil)
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, "BREW"} {
		repo{t, "http://" + host, host}.want(http.StatusMethodNotAllowed, method, "/v2/", nil)
		repo{t, "http://" + host, host}.want(http.StatusMethodNotAllowed, method, "/v2/a/tags/list", nil)
	}
}

func TestHostileManifestsAreRefused(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	good := string(r.image("layer", ""))
	other := repoOf(t, strings.TrimPrefix(r.host, "http://"), "isun1publisher/other")
	foreign := other.image("elsewhere", "")
	for name, c := range map[string]struct{ kind, body string }{
		"no JSON":                     {manifestType, "{"},
		"another type than sent":      {indexType, good},
		"a type of nothing known":     {"text/html", "<html>"},
		"its own type is nothing":     {"", strings.Replace(good, manifestType, "text/html", 1)},
		"schema 1":                    {manifestType, strings.Replace(good, `"schemaVersion":2`, `"schemaVersion":1`, 1)},
		"both index and manifest":     {manifestType, strings.Replace(good, `"layers"`, `"manifests":[],"layers"`, 1)},
		"an index with layers":        {indexType, `{"schemaVersion":2,"manifests":[],"layers":[]}`},
		"no configuration":            {manifestType, `{"schemaVersion":2,"layers":[]}`},
		"a negative size":             {manifestType, strings.Replace(good, `"size":5`, `"size":-5`, 1)},
		"another size":                {manifestType, strings.Replace(good, `"size":5`, `"size":6`, 1)},
		"another digest":              {manifestType, strings.Replace(good, digestOf([]byte("layer")).String(), "sha256:../../x", 1)},
		"a blob that was not pushed":  {manifestType, strings.Replace(good, digestOf([]byte("layer")).Hex(), strings.Repeat("0", 64), 1)},
		"a blob of another":           {manifestType, string(foreign)},
		"a manifest that is not here": {indexType, `{"schemaVersion":2,"manifests":[` + entry(manifestType, []byte("missing")) + `]}`},
		"empty objects without end":   {manifestType, strings.Replace(good, `"layers":[`, `"layers":[`+strings.Repeat("{},", 50_000), 1)},
		"a subject of nonsense":       {indexType, `{"schemaVersion":2,"manifests":[],"subject":{"digest":"x","size":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			repo{t, r.base, r.host}.want(http.StatusBadRequest, http.MethodPut, "/manifests/v1", []byte(c.body), "Content-Type", c.kind)
		})
	}
	huge := strings.Replace(good, `"layers"`, `"x":"`+strings.Repeat("y", 4<<20)+`","layers"`, 1)
	r.want(http.StatusRequestEntityTooLarge, http.MethodPut, "/manifests/v1", []byte(huge), "Content-Type", manifestType)
	r.want(http.StatusNotFound, http.MethodGet, "/manifests/v1", nil)
}

func TestUploadsHaveLimits(t *testing.T) {
	store := newFolder(t)
	host := writable(t, store, func(c *registry.Config) { c.MaxBlobBytes, c.MaxUploads = 1000, 2 })
	r := repoOf(t, host, "isun1publisher/app")
	r.pushBlob(make([]byte, 1000))
	large := make([]byte, 1001)
	r.want(http.StatusRequestEntityTooLarge, http.MethodPost, "/blobs/uploads/?digest="+digestOf(large).String(), large)

	at := r.begin()
	r.at(http.StatusAccepted, http.MethodPatch, at, large[:600])
	// Without a length the server finds out as it reads.
	response, _ := ask(t, http.MethodPatch, r.host+at, io.MultiReader(bytes.NewReader(large[:600])))
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	r.at(http.StatusNotFound, http.MethodGet, at, nil)

	r.begin()
	at = r.begin()
	r.want(http.StatusTooManyRequests, http.MethodPost, "/blobs/uploads/", nil)
	r.at(http.StatusNoContent, http.MethodDelete, at, nil)
	r.begin()
}

func TestAFullDiskIsSaid(t *testing.T) {
	store := newFolder(t)
	r := repoOf(t, writable(t, store), "isun1publisher/app")
	manifest := r.image("layer", "")
	store.full = true
	_, said := r.want(http.StatusInsufficientStorage, http.MethodPost, "/blobs/uploads/?digest="+digestOf([]byte("x")).String(), []byte("x"))
	require.Contains(t, string(said), "free disk space")
	r.want(http.StatusInsufficientStorage, http.MethodPut, "/manifests/v1", manifest, "Content-Type", manifestType)
	r.want(http.StatusNotFound, http.MethodGet, "/manifests/v1", nil)
	require.Zero(t, store.count(0), "no draft is left")
}

func TestRestingUploadsExpire(t *testing.T) {
	store := newFolder(t)
	r := repoOf(t, writable(t, store, func(c *registry.Config) { c.UploadExpiry = 50 * time.Millisecond }), "isun1publisher/app")
	at := r.begin()
	require.Eventually(t, func() bool { return store.count(0) == 0 }, waitLong, tick)
	r.at(http.StatusNotFound, http.MethodPatch, at, []byte("late"))
}

func TestCloseDropsUploads(t *testing.T) {
	store := newFolder(t)
	s, err := registry.Listen("127.0.0.1:0", registry.Config{
		Store: store, Create: store.create, File: filepath.Join(t.TempDir(), "registry.db"),
	})
	require.NoError(t, err)
	repoOf(t, s.Address(), "app").begin()
	require.Equal(t, 1, store.count(0))
	require.NoError(t, s.Close())
	require.Zero(t, store.count(0))
}

// TestABrokenConnectionResumes cuts an upload in the middle of a piece.
func TestABrokenConnectionResumes(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	at := r.begin()
	host := strings.TrimPrefix(r.host, "http://")
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\n01234", at, host)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool {
		response, _ := ask(t, http.MethodGet, r.host+at, nil)
		return response.Header.Get("Range") == "0-4" // while the server reads it answers 409
	}, waitLong, tick)
	r.at(http.StatusCreated, http.MethodPut, withDigest(at, digestOf([]byte("0123456789"))), []byte("56789"), "Content-Range", "5-9")
}

func TestSlowClientsAreCutOff(t *testing.T) {
	store := newFolder(t)
	host := writable(t, store, func(c *registry.Config) { c.StallTimeout = 100 * time.Millisecond })
	r := repoOf(t, host, "isun1publisher/app")
	digest := store.put(t, make([]byte, 32<<20))

	t.Run("who sends", func(t *testing.T) {
		conn, err := net.Dial("tcp", host)
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\n01234", r.begin(), host)
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(answer), "408 Request Timeout")
	})
	t.Run("who reads", func(t *testing.T) {
		conn, err := net.Dial("tcp", host)
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", registry.Repository(digest), digest, host)
		require.NoError(t, err)
		time.Sleep(time.Second) // to read nothing is what is tested
		got, err := io.Copy(io.Discard, conn)
		require.True(t, err != nil || got < 32<<20, "the server gave up before all was sent")
	})
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	store := newFolder(t)
	host := writable(t, store)
	for name, change := range map[string]func(*http.Request){
		"a page's request": func(r *http.Request) { r.Header.Set("Origin", "http://example.com") },
		"a page's name":    func(r *http.Request) { r.Host = "example.com" },
		"another address":  func(r *http.Request) { r.Host = "192.0.2.1:5000" },
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
		require.NoError(t, err)
		change(request)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusForbidden, response.StatusCode, name)
	}
	r, err := registry.New(registry.Config{Store: store})
	require.NoError(t, err)
	defer r.Close()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v2/", nil) // from 192.0.2.1
	r.ServeHTTP(recorder, request)
	require.Equal(t, http.StatusForbidden, recorder.Code)

	_, err = registry.Listen("0.0.0.0:0", registry.Config{Store: store})
	require.ErrorContains(t, err, "not on loopback")
}

func TestReadOnly(t *testing.T) {
	store := newFolder(t)
	host := serve(t, registry.Config{Store: store})
	r := repoOf(t, host, "isun1publisher/app")
	r.want(http.StatusMethodNotAllowed, http.MethodPost, "/blobs/uploads/", nil)
	r.want(http.StatusMethodNotAllowed, http.MethodPut, "/manifests/v1", []byte("{}"))
	r.want(http.StatusMethodNotAllowed, http.MethodGet, "/blobs/uploads/x", nil)
	r.want(http.StatusMethodNotAllowed, http.MethodDelete, "/manifests/v1", nil)
	r.want(http.StatusNotFound, http.MethodGet, "/manifests/v1", nil)
	r.want(http.StatusNotFound, http.MethodGet, "/tags/list", nil)
	r.want(http.StatusOK, http.MethodGet, "/referrers/"+digestOf(nil).String(), nil)
	_, list := repo{t, "http://" + host, host}.want(http.StatusOK, http.MethodGet, "/v2/_catalog", nil)
	require.JSONEq(t, `{"repositories":[]}`, string(list))
	// Nor does a writable one take what only iSunCloud says.
	tree := repoOf(t, writable(t, store), registry.Repository(digestOf(nil)))
	tree.want(http.StatusMethodNotAllowed, http.MethodPost, "/blobs/uploads/", nil)
}

func TestWhatWasPushedOutlivesTheRegistry(t *testing.T) {
	store := newFolder(t)
	cfg := registry.Config{Store: store, Create: store.create, File: filepath.Join(t.TempDir(), "deep", "registry.db")}
	s, err := registry.Listen("127.0.0.1:0", cfg)
	require.NoError(t, err)
	r := repoOf(t, s.Address(), "isun1publisher/app")
	manifest := r.image("layer", "")
	r.pushManifest("v1", manifest)
	require.NoError(t, s.Close())
	require.Len(t, store.pinned[digestOf(manifest)], 3, "the store must not drop it")

	r = repoOf(t, serve(t, cfg), "isun1publisher/app")
	_, got := r.want(http.StatusOK, http.MethodGet, "/manifests/v1", nil)
	require.Equal(t, manifest, got)
	r.want(http.StatusAccepted, http.MethodDelete, "/manifests/"+digestOf(manifest).String(), nil)
	require.Empty(t, store.pinned)

	require.NoError(t, os.WriteFile(cfg.File+"2", []byte("damaged"), 0o600))
	cfg.File += "2"
	_, err = registry.New(cfg)
	require.ErrorContains(t, err, "remove")
}

// cloudOf brings trees into a store.
type cloudOf struct {
	store *folder
	trees map[uai.Digest][][]byte
	calls atomic.Int32
	gate  chan struct{}
}

func (c *cloudOf) Fetch(ctx context.Context, root uai.Digest) error {
	c.calls.Add(1)
	select {
	case <-c.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, content := range c.trees[root] {
		if err := c.store.Put(ctx, bytes.NewReader(content), cloud.Blob{Digest: digestOf(content)}); err != nil {
			return err
		}
	}
	if c.trees[root] == nil {
		return fmt.Errorf("%w: nobody has %s", cloud.ErrNotHeld, root)
	}
	return nil
}

func TestWhatIsMissingIsFetchedOnce(t *testing.T) {
	store := newFolder(t)
	layer, config := []byte("layer"), []byte("{}")
	manifest := []byte(`{"schemaVersion":2,"config":` + entry(configType, config) + `,"layers":[` + entry(layerType, layer) + `]}`)
	root := digestOf(manifest)
	source := &cloudOf{store: store, trees: map[uai.Digest][][]byte{root: {manifest, config, layer}}, gate: make(chan struct{})}
	r := repoOf(t, serve(t, registry.Config{Store: store, Fetcher: source}), registry.Repository(root))

	// One gives up; what it began goes on for the others.
	impatient, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(impatient, http.MethodGet, r.base+"/manifests/"+root.String(), nil)
	require.NoError(t, err)
	gone := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = errors.Join(errors.New("answered"), response.Body.Close())
		}
		gone <- err
	}()
	require.Eventually(t, func() bool { return source.calls.Load() == 1 }, waitLong, tick)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)

	const clients = 8
	results := make(chan int, clients)
	for range clients {
		go func() {
			response, err := http.Get(r.base + "/manifests/" + root.String())
			if err != nil {
				results <- 0
				return
			}
			_ = response.Body.Close()
			results <- response.StatusCode
		}()
	}
	close(source.gate)
	for range clients {
		require.Equal(t, http.StatusOK, <-results)
	}
	require.EqualValues(t, 1, source.calls.Load())
	response, got := r.want(http.StatusOK, http.MethodGet, "/manifests/"+root.String(), nil)
	require.Equal(t, manifest, got)
	require.Equal(t, manifestType, response.Header.Get("Content-Type"), "found out from what it is")

	// Dropped for want of room between the manifest and its layer.
	require.NoError(t, os.Remove(store.path(digestOf(layer))))
	_, got = r.want(http.StatusOK, http.MethodGet, "/blobs/"+digestOf(layer).String(), nil)
	require.Equal(t, layer, got)
	require.EqualValues(t, 2, source.calls.Load())

	missing := digestOf([]byte("nobody has this"))
	nobody := repo{t, r.host + "/v2/" + registry.Repository(missing), r.host}
	nobody.want(http.StatusNotFound, http.MethodGet, "/manifests/"+missing.String(), nil)
}
