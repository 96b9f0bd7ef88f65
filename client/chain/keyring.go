package chain

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cosmos/cosmos-sdk/codec"
	sdkcrypto "github.com/cosmos/cosmos-sdk/crypto"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// DefaultKeyringBackend keeps keys unencrypted in a folder: it asks nothing and needs nothing of the machine.
const DefaultKeyringBackend = keyring.BackendTest

// KeyringConfig says where isunchaind keeps its keys.
type KeyringConfig struct {
	// Backend is "os", "file", "kwallet", "pass", "test" or "memory"; empty is DefaultKeyringBackend.
	Backend string
	// Home is isunchaind's home; empty is DefaultHome().
	Home string
	// Input is where passphrases are read from; nil is the terminal.
	Input io.Reader
}

// DefaultHome is isunchaind's home folder of this user, or a folder of the working directory when the user has none.
func DefaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".isunchain"
	}
	return filepath.Join(home, ".isunchain")
}

// OpenKeyring opens isunchaind's keyring.
func OpenKeyring(cfg KeyringConfig, cdc codec.Codec) (keyring.Keyring, error) {
	if cfg.Backend == "" {
		cfg.Backend = DefaultKeyringBackend
	}
	if cfg.Home == "" {
		cfg.Home = DefaultHome()
	}
	if cfg.Input == nil {
		cfg.Input = os.Stdin
	}
	ring, err := keyring.New(sdk.KeyringServiceName(), cfg.Backend, cfg.Home, cfg.Input, cdc)
	if err != nil {
		return nil, fmt.Errorf("opening the %s keyring in %s: %w", cfg.Backend, cfg.Home, err)
	}
	return ring, nil
}

// findKey finds a key by its name or its address. The error names the keys there are.
func findKey(ring keyring.Keyring, nameOrAddress string) (*keyring.Record, error) {
	var record *keyring.Record
	var err error
	if address, parseErr := sdk.AccAddressFromBech32(nameOrAddress); parseErr == nil {
		record, err = ring.KeyByAddress(address)
	} else {
		record, err = ring.Key(nameOrAddress)
	}
	switch {
	case err == nil:
		return record, nil
	case !errors.Is(err, sdkerrors.ErrKeyNotFound):
		return nil, fmt.Errorf("key %q: %w", nameOrAddress, err)
	}
	return nil, fmt.Errorf("no key %q in the keyring: %s", nameOrAddress, keysThere(ring))
}

// keysThere lists the keyring's names for an error.
func keysThere(ring keyring.Keyring) string {
	records, err := ring.List()
	if err != nil {
		return "and it cannot be listed: " + err.Error()
	}
	if len(records) == 0 {
		return "it is empty; `isunchaind keys add NAME` makes a key"
	}
	names := make([]string, 0, len(records))
	for _, r := range records {
		names = append(names, r.Name)
	}
	return "it has " + strings.Join(names, ", ")
}

// PrivateKey is a key's 32 bytes, for what has to be made of it, such as a connection that shows whose it is. A key on a
// hardware device has none to give.
func PrivateKey(ring keyring.Keyring, nameOrAddress string) ([]byte, error) {
	record, err := findKey(ring, nameOrAddress)
	if err != nil {
		return nil, err
	}
	if local := record.GetLocal(); local == nil {
		return nil, fmt.Errorf("key %q does not lie in this keyring: name another with --from", record.Name)
	}
	// The keyring gives keys out in armour only; the passphrase does not outlive this call.
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, fmt.Errorf("key %q: %w", record.Name, err)
	}
	passphrase := hex.EncodeToString(secret[:])
	armour, err := ring.ExportPrivKeyArmor(record.Name, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", record.Name, err)
	}
	key, kind, err := sdkcrypto.UnarmorDecryptPrivKey(armour, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", record.Name, err)
	}
	if kind != string(hd.Secp256k1Type) {
		return nil, fmt.Errorf("key %q is of the kind %s: name a secp256k1 key with --from", record.Name, kind)
	}
	return key.Bytes(), nil
}
