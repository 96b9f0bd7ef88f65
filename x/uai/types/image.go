package types

import (
	"slices"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// MaxPlatforms bounds the platforms an image lists.
	MaxPlatforms = 8
	// MaxLicenceLength bounds an SPDX expression.
	MaxLicenceLength = 64
	// MaxReferenceLength bounds a registry's name for an image; the OCI distribution specification names 255 as what
	// many clients take.
	MaxReferenceLength = 256

	platformLinux = "linux/"
)

// SupportedPlatforms are what workers run, sorted.
var SupportedPlatforms = []string{"linux/amd64", "linux/arm64"}

// ID names the image.
func (i Image) ID() ImageID { return ImageID{Publisher: i.Publisher, Name: i.Name, Tag: i.Tag} }

// Ref is the image's name as leases and people write it: "publisher/name:tag".
func (i Image) Ref() string { return i.ID().String() }

// Architectures are the CPU architectures the image runs on, as nodes state theirs ("amd64", "arm64"), sorted.
func (i Image) Architectures() []string {
	architectures := make([]string, 0, len(i.Platforms))
	for _, platform := range i.Platforms {
		architectures = append(architectures, strings.TrimPrefix(platform, platformLinux))
	}
	return architectures
}

// NewImage is the image a message publishes, owned by its publisher.
func NewImage(msg *MsgPublishImage, height int64) Image {
	return Image{
		Publisher:       msg.Publisher,
		Name:            msg.Name,
		Tag:             msg.Tag,
		Owner:           msg.Publisher,
		Digest:          msg.Digest,
		SizeBytes:       msg.SizeBytes,
		Platforms:       msg.Platforms,
		Demand:          msg.Demand,
		Ports:           msg.Ports,
		Health:          msg.Health,
		Volumes:         msg.Volumes,
		Licence:         msg.Licence,
		Royalty:         msg.Royalty,
		Reference:       msg.Reference,
		Status:          IMAGE_STATUS_PUBLISHED,
		PublishedHeight: height,
		Restricted:      msg.Restricted,
	}
}

// Validate holds the image to the format, whatever the params: ErrInvalidImageID or ErrInvalidImage.
func (i Image) Validate() error {
	if err := i.ID().Validate(); err != nil {
		return err
	}
	if _, err := parseAddress(i.Owner); err != nil {
		return ErrInvalidImage.Wrapf("owner: %s", err)
	}
	if i.Status != IMAGE_STATUS_PUBLISHED && i.Status != IMAGE_STATUS_DEPRECATED {
		return ErrInvalidImage.Wrapf("status %s", i.Status)
	}
	if i.PublishedHeight < 0 {
		return ErrInvalidImage.Wrapf("published_height %d is negative", i.PublishedHeight)
	}
	if i.SizeBytes == 0 || i.SizeBytes > HighestMaxImageBytes {
		return ErrInvalidImage.Wrapf("size_bytes %d is not in 1..%d", i.SizeBytes, HighestMaxImageBytes)
	}
	if i.Royalty > HighestMaxRoyalty {
		return ErrInvalidImage.Wrapf("royalty %d is above %d", i.Royalty, HighestMaxRoyalty)
	}
	return firstError(
		validateDigest(i.Digest),
		validatePlatforms(i.Platforms),
		validateDemand(i.Demand),
		validatePorts(i.Ports),
		i.Health.validate(i.Ports),
		validateVolumes(i.Volumes),
		validateLicence(i.Licence),
		validateReference(i.Reference),
	)
}

// ValidateLimits holds a new image to the params.
func (i Image) ValidateLimits(params Params) error {
	if i.SizeBytes > params.MaxImageBytes {
		return ErrInvalidImage.Wrapf("size_bytes %d is above max_image_bytes %d", i.SizeBytes, params.MaxImageBytes)
	}
	if i.Royalty > params.MaxRoyalty {
		return ErrInvalidImage.Wrapf("royalty %d is above max_royalty %d", i.Royalty, params.MaxRoyalty)
	}
	return nil
}

// OwnerAddress is the owner's address; the image was validated when it was stored.
func (i Image) OwnerAddress() (sdk.AccAddress, error) { return parseAddress(i.Owner) }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// validateDigest accepts one spelling only, so that equal contents have equal digests.
func validateDigest(digest string) error {
	if _, err := ParseDigest(digest); err != nil {
		return ErrInvalidImage.Wrap(err.Error())
	}
	return nil
}

func validatePlatforms(platforms []string) error {
	if len(platforms) == 0 || len(platforms) > MaxPlatforms {
		return ErrInvalidImage.Wrapf("%d platforms, not 1..%d", len(platforms), MaxPlatforms)
	}
	for i, platform := range platforms {
		if !slices.Contains(SupportedPlatforms, platform) {
			return ErrInvalidImage.Wrapf("platform %.100q is none of %v", platform, SupportedPlatforms)
		}
		if i > 0 && platforms[i-1] >= platform {
			return ErrInvalidImage.Wrapf("platforms %v are not sorted and unique", platforms)
		}
	}
	return nil
}

// validateLicence checks the letters of an SPDX expression and not its grammar, which needs the list of licences. Empty
// means that none was stated.
func validateLicence(licence string) error {
	if len(licence) > MaxLicenceLength {
		return ErrInvalidImage.Wrapf("licence has %d characters, above %d", len(licence), MaxLicenceLength)
	}
	for _, c := range []byte(licence) {
		if !isAlphanumeric(c) && !strings.ContainsRune("-.+:() ", rune(c)) {
			return ErrInvalidImage.Wrapf("licence %q is no SPDX expression", licence)
		}
	}
	if strings.TrimSpace(licence) != licence {
		return ErrInvalidImage.Wrapf("licence %q begins or ends with a space", licence)
	}
	return nil
}

// validateReference accepts "host:port/path/name" without tag and digest: the digest of the image is the only one that
// counts, and a tag in a registry may move.
func validateReference(reference string) error {
	if reference == "" {
		return nil
	}
	if len(reference) > MaxReferenceLength {
		return ErrInvalidImage.Wrapf("reference has %d characters, above %d", len(reference), MaxReferenceLength)
	}
	parts := strings.Split(reference, "/")
	for i, part := range parts {
		if i == 0 && len(parts) > 1 && isRegistryHost(part) {
			continue
		}
		if !isReferencePart(part) {
			return ErrInvalidImage.Wrapf(
				"reference %q is not a registry's name for an image without tag and digest, such as docker.io/library/nginx", reference)
		}
	}
	return nil
}

// isRegistryHost says whether s is a host with an optional port.
func isRegistryHost(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	if host == "" || host[0] == '-' || host[0] == '.' {
		return false
	}
	for _, c := range []byte(host) {
		if !isAlphanumeric(c) && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// isReferencePart says whether s is a path component of an OCI name, which unlike ours may hold "__" and "--".
func isReferencePart(s string) bool {
	if s == "" || !isLowerAlphanumeric(s[0]) || !isLowerAlphanumeric(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !isLowerAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool { return isLowerAlphanumeric(c) || 'A' <= c && c <= 'Z' }
