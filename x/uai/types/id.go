package types

import (
	"strings"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// MaxNameLength bounds an image's name, which stands in the keys of three indexes and in every placement.
	MaxNameLength = 64
	// MaxTagLength is the bound of the OCI distribution specification.
	MaxTagLength = 128
)

// ImageKey is an ImageID as a key of state: publisher | name | tag.
type ImageKey = collections.Triple[sdk.AccAddress, string, string]

// ImageKeyCodec encodes an ImageKey.
var ImageKeyCodec codec.KeyCodec[ImageKey] = collections.TripleKeyCodec(
	sdk.AccAddressKey, collections.StringKey, collections.StringKey)

// ImageID names an image: the address that published it, a name and a tag. It stays when the owner changes.
type ImageID struct {
	Publisher string
	Name      string
	Tag       string
}

// ParseImageID reads "publisher/name:tag", the form people write, or returns ErrInvalidImageID.
func ParseImageID(s string) (ImageID, error) {
	publisher, rest, ok := strings.Cut(s, "/")
	if !ok {
		return ImageID{}, ErrInvalidImageID.Wrapf("%.200q is not publisher/name:tag", s)
	}
	name, tag, ok := strings.Cut(rest, ":")
	if !ok {
		return ImageID{}, ErrInvalidImageID.Wrapf("%.200q has no tag", s)
	}
	id := ImageID{Publisher: publisher, Name: name, Tag: tag}
	return id, id.Validate()
}

// ImageIDFromKey is the inverse of ImageID.Key.
func ImageIDFromKey(key ImageKey) ImageID {
	return ImageID{Publisher: key.K1().String(), Name: key.K2(), Tag: key.K3()}
}

// String is "publisher/name:tag".
func (id ImageID) String() string { return id.Publisher + "/" + id.Name + ":" + id.Tag }

// Key is the id as a key of state, or ErrInvalidImageID.
func (id ImageID) Key() (ImageKey, error) {
	publisher, err := parseAddress(id.Publisher)
	if err != nil {
		return ImageKey{}, ErrInvalidImageID.Wrapf("publisher: %s", err)
	}
	if !isImageName(id.Name) {
		return ImageKey{}, ErrInvalidImageID.Wrapf(
			"name %.200q: up to %d of a-z and 0-9, parted by single '.', '_' or '-'", id.Name, MaxNameLength)
	}
	if !isTag(id.Tag) {
		return ImageKey{}, ErrInvalidImageID.Wrapf(
			"tag %.200q: up to %d of a-z, 0-9, '.', '_' and '-', beginning with a letter, a digit or '_'", id.Tag, MaxTagLength)
	}
	return collections.Join3(publisher, id.Name, id.Tag), nil
}

// Validate says whether the id is well formed.
func (id ImageID) Validate() error {
	_, err := id.Key()
	return err
}

// parseAddress takes an address only in the form the chain itself writes. Bech32 also allows all upper case: two spellings
// of one address would be two names for one image.
func parseAddress(s string) (sdk.AccAddress, error) {
	address, err := sdk.AccAddressFromBech32(s)
	if err != nil {
		return nil, err
	}
	if address.String() != s {
		return nil, ErrInvalidRequest.Wrapf("address %q must be written in lower case", s)
	}
	return address, nil
}

// isImageName says whether s is one path component of an OCI name whose separators stand alone.
func isImageName(s string) bool {
	if len(s) == 0 || len(s) > MaxNameLength {
		return false
	}
	separated := true // a separator may not come first
	for _, c := range []byte(s) {
		isSeparator := c == '.' || c == '_' || c == '-'
		if isSeparator && separated || !isSeparator && !isLowerAlphanumeric(c) {
			return false
		}
		separated = isSeparator
	}
	return !separated
}

// isTag says whether s is an OCI tag in lower case.
func isTag(s string) bool {
	if len(s) == 0 || len(s) > MaxTagLength {
		return false
	}
	for i, c := range []byte(s) {
		if !isLowerAlphanumeric(c) && c != '_' && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}

func isLowerAlphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
