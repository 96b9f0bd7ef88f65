package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// sealedName is the one entry of a folder with a private copy.
const sealedName = "sealed"

// sealed is a private copy of an image. It is another each time it is made, so it is kept until it is published: a push that
// was interrupted sends nothing twice.
type sealed struct {
	dir      string
	digest   uai.Digest
	size     uint64
	identity *vault.Identity
	subject  vault.Subject
}

// done removes the copy: nodes hold it.
func (s sealed) done() error { return os.RemoveAll(s.dir) }

// seal encrypts what is to be published to the key of its name. ref is "publisher/name:tag".
func (s *session) seal(ctx context.Context, layout string, image tenant.Image, ref string) (sealed, error) {
	identity, subject, err := s.imageIdentity(ref)
	if err != nil {
		return sealed{}, err
	}
	recipient, err := vault.ParseRecipient(identity.Recipient())
	if err != nil {
		return sealed{}, err
	}
	sum := sha256.Sum256([]byte(identity.Recipient() + "\x00" + image.Digest))
	made := sealed{dir: filepath.Join(s.flags.home, "private", hex.EncodeToString(sum[:16])), identity: identity, subject: subject}
	if err := made.open(); err == nil {
		return made, nil
	}
	if err := s.refusePublished(ctx, ref); err != nil {
		return sealed{}, err
	}
	fmt.Fprintf(s.streams.Err, "encrypting %s\n", ref)
	plain := uai.Digest(image.Digest)
	if err := os.RemoveAll(made.dir); err != nil {
		return sealed{}, err
	}
	if err := os.MkdirAll(filepath.Dir(made.dir), 0o700); err != nil {
		return sealed{}, err
	}
	if err := unpackLayout(ctx, layout, plain, made.dir); err != nil {
		return sealed{}, fmt.Errorf("copy %s: %w", layout, err)
	}
	if _, err := uai.Encrypt(ctx, made.dir, plain, recipient, sealedName); err != nil {
		return sealed{}, err
	}
	if err := uai.Remove(ctx, made.dir, plain); err != nil {
		return sealed{}, err
	}
	return made, made.open()
}

// open finds the copy if it was made whole.
func (s *sealed) open() error {
	layout, err := uai.Open(s.dir)
	if err != nil {
		return err
	}
	defer layout.Close()
	entry, err := layout.Find("") // two are there while it is being made
	if err != nil {
		return err
	}
	if entry.Name != sealedName {
		return fmt.Errorf("%w: %s", uai.ErrNotFound, sealedName)
	}
	image, err := layout.Image(entry.Digest)
	if err != nil {
		return err
	}
	s.digest, s.size = entry.Digest, uint64(image.Size())
	return nil
}

// refusePublished says that a name is taken before anything is encrypted and sent.
func (s *session) refusePublished(ctx context.Context, ref string) error {
	_, err := s.client.Image(ctx, ref)
	if chain.IsNotFound(err) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s is published already, and a published tag never changes: choose another tag", ref)
	}
	return err
}

// imageIdentity derives the key of an image from the tenant's keyring.
func (s *session) imageIdentity(ref string) (*vault.Identity, vault.Subject, error) {
	ring, err := s.keyring()
	if err != nil {
		return nil, "", err
	}
	subject := vault.ImageSubject(ref)
	identity, err := ring.Identity(s.conn.ChainID(), subject)
	return identity, subject, err
}

// openPrivate gives the key of an image that is private, if this machine's keyring has it; nil if the image is not private.
func (s *session) openPrivate(ctx context.Context, ref string) (*vault.Identity, error) {
	holders, err := s.client.KeyHolders(ctx, string(vault.ImageSubject(ref)))
	if chain.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is no key to it
	}
	if err != nil {
		return nil, err
	}
	// Who has no keyring has no image of his own: none is made for this.
	if _, err := os.Stat(s.keyringPath()); err == nil {
		identity, _, err := s.imageIdentity(ref)
		if err != nil {
			return nil, err
		}
		if identity.Recipient() == holders.Recipient {
			return identity, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, fmt.Errorf("%s is private and %s does not have its key: nodes that run it are given the key, nobody else is; "+
		"--encrypted takes it as it is", ref, s.keyringPath())
}

// splitKey shares an image's key among nodes, and tells what the network is too small for.
func (s *session) splitKey(
	ctx context.Context, identity *vault.Identity, subject vault.Subject, want cloudclient.Sharing,
) (cloudclient.SplitKey, error) {
	split, err := cloudclient.Split(ctx, cloudclient.NewCatalogue(s.conn), identity, subject, want)
	if err == nil && split.Warning != "" {
		fmt.Fprintf(s.streams.Err, "%s\n", split.Warning)
	}
	return split, err
}
