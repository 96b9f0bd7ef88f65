package types

import (
	"encoding/hex"
	"strings"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// MaxDigests bounds the digests of one message: each is up to three writes.
	MaxDigests = 64
	// MaxAddresses bounds each list of addresses of one message.
	MaxAddresses = 64
	// MaxObjectNameLength bounds an object's name, which stands in a key.
	MaxObjectNameLength = 128

	// DigestBytes is the size of a digest as a key of state.
	DigestBytes = 32

	digestPrefix = "sha256:"
)

// DigestCodec encodes a digest as a key: its 32 bytes.
var DigestCodec = collections.BytesKey

// HoldingKey is a holding as a key of state: digest | operator | number.
type HoldingKey = collections.Pair[[]byte, sunstypes.NodeKey]

// HoldingKeyCodec encodes a HoldingKey.
var HoldingKeyCodec codec.KeyCodec[HoldingKey] = collections.PairKeyCodec(DigestCodec, sunstypes.NodeKeyCodec)

// ObjectKey is an object as a key of state: owner | name.
type ObjectKey = collections.Pair[sdk.AccAddress, string]

// ObjectKeyCodec encodes an ObjectKey.
var ObjectKeyCodec codec.KeyCodec[ObjectKey] = collections.PairKeyCodec(sdk.AccAddressKey, collections.StringKey)

// AccessKey is a grant as a key of state: publisher | name | tag | grantee.
type AccessKey = collections.Pair[ImageKey, sdk.AccAddress]

// AccessKeyCodec encodes an AccessKey.
var AccessKeyCodec codec.KeyCodec[AccessKey] = collections.PairKeyCodec(ImageKeyCodec, sdk.AccAddressKey)

// ParseDigest gives the 32 bytes of "sha256:…", or ErrInvalidDigest. It takes one spelling only, so that equal contents have
// equal digests.
func ParseDigest(digest string) ([]byte, error) {
	sum, ok := strings.CutPrefix(digest, digestPrefix)
	raw, err := hex.DecodeString(sum)
	if !ok || err != nil || len(raw) != DigestBytes || strings.ToLower(sum) != sum {
		return nil, ErrInvalidDigest.Wrapf("digest %.100q is not sha256: and 64 hexadecimal digits in lower case", digest)
	}
	return raw, nil
}

// DigestString is the inverse of ParseDigest.
func DigestString(digest []byte) string { return digestPrefix + hex.EncodeToString(digest) }

// ParseDigests reads a message's list of 1 to MaxDigests digests, each once.
func ParseDigests(digests []string) ([][]byte, error) {
	if len(digests) == 0 || len(digests) > MaxDigests {
		return nil, ErrInvalidHolding.Wrapf("%d digests, not 1..%d", len(digests), MaxDigests)
	}
	parsed := make([][]byte, len(digests))
	seen := make(map[string]bool, len(digests))
	for i, digest := range digests {
		raw, err := ParseDigest(digest)
		if err != nil {
			return nil, err
		}
		if seen[digest] {
			return nil, ErrInvalidHolding.Wrapf("%s is there twice", digest)
		}
		parsed[i], seen[digest] = raw, true
	}
	return parsed, nil
}

// ParseAccess reads the addresses a message grants and revokes: at most MaxAddresses each, and each address once.
func ParseAccess(grant, revoke []string) (granted, revoked []sdk.AccAddress, err error) {
	seen := make(map[string]bool, len(grant)+len(revoke))
	if granted, err = parseAddresses("grant", grant, seen); err != nil {
		return nil, nil, err
	}
	revoked, err = parseAddresses("revoke", revoke, seen)
	return granted, revoked, err
}

func parseAddresses(field string, texts []string, seen map[string]bool) ([]sdk.AccAddress, error) {
	if len(texts) > MaxAddresses {
		return nil, ErrInvalidAccess.Wrapf("%s has %d addresses, above %d", field, len(texts), MaxAddresses)
	}
	addresses := make([]sdk.AccAddress, len(texts))
	for i, text := range texts {
		address, err := parseAddress(text)
		if err != nil {
			return nil, ErrInvalidAccess.Wrapf("%s[%d]: %.100q: %s", field, i, text, err)
		}
		if seen[text] {
			return nil, ErrInvalidAccess.Wrapf("%s[%d]: %s is there twice", field, i, text)
		}
		addresses[i], seen[text] = address, true
	}
	return addresses, nil
}

// Key is the grant as a key of state.
func (g AccessGrant) Key() (AccessKey, error) {
	id, err := ParseImageID(g.Image)
	if err != nil {
		return AccessKey{}, err
	}
	image, err := id.Key()
	if err != nil {
		return AccessKey{}, err
	}
	grantee, err := parseAddress(g.Grantee)
	if err != nil {
		return AccessKey{}, ErrInvalidAccess.Wrapf("grantee %.100q: %s", g.Grantee, err)
	}
	return collections.Join(image, grantee), nil
}

// NewObjectKey names an owner's object, or gives ErrInvalidObject.
func NewObjectKey(owner, name string) (ObjectKey, error) {
	address, err := parseAddress(owner)
	if err != nil {
		return ObjectKey{}, ErrInvalidObject.Wrapf("owner %.100q: %s", owner, err)
	}
	if !isObjectName(name) {
		return ObjectKey{}, ErrInvalidObject.Wrapf(
			"name %.200q: up to %d of a-z, A-Z, 0-9, '.', '_' and '-', in segments parted by single '/', none of them '.' or '..'",
			name, MaxObjectNameLength)
	}
	return collections.Join(address, name), nil
}

// Key is the object as a key of state.
func (o Object) Key() (ObjectKey, error) { return NewObjectKey(o.Owner, o.Name) }

// Validate returns ErrInvalidObject or ErrInvalidDigest with what is wrong.
func (o Object) Validate() error {
	if _, err := o.Key(); err != nil {
		return err
	}
	if _, err := ParseDigest(o.Digest); err != nil {
		return err
	}
	if err := ValidateSize(o.SizeBytes); err != nil {
		return ErrInvalidObject.Wrap(err.Error())
	}
	if o.CreatedHeight < 0 {
		return ErrInvalidObject.Wrapf("created_height %d is negative", o.CreatedHeight)
	}
	return nil
}

// ValidateSize holds the size of content, in bytes, to what a node could store.
func ValidateSize(size uint64) error {
	if size == 0 || size > HighestMaxImageBytes {
		return ErrInvalidRequest.Wrapf("size_bytes %d is not in 1..%d", size, HighestMaxImageBytes)
	}
	return nil
}

// isObjectName says whether s is a path of segments. What a file system would read as another path is none.
func isObjectName(s string) bool {
	if s == "" || len(s) > MaxObjectNameLength {
		return false
	}
	for _, segment := range strings.Split(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
		for _, c := range []byte(segment) {
			if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

// Key is the holding as a key of state.
func (h Holding) Key() (HoldingKey, error) {
	digest, err := ParseDigest(h.Digest)
	if err != nil {
		return HoldingKey{}, err
	}
	node, err := h.Node.Canonical()
	if err != nil {
		return HoldingKey{}, err
	}
	return collections.Join(digest, node), nil
}

// HoldingFromKey is the inverse of Holding.Key.
func HoldingFromKey(key HoldingKey) Holding {
	return Holding{Digest: DigestString(key.K1()), Node: sunstypes.NodeIDFromKey(key.K2())}
}

// Validate says whether content is referenced at all, and how big it may be.
func (r References) Validate() error {
	if r.References == 0 || r.References > MaxReferences {
		return ErrInvalidRequest.Wrapf("references %d is not in 1..%d", r.References, MaxReferences)
	}
	return ValidateSize(r.SizeBytes)
}

// MaxReferences keeps the count of references far from its type's end; no chain has as many records.
const MaxReferences uint64 = 1 << 48
