package uai_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
)

func identity(t *testing.T) *age.X25519Identity {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return key
}

// secret is what the layers of these tests hold, and nothing else does.
const secret = "read me\nread me\n"

// twoPlatforms packs a folder for two platforms, with a configuration.
func twoPlatforms(t *testing.T) (string, uai.Digest) {
	return packFolder(t, func(o *uai.PackOptions) {
		config := fullConfig()
		o.Config = &config
		o.Sources = append(o.Sources, uai.Source{Platform: uai.Platform{OS: "linux", Architecture: "arm64"}, Folder: o.Sources[0].Folder})
	})
}

func TestPrivateImages(t *testing.T) {
	dir, digest := twoPlatforms(t)
	key := identity(t)
	sealed, err := uai.Encrypt(t.Context(), dir, digest, key.Recipient(), "private:1")
	require.NoError(t, err)
	require.NotEqual(t, digest, sealed)
	again, err := uai.Encrypt(t.Context(), dir, digest, key.Recipient(), "")
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "nobody can tell by the digest what is inside")

	layout := open(t, dir)
	image, err := layout.Image(sealed)
	require.NoError(t, err)
	require.True(t, image.Private())
	require.Len(t, image.Variants, 2)
	require.NotNil(t, image.Config)
	require.NoError(t, image.Verify(t.Context(), nil), "as stored")
	entry, err := layout.Find("private:1")
	require.NoError(t, err)
	require.Equal(t, sealed, entry.Digest)
	for _, v := range image.Variants {
		require.Equal(t, layerType+"+age", v.Layers[0].MediaType)
		stored, err := os.ReadFile(blobPath(dir, v.Layers[0].Digest))
		require.NoError(t, err)
		require.NotContains(t, string(stored), secret)
	}

	plain, err := layout.Image(digest)
	require.NoError(t, err)
	require.False(t, plain.Private())
	want, err := write(t, plain.Variants[0])
	require.NoError(t, err)
	require.Contains(t, want, secret)
	v := image.Variants[0]
	_, err = write(t, v)
	require.ErrorIs(t, err, uai.ErrLocked)
	v.Unlock(identity(t))
	got, err := write(t, v)
	require.ErrorIs(t, err, uai.ErrWrongKey)
	require.NotContains(t, got, "manifest.json")
	v.Unlock(identity(t), key)
	got, err = write(t, v)
	require.NoError(t, err)
	require.Equal(t, want, got, "the engine gets the very same")
	size, err := v.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Positive(t, size)

	before := v.Config.Digest
	v.Disguise()
	require.NotEqual(t, before, v.Config.Digest)
	got, err = write(t, v)
	require.NoError(t, err)
	require.Contains(t, got, v.Config.Digest.Hex()+".json")
	require.NotContains(t, got, before.Hex()+".json")
	require.Contains(t, got, `"rootfs":{"type":"layers","diff_ids":["`+v.Settings.RootFS.DiffIDs[0].String())
}

func write(t *testing.T, v *uai.Variant) (string, error) {
	var out bytes.Buffer
	err := v.WriteArchive(t.Context(), &out, nil, nil)
	return out.String(), err
}

func TestDecryptGivesTheSameDigest(t *testing.T) {
	dir, digest := twoPlatforms(t)
	key := identity(t)
	sealed, err := uai.Encrypt(t.Context(), dir, digest, key.Recipient(), "")
	require.NoError(t, err)

	// In a folder that never had the plain image.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	image, err := open(t, dir).Image(sealed)
	require.NoError(t, err)
	require.NoError(t, uai.Copy(t.Context(), image, elsewhere, ""))
	_, err = uai.Decrypt(t.Context(), elsewhere, sealed, identity(t), "")
	require.ErrorIs(t, err, uai.ErrWrongKey)
	back, err := uai.Decrypt(t.Context(), elsewhere, sealed, key, "back")
	require.NoError(t, err)
	require.Equal(t, digest, back)
	require.NoError(t, verify(t, elsewhere, digest))

	_, err = uai.Decrypt(t.Context(), elsewhere, digest, key, "")
	require.ErrorContains(t, err, "not private")
	_, err = uai.Encrypt(t.Context(), elsewhere, sealed, key.Recipient(), "")
	require.ErrorContains(t, err, "private already")
	_, err = uai.Encrypt(t.Context(), elsewhere, uai.Digest("sha256:"+strings.Repeat("0", 64)), key.Recipient(), "")
	require.ErrorIs(t, err, uai.ErrNotFound)
	left, err := filepath.Glob(filepath.Join(elsewhere, "blobs", "sha256", ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestOddlyWrittenImagesComeBack has an index and a manifest with space and
// fields as no tool of ours writes them, and an attestation.
func TestOddlyWrittenImagesComeBack(t *testing.T) {
	dir, plain := packFolder(t)
	image, err := open(t, dir).Image(plain)
	require.NoError(t, err)
	v := image.Variants[0]
	manifest := put(t, dir, []byte(fmt.Sprintf("{ \"x\" : [ 1,\t2 ],\n \"layers\" :\n[ { \"size\": %d , \"y\":{}, \"digest\" : %q,\"mediaType\":%q } ],"+
		"\"mediaType\":%q, \"config\":{\"size\":%d,\"digest\":%q,\"mediaType\":%q},\"schemaVersion\":2 }\n",
		v.Layers[0].Size, v.Layers[0].Digest, layerType, manifestType, v.Config.Size, v.Config.Digest, configType)))
	size := func(d uai.Digest) int64 {
		info, err := os.Stat(blobPath(dir, d))
		require.NoError(t, err)
		return info.Size()
	}
	index := func(more string) uai.Digest {
		return put(t, dir, []byte(fmt.Sprintf("{\"manifests\":[ {\"digest\":%q, \"z\":null,\"size\":%d,\n\"mediaType\":%q}%s ] ,\"schemaVersion\":2}",
			manifest, size(manifest), manifestType, more)))
	}
	key := identity(t)
	for _, digest := range []uai.Digest{manifest, index("")} {
		sealed, err := uai.Encrypt(t.Context(), dir, digest, key.Recipient(), "")
		require.NoError(t, err)
		back, err := uai.Decrypt(t.Context(), dir, sealed, key, "")
		require.NoError(t, err)
		require.Equal(t, digest, back)
	}
	attested := index(fmt.Sprintf(`, {"digest":"sha256:%s","size":3,"mediaType":%q,"platform":{"os":"unknown","architecture":"unknown"}}`,
		strings.Repeat("a", 64), manifestType))
	sealed, err := uai.Encrypt(t.Context(), dir, attested, key.Recipient(), "")
	require.NoError(t, err)
	raw, err := os.ReadFile(blobPath(dir, sealed))
	require.NoError(t, err)
	var written struct{ Manifests []json.RawMessage }
	require.NoError(t, json.Unmarshal(raw, &written))
	require.Len(t, written.Manifests, 1)
}

func TestHostilePrivateImages(t *testing.T) {
	key := identity(t)
	var encrypted bytes.Buffer
	w, err := age.Encrypt(&encrypted, key.Recipient())
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 1024))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	whole := handmade{
		layer: encrypted.Bytes(), diffID: make([]byte, 1024), layers: 1,
		layerType: layerType + "+age", manifestType: manifestType, announced: "amd64", indexType: indexType,
	}
	damaged := bytes.Clone(whole.layer)
	damaged[len(damaged)-1] ^= 1
	for name, c := range map[string]struct {
		spoil func(*handmade)
		want  error
	}{
		"nothing wrong":                {func(*handmade) {}, nil},
		"other content than announced": {func(h *handmade) { h.diffID = []byte("other") }, uai.ErrMismatch},
		"not encrypted":                {func(h *handmade) { h.layer = make([]byte, 1024) }, uai.ErrMalformed},
		"damaged by its author":        {func(h *handmade) { h.layer = damaged }, uai.ErrMalformed},
		"cut by its author":            {func(h *handmade) { h.layer = h.layer[:len(h.layer)-8] }, uai.ErrMalformed},
		"nothing":                      {func(h *handmade) { h.layer = nil }, uai.ErrMalformed},
		"encrypted without saying so":  {func(h *handmade) { h.layerType = layerType }, uai.ErrMalformed},
		"of nonsense":                  {func(h *handmade) { h.layerType = "text/html+age" }, uai.ErrMalformed},
		"encrypted twice":              {func(h *handmade) { h.layerType += "+age" }, uai.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := packFolder(t)
			h := whole
			c.spoil(&h)
			image, err := open(t, dir).Image(h.write(t, dir))
			if err == nil {
				image.Variants[0].Unlock(key)
				_, err = image.Variants[0].Verify(t.Context(), nil)
			}
			require.ErrorIs(t, err, c.want)
			if c.want != nil && image != nil {
				_, err = write(t, image.Variants[0])
				require.Error(t, err)
			}
		})
	}
}

func TestImagesOfAStore(t *testing.T) {
	dir, digest := packFolder(t)
	opened := 0
	layout := uai.OpenContents(func(d uai.Digest) (io.ReadCloser, int64, error) {
		file, err := os.Open(blobPath(dir, d))
		if errors.Is(err, os.ErrNotExist) {
			return nil, 0, fmt.Errorf("%w: %s", uai.ErrNotFound, d)
		}
		require.NoError(t, err)
		info, err := file.Stat()
		require.NoError(t, err)
		opened++
		return file, info.Size(), nil
	}, uai.DefaultLimits())
	image, err := layout.Image(digest)
	require.NoError(t, err)
	require.NoError(t, image.Verify(t.Context(), nil))
	require.Positive(t, opened)
	_, err = layout.Image(uai.Digest("sha256:" + strings.Repeat("0", 64)))
	require.ErrorIs(t, err, uai.ErrNotFound)
	_, err = layout.Entries()
	require.ErrorIs(t, err, uai.ErrNotLayout)
	require.NoError(t, layout.Close())
}
