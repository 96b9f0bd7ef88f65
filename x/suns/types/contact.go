package types

import (
	"bytes"
	"crypto/ecdh"
	"fmt"

	"cosmossdk.io/collections"
)

// EncryptionKeyBytes is the size of an X25519 public key.
const EncryptionKeyBytes = 32

// Validate says whether a contact can be kept: its node's id as the chain writes it, a key that secrets can be sealed to, and
// addresses that read like multiaddrs. Whether anybody answers there, whoever dials finds out.
func (c Contact) Validate() error {
	if _, err := c.Node.Canonical(); err != nil {
		return err
	}
	if err := ValidateEncryptionKey(c.EncryptionKey); err != nil {
		return err
	}
	if len(c.Addresses) > MaxContactAddresses {
		return ErrInvalidContact.Wrapf("%d addresses: at most %d", len(c.Addresses), MaxContactAddresses)
	}
	seen := make(map[string]bool, len(c.Addresses))
	for i, address := range c.Addresses {
		if !printable(address, MaxContactAddressBytes) || address[0] != '/' {
			return ErrInvalidContact.Wrapf(
				"addresses[%d]: %.80q is no multiaddr: at most %d printable characters that begin with /",
				i, address, MaxContactAddressBytes)
		}
		if seen[address] {
			return ErrInvalidContact.Wrapf("addresses[%d]: %s is there twice", i, address)
		}
		seen[address] = true
	}
	return nil
}

// ValidateEncryptionKey says whether bytes are an X25519 public key to which something can be sealed.
func ValidateEncryptionKey(key []byte) error {
	if len(key) != EncryptionKeyBytes {
		return ErrInvalidContact.Wrapf("encryption_key has %d bytes: an X25519 key has %d", len(key), EncryptionKeyBytes)
	}
	// A point of small order agrees with every key on the same secret, which everybody knows. The scalar is of no account:
	// all of them are multiples of 8, and give 0 for such points alone.
	scalar, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, EncryptionKeyBytes))
	if err != nil {
		return err
	}
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return ErrInvalidContact.Wrapf("encryption_key: %s", err)
	}
	if _, err := scalar.ECDH(public); err != nil {
		return ErrInvalidContact.Wrapf("encryption_key is a point of small order: %s", err)
	}
	return nil
}

// validateContacts: each of a node that is there, in the order of their keys.
func (g GenesisState) validateContacts() error {
	nodes := make(map[NodeID]bool, len(g.Nodes))
	for _, node := range g.Nodes {
		nodes[node.Node.ID] = true
	}
	var previous []byte
	for i, contact := range g.Contacts {
		if err := contact.Validate(); err != nil {
			return fmt.Errorf("contacts[%d]: %w", i, err)
		}
		if !nodes[contact.Node] {
			return ErrInvalidGenesis.Wrapf("contacts[%d]: node %s is not there", i, contact.Node)
		}
		key, err := contact.Node.Key()
		if err != nil {
			return err
		}
		encoded, err := collections.EncodeKeyWithPrefix(nil, NodeKeyCodec, key)
		if err != nil {
			return err
		}
		if bytes.Compare(previous, encoded) >= 0 {
			return ErrInvalidGenesis.Wrapf("contacts[%d]: %s is there twice or out of order", i, contact.Node)
		}
		previous = encoded
	}
	return nil
}
