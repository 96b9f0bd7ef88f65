package command

import (
	"fmt"
	"path/filepath"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// keyringPath is the seed of what the tenant encrypts, in the home beside the keys that sign.
func (c *commands) keyringPath() string { return filepath.Join(c.flags.home, "keyring.json") }

// keyring opens the tenant's keyring, and makes one when there is none: then it says once that it has to be kept.
func (c *commands) keyring() (*vault.Keyring, error) {
	ring, created, err := vault.LoadOrCreateKeyring(c.keyringPath())
	if err != nil {
		return nil, err
	}
	if created {
		fmt.Fprintf(c.streams.Err, "The keys of your private images and snapshots come from %s, made now.\n"+
			"Keep a copy of that file in a safe place: without it nobody can give you what you encrypted.\n", c.keyringPath())
	}
	return ring, nil
}
