package uai_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
)

func blobPath(dir string, d uai.Digest) string { return filepath.Join(dir, "blobs", "sha256", d.Hex()) }

// TestEveryByteCounts changes, cuts, lengthens and removes each blob in turn.
func TestEveryByteCounts(t *testing.T) {
	for _, packed := range []bool{false, true} {
		dir, digest := packFolder(t, func(o *uai.PackOptions) { o.Gzip = packed })
		blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		require.NoError(t, err)
		require.Len(t, blobs, 4, "index, manifest, configuration, layer")
		for _, blob := range blobs {
			path := filepath.Join(dir, "blobs", "sha256", blob.Name())
			good, err := os.ReadFile(path)
			require.NoError(t, err)
			flipped := bytes.Clone(good)
			flipped[len(flipped)/2] ^= 1
			for name, bad := range map[string][]byte{
				"a bit": flipped, "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), '\n'), "empty": {},
			} {
				require.NoError(t, os.WriteFile(path, bad, 0o600))
				require.ErrorIs(t, verify(t, dir, digest), uai.ErrMismatch, "%s in %s", name, blob.Name())
				require.Error(t, archive(t, dir, digest))
			}
			require.NoError(t, os.Remove(path))
			require.ErrorIs(t, verify(t, dir, digest), uai.ErrNotFound)
			require.NoError(t, os.WriteFile(path, good, 0o600))
		}
		require.NoError(t, verify(t, dir, digest))
		require.NoError(t, archive(t, dir, digest))
	}
}

func verify(t *testing.T, dir string, digest uai.Digest) error {
	image, err := open(t, dir).Image(digest)
	if err != nil {
		return err
	}
	return image.Verify(t.Context(), nil)
}

// archive converts the image and returns the error, after making sure that a
// failed conversion never got as far as the part that makes it an image.
func archive(t *testing.T, dir string, digest uai.Digest) error {
	image, err := open(t, dir).Image(digest)
	if err != nil {
		return err
	}
	v, err := image.Select(amd64)
	require.NoError(t, err)
	var out bytes.Buffer
	err = v.WriteArchive(t.Context(), &out, nil, nil)
	require.Equal(t, err == nil, bytes.Contains(out.Bytes(), []byte("manifest.json")))
	return err
}

func TestDigests(t *testing.T) {
	good := "sha256:" + strings.Repeat("0a", 32)
	d, err := uai.ParseDigest(good)
	require.NoError(t, err)
	require.Equal(t, good, d.String())
	for _, bad := range []string{
		"", "sha256:", strings.Repeat("0a", 32), "sha512:" + strings.Repeat("0a", 64), good + "0", good[:70],
		"sha256:" + strings.Repeat("0A", 32), "sha256:" + strings.Repeat("../", 21) + "x", "sha256:" + strings.Repeat("/", 64),
	} {
		_, err := uai.ParseDigest(bad)
		require.ErrorIs(t, err, uai.ErrMalformed, bad)
	}
}

func TestNotALayout(t *testing.T) {
	_, err := uai.Open(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, uai.ErrNotLayout)
	dir := t.TempDir()
	_, err = uai.Open(dir)
	require.ErrorIs(t, err, uai.ErrNotLayout)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"9.0.0"}`), 0o600))
	_, err = uai.Open(dir)
	require.ErrorIs(t, err, uai.ErrNotLayout)
	_, err = uai.Pack(dir, uai.PackOptions{Sources: []uai.Source{{Platform: amd64, Folder: folder(t)}}})
	require.ErrorIs(t, err, uai.ErrNotLayout)
}

// TestLinksDoNotLeadOutside: a layout made by somebody else must not make us
// read a file of ours.
func TestLinksDoNotLeadOutside(t *testing.T) {
	dir, _ := packFolder(t)
	secret := filepath.Join(t.TempDir(), "secret")
	content := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	require.NoError(t, os.WriteFile(secret, content, 0o600))
	digest := put(t, dir, content)
	require.NoError(t, os.Remove(blobPath(dir, digest)))
	require.NoError(t, os.Symlink(secret, blobPath(dir, digest)))
	_, err := open(t, dir).Image(digest)
	require.ErrorContains(t, err, "escapes")
}

// put stores content under its digest.
func put(t *testing.T, dir string, content []byte) uai.Digest {
	sum := sha256.Sum256(content)
	digest, err := uai.ParseDigest("sha256:" + hex.EncodeToString(sum[:]))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(blobPath(dir, digest), content, 0o600))
	return digest
}

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// handmade builds an image from parts, to be wrong in one of them.
type handmade struct {
	layer, diffID        []byte
	layerType            string
	manifestType         string
	announced, indexType string
	layers               int
}

func (h handmade) write(t *testing.T, dir string) uai.Digest {
	layer, diff := put(t, dir, h.layer), put(t, dir, h.diffID)
	diffs := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%q,", diff), h.layers), ",")
	config := []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}`, diffs))
	blob := func(kind string, d uai.Digest, size int, more string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, kind, d, size, more)
	}
	layers := strings.TrimSuffix(strings.Repeat(blob(h.layerType, layer, len(h.layer), "")+",", h.layers), ",")
	manifest := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`,
		h.manifestType, blob(configType, put(t, dir, config), len(config), ""), layers))
	platform := fmt.Sprintf(`,"platform":{"os":"linux","architecture":%q}`, h.announced)
	return put(t, dir, []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`,
		h.indexType, blob(h.manifestType, put(t, dir, manifest), len(manifest), platform))))
}

func TestHostileImages(t *testing.T) {
	whole := handmade{
		layer: make([]byte, 1024), diffID: make([]byte, 1024), layers: 1,
		layerType: layerType, manifestType: manifestType, announced: "amd64", indexType: indexType,
	}
	for name, c := range map[string]struct {
		spoil func(*handmade)
		want  error
	}{
		"nothing wrong":            {func(*handmade) {}, nil},
		"another diff id":          {func(h *handmade) { h.diffID = []byte("other") }, uai.ErrMismatch},
		"announced for another":    {func(h *handmade) { h.announced = "arm64" }, uai.ErrMalformed},
		"layer fetched from a URL": {func(h *handmade) { h.layerType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }, uai.ErrMalformed},
		"layer of nonsense":        {func(h *handmade) { h.layerType = "text/html" }, uai.ErrMalformed},
		"only an unknown manifest": {func(h *handmade) { h.manifestType = "application/x" }, uai.ErrMalformed},
		"index of nonsense":        {func(h *handmade) { h.indexType = "application/x" }, uai.ErrMalformed},
		"too many layers":          {func(h *handmade) { h.layers = 128 }, uai.ErrTooLarge},
		"as many as allowed":       {func(h *handmade) { h.layers = 127 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := packFolder(t)
			h := whole
			c.spoil(&h)
			require.ErrorIs(t, verify(t, dir, h.write(t, dir)), c.want)
		})
	}
}

func TestBothIndexAndManifest(t *testing.T) {
	dir, _ := packFolder(t)
	digest := put(t, dir, []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`))
	_, err := open(t, dir).Image(digest)
	require.ErrorIs(t, err, uai.ErrMalformed)
}

func TestLimits(t *testing.T) {
	dir, digest := packFolder(t, func(o *uai.PackOptions) { o.Gzip = true })
	check := func(change func(*uai.Limits)) error {
		limits := uai.DefaultLimits()
		change(&limits)
		l, err := uai.OpenLimited(dir, limits)
		require.NoError(t, err)
		defer l.Close()
		image, err := l.Image(digest)
		if err != nil {
			return err
		}
		return image.Verify(t.Context(), nil)
	}
	v, err := open(t, dir).Image(digest)
	require.NoError(t, err)
	unpacked, err := v.Variants[0].Verify(t.Context(), nil)
	require.NoError(t, err)

	require.NoError(t, check(func(l *uai.Limits) { l.UnpackedBytes = unpacked }))
	require.ErrorIs(t, check(func(l *uai.Limits) { l.UnpackedBytes = unpacked - 1 }), uai.ErrTooLarge)
	require.ErrorIs(t, check(func(l *uai.Limits) { l.MetadataBytes = 100 }), uai.ErrTooLarge)
	require.ErrorIs(t, check(func(l *uai.Limits) { l.Manifests = 0 }), uai.ErrTooLarge)
}

func TestVerifyStopsWithItsContext(t *testing.T) {
	dir, digest := packFolder(t)
	image, err := open(t, dir).Image(digest)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, image.Verify(ctx, nil), context.Canceled)
	v, err := image.Select(amd64)
	require.NoError(t, err)
	require.ErrorIs(t, v.WriteArchive(ctx, io.Discard, nil, nil), context.Canceled)
}

// FuzzImage feeds any bytes as an index: there must be an error or an image,
// never a panic.
func FuzzImage(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"` + manifestType + `","config":{"digest":"sha256:00","size":-1},"layers":[]}`))
	f.Add([]byte(`{"manifests":[{"mediaType":"` + manifestType + `","platform":null}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
		image, err := open(t, dir).Image(put(t, dir, content))
		require.True(t, (image == nil) == (err != nil))
	})
}
