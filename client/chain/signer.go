package chain

import (
	"fmt"

	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
)

// Signer signs transactions for one account.
type Signer interface {
	Address() sdk.AccAddress
	PubKey() cryptotypes.PubKey
	// Sign signs the bytes of SIGN_MODE_DIRECT.
	Sign(bytes []byte) ([]byte, error)
}

// keyringSigner signs with a key that never leaves its keyring.
type keyringSigner struct {
	ring   keyring.Keyring
	name   string
	pubKey cryptotypes.PubKey
}

// NewKeyringSigner signs with a key of a keyring, named by its name or its address.
func NewKeyringSigner(ring keyring.Keyring, nameOrAddress string) (Signer, error) {
	record, err := findKey(ring, nameOrAddress)
	if err != nil {
		return nil, err
	}
	pubKey, err := record.GetPubKey()
	if err != nil {
		return nil, fmt.Errorf("public key of %q: %w", nameOrAddress, err)
	}
	return &keyringSigner{ring: ring, name: record.Name, pubKey: pubKey}, nil
}

func (s *keyringSigner) Address() sdk.AccAddress    { return sdk.AccAddress(s.pubKey.Address()) }
func (s *keyringSigner) PubKey() cryptotypes.PubKey { return s.pubKey }

func (s *keyringSigner) Sign(bytes []byte) ([]byte, error) {
	signature, _, err := s.ring.Sign(s.name, bytes, signing.SignMode_SIGN_MODE_DIRECT)
	if err != nil {
		return nil, fmt.Errorf("signing with key %q: %w", s.name, err)
	}
	return signature, nil
}

// keySigner signs with a private key in memory.
type keySigner struct {
	key *secp256k1.PrivKey
}

// NewKeySigner signs with a raw secp256k1 private key of 32 bytes.
func NewKeySigner(key []byte) (Signer, error) {
	if len(key) != secp256k1.PrivKeySize {
		return nil, fmt.Errorf("a secp256k1 private key has %d bytes, this has %d", secp256k1.PrivKeySize, len(key))
	}
	return &keySigner{key: &secp256k1.PrivKey{Key: key}}, nil
}

func (s *keySigner) Address() sdk.AccAddress    { return sdk.AccAddress(s.key.PubKey().Address()) }
func (s *keySigner) PubKey() cryptotypes.PubKey { return s.key.PubKey() }

func (s *keySigner) Sign(bytes []byte) ([]byte, error) {
	signature, err := s.key.Sign(bytes)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return signature, nil
}
