package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// descriptor is what an index or a list of referrers says of content.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       uai.Digest        `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// manifest has the fields of an index or a manifest that a registry looks at.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads an index or manifest. The type is what a client called
// it, or empty; a document is never served as something else than it says.
func parseManifest(raw []byte, mediaType types.MediaType) (*manifest, error) {
	if n := bytes.Count(raw, []byte("{")); n > maxObjects {
		return nil, manifestInvalid("%d JSON objects; at most %d are taken", n, maxObjects)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, manifestInvalid("not the JSON of a manifest: %v", err)
	}
	if mediaType == "" {
		mediaType = m.MediaType
	}
	if mediaType == "" && m.Manifests != nil {
		mediaType = types.OCIImageIndex
	} else if mediaType == "" && m.Config != nil {
		mediaType = types.OCIManifestSchema1
	}
	if m.MediaType != "" && m.MediaType != mediaType {
		return nil, manifestInvalid("sent as %.80q, but calls itself %.80q", mediaType, m.MediaType)
	}
	m.MediaType = mediaType
	return &m, m.check()
}

func (m *manifest) check() error {
	switch {
	case m.SchemaVersion != 2:
		return manifestInvalid("schema version %d; only 2 is taken", m.SchemaVersion)
	case !m.MediaType.IsIndex() && !m.MediaType.IsImage():
		return manifestInvalid("media type %.80q is neither an index nor a manifest", m.MediaType)
	// The same bytes must not be an index to one reader and a manifest to
	// another.
	case m.MediaType.IsIndex() && (m.Config != nil || m.Layers != nil), m.MediaType.IsImage() && m.Manifests != nil:
		return manifestInvalid("both an index and a manifest")
	case m.MediaType.IsImage() && m.Config == nil:
		return manifestInvalid("a manifest without a configuration")
	}
	all := append(m.blobs(), m.Manifests...)
	if m.Subject != nil {
		all = append(all, *m.Subject)
	}
	for _, d := range all {
		if _, err := uai.ParseDigest(string(d.Digest)); err != nil {
			return manifestInvalid("%.80q is not sha256: and 64 hexadecimal digits", d.Digest)
		}
		if d.Size < 0 {
			return manifestInvalid("%s announces %d bytes", d.Digest, d.Size)
		}
	}
	return nil
}

// blobs are configuration and layers, without those that are by their type
// kept elsewhere.
func (m *manifest) blobs() []descriptor {
	var blobs []descriptor
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, l := range m.Layers {
		if types.MediaType(l.MediaType).IsDistributable() {
			blobs = append(blobs, l)
		}
	}
	return blobs
}

// describe says of a manifest what a list of referrers shows.
func (m *manifest) describe(digest uai.Digest, size int64) descriptor {
	d := descriptor{
		MediaType: string(m.MediaType), Digest: digest, Size: size, ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
	if d.ArtifactType == "" && m.Config != nil {
		d.ArtifactType = m.Config.MediaType
	}
	return d
}

// loadManifest reads a manifest of the store.
func (r *Registry) loadManifest(ctx context.Context, digest uai.Digest) (*manifest, error) {
	release, err := slot(ctx, r.parsing)
	if err != nil {
		return nil, err
	}
	defer release()
	content, err := r.cfg.Store.Open(digest)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxManifestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	if len(raw) > maxManifestBytes {
		return nil, fmt.Errorf("%s is no manifest: %w", digest, cloud.ErrNotHeld)
	}
	m, err := parseManifest(raw, "")
	if err != nil { // a blob of another kind, asked for as a manifest
		return nil, fmt.Errorf("%s is no manifest: %w", digest, cloud.ErrNotHeld)
	}
	return m, nil
}

// slot waits for one of as many slots as a channel holds.
func slot(ctx context.Context, slots chan struct{}) (release func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// storeManifest writes a manifest to the store, and holds what is right below
// it for as long as it is here.
func (r *Registry) storeManifest(ctx context.Context, raw []byte, self cloud.Blob, m *manifest) error {
	if err := r.cfg.Store.Put(ctx, bytes.NewReader(raw), self); err != nil {
		return fmt.Errorf("store manifest %s: %w", self.Digest, err)
	}
	held, seen := []cloud.Blob{self}, map[uai.Digest]bool{self.Digest: true}
	for _, d := range append(m.blobs(), m.Manifests...) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			held = append(held, cloud.Blob{Digest: d.Digest, Size: d.Size})
		}
	}
	if err := r.cfg.Store.SetRoot(self.Digest, held, true); err != nil {
		return fmt.Errorf("hold manifest %s: %w", self.Digest, err)
	}
	return nil
}
