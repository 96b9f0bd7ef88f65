package registry_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud/registry"
)

// FuzzRequest sends whatever a client may send, and wants an answer that blames
// the client, with an error's JSON, or success.
func FuzzRequest(f *testing.F) {
	store := newFolder(f)
	held := store.put(f, []byte(`{"schemaVersion":2,"mediaType":"`+indexType+`","manifests":[]}`))
	r, err := registry.New(registry.Config{Store: store, Create: store.create, File: filepath.Join(f.TempDir(), "registry.db"), MaxUploads: 1 << 20})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, r.Close()) })
	f.Add("GET", "/v2/isun/"+held.Hex()+"/blobs/"+held.String(), "", "bytes=1-2", "", []byte(nil))
	f.Add("GET", "/v2/isun/"+held.Hex()+"/manifests/"+held.String(), "", "", "", []byte(nil))
	f.Add("PUT", "/v2/a/b/manifests/v1", "", "", indexType, []byte(`{"schemaVersion":2,"manifests":[]}`))
	f.Add("POST", "/v2/a/blobs/uploads/", "digest="+digestOf([]byte("x")).String(), "0-0", "", []byte("x"))
	f.Add("POST", "/v2/a/blobs/uploads/", "mount="+held.String()+"&from=b", "", "", []byte(nil))
	f.Add("GET", "/v2/a/tags/list", "n=1&last=v0", "", "", []byte(nil))
	f.Add("GET", "/v2/a/referrers/"+held.String(), "artifactType=x", "", "", []byte(nil))
	f.Add("DELETE", "/v2/a/manifests/v1", "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, query, ranges, kind string, body []byte) {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", bytes.NewReader(body))
		request.RemoteAddr = "127.0.0.1:1"
		request.Method, request.URL = method, &url.URL{Path: path, RawQuery: query}
		request.Header = http.Header{"Range": {ranges}, "Content-Range": {ranges}, "Content-Type": {kind}}
		recorder := httptest.NewRecorder()
		r.ServeHTTP(recorder, request)
		require.Less(t, recorder.Code, 500, recorder.Body)
		if recorder.Code >= 400 && method != http.MethodHead {
			require.True(t, json.Valid(recorder.Body.Bytes()), recorder.Body)
		}
	})
}
