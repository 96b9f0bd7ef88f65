package registry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/uai"
)

// upload is a blob on its way in. One request at a time works on it.
type upload struct {
	id   string
	repo string
	mu   sync.Mutex
	// draft is nil once the upload ended.
	draft  Draft
	size   int64
	most   int64
	expiry *time.Timer
}

// Write implements io.Writer. An upload beyond the limit is refused.
func (u *upload) Write(p []byte) (int, error) {
	if u.size+int64(len(p)) > u.most {
		return 0, tooLarge(u.most)
	}
	n, err := u.draft.Write(p)
	u.size += int64(n)
	return n, err
}

func tooLarge(most int64) error {
	return newFault(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "a blob has at most %d bytes here", most)
}

// begin opens an upload, held by the caller, who releases it.
func (r *Registry) begin(repo string) (*upload, error) {
	u := &upload{id: rand.Text(), repo: repo, most: r.cfg.MaxBlobBytes}
	u.mu.Lock()
	r.mu.Lock()
	full := len(r.uploads) >= r.cfg.MaxUploads
	if !full {
		r.uploads[u.id] = u
	}
	r.mu.Unlock()
	if full {
		return nil, newFault(http.StatusTooManyRequests, "TOOMANYREQUESTS", "%d uploads are under way; finish or cancel one", r.cfg.MaxUploads)
	}
	draft, err := r.cfg.Create(r.base)
	if err != nil {
		r.forget(u)
		return nil, fmt.Errorf("begin upload: %w", err)
	}
	u.draft = draft
	u.expiry = time.AfterFunc(r.cfg.UploadExpiry, func() { r.expire(u) })
	return u, nil
}

func (r *Registry) forget(u *upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, u.id)
}

// take finds an upload for a request, which holds it until release or end.
func (r *Registry) take(repo, id string) (*upload, error) {
	r.mu.Lock()
	u := r.uploads[id]
	r.mu.Unlock()
	unknown := newFault(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; it ended or rested too long, begin anew")
	if u == nil || u.repo != repo {
		return nil, unknown
	}
	if !u.mu.TryLock() {
		return nil, newFault(http.StatusConflict, "BLOB_UPLOAD_INVALID", "another request works on this upload")
	}
	if u.draft == nil {
		u.mu.Unlock()
		return nil, unknown
	}
	return u, nil
}

// release lets the next request have the upload.
func (r *Registry) release(u *upload) {
	if u.draft != nil {
		u.expiry.Reset(r.cfg.UploadExpiry)
	}
	u.mu.Unlock()
}

// end drops what an upload wrote, unless it was committed; the caller still
// has to release it.
func (r *Registry) end(u *upload) error {
	if u.draft == nil {
		return nil
	}
	draft := u.draft
	u.draft = nil
	u.expiry.Stop()
	r.forget(u)
	return draft.Abort()
}

// commit makes a blob of an upload. Whatever comes of it, the upload is over.
func (r *Registry) commit(u *upload, want uai.Digest) error {
	_, err := u.draft.Commit(want)
	if err == nil {
		err = r.records.addBlob(u.repo, want)
	}
	return errors.Join(err, r.end(u))
}

// expire drops an upload that rested too long. One that a request has is not
// resting; the request starts the clock again.
func (r *Registry) expire(u *upload) {
	if !u.mu.TryLock() {
		return
	}
	defer u.mu.Unlock()
	if err := r.end(u); err != nil {
		r.cfg.Logger.Warn("an expired upload left something behind", "upload", u.id, "error", err)
	}
}

// dropUploads ends all uploads, waiting for requests that have one.
func (r *Registry) dropUploads() error {
	r.mu.Lock()
	all := make([]*upload, 0, len(r.uploads))
	for _, u := range r.uploads {
		all = append(all, u)
	}
	r.mu.Unlock()
	var errs []error
	for _, u := range all {
		u.mu.Lock()
		errs = append(errs, r.end(u))
		u.mu.Unlock()
	}
	return errors.Join(errs...)
}
