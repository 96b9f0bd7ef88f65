package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, repo repository, reference string) error {
	digest, err := parseDigest(reference)
	if err != nil {
		return err
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return r.getBlob(w, req, repo, digest)
	case http.MethodDelete:
		if err := r.records.removeBlob(repo.name, digest); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return wrongMethod(w, req, "GET, HEAD, DELETE")
}

func (r *Registry) getBlob(w http.ResponseWriter, req *http.Request, repo repository, digest uai.Digest) error {
	if repo.root == "" && !r.records.hasBlob(repo.name, digest) {
		return blobUnknown(digest)
	}
	size, err := r.present(req.Context(), repo, digest)
	if err != nil {
		return err
	}
	content, err := r.cfg.Store.Open(digest)
	if err != nil {
		return err
	}
	defer content.Close()
	part, partial, err := parseRange(req.Header.Get("Range"), size)
	if err != nil {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return err
	}
	if _, err := content.Seek(part.first, io.SeekStart); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Docker-Content-Digest", digest.String())
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.FormatInt(part.length, 10))
	status := http.StatusOK
	if partial {
		header.Set("Content-Range", part.header(size))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if req.Method == http.MethodHead {
		return nil
	}
	return r.send(w, content, part.length)
}

// present makes sure that a blob of a repository is in the store, fetching
// the tree it belongs to if need be, and gives its size.
func (r *Registry) present(ctx context.Context, repo repository, digest uai.Digest) (int64, error) {
	size, err := r.cfg.Store.Stat(digest)
	if !errors.Is(err, cloud.ErrNotHeld) || repo.root == "" || r.cfg.Fetcher == nil {
		return size, err
	}
	if err := r.fetch(ctx, repo.root); err != nil {
		return 0, err
	}
	return r.cfg.Store.Stat(digest)
}

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, repo repository, reference string) error {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return r.getManifest(w, req, repo, reference)
	case http.MethodPut:
		return r.putManifest(w, req, repo, reference)
	case http.MethodDelete:
		return r.deleteManifest(w, repo, reference)
	}
	return wrongMethod(w, req, "GET, HEAD, PUT, DELETE")
}

func (r *Registry) getManifest(w http.ResponseWriter, req *http.Request, repo repository, reference string) error {
	digest, err := r.resolve(repo, reference)
	if err != nil {
		return err
	}
	size, err := r.present(req.Context(), repo, digest)
	if errors.Is(err, cloud.ErrNotHeld) {
		return manifestUnknown(reference)
	}
	if err != nil {
		return err
	}
	m, err := r.loadManifest(req.Context(), digest)
	if errors.Is(err, cloud.ErrNotHeld) {
		return manifestUnknown(reference)
	}
	if err != nil {
		return err
	}
	content, err := r.cfg.Store.Open(digest)
	if err != nil {
		return err
	}
	defer content.Close()
	header := w.Header()
	header.Set("Content-Type", string(m.MediaType))
	header.Set("Docker-Content-Digest", digest.String())
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodHead {
		return nil
	}
	return r.send(w, content, size)
}

// resolve finds the digest of a tag, or checks that a repository has one.
func (r *Registry) resolve(repo repository, reference string) (uai.Digest, error) {
	if tagPattern.MatchString(reference) {
		if repo.root != "" { // a tree has no tags
			return "", manifestUnknown(reference)
		}
		digest, ok := r.records.tag(repo.name, reference)
		if !ok {
			return "", manifestUnknown(reference)
		}
		return digest, nil
	}
	digest, err := parseDigest(reference)
	if err != nil {
		return "", err
	}
	if repo.root == "" && !r.records.hasManifest(repo.name, digest) {
		return "", manifestUnknown(reference)
	}
	return digest, nil
}
