package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// fault is an answer of the distribution API other than success. Codes are
// the specification's: https://github.com/opencontainers/distribution-spec,
// "Error Codes".
type fault struct {
	status  int
	code    string
	message string
}

// Error implements error.
func (f *fault) Error() string { return f.message }

func newFault(status int, code, format string, args ...any) *fault {
	return &fault{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func blobUnknown(digest uai.Digest) error {
	return newFault(http.StatusNotFound, "BLOB_UNKNOWN", "blob %s is not in this repository", digest)
}

func manifestUnknown(reference string) error {
	return newFault(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest %s is not in this repository", reference)
}

func nameUnknown(repo string) error {
	return newFault(http.StatusNotFound, "NAME_UNKNOWN", "repository %s is not here", repo)
}

func digestInvalid(format string, args ...any) error {
	return newFault(http.StatusBadRequest, "DIGEST_INVALID", format, args...)
}

func manifestInvalid(format string, args ...any) error {
	return newFault(http.StatusBadRequest, "MANIFEST_INVALID", format, args...)
}

var errReadOnly = newFault(http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only; push with \"isun uai push\"")

// faultOf finds the answer for an error of the parts below.
func faultOf(err error) *fault {
	var known *fault
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &tooLong):
		return newFault(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "at most %d bytes are taken", tooLong.Limit)
	case errors.Is(err, cloud.ErrNotHeld):
		return newFault(http.StatusNotFound, "BLOB_UNKNOWN", "%v", err)
	case errors.Is(err, uai.ErrTooLarge):
		return newFault(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "%v", err)
	case errors.Is(err, uai.ErrMismatch), errors.Is(err, cloud.ErrLied):
		return newFault(http.StatusBadRequest, "DIGEST_INVALID", "%v", err)
	case errors.Is(err, cloud.ErrFull):
		return newFault(http.StatusInsufficientStorage, "DENIED", "%v; free disk space, or raise the limit of iSunCloud's folder", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newFault(http.StatusRequestTimeout, "BLOB_UPLOAD_INVALID", "the client sent too slowly")
	}
	return newFault(http.StatusInternalServerError, "UNKNOWN", "%v", err)
}

// refuse answers with an error.
func (r *Registry) refuse(w http.ResponseWriter, req *http.Request, err error) {
	f := faultOf(err)
	level := r.cfg.Logger.Debug
	if f.status >= http.StatusInternalServerError {
		level = r.cfg.Logger.Warn
	}
	level("registry refused", "method", req.Method, "path", req.URL.Path, "status", f.status, "error", err)
	// What is left of a body is passed over, but not for ever.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.cfg.StallTimeout))
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]detail{"errors": {{f.code, f.message}}})
	if err != nil { // of two strings
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // a client that went away needs no answer
}

// fromHere refuses what a web page makes a browser of this machine send: such
// requests tell their origin, or come under a name that the page's owner let
// point to loopback.
func fromHere(req *http.Request) error {
	denied := func(why string) error {
		return newFault(http.StatusForbidden, "DENIED", "this registry serves this machine only: %s", why)
	}
	if req.Header.Get("Origin") != "" {
		return denied("the request comes from a web page")
	}
	host := req.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return denied("ask it at 127.0.0.1")
	}
	peer, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return denied("the request comes from another one")
	}
	return nil
}
