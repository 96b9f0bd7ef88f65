package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cosmos/cosmos-sdk/types/bech32"
)

// curve is where scalars are shared and committed to.
var curve = group.Ristretto255

// Domains keep what is derived for one purpose apart from every other.
const (
	domainAge     = "isun/vault/1/age"
	domainKeyring = "isun/vault/1/keyring"
	domainSeal    = "isun/vault/1/seal"
)

const (
	ageRecipientPrefix = "age"
	ageSecretPrefix    = "age-secret-key-"
	scalarBytes        = 32
)

// Identity is an age key pair derived from a scalar that can be split. Wipe it
// when done.
type Identity struct {
	secret group.Scalar
	pair   *age.X25519Identity
}

// NewIdentity makes a random identity.
func NewIdentity() (*Identity, error) { return identityOf(curve.RandomNonZeroScalar(rand.Reader)) }

// identityOf derives the age key: the scalar alone is what holders share.
func identityOf(secret group.Scalar) (*Identity, error) {
	if secret.IsZero() {
		return nil, fmt.Errorf("%w: the secret is zero", ErrRecord)
	}
	raw, err := secret.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	defer clear(raw)
	key, err := hkdf.Key(sha256.New, raw, nil, domainAge, scalarBytes)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	defer clear(key)
	text, err := bech32.ConvertAndEncode(ageSecretPrefix, key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	pair, err := age.ParseX25519Identity(strings.ToUpper(text))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Identity{secret: secret, pair: pair}, nil
}

// Recipient is the public half, "age1…".
func (i *Identity) Recipient() string { return i.pair.Recipient().String() }

// Age is the key pair as package age takes it.
func (i *Identity) Age() age.Identity { return i.pair }

// Text is the secret as the age tool reads it, "AGE-SECRET-KEY-1…", to share
// what was encrypted to it with a person.
func (i *Identity) Text() string { return i.pair.String() }

// Wipe overwrites the scalar. Copies that package age and the garbage
// collector made are beyond reach. The identity must not be used afterwards.
func (i *Identity) Wipe() {
	if i == nil {
		return
	}
	i.secret.SetUint64(0)
	i.pair = nil
}

// ParseRecipient checks the public half of an identity.
func ParseRecipient(text string) (*age.X25519Recipient, error) {
	prefix, raw, err := bech32.DecodeAndConvert(text)
	if err != nil || prefix != ageRecipientPrefix || len(raw) != scalarBytes {
		return nil, fmt.Errorf("%w: recipient %q is not age1…", ErrRecord, clip(text))
	}
	recipient, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, fmt.Errorf("%w: recipient %q: %w", ErrRecord, clip(text), err)
	}
	return recipient, nil
}

// clip keeps hostile text out of logs by the megabyte.
func clip(s string) string { return s[:min(len(s), 80)] }
