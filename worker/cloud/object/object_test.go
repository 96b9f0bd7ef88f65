package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// memory is a store of documents.
type memory map[uai.Digest][]byte

func digest(content string) uai.Digest {
	sum := sha256.Sum256([]byte(content))
	return uai.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (m memory) put(content string) cloud.Blob {
	d := digest(content)
	m[d] = []byte(content)
	return cloud.Blob{Digest: d, Size: int64(len(content))}
}

var errAbsent = errors.New("absent")

func (m memory) read(_ context.Context, d uai.Digest, maxBytes int64) ([]byte, error) {
	raw, ok := m[d]
	if !ok {
		return nil, errAbsent
	}
	if int64(len(raw)) > maxBytes {
		return nil, uai.ErrTooLarge
	}
	return raw, nil
}

func desc(mediaType string, b cloud.Blob, extra ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, b.Digest, b.Size, strings.Join(extra, ""))
}

const layerType = "application/vnd.oci.image.layer.v1.tar+gzip"

func image(config cloud.Blob, layers ...cloud.Blob) string {
	list := make([]string, len(layers))
	for i, l := range layers {
		list[i] = desc(layerType, l)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, typeManifest, desc(typeConfig, config), strings.Join(list, ","))
}

func list(manifests ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, typeIndex, strings.Join(manifests, ","))
}

func content(name string, size int64) cloud.Blob { return cloud.Blob{Digest: digest(name), Size: size} }

func TestWalkFindsEachBlobOnceTheRootFirst(t *testing.T) {
	m := memory{}
	shared, amd, arm := content("shared", 1000), content("amd", 10), content("arm", 11)
	config := content("config", 5)
	a, b := m.put(image(config, shared, amd)), m.put(image(config, shared, arm))
	empty := content("{}", 2)
	artifact := m.put(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.isun.uai.config.v1+json","config":%s,"layers":[%s],"subject":%s}`,
		typeManifest, desc("application/vnd.oci.empty.v1+json", empty), desc("application/vnd.isun.uai.config.v1+json", content("uai", 7)), desc(typeManifest, content("elsewhere", 9))))
	inner := m.put(list(desc(typeManifest, b)))
	root := m.put(list(desc(typeManifest, a), desc(typeIndex, inner), desc(typeManifest, artifact, `,"platform":{"os":"unknown","architecture":"unknown"}`), desc("text/plain", content("note", 3))))
	blobs, err := Walk(context.Background(), root.Digest, m.read)
	require.NoError(t, err)
	require.Equal(t, []cloud.Blob{root, a, config, shared, amd, inner, b, arm, artifact, empty, content("uai", 7), content("note", 3)}, blobs)

	one, err := Walk(context.Background(), a.Digest, m.read)
	require.NoError(t, err)
	require.Equal(t, []cloud.Blob{a, config, shared, amd}, one)
}

func TestWalkTakesDockersTypesAndDocumentsWithoutAType(t *testing.T) {
	m := memory{}
	config, layer := content("config", 5), content("layer", 6)
	old := m.put(strings.Replace(image(config, layer), typeManifest, typeDockerManifest, 1))
	root := m.put(fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, desc(typeDockerManifest, old)))
	blobs, err := Walk(context.Background(), root.Digest, m.read)
	require.NoError(t, err)
	require.Equal(t, []cloud.Blob{root, old, config, layer}, blobs)
}

// hostile documents that nothing may be stored of.
func hostile() map[string]string {
	config, layer := content("config", 5), content("layer", 6)
	good := image(config, layer)
	manyLayers := make([]cloud.Blob, 128)
	manyManifests := make([]string, 65)
	for i := range manyLayers {
		manyLayers[i] = content(fmt.Sprint(i), 1)
	}
	for i := range manyManifests {
		manyManifests[i] = desc("text/plain", content(fmt.Sprint(i), 1))
	}
	return map[string]string{
		"no JSON":                  "tar",
		"empty":                    "",
		"a list":                   "[]",
		"nothing":                  "{}",
		"no schema version":        `{"manifests":[]}`,
		"old schema":               strings.Replace(good, `"schemaVersion":2`, `"schemaVersion":1`, 1),
		"something after it":       good + "{}",
		"index and manifest":       strings.TrimSuffix(good, "}") + `,"manifests":[]}`,
		"index named manifest":     strings.Replace(good, typeManifest, typeIndex, 1),
		"manifest named index":     strings.Replace(list(), typeIndex, typeManifest, 1),
		"unknown type":             strings.Replace(good, typeManifest, "text/plain", 1),
		"name twice":               strings.TrimSuffix(good, "}") + `,"layers":[]}`,
		"name twice within":        strings.Replace(good, `"size":5`, `"size":5,"size":5`, 1),
		"name in other letters":    strings.TrimSuffix(good, "}") + `,"Layers":[]}`,
		"no configuration":         fmt.Sprintf(`{"schemaVersion":2,"layers":[%s]}`, desc(layerType, layer)),
		"no layers":                fmt.Sprintf(`{"schemaVersion":2,"config":%s}`, desc(typeConfig, config)),
		"negative size":            strings.Replace(good, `"size":5`, `"size":-5`, 1),
		"huge size":                strings.Replace(good, `"size":5`, `"size":9223372036854775807`, 1),
		"beyond any size":          strings.Replace(good, `"size":5`, `"size":1e30`, 1),
		"bad digest":               strings.Replace(good, "sha256:", "sha256:../", 1),
		"another algorithm":        strings.Replace(good, "sha256:", "sha512:", 1),
		"no media type of a layer": strings.Replace(good, layerType, "", 1),
		"foreign layer":            strings.Replace(good, layerType, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 1),
		"nondistributable layer":   strings.Replace(good, layerType, "application/vnd.oci.image.layer.nondistributable.v1.tar", 1),
		"layer with urls":          strings.Replace(good, `"size":6`, `"size":6,"urls":["https://example.com/layer"]`, 1),
		"manifest as a layer":      strings.Replace(good, layerType, typeManifest, 1),
		"same blob, two sizes":     image(config, layer, cloud.Blob{Digest: layer.Digest, Size: 7}),
		"too many layers":          image(config, manyLayers...),
		"too many manifests":       list(manyManifests...),
		"deep":                     strings.TrimSuffix(good, "}") + `,"annotations":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}",
		"bad subject":              strings.TrimSuffix(good, "}") + `,"subject":{"mediaType":"text/plain","digest":"x","size":1}}`,
		"huge":                     `{"schemaVersion":2,"manifests":[],"annotations":{"a":"` + strings.Repeat("a", 4<<20) + `"}}`,
	}
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	for name, text := range hostile() {
		m := memory{}
		root := m.put(text)
		_, err := Walk(context.Background(), root.Digest, m.read)
		require.Error(t, err, name)
		require.True(t, errors.Is(err, uai.ErrMalformed) || errors.Is(err, uai.ErrTooLarge), "%s: %s", name, err)
	}
}

func TestAnnotationsMayHaveAnyNames(t *testing.T) {
	m := memory{}
	config := content("config", 5)
	root := m.put(strings.TrimSuffix(image(config), "}") + `,"annotations":{"Layers":"a","layers":"b"}}`)
	blobs, err := Walk(context.Background(), root.Digest, m.read)
	require.NoError(t, err)
	require.Equal(t, []cloud.Blob{root, config}, blobs)
}

func TestDepthIsBounded(t *testing.T) {
	m := memory{}
	below := m.put(image(content("config", 5)))
	kind := typeManifest
	for depth := 1; depth < MaxDepth; depth++ {
		below = m.put(list(desc(kind, below)))
		kind = typeIndex
	}
	_, err := Walk(context.Background(), below.Digest, m.read)
	require.NoError(t, err)
	_, err = Walk(context.Background(), m.put(list(desc(kind, below))).Digest, m.read)
	require.ErrorIs(t, err, uai.ErrTooLarge)
}

func TestTheNumberOfBlobsIsBounded(t *testing.T) {
	m := memory{}
	layers := make([]string, MaxBlobs-2) // besides the manifest and its configuration
	for i := range layers {
		layers[i] = desc("a/b", content(fmt.Sprint(i), 1))
	}
	snapshot := func(layers []string) uai.Digest {
		return m.put(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.isun.snapshot.v1","config":%s,"layers":[%s]}`,
			typeManifest, desc("application/vnd.oci.empty.v1+json", content("{}", 2)), strings.Join(layers, ","))).Digest
	}
	blobs, err := Walk(context.Background(), snapshot(layers), m.read)
	require.NoError(t, err)
	require.Len(t, blobs, MaxBlobs)
	_, err = Walk(context.Background(), snapshot(append(layers, desc("a/b", content("one more", 1)))), m.read)
	require.ErrorIs(t, err, uai.ErrTooLarge)
}

func TestADocumentHasToBeWhatItIsAnnouncedAs(t *testing.T) {
	m := memory{}
	manifest := m.put(image(content("config", 5)))
	longer := manifest
	longer.Size++
	for name, entries := range map[string][]string{
		"index":                {desc(typeIndex, manifest)},
		"longer":               {desc(typeManifest, longer)},
		"content and manifest": {desc("text/plain", manifest), desc(typeManifest, manifest)},
		"manifest and content": {desc(typeManifest, manifest), desc("text/plain", manifest)},
	} {
		_, err := Walk(context.Background(), m.put(list(entries...)).Digest, m.read)
		require.Error(t, err, name)
		require.True(t, errors.Is(err, uai.ErrMalformed) || errors.Is(err, uai.ErrMismatch), "%s: %s", name, err)
	}
	root := m.put(list(desc(typeManifest, manifest)))
	m[manifest.Digest] = []byte(image(content("confih", 5)))
	_, err := Walk(context.Background(), root.Digest, m.read)
	require.ErrorIs(t, err, uai.ErrMismatch)
	delete(m, manifest.Digest)
	_, err = Walk(context.Background(), root.Digest, m.read)
	require.ErrorIs(t, err, errAbsent)
	_, err = Walk(context.Background(), "sha256:no", m.read)
	require.ErrorIs(t, err, uai.ErrMalformed)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Walk(ended, root.Digest, m.read)
	require.ErrorIs(t, err, context.Canceled)
}

func FuzzWalk(f *testing.F) {
	inner := memory{}
	below := inner.put(image(content("config", 5), content("layer", 6)))
	f.Add([]byte(list(desc(typeManifest, below))))
	for _, text := range hostile() {
		if len(text) < 4096 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := memory{below.Digest: inner[below.Digest]}
		root := m.put(string(raw))
		blobs, err := Walk(context.Background(), root.Digest, m.read)
		if err != nil {
			return
		}
		require.Equal(t, root, blobs[0])
		seen := map[uai.Digest]bool{}
		for _, b := range blobs {
			require.False(t, seen[b.Digest])
			seen[b.Digest] = true
			require.GreaterOrEqual(t, b.Size, int64(0))
			_, err := uai.ParseDigest(string(b.Digest))
			require.NoError(t, err)
		}
	})
}
