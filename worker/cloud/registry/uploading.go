package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, repo repository, id string) error {
	if r.records == nil || repo.root != "" { // asking for an upload is no write
		return errReadOnly
	}
	if id == "" {
		if req.Method != http.MethodPost {
			return wrongMethod(w, req, "POST")
		}
		return r.startUpload(w, req, repo.name)
	}
	var serve func(http.ResponseWriter, *http.Request, *upload) error
	switch req.Method {
	case http.MethodGet:
		serve = func(w http.ResponseWriter, _ *http.Request, u *upload) error {
			showUpload(w, u, http.StatusNoContent)
			return nil
		}
	case http.MethodPatch:
		serve = r.patchUpload
	case http.MethodPut:
		serve = r.finishUpload
	case http.MethodDelete:
		serve = func(w http.ResponseWriter, _ *http.Request, u *upload) error {
			w.WriteHeader(http.StatusNoContent)
			return r.end(u)
		}
	default:
		return wrongMethod(w, req, "GET, PATCH, PUT, DELETE")
	}
	u, err := r.take(repo.name, id)
	if err != nil {
		return err
	}
	defer r.release(u)
	return serve(w, req, u)
}

// startUpload begins an upload; with a digest the body is all of it, with
// mount the blob may be here already.
func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, repo string) error {
	query := req.URL.Query()
	if mount := query.Get("mount"); mount != "" {
		digest, err := parseDigest(mount)
		if err != nil {
			return err
		}
		if done, err := r.mount(repo, query.Get("from"), digest); err != nil {
			return err
		} else if done {
			return created(w, repo, digest)
		}
	}
	var want uai.Digest
	if text := query.Get("digest"); text != "" {
		var err error
		if want, err = parseDigest(text); err != nil {
			return err
		}
	}
	if req.ContentLength > r.cfg.MaxBlobBytes {
		return tooLarge(r.cfg.MaxBlobBytes)
	}
	u, err := r.begin(repo)
	if err != nil {
		return err
	}
	defer r.release(u)
	if want == "" {
		showUpload(w, u, http.StatusAccepted)
		return nil
	}
	if _, err := r.receive(w, u, req.Body); err != nil {
		return errors.Join(err, r.end(u)) // nobody knows its id, so nobody can resume it
	}
	if err := r.commit(u, want); err != nil {
		return err
	}
	return created(w, repo, want)
}

// mount adds a blob of another repository to this one. Without a name of that
// any will do.
func (r *Registry) mount(repo, from string, digest uai.Digest) (bool, error) {
	if _, err := r.cfg.Store.Stat(digest); errors.Is(err, cloud.ErrNotHeld) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if from != "" && !r.records.hasBlob(from, digest) {
		return false, nil
	}
	return true, r.records.addBlob(repo, digest)
}

// created answers that a blob is in a repository.
func created(w http.ResponseWriter, repo string, digest uai.Digest) error {
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// showUpload answers with how far an upload has come.
func showUpload(w http.ResponseWriter, u *upload, status int) {
	header := w.Header()
	header.Set("Location", "/v2/"+u.repo+"/blobs/uploads/"+u.id)
	header.Set("Docker-Upload-Uuid", u.id)
	// The specification has no word for nothing: "0-0" is what clients know.
	header.Set("Range", fmt.Sprintf("0-%d", max(u.size-1, 0)))
	header.Set("Content-Length", "0")
	if status == http.StatusNoContent {
		header.Del("Content-Length")
	}
	w.WriteHeader(status)
}

// extend writes a request's body to an upload's end. A piece that belongs
// elsewhere is refused before a byte of it is read.
func (r *Registry) extend(w http.ResponseWriter, req *http.Request, u *upload) error {
	if header := req.Header.Get("Content-Range"); header != "" {
		piece, err := parseContentRange(header)
		if err != nil {
			return err
		}
		if piece.first != u.size {
			showRange(w, u)
			return newFault(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID",
				"the upload has %d bytes; go on from there", u.size)
		}
		if req.ContentLength >= 0 && req.ContentLength != piece.length {
			return newFault(http.StatusBadRequest, "SIZE_INVALID", "Content-Range says %d bytes, Content-Length %d", piece.length, req.ContentLength)
		}
	}
	if req.ContentLength > r.cfg.MaxBlobBytes-u.size {
		return errors.Join(tooLarge(r.cfg.MaxBlobBytes), r.end(u))
	}
	_, err := r.receive(w, u, req.Body)
	var f *fault
	if errors.As(err, &f) || errors.Is(err, cloud.ErrFull) { // it can never be finished
		return errors.Join(err, r.end(u))
	}
	return err
}

func showRange(w http.ResponseWriter, u *upload) {
	w.Header().Set("Location", "/v2/"+u.repo+"/blobs/uploads/"+u.id)
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(u.size-1, 0), 10))
}

func (r *Registry) patchUpload(w http.ResponseWriter, req *http.Request, u *upload) error {
	if err := r.extend(w, req, u); err != nil {
		return err
	}
	showUpload(w, u, http.StatusAccepted)
	return nil
}

func (r *Registry) finishUpload(w http.ResponseWriter, req *http.Request, u *upload) error {
	want, err := parseDigest(req.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	if err := r.extend(w, req, u); err != nil {
		return err
	}
	if err := r.commit(u, want); err != nil {
		return err
	}
	return created(w, u.repo, want)
}
