package uai

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// EncryptedSuffix ends the media type of a layer that is encrypted with age.
// What is before it is the type of what is inside.
const EncryptedSuffix = "+age"

// Sentinels of private images.
var (
	// ErrLocked: the layers are encrypted, and no key was given.
	ErrLocked = errors.New("image is private and there is no key for it")
	// ErrWrongKey: none of the keys given opens the layers.
	ErrWrongKey = errors.New("image is private and this is not its key")
)

// Encrypted says whether the content is encrypted.
func (b Blob) Encrypted() bool { return strings.HasSuffix(b.MediaType, EncryptedSuffix) }

// Private says whether layers are encrypted. Configuration, environment and
// the digests of the layers' content are not.
func (v *Variant) Private() bool { return slices.ContainsFunc(v.Layers, Blob.Encrypted) }

// Private says whether a variant's layers are encrypted.
func (i *Image) Private() bool { return slices.ContainsFunc(i.Variants, (*Variant).Private) }

// Unlock gives the keys that encrypted layers are read with.
func (v *Variant) Unlock(keys ...age.Identity) { v.keys = keys }

// Disguise has WriteArchive give the configuration of a private image another
// digest, which nobody can guess. Engines know an image by that digest and ask
// for no layers when they have it; the configuration is no secret, so whoever
// runs another image on the same machine could name this one otherwise.
func (v *Variant) Disguise() {
	field := fmt.Sprintf(`{"org.isuncoin.disguise":%q,`, rand.Text())
	v.raw = append([]byte(field), bytes.TrimSpace(v.raw)[1:]...)
	v.Config.Digest, v.Config.Size = digestOf(v.raw), int64(len(v.raw))
}

func (v *Variant) locked() bool { return v.Private() && len(v.keys) == 0 }

// decrypt reads what is inside a layer. What comes out is checked piece by
// piece by age, and as a whole against the configuration by whoever reads it.
func (v *Variant) decrypt(layer Blob, stored io.Reader) (io.Reader, error) {
	if !layer.Encrypted() {
		return stored, nil
	}
	if len(v.keys) == 0 {
		return nil, ErrLocked
	}
	return decrypt(stored, v.keys...)
}

func decrypt(stored io.Reader, keys ...age.Identity) (io.Reader, error) {
	plain, err := age.Decrypt(stored, keys...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, fmt.Errorf("%w: not encrypted as its type says: %w", ErrMalformed, err)
	}
	return plain, nil
}
