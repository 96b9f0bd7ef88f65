package parcel

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/cosmos/cosmos-sdk/types/bech32"
)

const (
	keyPrefix    = "isunkey"
	keyVersion   = 1
	secretBytes  = 32
	secretPrefix = "age-secret-key-"
)

// ErrKey: the text is no key.
var ErrKey = errors.New("no key of a stored object")

// Key opens what an owner stores under one name.
type Key struct {
	// Object is owner/name.
	Object string
	// Secret is an age identity, "AGE-SECRET-KEY-1…".
	Secret string
}

// String is the key as it is given to somebody, "isunkey1…". Its checksum
// tells a key that was copied wrong.
func (k Key) String() string {
	_, raw, err := bech32.DecodeAndConvert(strings.ToLower(k.Secret))
	if err != nil {
		return ""
	}
	text, err := bech32.ConvertAndEncode(keyPrefix, append(append([]byte{keyVersion}, raw...), k.Object...))
	if err != nil {
		return ""
	}
	return text
}

// ParseKey reads what String wrote. ErrKey.
func ParseKey(text string) (Key, error) {
	prefix, raw, err := bech32.DecodeAndConvert(strings.TrimSpace(text))
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("%w: it is damaged or copied in part", ErrKey)
	case prefix != keyPrefix:
		return Key{}, fmt.Errorf("%w: it does not begin with %s1", ErrKey, keyPrefix)
	case len(raw) < 1+secretBytes || raw[0] != keyVersion:
		return Key{}, fmt.Errorf("%w: it is not of version %d", ErrKey, keyVersion)
	}
	secret, err := bech32.ConvertAndEncode(secretPrefix, raw[1:1+secretBytes])
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Key{Object: string(raw[1+secretBytes:]), Secret: strings.ToUpper(secret)}, nil
}

// Identity is the key as package age takes it.
func (k Key) Identity() (age.Identity, error) { return age.ParseX25519Identity(k.Secret) }
