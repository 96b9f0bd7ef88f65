package images_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
	"github.com/isuncoin/isuncoin/worker/images"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
)

// node has a store and a registry, and fetches from layout folders.
type node struct {
	*blobs.Store
	dir     string
	address string
	layouts []string
	fetches atomic.Int32
	err     error
}

func newNode(t *testing.T, layouts ...string) *node {
	dir := t.TempDir()
	store, err := blobs.Open(blobs.Config{Dir: dir})
	require.NoError(t, err)
	server, err := registry.Listen("127.0.0.1:0", registry.Config{Store: store})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.NoError(t, store.Close())
	})
	return &node{Store: store, dir: dir, address: server.Address(), layouts: layouts}
}

func (n *node) Registry() string { return n.address }

func (n *node) Fetch(ctx context.Context, root uai.Digest, progress func(done, total int64)) error {
	n.fetches.Add(1)
	if n.err != nil {
		return n.err
	}
	for _, dir := range n.layouts {
		found, err := n.fetchFrom(ctx, dir, root, progress)
		if found || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s", cloud.ErrNotHeld, root)
}

func (n *node) fetchFrom(ctx context.Context, dir string, root uai.Digest, progress func(done, total int64)) (bool, error) {
	layout, err := uai.Open(dir)
	if err != nil {
		return false, err
	}
	defer layout.Close()
	found, err := layout.Image(root)
	if errors.Is(err, uai.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	progress(0, found.Size())
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for _, b := range append(found.Blobs(), uai.Blob{Digest: root, Size: -1}) {
		content, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", b.Digest.Hex()))
		if err != nil {
			return false, err
		}
		if err := n.Put(ctx, bytes.NewReader(content), cloud.Blob{Digest: b.Digest, Size: b.Size}); err != nil {
			return false, err
		}
	}
	progress(found.Size(), found.Size())
	return true, nil
}

// keyring has keys by their subject.
type keyring map[string]age.Identity

func (k keyring) Identity(_ context.Context, subject string) (age.Identity, error) {
	if key, ok := k[subject]; ok {
		return key, nil
	}
	return nil, fmt.Errorf("no key holder releases a share of %s", subject)
}

func TestResolveFromTheCloud(t *testing.T) {
	dir, digest := layout(t, "cloud")
	cloudNode := newNode(t, dir)
	engine := newFakeEngine()
	pinned := cloudNode.address + "/isun/" + digest[7:] + "@" + digest
	engine.remote[pinned] = image.InspectResponse{ID: configOf(t, dir, digest)}
	var stages []images.Stage
	s := newStore(t, engine, images.Config{Cloud: cloudNode, OnProgress: func(p images.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	}})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, pinned, got.Source)
	require.Equal(t, []string{pinned + " for linux/amd64"}, engine.pulls)
	require.Equal(t, []images.Stage{images.StageFind, images.StageFetch, images.StageCheck, images.StageReady}, stages)
	require.Zero(t, engine.loads.Load())
}

// configOf is the id that an engine of the classic store gives an image.
func configOf(t *testing.T, dir, digest string) string {
	l, err := uai.Open(dir)
	require.NoError(t, err)
	defer l.Close()
	found, err := l.Image(uai.Digest(digest))
	require.NoError(t, err)
	return found.Variants[0].Config.Digest.String()
}

func TestAnEngineElsewhereIsLoadedInstead(t *testing.T) {
	dir, digest := layout(t, "loaded")
	engine := newFakeEngine()
	engine.pullErr = errors.New("connection refused")
	s := newStore(t, engine, images.Config{Cloud: newNode(t, dir)})
	got, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Equal(t, configOf(t, dir, digest), got.ID)
	require.EqualValues(t, 1, engine.loads.Load())
}

func TestLayoutsComeFirstAndTheCloudBeforeRegistries(t *testing.T) {
	dir, digest := layout(t, "here")
	cloudNode := newNode(t, dir)
	engine := newFakeEngine()
	s := newStore(t, engine, images.Config{Layouts: []string{dir}, Cloud: cloudNode})
	_, err := s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.Zero(t, cloudNode.fetches.Load())
	_, err = s.Resolve(t.Context(), images.Request{Digest: digest})
	require.NoError(t, err)
	require.EqualValues(t, 1, engine.loads.Load(), "the engine has it")

	for _, trouble := range []error{nil, errors.New("no peer answers")} {
		_, missing := layout(t, "only a registry has this")
		pinned := "registry.example.com/app@" + missing
		engine := newFakeEngine()
		engine.remote[pinned] = image.InspectResponse{ID: "sha256:1", Os: "linux", Architecture: "amd64", RepoDigests: []string{pinned}}
		cloudNode := newNode(t)
		cloudNode.err = trouble
		s = newStore(t, engine, images.Config{Cloud: cloudNode})
		got, err := s.Resolve(t.Context(), images.Request{Digest: missing, Reference: "docker://registry.example.com/app:v1"})
		require.NoError(t, err)
		require.Equal(t, pinned, got.Source)
		require.EqualValues(t, 1, cloudNode.fetches.Load())

		_, err = newStore(t, engine, images.Config{Cloud: cloudNode}).Resolve(t.Context(), images.Request{Digest: missing})
		require.ErrorIs(t, err, images.ErrImageNotFound)
		require.ErrorContains(t, err, "iSunCloud")
	}
}

func TestWhatTheDiskDamagedIsFetchedAgain(t *testing.T) {
	dir, digest := layout(t, "fragile")
	cloudNode := newNode(t, dir)
	blobsIn, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	require.NoError(t, err)
	for _, blob := range blobsIn {
		_, err := newStore(t, newFakeEngine(), images.Config{Cloud: cloudNode}).Resolve(t.Context(), images.Request{Digest: digest})
		require.NoError(t, err)
		path := filepath.Join(cloudNode.dir, "blobs", "sha256", blob.Name())
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		content[len(content)/2] ^= 1
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, content, 0o600))

		engine := newFakeEngine()
		engine.pullErr = errors.New("connection refused") // so it is loaded
		got, err := newStore(t, engine, images.Config{Cloud: cloudNode}).Resolve(t.Context(), images.Request{Digest: digest})
		require.NoError(t, err)
		require.Equal(t, configOf(t, dir, digest), got.ID)
	}
	require.EqualValues(t, 3*len(blobsIn), cloudNode.fetches.Load())
}

func TestLargeImagesAreRefusedBeforeTheyMove(t *testing.T) {
	dir, digest := layout(t, strings.Repeat("large", 1000))
	cloudNode := newNode(t, dir)
	engine := newFakeEngine()
	s := newStore(t, engine, images.Config{Cloud: cloudNode, MaxBytes: 4000})
	_, err := s.Resolve(t.Context(), images.Request{Digest: digest, SizeBytes: 5000, Reference: "registry.example.com/app"})
	require.ErrorIs(t, err, uai.ErrTooLarge)
	require.Zero(t, cloudNode.fetches.Load(), "the chain's word is enough")
	_, err = s.Resolve(t.Context(), images.Request{Digest: digest, SizeBytes: 10, Reference: "registry.example.com/app"})
	require.ErrorIs(t, err, uai.ErrTooLarge)
	require.Empty(t, cloudNode.Roots())
	require.Zero(t, cloudNode.Usage().Used)
	require.Empty(t, engine.pulls)
}

func TestPrivateImagesNeedTheirKey(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, plain := layout(t, "nobody else's business")
	sealed, err := uai.Encrypt(t.Context(), dir, uai.Digest(plain), key.Recipient(), "")
	require.NoError(t, err)
	const subject = "image/isun1owner/app:1"
	for name, c := range map[string]struct {
		keys    images.Keys
		subject string
		want    error
		says    string
	}{
		"no keys here":    {nil, subject, uai.ErrLocked, "given none"},
		"no subject":      {keyring{"": key}, "", uai.ErrLocked, "given none"},
		"nobody gives it": {keyring{}, subject, uai.ErrLocked, "no key holder"},
		"somebody else's": {keyring{subject: other}, subject, uai.ErrWrongKey, "not its key"},
		"the right one":   {keyring{subject: key}, subject, nil, ""},
	} {
		for _, from := range []string{"cloud", "layout"} {
			t.Run(name+" from the "+from, func(t *testing.T) {
				engine := newFakeEngine()
				cfg := images.Config{Keys: c.keys}
				if from == "cloud" {
					cfg.Cloud = newNode(t, dir)
				} else {
					cfg.Layouts = []string{dir}
				}
				got, err := newStore(t, engine, cfg).Resolve(t.Context(), images.Request{
					Digest: sealed.String(), Subject: c.subject, Reference: "registry.example.com/app",
				})
				if c.says == "" {
					require.NoError(t, err)
					require.NotEqual(t, configOf(t, dir, plain), got.ID, "nobody else can name it")
					require.Equal(t, subject, got.Subject)
				} else {
					require.ErrorContains(t, err, c.says)
					require.Empty(t, engine.byName)
				}
				if c.want != nil {
					require.ErrorIs(t, err, c.want)
				}
				require.Empty(t, engine.pulls, "a registry cannot help")
				if from == "cloud" {
					requireNoPlainLayer(t, cfg.Cloud.(*node).Store, dir, plain)
				}
			})
		}
	}
}

// TestAPrivateImageStaysItsOwners has one loaded, and somebody else try to run
// it without the key.
func TestAPrivateImageStaysItsOwners(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, plain := layout(t, "nobody else's business")
	sealed, err := uai.Encrypt(t.Context(), dir, uai.Digest(plain), key.Recipient(), "")
	require.NoError(t, err)
	engine := newFakeEngine()
	const owner, other = "image/isun1owner/app:1", "image/isun1other/stolen:1"
	s := newStore(t, engine, images.Config{Cloud: newNode(t, dir), Keys: keyring{owner: key}})
	request := images.Request{Digest: sealed.String(), Subject: owner}
	_, err = s.Resolve(t.Context(), request)
	require.NoError(t, err)
	_, err = s.Resolve(t.Context(), request)
	require.NoError(t, err)
	require.EqualValues(t, 1, engine.loads.Load())

	// The same digest, published under another name.
	request.Subject = other
	_, err = s.Resolve(t.Context(), request)
	require.ErrorIs(t, err, uai.ErrLocked)

	// Its configuration, with layers of the thief's.
	l, err := uai.Open(dir)
	require.NoError(t, err)
	defer l.Close()
	found, err := l.Image(sealed)
	require.NoError(t, err)
	v := found.Variants[0]
	layer := put(t, dir, make([]byte, 1024))
	manifest := put(t, dir, []byte(fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":1024}]}`, v.Config.Digest, v.Config.Size, layer)))
	_, err = s.Resolve(t.Context(), images.Request{Digest: manifest.String(), Subject: other})
	require.ErrorIs(t, err, images.ErrDigestMismatch)
}

// put adds a blob to a layout folder.
func put(t *testing.T, dir string, content []byte) uai.Digest {
	sum := sha256.Sum256(content)
	digest := uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", digest.Hex()), content, 0o600))
	return digest
}

// requireNoPlainLayer wants no layer of an image in a store.
func requireNoPlainLayer(t *testing.T, store *blobs.Store, dir, digest string) {
	l, err := uai.Open(dir)
	require.NoError(t, err)
	defer l.Close()
	found, err := l.Image(uai.Digest(digest))
	require.NoError(t, err)
	_, err = store.Stat(found.Variants[0].Layers[0].Digest)
	require.ErrorIs(t, err, cloud.ErrNotHeld)
}

func TestReferencesAreMeasured(t *testing.T) {
	dir, digest := layout(t, "measured")
	host := serveLayout(t, dir, uai.Digest(digest))
	request := images.Request{Digest: digest, Reference: host + "/app:v1"}
	cfg := images.Config{Registries: []string{host}, MaxBytes: 1 << 20}
	engine := newFakeEngine()
	pinned := host + "/app@" + digest
	engine.remote[pinned] = image.InspectResponse{ID: "sha256:1", Os: "linux", Architecture: "amd64", RepoDigests: []string{pinned}}
	_, err := newStore(t, engine, cfg).Resolve(t.Context(), request)
	require.NoError(t, err)
	require.Len(t, engine.pulls, 1)

	cfg.MaxBytes = 100
	engine = newFakeEngine()
	_, err = newStore(t, engine, cfg).Resolve(t.Context(), request)
	require.ErrorIs(t, err, uai.ErrTooLarge)
	require.Empty(t, engine.pulls)

	request.Digest = "sha256:" + strings.Repeat("0", 64)
	_, err = newStore(t, engine, cfg).Resolve(t.Context(), request)
	require.ErrorIs(t, err, images.ErrImageNotFound)
}

func TestDockerPullsFromTheCloud(t *testing.T) {
	api := dockertest.Client(t)
	for _, gzip := range []bool{false, true} {
		t.Run(fmt.Sprintf("packed %t", gzip), func(t *testing.T) {
			dir, digest := program(t, gzip)
			s := dockerStore(t, api, images.Config{Cloud: newNode(t, dir)})
			got, err := s.Resolve(t.Context(), images.Request{Digest: digest.String()})
			require.NoError(t, err)
			require.Contains(t, got.Source, "127.0.0.1:", "pulled, not loaded")
			t.Run("runs", func(t *testing.T) { requireRuns(t, api, got.ID) })
		})
	}
}

func TestDockerRunsAPrivateImage(t *testing.T) {
	api := dockertest.Client(t)
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, digest := program(t, true)
	sealed, err := uai.Encrypt(t.Context(), dir, digest, key.Recipient(), "")
	require.NoError(t, err)
	const subject = "image/isun1owner/app:1"
	s := dockerStore(t, api, images.Config{Cloud: newNode(t, dir), Keys: keyring{subject: key}})
	got, err := s.Resolve(t.Context(), images.Request{Digest: sealed.String(), Subject: subject})
	require.NoError(t, err)
	t.Run("runs", func(t *testing.T) { requireRuns(t, api, got.ID) })
}
