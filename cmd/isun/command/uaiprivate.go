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
	"syscall"

	"filippo.io/age"

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

// privateDir keeps private copies until they are published.
func (c *commands) privateDir() string { return filepath.Join(c.flags.home, "private") }

// lockPrivate has one push at a time make, serve and remove private copies. The kernel lets go of it with the process.
func (c *commands) lockPrivate() (unlock func(), err error) {
	if err := os.MkdirAll(c.privateDir(), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(c.privateDir(), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another push of a private image runs from %s: wait for it", c.flags.home), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing unlocks
}

// refuseSealed refuses an image whose layers are encrypted already: without holders of its key no node could run it.
func refuseSealed(path string, digest uai.Digest) error {
	layout, err := uai.Open(path)
	if err != nil {
		return err
	}
	defer layout.Close()
	image, err := layout.Image(digest)
	if err == nil && image.Private() {
		err = errors.New("its layers are encrypted, and no node would have the key: push the image it was made of, with --private")
	}
	return err
}

// done removes the copy: nodes hold it.
func (s *sealed) done() error { return os.RemoveAll(s.dir) }

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
	made := sealed{dir: filepath.Join(s.privateDir(), hex.EncodeToString(sum[:16])), identity: identity, subject: subject}
	if err := made.open(); err == nil {
		return made, nil
	}
	if err := s.refusePublished(ctx, ref); err != nil {
		return sealed{}, err
	}
	fmt.Fprintf(s.streams.Err, "encrypting %s\n", ref)
	if err := made.make(ctx, layout, uai.Digest(image.Digest), recipient); err != nil {
		return sealed{}, errors.Join(err, made.done())
	}
	return made, made.open()
}

// make copies an image and encrypts the copy. What a process that was killed left is made anew.
func (s *sealed) make(ctx context.Context, layout string, plain uai.Digest, recipient age.Recipient) error {
	if err := s.done(); err != nil {
		return err
	}
	if err := unpackLayout(ctx, layout, plain, s.dir); err != nil {
		return fmt.Errorf("copy %s: %w", layout, err)
	}
	if _, err := uai.Encrypt(ctx, s.dir, plain, recipient, sealedName); err != nil {
		return err
	}
	return uai.Remove(ctx, s.dir, plain)
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
