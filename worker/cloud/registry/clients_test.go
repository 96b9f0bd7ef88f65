package registry_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
)

// packed writes an image for two platforms into a layout folder.
func packed(t testing.TB) (dir string, digest uai.Digest) {
	dir = filepath.Join(t.TempDir(), "layout")
	var sources []uai.Source
	for _, architecture := range []string{"amd64", "arm64"} {
		root := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(root, "file"), []byte("for "+architecture), 0o600))
		sources = append(sources, uai.Source{Platform: uai.Platform{OS: "linux", Architecture: architecture}, Folder: root})
	}
	digest, err := uai.Pack(dir, uai.PackOptions{Sources: sources, Name: "v1", Gzip: true})
	require.NoError(t, err)
	return dir, digest
}

// requireSame wants an image whole in a layout folder.
func requireSame(t testing.TB, dir string, digest uai.Digest) {
	layout, err := uai.Open(dir)
	require.NoError(t, err)
	defer layout.Close()
	image, err := layout.Image(digest)
	require.NoError(t, err)
	require.NoError(t, image.Verify(t.Context(), nil))
	require.Len(t, image.Variants, 2)
}

func TestSkopeoPushesAndPulls(t *testing.T) {
	program, err := exec.LookPath("skopeo")
	require.NoError(t, err, "skopeo is not here: install it with scripts/ensure-skopeo.sh")
	store := newFolder(t)
	host := writable(t, store)
	skopeo := func(arguments ...string) string {
		command := exec.Command(program, arguments...)
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%v: %s", arguments, output)
		return string(output)
	}
	dir, digest := packed(t)
	here := "docker://" + host + "/isun1publisher/app:v1"
	copying := []string{"--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"}
	skopeo(append(copying, "oci:"+dir+":v1", here)...)
	back := filepath.Join(t.TempDir(), "back")
	skopeo(append(copying, here, "oci:"+back+":v1")...)
	requireSame(t, back, digest)
	require.Contains(t, skopeo("list-tags", "--tls-verify=false", "docker://"+host+"/isun1publisher/app"), `"v1"`)
	require.Contains(t, skopeo("inspect", "--tls-verify=false", here), digest.String())

	// By its root, as a node's engine reads it.
	tree := fmt.Sprintf("docker://%s/%s@%s", serve(t, registry.Config{Store: store}), registry.Repository(digest), digest)
	back = filepath.Join(t.TempDir(), "tree")
	skopeo(append(copying, tree, "oci:"+back+":v1")...)
	requireSame(t, back, digest)
}

func TestOrasPushesAndPulls(t *testing.T) {
	store := newFolder(t)
	host := writable(t, store)
	dir, digest := packed(t)
	source, err := oci.New(dir)
	require.NoError(t, err)
	here, err := remote.NewRepository(host + "/isun1publisher/app")
	require.NoError(t, err)
	here.PlainHTTP = true
	pushed, err := oras.Copy(t.Context(), source, "v1", here, "v1", oras.DefaultCopyOptions)
	require.NoError(t, err)
	require.Equal(t, digest.String(), pushed.Digest.String())

	back := filepath.Join(t.TempDir(), "back")
	target, err := oci.New(back)
	require.NoError(t, err)
	_, err = oras.Copy(t.Context(), here, "v1", target, "v1", oras.DefaultCopyOptions)
	require.NoError(t, err)
	requireSame(t, back, digest)

	// An artifact that refers to it is found from it.
	artifact, err := oras.PackManifest(t.Context(), here, oras.PackManifestVersion1_1, "application/x.sbom", oras.PackManifestOptions{Subject: &pushed})
	require.NoError(t, err)
	found, err := here.Resolve(t.Context(), pushed.Digest.String())
	require.NoError(t, err)
	nodes, err := here.Predecessors(t.Context(), found)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Equal(t, artifact.Digest, nodes[0].Digest)

	tree, err := remote.NewRepository(serve(t, registry.Config{Store: store}) + "/" + registry.Repository(digest))
	require.NoError(t, err)
	tree.PlainHTTP = true
	back = filepath.Join(t.TempDir(), "tree")
	target, err = oci.New(back)
	require.NoError(t, err)
	_, err = oras.Copy(t.Context(), tree, digest.String(), target, "v1", oras.DefaultCopyOptions)
	require.NoError(t, err)
	requireSame(t, back, digest)
}

// nodeStore is a store as nodes have it.
func nodeStore(t testing.TB) *blobs.Store {
	store, err := blobs.Open(blobs.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func TestGoContainerRegistryPushesAndPulls(t *testing.T) {
	store := nodeStore(t)
	host := serve(t, registry.Config{Store: store, Create: registry.Drafts(store), File: filepath.Join(t.TempDir(), "registry.db")})
	index, err := random.Index(10_000, 3, 2)
	require.NoError(t, err)
	tag, err := name.NewTag(host + "/isun1publisher/app:v1")
	require.NoError(t, err)
	require.NoError(t, ggcr.WriteIndex(tag, index))
	got, err := ggcr.Index(tag)
	require.NoError(t, err)
	require.NoError(t, validate.Index(got))
	want, err := index.Digest()
	require.NoError(t, err)
	found, err := got.Digest()
	require.NoError(t, err)
	require.Equal(t, want, found)
	tags, err := ggcr.List(tag.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"v1"}, tags)

	roots := store.Roots()
	require.Len(t, roots, 3, "the index and its manifests")
	for _, root := range roots {
		require.True(t, root.Pinned)
	}
	require.NoError(t, ggcr.Delete(tag.Context().Digest(want.String())))
	root, err := store.Root(uai.Digest(want.String()))
	require.NoError(t, err)
	require.False(t, root.Pinned)
}
