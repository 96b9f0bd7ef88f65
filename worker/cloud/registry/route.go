package registry

import (
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
)

// Patterns of the distribution specification, "Pulling manifests".
var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

const (
	// maxName bounds names so that host, name and tag fit what clients take.
	maxName = 255
	// treePrefix begins the names of the trees of iSunCloud.
	treePrefix = "isun/"
)

// Repository is the name under which a registry serves the tree of a root.
func Repository(root uai.Digest) string { return treePrefix + root.Hex() }

// repository is a name and, for a tree of iSunCloud, its root.
type repository struct {
	name string
	root uai.Digest
}

func parseRepository(name string) (repository, error) {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return repository{}, newFault(http.StatusBadRequest, "NAME_INVALID", "%.60q is no name of a repository", name)
	}
	hex, tree := strings.CutPrefix(name, treePrefix)
	if !tree {
		return repository{name: name}, nil
	}
	root, err := uai.ParseDigest("sha256:" + hex)
	if err != nil {
		return repository{}, newFault(http.StatusBadRequest, "NAME_INVALID",
			"%s is followed by the 64 hexadecimal digits of a root; push to another name", treePrefix)
	}
	return repository{name: name, root: root}, nil
}

func parseDigest(s string) (uai.Digest, error) {
	digest, err := uai.ParseDigest(s)
	if err != nil {
		return "", digestInvalid("%.80q is not sha256: and 64 hexadecimal digits", s)
	}
	return digest, nil
}

// serve finds the endpoint. Names contain slashes, so paths are read from
// their end.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) error {
	switch req.URL.Path {
	case "/v2", "/v2/":
		return r.ping(w, req)
	case "/v2/_catalog":
		return r.catalog(w, req)
	}
	rest, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok {
		return newFault(http.StatusNotFound, "UNSUPPORTED", "there is only the distribution API here, under /v2/")
	}
	parts := strings.Split(rest, "/")
	n := len(parts)
	endpoint := func(name string, last int) bool { return n > last && parts[n-last] == name }
	var serve func(http.ResponseWriter, *http.Request, repository, string) error
	var tail int
	switch {
	case endpoint("blobs", 3) && parts[n-2] == "uploads":
		serve, tail = r.serveUpload, 3
	case endpoint("blobs", 2) && parts[n-1] == "uploads": // without its last slash
		serve, tail = r.serveUpload, 2
		parts[n-1] = ""
	case endpoint("blobs", 2):
		serve, tail = r.serveBlob, 2
	case endpoint("manifests", 2):
		serve, tail = r.serveManifest, 2
	case endpoint("tags", 2) && parts[n-1] == "list":
		serve, tail = r.serveTags, 2
	case endpoint("referrers", 2):
		serve, tail = r.serveReferrers, 2
	default:
		return newFault(http.StatusNotFound, "UNSUPPORTED", "the distribution API has no such path")
	}
	repo, err := parseRepository(strings.Join(parts[:n-tail], "/"))
	if err != nil {
		return err
	}
	if isWrite(req.Method) && (r.records == nil || repo.root != "") {
		return errReadOnly
	}
	return serve(w, req, repo, parts[n-1])
}

func isWrite(method string) bool { return method != http.MethodGet && method != http.MethodHead }

func (r *Registry) ping(w http.ResponseWriter, req *http.Request) error {
	if isWrite(req.Method) {
		return wrongMethod(w, req, "GET, HEAD")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "2")
	_, _ = io.WriteString(w, "{}") // a client that went away needs no answer
	return nil
}

func wrongMethod(w http.ResponseWriter, req *http.Request, allowed string) error {
	w.Header().Set("Allow", allowed)
	return newFault(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s is not for this path", req.Method)
}
