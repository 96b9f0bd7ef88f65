package command

import (
	"fmt"
	"path/filepath"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// keyringFile is the seed of what the tenant encrypts, in the home beside the keys that sign.
const keyringFile = "keyring.json"

// keyring opens the tenant's keyring, and makes one when there is none: then it says once that it has to be kept.
func (c *commands) keyring() (*vault.Keyring, error) {
	path := filepath.Join(c.flags.home, keyringFile)
	ring, created, err := vault.LoadOrCreateKeyring(path)
	if err != nil {
		return nil, err
	}
	if created {
		fmt.Fprintf(c.streams.Err, "The keys of your private images and snapshots come from %s, made now.\n"+
			"Keep a copy of that file in a safe place: without it nobody can give you what you encrypted.\n", path)
	}
	return ring, nil
}
