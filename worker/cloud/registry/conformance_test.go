package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
)

// The tests of this file walk the cases of the distribution specification's
// own conformance tests: pull, push, content discovery and management.

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	emptyType    = "application/vnd.oci.empty.v1+json"
)

// repo is a repository under test.
type repo struct {
	t    testing.TB
	base string // http://host/v2/name
	host string
}

func repoOf(t testing.TB, host, name string) repo {
	return repo{t: t, base: "http://" + host + "/v2/" + name, host: "http://" + host}
}

func (r repo) ask(method, path string, body []byte, headers ...string) (*http.Response, []byte) {
	r.t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	return ask(r.t, method, r.base+path, reader, headers...)
}

// want sends a request and wants a status.
func (r repo) want(status int, method, path string, body []byte, headers ...string) (*http.Response, []byte) {
	r.t.Helper()
	response, content := r.ask(method, path, body, headers...)
	require.Equal(r.t, status, response.StatusCode, "%s %s: %s", method, path, content)
	if status >= 400 && method != http.MethodHead {
		var answer struct {
			Errors []struct{ Code, Message string }
		}
		require.NoError(r.t, json.Unmarshal(content, &answer), string(content))
		require.NotEmpty(r.t, answer.Errors[0].Code)
		require.NotEmpty(r.t, answer.Errors[0].Message)
	}
	return response, content
}

// pushBlob sends a blob with one request.
func (r repo) pushBlob(content []byte) uai.Digest {
	r.t.Helper()
	digest := digestOf(content)
	response, _ := r.want(http.StatusCreated, http.MethodPost, "/blobs/uploads/?digest="+digest.String(), content)
	require.Equal(r.t, digest.String(), response.Header.Get("Docker-Content-Digest"))
	return digest
}

// begin starts an upload and returns where it goes on.
func (r repo) begin() string {
	r.t.Helper()
	response, _ := r.want(http.StatusAccepted, http.MethodPost, "/blobs/uploads/", nil)
	return response.Header.Get("Location")
}

// at asks at a location as the registry gave it.
func (r repo) at(status int, method, location string, body []byte, headers ...string) *http.Response {
	r.t.Helper()
	response, _ := repo{r.t, r.host, r.host}.want(status, method, location, body, headers...)
	return response
}

func withDigest(location string, digest uai.Digest) string {
	return location + "?digest=" + digest.String()
}

func entry(kind string, content []byte) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, kind, digestOf(content), len(content))
}

// image is a manifest of one layer, with more fields.
func (r repo) image(layer string, more string) []byte {
	r.t.Helper()
	config := []byte("{}")
	r.pushBlob(config)
	r.pushBlob([]byte(layer))
	return []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`,
		manifestType, entry(configType, config), entry(layerType, []byte(layer)), more))
}

func (r repo) pushManifest(reference string, content []byte) *http.Response {
	r.t.Helper()
	kind := manifestType
	if bytes.Contains(content, []byte(`"mediaType":"`+indexType)) {
		kind = indexType
	}
	response, _ := r.want(http.StatusCreated, http.MethodPut, "/manifests/"+reference, content, "Content-Type", kind)
	require.Equal(r.t, digestOf(content).String(), response.Header.Get("Docker-Content-Digest"))
	return response
}

func TestBlobsArePushedEachWay(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	pulled := func(content string) {
		t.Helper()
		digest := digestOf([]byte(content))
		response, got := r.want(http.StatusOK, http.MethodGet, "/blobs/"+digest.String(), nil)
		require.Equal(t, content, string(got))
		require.Equal(t, digest.String(), response.Header.Get("Docker-Content-Digest"))
		response, got = r.want(http.StatusOK, http.MethodHead, "/blobs/"+digest.String(), nil)
		require.Empty(t, got)
		require.EqualValues(t, len(content), response.ContentLength)
	}
	missing := digestOf([]byte("missing"))
	r.want(http.StatusNotFound, http.MethodGet, "/blobs/"+missing.String(), nil)
	r.want(http.StatusNotFound, http.MethodHead, "/blobs/"+missing.String(), nil)

	r.pushBlob([]byte("post only"))
	pulled("post only")

	r.at(http.StatusCreated, http.MethodPut, withDigest(r.begin(), digestOf([]byte("post and put"))), []byte("post and put"))
	pulled("post and put")

	streamed := r.at(http.StatusAccepted, http.MethodPatch, r.begin(), []byte("streamed"))
	r.at(http.StatusCreated, http.MethodPut, withDigest(streamed.Header.Get("Location"), digestOf([]byte("streamed"))), nil)
	pulled("streamed")

	r.pushBlob(nil)
	pulled("")
}

func TestChunkedUploadsResume(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	content := []byte(strings.Repeat("0123456789", 30))
	for _, last := range []string{http.MethodPatch, http.MethodPut} {
		at := r.begin()
		first := r.at(http.StatusAccepted, http.MethodPatch, at, content[:100], "Content-Range", "0-99")
		require.Equal(t, "0-99", first.Header.Get("Range"))
		at = first.Header.Get("Location")
		for _, wrong := range []string{"0-99", "200-299", "101-200"} { // again, skipping, one too far
			refused := r.at(http.StatusRequestedRangeNotSatisfiable, http.MethodPatch, at, content[:100], "Content-Range", wrong)
			require.Equal(t, "0-99", refused.Header.Get("Range"))
		}
		r.at(http.StatusBadRequest, http.MethodPatch, at, content[:100], "Content-Range", "100-150") // not that long
		how := r.at(http.StatusNoContent, http.MethodGet, at, nil)
		require.Equal(t, "0-99", how.Header.Get("Range"))

		r.at(http.StatusAccepted, http.MethodPatch, at, content[100:200], "Content-Range", "100-199")
		if last == http.MethodPatch {
			r.at(http.StatusAccepted, http.MethodPatch, at, content[200:], "Content-Range", "bytes 200-299/*")
			r.at(http.StatusCreated, http.MethodPut, withDigest(at, digestOf(content)), nil)
		} else {
			r.at(http.StatusCreated, http.MethodPut, withDigest(at, digestOf(content)), content[200:], "Content-Range", "200-299")
		}
		_, got := r.want(http.StatusOK, http.MethodGet, "/blobs/"+digestOf(content).String(), nil)
		require.Equal(t, content, got)
		r.at(http.StatusNotFound, http.MethodGet, at, nil) // it is over
		r.want(http.StatusAccepted, http.MethodDelete, "/blobs/"+digestOf(content).String(), nil)
	}
}

func TestWrongDigestsAreRefused(t *testing.T) {
	store := newFolder(t)
	r := repoOf(t, writable(t, store), "isun1publisher/app")
	content, other := []byte("content"), digestOf([]byte("other"))
	r.want(http.StatusBadRequest, http.MethodPost, "/blobs/uploads/?digest="+other.String(), content)
	r.at(http.StatusBadRequest, http.MethodPut, withDigest(r.begin(), other), content)
	r.at(http.StatusBadRequest, http.MethodPut, r.begin()+"?digest=md5:abc", content)
	r.at(http.StatusBadRequest, http.MethodPut, r.begin(), content)
	r.want(http.StatusNotFound, http.MethodGet, "/blobs/"+other.String(), nil)
	r.want(http.StatusNotFound, http.MethodGet, "/blobs/"+digestOf(content).String(), nil)
	require.Equal(t, 2, store.count(0), "only those of which nothing was wrong but the request wait for another")

	manifest := r.image("layer", "")
	r.want(http.StatusBadRequest, http.MethodPut, "/manifests/"+other.String(), manifest, "Content-Type", manifestType)
	r.want(http.StatusBadRequest, http.MethodPut, "/manifests/sha256:baddigeststring", manifest, "Content-Type", manifestType)
	r.want(http.StatusBadRequest, http.MethodGet, "/manifests/sha256:baddigeststring", nil)
}

func TestUploadsAreCancelled(t *testing.T) {
	store := newFolder(t)
	r := repoOf(t, writable(t, store), "isun1publisher/app")
	at := r.begin()
	r.at(http.StatusAccepted, http.MethodPatch, at, []byte("begun"))
	r.at(http.StatusNoContent, http.MethodDelete, at, nil)
	r.at(http.StatusNotFound, http.MethodGet, at, nil)
	r.at(http.StatusNotFound, http.MethodDelete, at, nil)
	require.Zero(t, store.count(0))
}

func TestBlobsAreMounted(t *testing.T) {
	host := writable(t, newFolder(t))
	one, two := repoOf(t, host, "isun1publisher/one"), repoOf(t, host, "isun1publisher/two")
	digest := one.pushBlob([]byte("shared"))
	two.want(http.StatusNotFound, http.MethodGet, "/blobs/"+digest.String(), nil)
	two.want(http.StatusAccepted, http.MethodPost, "/blobs/uploads/?mount="+digest.String()+"&from=isun1publisher/three", nil)
	two.want(http.StatusCreated, http.MethodPost, "/blobs/uploads/?mount="+digest.String()+"&from=isun1publisher/one", nil)
	two.want(http.StatusOK, http.MethodGet, "/blobs/"+digest.String(), nil)
	three := repoOf(t, host, "isun1publisher/three")
	three.want(http.StatusCreated, http.MethodPost, "/blobs/uploads/?mount="+digest.String(), nil) // from anywhere
	missing := digestOf([]byte("missing")).String()
	three.want(http.StatusAccepted, http.MethodPost, "/blobs/uploads/?from=isun1publisher/one&mount="+missing, nil)
}

func TestRanges(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	content := bytes.Repeat([]byte("0123456789abcdef"), 128) // 2048 bytes
	path := "/blobs/" + r.pushBlob(content).String()
	for header, want := range map[string]struct {
		first, last int
		shown       string
	}{
		"bytes=500-1499": {500, 1500, "bytes 500-1499/2048"}, "bytes=500-": {500, 2048, "bytes 500-2047/2048"},
		"bytes=-500": {1548, 2048, "bytes 1548-2047/2048"}, "bytes=2000-5000": {2000, 2048, "bytes 2000-2047/2048"},
		"bytes=0-0": {0, 1, "bytes 0-0/2048"}, "bytes=-9999": {0, 2048, "bytes 0-2047/2048"},
	} {
		response, got := r.want(http.StatusPartialContent, http.MethodGet, path, nil, "Range", header)
		require.Equal(t, content[want.first:want.last], got, header)
		require.Equal(t, want.shown, response.Header.Get("Content-Range"))
	}
	for _, header := range []string{
		"bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0", "bytes=-", "bytes=", "bytes=a-b", "bytes=0-1,3-4",
		"bytes=+1-2", "bytes=--1", "bytes=99999999999999999999-", "bytes=0-99999999999999999999",
	} {
		response, _ := r.want(http.StatusRequestedRangeNotSatisfiable, http.MethodGet, path, nil, "Range", header)
		require.Equal(t, "bytes */2048", response.Header.Get("Content-Range"), header)
	}
	r.want(http.StatusOK, http.MethodGet, path, nil, "Range", "lines=1-2")
}

func TestManifestsAndTags(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	r.want(http.StatusNotFound, http.MethodGet, "/tags/list", nil)
	r.want(http.StatusNotFound, http.MethodGet, "/manifests/v1", nil)
	manifest := r.image("layer", `,"unknown":{"kept":true}`)
	_, list := r.want(http.StatusOK, http.MethodGet, "/tags/list", nil)
	require.JSONEq(t, `{"name":"isun1publisher/app","tags":[]}`, string(list))

	digest := digestOf(manifest)
	for _, reference := range []string{digest.String(), "v2", "v1", "latest", "_x.Y-1"} {
		response := r.pushManifest(reference, manifest)
		r.at(http.StatusOK, http.MethodGet, response.Header.Get("Location"), nil)
		response, got := r.want(http.StatusOK, http.MethodGet, "/manifests/"+reference, nil, "Accept", manifestType)
		require.Equal(t, manifest, got)
		require.Equal(t, manifestType, response.Header.Get("Content-Type"))
		require.Equal(t, digest.String(), response.Header.Get("Docker-Content-Digest"))
		response, got = r.want(http.StatusOK, http.MethodHead, "/manifests/"+reference, nil)
		require.Empty(t, got)
		require.EqualValues(t, len(manifest), response.ContentLength)
	}
	index := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, indexType, entry(manifestType, manifest)))
	r.pushManifest("v3", index)
	nested := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, indexType, entry(indexType, index)))
	r.pushManifest("nested", nested)

	_, list = r.want(http.StatusOK, http.MethodGet, "/tags/list", nil)
	require.JSONEq(t, `{"name":"isun1publisher/app","tags":["_x.Y-1","latest","nested","v1","v2","v3"]}`, string(list))
	response, list := r.want(http.StatusOK, http.MethodGet, "/tags/list?n=4", nil)
	require.JSONEq(t, `{"name":"isun1publisher/app","tags":["_x.Y-1","latest","nested","v1"]}`, string(list))
	next := strings.TrimSuffix(strings.TrimPrefix(response.Header.Get("Link"), "<"), `>; rel="next"`)
	_, list = ask(t, http.MethodGet, r.host+next, nil)
	require.JSONEq(t, `{"name":"isun1publisher/app","tags":["v2","v3"]}`, string(list))
	_, list = r.want(http.StatusOK, http.MethodGet, "/tags/list?n=0", nil)
	require.JSONEq(t, `{"name":"isun1publisher/app","tags":[]}`, string(list))
	r.want(http.StatusBadRequest, http.MethodGet, "/tags/list?n=-1", nil)

	r.want(http.StatusAccepted, http.MethodDelete, "/manifests/v1", nil)
	r.want(http.StatusNotFound, http.MethodGet, "/manifests/v1", nil)
	r.want(http.StatusOK, http.MethodGet, "/manifests/v2", nil)
	r.want(http.StatusAccepted, http.MethodDelete, "/manifests/"+digest.String(), nil)
	for _, gone := range []string{"v2", digest.String()} {
		r.want(http.StatusNotFound, http.MethodGet, "/manifests/"+gone, nil)
		r.want(http.StatusNotFound, http.MethodDelete, "/manifests/"+gone, nil)
	}
	_, list = repo{t, r.host + "/v2", r.host}.want(http.StatusOK, http.MethodGet, "/_catalog", nil)
	require.JSONEq(t, `{"repositories":["isun1publisher/app"]}`, string(list))
}

func TestReferrersAreFound(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	subject := []byte(`{"schemaVersion":2,"mediaType":"` + manifestType + `","config":` + entry(emptyType, []byte("{}")) + `,"layers":[]}`)
	list := func(query string) []map[string]any {
		t.Helper()
		response, content := r.want(http.StatusOK, http.MethodGet, "/referrers/"+digestOf(subject).String()+query, nil)
		require.Equal(t, indexType, response.Header.Get("Content-Type"))
		require.Equal(t, query != "", response.Header.Get("OCI-Filters-Applied") == "artifactType")
		var index struct {
			SchemaVersion int
			MediaType     string
			Manifests     []map[string]any
		}
		require.NoError(t, json.Unmarshal(content, &index))
		require.Equal(t, 2, index.SchemaVersion)
		require.Equal(t, indexType, index.MediaType)
		require.NotNil(t, index.Manifests)
		return index.Manifests
	}
	require.Empty(t, list(""), "of what is not here")

	pointer := `,"subject":` + entry(manifestType, subject)
	signature := r.image("signature", pointer+`,"artifactType":"application/x.signature","annotations":{"by":"me"}`)
	plain := r.image("plain", pointer) // its type is its configuration's
	index := []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[],"artifactType":"application/x.list"` + pointer + `}`)
	for _, m := range [][]byte{signature, plain, index} { // before their subject
		require.Equal(t, digestOf(subject).String(), r.pushManifest(digestOf(m).String(), m).Header.Get("OCI-Subject"))
	}
	r.pushManifest("subject", subject)
	require.Len(t, list(""), 3)
	found := list("?artifactType=application/x.signature")
	require.Len(t, found, 1)
	require.Equal(t, map[string]any{
		"mediaType": manifestType, "digest": digestOf(signature).String(), "size": float64(len(signature)),
		"artifactType": "application/x.signature", "annotations": map[string]any{"by": "me"},
	}, found[0])
	require.Equal(t, digestOf(plain).String(), list("?artifactType=" + url.QueryEscape(configType))[0]["digest"])

	r.want(http.StatusAccepted, http.MethodDelete, "/manifests/"+digestOf(signature).String(), nil)
	require.Len(t, list(""), 2)
}

func TestLongListsOfReferrersHavePages(t *testing.T) {
	r := repoOf(t, writable(t, newFolder(t)), "isun1publisher/app")
	subject := []byte("subject")
	const referrers = 5
	for n := range referrers {
		note := fmt.Sprintf(`,"subject":%s,"annotations":{"n":"%d","long":%q}`, entry(manifestType, subject), n, strings.Repeat("x", 400<<10))
		m := r.image("layer", note)
		r.pushManifest(digestOf(m).String(), m)
	}
	seen := map[string]bool{}
	pages := 0
	for next := "/referrers/" + digestOf(subject).String(); next != ""; pages++ {
		response, content := r.want(http.StatusOK, http.MethodGet, next, nil)
		var page struct {
			Manifests []struct{ Annotations map[string]string }
		}
		require.NoError(t, json.Unmarshal(content, &page))
		for _, m := range page.Manifests {
			require.False(t, seen[m.Annotations["n"]])
			seen[m.Annotations["n"]] = true
		}
		next = strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(response.Header.Get("Link"), "<"), `>; rel="next"`), "/v2/isun1publisher/app")
	}
	require.Len(t, seen, referrers)
	require.Equal(t, 3, pages)
}
