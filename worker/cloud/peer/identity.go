package peer

import (
	"errors"
	"fmt"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	// The prefix of addresses is set when this package is loaded.
	_ "github.com/isuncoin/isuncoin/x/suns/types"
)

// ErrStranger: a peer is not the account it is taken for.
var ErrStranger = errors.New("peer is somebody else")

// Contact is where somebody can be reached. Nothing in it is believed: the
// connection proves the key, and the key is the account.
type Contact struct {
	// Agent is the account, bech32: a node's agent, or a tenant.
	Agent string
	// Addresses are multiaddrs, each ending in "/p2p/" and the peer's id.
	Addresses []string
}

// privateKey makes libp2p's key of the bytes of an account's key.
func privateKey(raw []byte) (crypto.PrivKey, error) {
	if len(raw) != secp256k1.PrivKeySize {
		return nil, fmt.Errorf("peer key has %d bytes, a secp256k1 key has %d", len(raw), secp256k1.PrivKeySize)
	}
	return crypto.UnmarshalSecp256k1PrivateKey(raw)
}

// AddressOf is the account, bech32, whose key a peer id is. The id of a
// secp256k1 key carries the key, so there is nothing to look up.
func AddressOf(id peer.ID) (string, error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return "", fmt.Errorf("%w: the id %s carries no key: %w", ErrStranger, id, err)
	}
	if key.Type() != crypto.Secp256k1 {
		return "", fmt.Errorf("%w: the id %s is a %s key, accounts have secp256k1 keys", ErrStranger, id, key.Type())
	}
	raw, err := key.Raw()
	if err != nil {
		return "", fmt.Errorf("%w: the key of %s: %w", ErrStranger, id, err)
	}
	return sdk.AccAddress((&secp256k1.PubKey{Key: raw}).Address()).String(), nil
}

// IDOf is the peer id of an account's compressed public key, 33 bytes.
func IDOf(compressed []byte) (peer.ID, error) {
	key, err := crypto.UnmarshalSecp256k1PublicKey(compressed)
	if err != nil {
		return "", fmt.Errorf("peer id: %w", err)
	}
	return peer.IDFromPublicKey(key)
}

// Limits of what a contact may hold, as the chain has them.
const (
	maxAddresses   = 8
	maxAddressSize = 256 // bytes
)

// dialable gives the peer of a contact and where it is. Addresses of others,
// or that cannot be read, are passed over: one bad address among several is
// no reason to go without the rest.
func (c Contact) dialable() (peer.AddrInfo, error) {
	var info peer.AddrInfo
	why := errors.New("it has no addresses")
	for _, text := range c.Addresses[:min(len(c.Addresses), maxAddresses)] {
		id, address, err := parseAddress(text)
		if err == nil {
			err = checkAgent(id, c.Agent)
		}
		if err == nil && info.ID != "" && id != info.ID {
			err = fmt.Errorf("%w: %s has two ids", ErrStranger, c.Agent)
		}
		if err != nil {
			why = err
			continue
		}
		info.ID, info.Addrs = id, append(info.Addrs, address)
	}
	if info.ID == "" {
		return peer.AddrInfo{}, fmt.Errorf("no address of %s can be used: %w", c.Agent, why)
	}
	return info, nil
}

// parseAddress splits a multiaddr into the peer's id and the way to it.
func parseAddress(text string) (peer.ID, ma.Multiaddr, error) {
	if len(text) > maxAddressSize {
		return "", nil, fmt.Errorf("an address of %d bytes, more than %d", len(text), maxAddressSize)
	}
	full, err := ma.NewMultiaddr(text)
	if err != nil {
		return "", nil, fmt.Errorf("address %q: %w", text, err)
	}
	address, id := peer.SplitAddr(full)
	if id == "" || len(address) == 0 {
		return "", nil, fmt.Errorf("address %q does not end in /p2p/ and a peer's id", text)
	}
	return id, address, nil
}

// checkAgent tells whether a peer id is that account's key.
func checkAgent(id peer.ID, agent string) error {
	address, err := AddressOf(id)
	if err != nil {
		return err
	}
	if address != agent {
		return fmt.Errorf("%w: %s is the key of %s, not of %s", ErrStranger, id, address, agent)
	}
	return nil
}
