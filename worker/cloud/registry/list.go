package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-containerregistry/pkg/v1/types"
	bolt "go.etcd.io/bbolt"

	"github.com/isuncoin/isuncoin/uai"
)

const (
	// pageSize is the most that a list answers at once; the rest follows under
	// its Link header.
	pageSize = 1000
	// pageBytes bounds a page of referrers, whose annotations have any length.
	pageBytes = 1 << 20
)

// page reads the parameters of a list. -1 means that no size was asked for.
func page(req *http.Request) (n int, last string, err error) {
	query := req.URL.Query()
	last = query.Get("last")
	text := query.Get("n")
	if text == "" {
		return pageSize, last, nil
	}
	count, err := parseCount(text)
	if err != nil {
		return 0, "", newFault(http.StatusBadRequest, "UNSUPPORTED", "n=%.20q is not a count", text)
	}
	return int(min(count, pageSize)), last, nil
}

// link points to the page after last.
func link(w http.ResponseWriter, req *http.Request, last string) {
	query := req.URL.Query()
	query.Set("last", last)
	next := url.URL{Path: req.URL.Path, RawQuery: query.Encode()}
	w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
}

func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, repo repository, _ string) error {
	if isWrite(req.Method) {
		return wrongMethod(w, req, "GET, HEAD")
	}
	n, last, err := page(req)
	if err != nil {
		return err
	}
	if !r.records.hasRepository(repo.name) {
		return nameUnknown(repo.name)
	}
	tags, more, err := r.records.names(tagsBucket, last, n, repo.name)
	if err != nil {
		return err
	}
	if more && len(tags) > 0 {
		link(w, req, tags[len(tags)-1])
	}
	return writeJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{repo.name, orEmpty(tags)})
}

func (r *Registry) catalog(w http.ResponseWriter, req *http.Request) error {
	if isWrite(req.Method) {
		return wrongMethod(w, req, "GET, HEAD")
	}
	n, last, err := page(req)
	if err != nil {
		return err
	}
	var names []string
	if r.records != nil {
		var more bool
		if names, more, err = r.records.names(reposBucket, last, n); err != nil {
			return err
		}
		if more && len(names) > 0 {
			link(w, req, names[len(names)-1])
		}
	}
	return writeJSON(w, "application/json", map[string][]string{"repositories": orEmpty(names)})
}

// orEmpty makes JSON say [] instead of null, which not every client takes.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func writeJSON(w http.ResponseWriter, kind string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that went away needs no answer
	return nil
}

func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, repo repository, reference string) error {
	if isWrite(req.Method) {
		return wrongMethod(w, req, "GET, HEAD")
	}
	subject, err := parseDigest(reference)
	if err != nil {
		return err
	}
	_, last, err := page(req)
	if err != nil {
		return err
	}
	kind := req.URL.Query().Get("artifactType")
	found, more, err := r.records.referrers(repo.name, subject, kind, last)
	if err != nil {
		return err
	}
	if more {
		link(w, req, found[len(found)-1].Digest.String())
	}
	if kind != "" {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	return writeJSON(w, string(types.OCIImageIndex), struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, string(types.OCIImageIndex), orEmpty(found)})
}

// referrers lists the manifests whose subject is a digest, of one artifact
// type unless that is empty, a page from after a digest on. A subject nobody
// refers to has none, whether it is here or not.
func (r *records) referrers(name string, subject uai.Digest, kind, after string) (found []descriptor, more bool, err error) {
	if r == nil {
		return nil, false, nil
	}
	size := 0
	err = r.db.View(func(tx *bolt.Tx) error {
		for _, v := range below(tx, referrersBucket, after, name, subject.String()) {
			var d descriptor
			if err := json.Unmarshal(v, &d); err != nil {
				return fmt.Errorf("referrers of %s: %w", subject, err)
			}
			if kind != "" && d.ArtifactType != kind {
				continue
			}
			if len(found) > 0 && size+len(v) > pageBytes {
				more = true
				return nil
			}
			found, size = append(found, d), size+len(v)
		}
		return nil
	})
	return found, more, err
}
