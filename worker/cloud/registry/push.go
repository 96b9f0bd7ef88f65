package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"mime"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, repo repository, reference string) error {
	isTag := tagPattern.MatchString(reference)
	if !isTag {
		if _, err := parseDigest(reference); err != nil {
			return err
		}
	}
	release, err := slot(req.Context(), r.receiving)
	if err != nil {
		return err
	}
	defer release()
	var body bytes.Buffer
	if _, err := r.receive(w, &body, http.MaxBytesReader(w, req.Body, maxManifestBytes)); err != nil {
		return err
	}
	raw := body.Bytes()
	sum := sha256.Sum256(raw)
	self := cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(len(raw))}
	if !isTag && self.Digest.String() != reference {
		return digestInvalid("the manifest is %s", self.Digest)
	}
	m, err := r.parseSent(req, raw)
	if err != nil {
		return err
	}
	if err := r.checkChildren(repo.name, m); err != nil {
		return err
	}
	if err := r.storeManifest(req.Context(), raw, self, m); err != nil {
		return err
	}
	tag := ""
	if isTag {
		tag = reference
	}
	if err := r.records.putManifest(repo.name, tag, m, m.describe(self.Digest, self.Size)); err != nil {
		return err
	}
	if m.Subject != nil {
		w.Header().Set("Oci-Subject", m.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", self.Digest.String())
	w.Header().Set("Location", "/v2/"+repo.name+"/manifests/"+self.Digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (r *Registry) parseSent(req *http.Request, raw []byte) (*manifest, error) {
	release, err := slot(req.Context(), r.parsing)
	if err != nil {
		return nil, err
	}
	defer release()
	return parseManifest(raw, contentType(req))
}

// contentType is the type without its parameters, or empty.
func contentType(req *http.Request) types.MediaType {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return types.MediaType(kind)
}

// checkChildren wants all below a manifest to be here before it. Its subject
// may come later, says the specification.
func (r *Registry) checkChildren(repo string, m *manifest) error {
	unknown := func(kind string, digest uai.Digest) error {
		return newFault(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "%s %s was not pushed to this repository", kind, digest)
	}
	for _, d := range m.blobs() {
		size, err := r.cfg.Store.Stat(d.Digest)
		if errors.Is(err, cloud.ErrNotHeld) || err == nil && !r.records.hasBlob(repo, d.Digest) {
			return unknown("blob", d.Digest)
		}
		if err != nil {
			return err
		}
		if size != d.Size {
			return manifestInvalid("%s has %d bytes, not %d", d.Digest, size, d.Size)
		}
	}
	for _, d := range m.Manifests {
		if !r.records.hasManifest(repo, d.Digest) {
			return unknown("manifest", d.Digest)
		}
	}
	return nil
}

func (r *Registry) deleteManifest(w http.ResponseWriter, repo repository, reference string) error {
	digest, err := r.resolve(repo, reference)
	if err != nil {
		return err
	}
	if tagPattern.MatchString(reference) {
		err = r.records.removeTag(repo.name, reference)
	} else {
		err = r.removeManifest(repo, digest)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Registry) removeManifest(repo repository, digest uai.Digest) error {
	m, err := r.loadManifest(r.base, digest)
	if err != nil && !errors.Is(err, cloud.ErrNotHeld) {
		return err
	}
	elsewhere, err := r.records.removeManifest(repo.name, digest, m)
	if err != nil || elsewhere {
		return err
	}
	return r.cfg.Store.Unpin(digest)
}
