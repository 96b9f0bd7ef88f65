package sbom

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/uai"
)

// Document is an SPDX 2.3 document in its JSON form.
type Document struct {
	Version       string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Comment       string         `json:"comment,omitempty"`
	Creation      Creation       `json:"creationInfo"`
	Packages      []SPDXPackage  `json:"packages"`
	Relationships []Relationship `json:"relationships"`
}

// Creation says who wrote the document.
type Creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// SPDXPackage is a package of a document.
type SPDXPackage struct {
	ID               string     `json:"SPDXID"`
	Name             string     `json:"name"`
	Version          string     `json:"versionInfo,omitempty"`
	DownloadLocation string     `json:"downloadLocation"`
	FilesAnalyzed    bool       `json:"filesAnalyzed"`
	LicenseConcluded string     `json:"licenseConcluded"`
	LicenseDeclared  string     `json:"licenseDeclared"`
	Copyright        string     `json:"copyrightText"`
	SourceInfo       string     `json:"sourceInfo,omitempty"`
	Checksums        []Checksum `json:"checksums,omitempty"`
	References       []External `json:"externalRefs,omitempty"`
}

// Checksum of a package.
type Checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

// External is a name for a package that others know.
type External struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

// Relationship of two elements.
type Relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const (
	documentID = "SPDXRef-DOCUMENT"
	imageID    = "SPDXRef-Image"
	noClaim    = "NOASSERTION"
)

// SPDX makes a document of what was found in a variant. Equal images give
// equal documents: it bears no time of its own.
func SPDX(name, licence string, v *uai.Variant, found Found) Document {
	digest := v.Manifest.Digest
	document := Document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID, Name: name + " " + v.Platform.String(),
		Namespace: "urn:isuncoin:sbom:" + digest.String(),
		Creation:  Creation{Created: time.Unix(0, 0).UTC().Format(time.RFC3339), Creators: []string{"Tool: isun"}},
		Packages:  []SPDXPackage{packageOf(imageID, name)},
		Relationships: []Relationship{
			{From: documentID, Type: "DESCRIBES", To: imageID},
		},
	}
	if licence != "" {
		document.Packages[0].LicenseDeclared = licence
	}
	document.Packages[0].Checksums = []Checksum{{Algorithm: "SHA256", Value: digest.Hex()}}
	if len(found.Unread) > 0 {
		document.Comment = "Not listed: the packages of " + strings.Join(found.Unread, ", ")
	}
	for n, p := range found.Packages {
		entry := packageOf(fmt.Sprintf("SPDXRef-Package-%d", n+1), p.Name)
		entry.Version = p.Version
		entry.SourceInfo = "from " + p.Path
		entry.References = []External{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: p.URL()}}
		document.Packages = append(document.Packages, entry)
		document.Relationships = append(document.Relationships, Relationship{From: imageID, Type: "CONTAINS", To: entry.ID})
	}
	return document
}

func packageOf(id, name string) SPDXPackage {
	return SPDXPackage{
		ID: id, Name: name, DownloadLocation: noClaim, LicenseConcluded: noClaim, LicenseDeclared: noClaim, Copyright: noClaim,
	}
}

// URL is the package URL (purl).
func (p Package) URL() string {
	parts := []string{"pkg:" + p.Type}
	if p.Distribution != "" {
		parts = append(parts, url.PathEscape(p.Distribution))
	}
	for part := range strings.SplitSeq(p.Name, "/") {
		parts = append(parts, url.PathEscape(part))
	}
	text := strings.Join(parts, "/")
	if p.Version != "" {
		text += "@" + url.QueryEscape(p.Version)
	}
	if p.Architecture != "" {
		text += "?arch=" + url.QueryEscape(p.Architecture)
	}
	return text
}
