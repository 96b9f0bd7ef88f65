package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
)

const (
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeConfig         = "application/vnd.oci.image.config.v1+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"

	// maxNesting of a document's JSON; the deepest in use has six.
	maxNesting = 16
)

// descriptor names content.
type descriptor struct {
	MediaType string     `json:"mediaType"`
	Digest    uai.Digest `json:"digest"`
	Size      int64      `json:"size"`
	URLs      []string   `json:"urls"`
}

// fields of indexes and manifests. Where both lists may be missing, nil tells
// it.
type fields struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests"`
	Subject       *descriptor  `json:"subject"`
}

// known are the names that decide what a document is. Some readers take them
// in any letters, so only one spelling is let through.
var known = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "digest", "size", "urls", "blobs", "data", "platform",
}

// document is an index or manifest that makes sense.
type document struct {
	role  role
	image bool         // engines read it, by their own limit of layers
	below []descriptor // of a manifest, the configuration first
}

// parse reads a document that was announced as mediaType, which is empty for
// a root.
func parse(raw []byte, mediaType string) (document, error) {
	if err := checkJSON(raw); err != nil {
		return document{}, err
	}
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil {
		return document{}, fmt.Errorf("%w: %w", uai.ErrMalformed, err)
	}
	as, err := f.role(mediaType)
	if err != nil {
		return document{}, err
	}
	doc := document{role: as, below: f.Manifests}
	if as == manifest {
		doc.below = append([]descriptor{*f.Config}, f.Layers...)
		doc.image = f.ArtifactType == "" && (f.Config.MediaType == typeConfig || f.Config.MediaType == typeDockerConfig)
	}
	checked := doc.below
	if f.Subject != nil {
		checked = append(checked[:len(checked):len(checked)], *f.Subject)
	}
	for _, d := range checked {
		if err := checkDescriptor(d); err != nil {
			return document{}, err
		}
	}
	if as == manifest {
		return doc, checkContent(doc.below)
	}
	return doc, nil
}

// role refuses what is an index to one reader and a manifest to another.
func (f fields) role(announced string) (role, error) {
	said := f.MediaType
	switch {
	case said != "" && announced != "" && said != announced:
		return leaf, fmt.Errorf("%w: it is announced as %q and says it is %q", uai.ErrMalformed, announced, said)
	case said == "":
		said = announced
	}
	as := roleOf(said)
	hasLayers, hasManifests := f.Layers != nil || f.Config != nil, f.Manifests != nil
	switch {
	case f.SchemaVersion != 2:
		return leaf, fmt.Errorf("%w: schema version %d, want 2", uai.ErrMalformed, f.SchemaVersion)
	case hasLayers && hasManifests:
		return leaf, fmt.Errorf("%w: it is both an index and a manifest", uai.ErrMalformed)
	case said != "" && as == leaf:
		return leaf, fmt.Errorf("%w: media type %q is neither an index nor a manifest", uai.ErrMalformed, said)
	case hasManifests && as != manifest:
		return index, nil
	case f.Layers != nil && f.Config != nil && as != index:
		return manifest, nil
	}
	return leaf, fmt.Errorf("%w: it lists neither manifests nor a configuration with layers", uai.ErrMalformed)
}

// checkContent refuses documents in place of a configuration or layer.
func checkContent(below []descriptor) error {
	for _, d := range below {
		if roleOf(d.MediaType) != leaf {
			return fmt.Errorf("%w: %s is a layer of the media type %q", uai.ErrMalformed, d.Digest, d.MediaType)
		}
	}
	return nil
}

// checkJSON refuses names that come twice in one object, of which one reader
// takes the first and another the last, and other spellings of known names.
func checkJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	s := scan{dec: dec}
	if err := s.value(0, false); err != nil {
		if errors.Is(err, uai.ErrMalformed) {
			return err
		}
		return fmt.Errorf("%w: %w", uai.ErrMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the document", uai.ErrMalformed)
	}
	return nil
}

type scan struct {
	dec *json.Decoder
}

// value reads a value. In free ones, such as annotations, members may have
// any names.
func (s scan) value(depth int, free bool) error {
	token, err := s.dec.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxNesting {
		return fmt.Errorf("%w: nested more than %d deep", uai.ErrMalformed, maxNesting)
	}
	names := map[string]bool{}
	for s.dec.More() {
		within := free
		if delim == '{' {
			name, err := s.name(names, free)
			if err != nil {
				return err
			}
			within = free || name == "annotations"
		}
		if err := s.value(depth+1, within); err != nil {
			return err
		}
	}
	_, err = s.dec.Token() // the end of what began
	return err
}

// name reads the name of a member.
func (s scan) name(names map[string]bool, free bool) (string, error) {
	token, err := s.dec.Token()
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("%w: a member without a name", uai.ErrMalformed)
	}
	if names[name] {
		return "", fmt.Errorf("%w: the name %q comes twice", uai.ErrMalformed, name)
	}
	names[name] = true
	for _, k := range known {
		if !free && name != k && strings.EqualFold(name, k) {
			return "", fmt.Errorf("%w: the name %q should be %q", uai.ErrMalformed, name, k)
		}
	}
	return name, nil
}
