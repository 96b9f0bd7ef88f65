package vault

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/isuncoin/isuncoin/worker/identity"
)

// keyFile is a key of 32 bytes as it lies on disk, readable by its owner only.
type keyFile struct {
	Type string `json:"type"`
	// Public tells a damaged file from a whole one: a node's public key, or the
	// fingerprint of a keyring.
	Public  string `json:"public"`
	Private string `json:"private_key_hex"`
}

const (
	typeNode    = "x25519"
	typeKeyring = "isun-keyring-1"
)

func loadKey(path, kind string) (secret []byte, public string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, "", fmt.Errorf("%w: %s has mode %04o: others may read it; run `chmod 600 %s`", ErrKeyFile, path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer clear(raw)
	return parseKey(raw, kind, path)
}

func parseKey(raw []byte, kind, where string) (secret []byte, public string, err error) {
	var file keyFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w", ErrKeyFile, where, err)
	}
	secret, err = hex.DecodeString(file.Private)
	if err != nil || len(secret) != scalarBytes || file.Type != kind {
		return nil, "", fmt.Errorf("%w: %s is not a key of type %s", ErrKeyFile, where, kind)
	}
	return secret, file.Public, nil
}

// NodeKey is a node's own X25519 key, to which shares are sealed.
type NodeKey struct{ private *ecdh.PrivateKey }

// NewNodeKey makes a key that is on no disk.
func NewNodeKey() (*NodeKey, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	return &NodeKey{private: private}, nil
}

// Public is the key's public half, 32 bytes, as MsgSetContact announces it.
func (k *NodeKey) Public() []byte { return k.private.PublicKey().Bytes() }

// LoadOrCreateNodeKey returns the key of the file, and makes one when there is
// none. A new key is on disk before it is used for anything.
func LoadOrCreateNodeKey(path string) (*NodeKey, error) {
	secret, public, err := loadKey(path, typeNode)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := NewNodeKey()
		if err != nil {
			return nil, err
		}
		return key, identity.WritePrivate(path, keyFile{
			Type: typeNode, Public: hex.EncodeToString(key.Public()), Private: hex.EncodeToString(key.private.Bytes()),
		})
	}
	if err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, path, err)
	}
	key := &NodeKey{private: private}
	if public != hex.EncodeToString(key.Public()) {
		return nil, fmt.Errorf("%w: %s is damaged: it does not hold the key it names", ErrKeyFile, path)
	}
	return key, nil
}

// Keyring is a tenant's seed. The identity of every lease, image and stored
// object is derived from it, so whoever keeps the seed has lost nothing.
type Keyring struct{ seed []byte }

// LoadOrCreateKeyring returns the keyring of the file, and makes one when there
// is none. created tells the caller to ask for a backup.
func LoadOrCreateKeyring(path string) (ring *Keyring, created bool, err error) {
	secret, public, err := loadKey(path, typeKeyring)
	if errors.Is(err, fs.ErrNotExist) {
		ring = &Keyring{seed: make([]byte, scalarBytes)}
		if _, err := rand.Read(ring.seed); err != nil {
			return nil, false, fmt.Errorf("keyring: %w", err)
		}
		return ring, true, ring.save(path)
	}
	if err != nil {
		return nil, false, err
	}
	ring = &Keyring{seed: secret}
	if public != ring.Fingerprint() {
		return nil, false, fmt.Errorf("%w: %s is damaged: it does not hold the seed it names; import your backup", ErrKeyFile, path)
	}
	return ring, false, nil
}

func (k *Keyring) file() keyFile {
	return keyFile{Type: typeKeyring, Public: k.Fingerprint(), Private: hex.EncodeToString(k.seed)}
}

// save never replaces: a seed that is overwritten takes everything with it.
func (k *Keyring) save(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: %s exists; move it away first", ErrKeyFile, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return identity.WritePrivate(path, k.file())
}

// Fingerprint names a keyring without telling it, 16 hexadecimal digits.
func (k *Keyring) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("isun/vault/1/fingerprint"), k.seed...))
	return hex.EncodeToString(sum[:8])
}

// Identity derives the identity of a subject on a chain: the same numbers on
// another chain name another lease.
func (k *Keyring) Identity(chain string, subject Subject) (*Identity, error) {
	if _, _, err := subject.Split(); err != nil {
		return nil, err
	}
	info := fmt.Sprintf("%s\x00%d\x00%s\x00%s", domainKeyring, len(chain), chain, subject)
	wide, err := hkdf.Key(sha256.New, k.seed, nil, info, 2*scalarBytes)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	defer clear(wide)
	return identityOf(curve.HashToScalar(wide, []byte(domainKeyring)))
}

// Export encrypts the seed with a passphrase, as text that can be printed and
// that the age tool opens too.
func (k *Keyring) Export(passphrase string) (string, error) {
	return k.export(passphrase, exportWork)
}

// exportWork is the logarithm of scrypt's cost: about a second of one core.
const exportWork = 18

func (k *Keyring) export(passphrase string, work int) (string, error) {
	if len(passphrase) < 8 {
		return "", fmt.Errorf("%w: choose a passphrase of at least 8 characters", ErrKeyFile)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return "", fmt.Errorf("export keyring: %w", err)
	}
	recipient.SetWorkFactor(work)
	raw, err := json.Marshal(k.file())
	if err != nil {
		return "", fmt.Errorf("export keyring: %w", err)
	}
	defer clear(raw)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return "", fmt.Errorf("export keyring: %w", err)
	}
	_, err = w.Write(raw)
	if err = errors.Join(err, w.Close(), text.Close()); err != nil {
		return "", fmt.Errorf("export keyring: %w", err)
	}
	return out.String(), nil
}

// ImportKeyring writes what Export gave to a file, which must not exist unless
// it holds the same seed.
func ImportKeyring(text, passphrase, path string) (*Keyring, error) {
	scrypt, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	scrypt.SetMaxWorkFactor(exportWork + 2) // more would be somebody's joke
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(text)), scrypt)
	if err != nil {
		return nil, fmt.Errorf("%w: the backup does not open; is the passphrase right? %w", ErrKeyFile, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return nil, fmt.Errorf("%w: the backup is damaged: %w", ErrKeyFile, err)
	}
	defer clear(raw)
	secret, public, err := parseKey(raw, typeKeyring, "the backup")
	if err != nil {
		return nil, err
	}
	ring := &Keyring{seed: secret}
	if public != ring.Fingerprint() {
		return nil, fmt.Errorf("%w: the backup is damaged", ErrKeyFile)
	}
	if held, _, err := loadKey(path, typeKeyring); err == nil && bytes.Equal(held, secret) {
		return ring, nil
	}
	return ring, ring.save(path)
}
