// Package identity keeps who a worker is: the agent's key and the node it
// speaks for. The key is a hot one: it can check in, attest and start, and
// moves no money, so it lies unencrypted in the worker's home, for its owner
// only.
package identity

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

var (
	// ErrNoKey: the home holds no agent key; join makes one.
	ErrNoKey = errors.New("no agent key")
	// ErrNotJoined: the home names no node; join registers one.
	ErrNotJoined = errors.New("not joined yet")
)

// Key is the agent's key.
type Key struct {
	priv *secp256k1.PrivKey
}

// keyFile is the key as it lies on disk.
type keyFile struct {
	Type    string `json:"type"`
	Address string `json:"address"`
	Private string `json:"private_key_hex"`
}

const keyType = "secp256k1"

// NewKey makes a key that is on no disk yet.
func NewKey() Key { return Key{priv: secp256k1.GenPrivKey()} }

// LoadKey reads a key. It refuses a file that others may read.
func LoadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, fmt.Errorf("%w: %s does not exist", ErrNoKey, path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("agent key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, fmt.Errorf("agent key %s has mode %04o: others may read it; run `chmod 600 %s`", path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("agent key: %w", err)
	}
	var file keyFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return Key{}, fmt.Errorf("agent key %s: %w", path, err)
	}
	secret, err := hex.DecodeString(file.Private)
	if err != nil || len(secret) != secp256k1.PrivKeySize || file.Type != keyType {
		return Key{}, fmt.Errorf("agent key %s is not a %s key of %d bytes", path, keyType, secp256k1.PrivKeySize)
	}
	key := Key{priv: &secp256k1.PrivKey{Key: secret}}
	if file.Address != key.Address().String() {
		return Key{}, fmt.Errorf("agent key %s is damaged: it names %s and is %s", path, file.Address, key.Address())
	}
	return key, nil
}

// LoadOrCreateKey returns the key of the file, and makes one when there is
// none. A new key is on disk before it is used for anything.
func LoadOrCreateKey(path string) (Key, error) {
	key, err := LoadKey(path)
	if !errors.Is(err, ErrNoKey) {
		return key, err
	}
	key = NewKey()
	return key, key.save(path)
}

func (k Key) save(path string) error {
	return WritePrivate(path, keyFile{
		Type: keyType, Address: k.Address().String(), Private: hex.EncodeToString(k.priv.Key),
	})
}

// Address is the agent's account.
func (k Key) Address() sdk.AccAddress { return sdk.AccAddress(k.priv.PubKey().Address()) }

// PubKey is the compressed public key, 33 bytes.
func (k Key) PubKey() []byte { return k.priv.PubKey().Bytes() }

// Private is the key itself, for the signer of transactions.
func (k Key) Private() *secp256k1.PrivKey { return k.priv }

// Sign signs a message, 64 bytes.
func (k Key) Sign(message []byte) ([]byte, error) {
	sig, err := k.priv.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign with the agent key: %w", err)
	}
	return sig, nil
}

// Node is which node of which chain a worker is.
type Node struct {
	ChainID  string `json:"chain_id"`
	Operator string `json:"operator"`
	Number   uint64 `json:"number"`
	Agent    string `json:"agent"`
}

// ID is the node's id on its chain.
func (n Node) ID() sunstypes.NodeID { return sunstypes.NodeID{Operator: n.Operator, Number: n.Number} }

// LoadNode reads which node this is.
func LoadNode(path string) (Node, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Node{}, fmt.Errorf("%w: %s does not exist; run `isun-worker join`", ErrNotJoined, path)
	}
	if err != nil {
		return Node{}, fmt.Errorf("node file: %w", err)
	}
	var n Node
	if err := json.Unmarshal(raw, &n); err != nil {
		return Node{}, fmt.Errorf("node file %s: %w; run `isun-worker join` to write it again", path, err)
	}
	if err := n.ID().Validate(); err != nil || n.ChainID == "" {
		return Node{}, fmt.Errorf("node file %s names no node; run `isun-worker join` to write it again", path)
	}
	return n, nil
}

// SaveNode writes which node this is.
func SaveNode(path string, n Node) error { return WritePrivate(path, n) }

// WritePrivate replaces a file, of mode 0600, by a value as JSON: a power
// failure leaves the old one or the new one, never half of either.
func WritePrivate(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone already after the rename
	_, err = tmp.Write(append(raw, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
