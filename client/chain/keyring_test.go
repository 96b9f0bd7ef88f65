package chain_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"github.com/isuncoin/isuncoin/client/chain"
)

const mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

func newKeyring(t *testing.T) keyring.Keyring {
	t.Helper()
	encoding, err := chain.NewEncoding()
	require.NoError(t, err)
	ring, err := chain.OpenKeyring(chain.KeyringConfig{Home: t.TempDir(), Input: strings.NewReader("")}, encoding.Codec)
	require.NoError(t, err)
	return ring
}

func TestKeyringSigner(t *testing.T) {
	ring := newKeyring(t)
	record, err := ring.NewAccount("alice", mnemonic, "", hd.CreateHDPath(118, 0, 0).String(), hd.Secp256k1)
	require.NoError(t, err)
	address, err := record.GetAddress()
	require.NoError(t, err)

	for _, key := range []string{"alice", address.String()} {
		signer, err := chain.NewKeyringSigner(ring, key)
		require.NoError(t, err)
		require.Equal(t, address, signer.Address())
		signature, err := signer.Sign([]byte("a lease"))
		require.NoError(t, err)
		require.True(t, signer.PubKey().VerifySignature([]byte("a lease"), signature))
	}
}

func TestKeyringSignerNamesTheKeysThereAre(t *testing.T) {
	ring := newKeyring(t)
	_, err := chain.NewKeyringSigner(ring, "bob")
	require.ErrorContains(t, err, "isunchaind keys add")
	_, err = ring.NewAccount("alice", mnemonic, "", hd.CreateHDPath(118, 0, 0).String(), hd.Secp256k1)
	require.NoError(t, err)
	_, err = chain.NewKeyringSigner(ring, "bob")
	require.ErrorContains(t, err, `no key "bob" in the keyring: it has alice`)
}

func TestKeySignerWantsAWholeKey(t *testing.T) {
	_, err := chain.NewKeySigner(bytes.Repeat([]byte{1}, 31))
	require.ErrorContains(t, err, "has 32 bytes, this has 31")
}

func TestPrivateKeyIsTheOneThatSigns(t *testing.T) {
	ring := newKeyring(t)
	_, err := ring.NewAccount("alice", mnemonic, "", hd.CreateHDPath(118, 0, 0).String(), hd.Secp256k1)
	require.NoError(t, err)
	key, err := chain.PrivateKey(ring, "alice")
	require.NoError(t, err)
	signer, err := chain.NewKeySigner(key)
	require.NoError(t, err)
	fromRing, err := chain.NewKeyringSigner(ring, "alice")
	require.NoError(t, err)
	require.Equal(t, fromRing.Address(), signer.Address())
}

func TestPrivateKeyOfAKeyThatIsNotHere(t *testing.T) {
	ring := newKeyring(t)
	watched, err := chain.NewKeySigner(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	_, err = ring.SaveOfflineKey("watched", watched.PubKey())
	require.NoError(t, err)
	_, err = chain.PrivateKey(ring, "watched")
	require.ErrorContains(t, err, "does not lie in this keyring")
}
