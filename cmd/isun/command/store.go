package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/parcel"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

func (c *commands) store() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Store files and folders in the network, and fetch them",
		Long: `Store files and folders in iSunCloud under names of yours, and fetch them anywhere.

Several nodes hold what is stored. It is private: it is encrypted on this machine with
a key that comes from the keyring in --home, and the nodes that hold it cannot read it.
"isun store share" gives that key to whom you choose.`,
	}
	cmd.AddCommand(c.storePut(), c.storeGet(), c.storeList(), c.storeShare(), c.storeRemove())
	return cmd
}

// objectPut is what store put prints as JSON.
type objectPut struct {
	tenant.Object
	Public  bool     `json:"public"`
	Holders []string `json:"holders"`
	// Unchanged is true if the same content stood there already: then there is no transaction.
	Unchanged bool   `json:"unchanged"`
	Tx        string `json:"tx,omitempty"`
}

// putFlags are those of store put.
type putFlags struct {
	public   bool
	replicas int
}

func (c *commands) storePut() *cobra.Command {
	f := &putFlags{}
	cmd := &cobra.Command{
		Use:   "put FILE|DIR|- [NAME]",
		Short: "Store a file or folder in the network under a name",
		Long: `Store a file, a folder or the standard input (-) in iSunCloud, in place of what stood under
that name. NAME is a path of letters, digits, '.', '_' and '-'; without it the file's own
name is taken.

The content is encrypted here, names and times with it. What everybody sees is the name,
the size and when it was stored. With --public nothing is encrypted: everybody who finds
the name on the chain can read it, and so can each node that holds it.

Of a folder come back: names, contents, permissions, times, and links that lead nowhere
outside of it.`,
		Example: `  isun store put results.csv
  isun store put out/ runs/2026-11-24
  pg_dump app | isun store put - backups/app.sql
  isun store put weights.bin models/small --public`,
		Args: cobra.MatchAll(atLeastArgs("FILE"), cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runStorePut(cmd.Context(), f, args[0], strings.Join(args[1:], ""))
		},
	}
	cmd.Flags().BoolVar(&f.public, "public", false, "do not encrypt it: everybody can read it")
	cmd.Flags().IntVar(&f.replicas, "replicas", 0, "how many nodes are to hold it (default: as the chain asks)")
	return cmd
}

var unfitForNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// objectName is the name that a file gets if none is said.
func objectName(source, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if source == "-" {
		return "", errors.New("the standard input has no name: say one, as in `isun store put - NAME`")
	}
	path, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	if name = strings.Trim(unfitForNames.ReplaceAllString(filepath.Base(path), "_"), "."); name == "" {
		return "", fmt.Errorf("%s gives no name: say one, as in `isun store put %s NAME`", source, source)
	}
	return name, nil
}

func (c *commands) runStorePut(ctx context.Context, f *putFlags, source, name string) error {
	name, err := objectName(source, name)
	if err != nil {
		return err
	}
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	owner, err := s.client.Address()
	if err != nil {
		return err
	}
	if _, _, err := s.client.ObjectRef(owner + "/" + name); err != nil {
		return err
	}
	before, err := s.client.Object(ctx, owner, name)
	if err != nil && !chain.IsNotFound(err) {
		return err
	}
	dir, err := c.newWorkDir()
	if err != nil {
		return err
	}
	defer func() { _ = dir.remove() }() // a copy, on its way
	packed, err := s.packObject(ctx, source, dir.path, name, f.public)
	if err != nil {
		return err
	}
	if before.Digest != "" && s.isSame(ctx, before, packed) {
		return s.saySame(ctx, before, f.public)
	}
	return s.storePacked(ctx, f, name, dir.path, packed, before)
}

// packObject makes a tree of blobs in dir.
func (s *session) packObject(ctx context.Context, source, dir, name string, public bool) (parcel.Packed, error) {
	var total int64
	if info, err := os.Stat(source); err == nil && info.Mode().IsRegular() {
		total = info.Size()
	}
	bar := s.transferBar("packing")
	defer bar.clear()
	opts := parcel.PackOptions{Progress: func(bytes int64) { bar.set(bytes, max(total, bytes)) }}
	if !public {
		identity, err := s.objectIdentity(name)
		if err != nil {
			return parcel.Packed{}, err
		}
		if opts.Recipient, err = vault.ParseRecipient(identity.Recipient()); err != nil {
			return parcel.Packed{}, err
		}
		if opts.Mark, err = parcel.Mark(identity); err != nil {
			return parcel.Packed{}, err
		}
	}
	if source == "-" {
		return parcel.PackStream(ctx, s.streams.In, dir, opts)
	}
	return parcel.Pack(ctx, source, dir, opts)
}

// objectIdentity derives the key of the signer's object from the keyring.
func (s *session) objectIdentity(name string) (*vault.Identity, error) {
	owner, err := s.client.Address()
	if err != nil {
		return nil, err
	}
	ring, err := s.keyring()
	if err != nil {
		return nil, err
	}
	return ring.Identity(s.conn.ChainID(), vault.ObjectSubject(owner, name))
}

// isSame says whether an object has the content already. Private content is encrypted anew each time, so the owner's mark on it
// tells; where no holder shows it, the content counts as another.
func (s *session) isSame(ctx context.Context, before tenant.Object, packed parcel.Packed) bool {
	if before.Digest == packed.Root.String() {
		return true
	}
	if packed.Fingerprint == "" {
		return false
	}
	store, err := s.openFetched()
	if err != nil {
		return false
	}
	defer store.Close()
	old, err := s.fetchManifest(ctx, store, uai.Digest(before.Digest))
	return err == nil && old.Fingerprint == packed.Fingerprint
}

func (s *session) saySame(ctx context.Context, before tenant.Object, public bool) error {
	holders, err := cloudclient.NewCatalogue(s.conn).Holders(ctx, uai.Digest(before.Digest))
	if err != nil {
		return err
	}
	return s.print(objectPut{Object: before, Public: public, Holders: nodeNames(holders), Unchanged: true}, func() error {
		return s.say("%s has this content already, held by %d nodes: nothing was sent", before.Object, len(holders))
	})
}

func (s *session) storePacked(
	ctx context.Context, f *putFlags, name, dir string, packed parcel.Packed, before tenant.Object,
) error {
	owner, err := s.client.Address()
	if err != nil {
		return err
	}
	answer := objectPut{Public: f.public, Object: tenant.Object{
		Object: owner + "/" + name, Owner: owner, Name: name, Digest: packed.Root.String(),
	}}
	details := []string{fmt.Sprintf("%s: %s, encrypted; only who has its key can read it", answer.Object.Object, format.Bytes(uint64(packed.ContentBytes)))}
	if f.public {
		details[0] = fmt.Sprintf("%s: %s, NOT encrypted; everybody can read it", answer.Object.Object, format.Bytes(uint64(packed.ContentBytes)))
	}
	if before.Digest != "" {
		details = append(details, fmt.Sprintf("  it takes the place of %s", before.Digest))
	}
	if err := s.confirm(ctx, "Store it", details...); err != nil {
		return err
	}
	holders, size, err := s.pushLayout(ctx, dir, packed.Root, f.replicas)
	if err != nil {
		return err
	}
	sent, err := s.client.PutObject(ctx, name, answer.Digest, uint64(size))
	if err != nil {
		return err
	}
	answer.SizeBytes, answer.Height, answer.Tx, answer.Holders = uint64(size), sent.Height, sent.Tx, nodeNames(holders)
	return s.print(answer, func() error {
		return s.say("%s is stored and held by %s; fetch it with `isun store get %s`", answer.Object.Object, strings.Join(answer.Holders, ", "), name)
	})
}

// objectList is what store ls prints as JSON.
type objectList struct {
	Owner   string          `json:"owner"`
	Objects []tenant.Object `json:"objects"`
}

func (c *commands) storeList() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [OWNER]",
		Short: "List what is stored under your address, or another's",
		Example: `  isun store ls
  isun store ls isun1... --output json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runStoreList(cmd.Context(), strings.Join(args, ""))
		},
	}
}

func (c *commands) runStoreList(ctx context.Context, owner string) error {
	if owner != "" {
		if _, err := sdk.AccAddressFromBech32(owner); err != nil {
			return fmt.Errorf("OWNER: %w", err)
		}
	}
	s, err := c.open(ctx, owner == "")
	if err != nil {
		return err
	}
	defer s.end()
	if owner == "" {
		if owner, err = s.client.Address(); err != nil {
			return err
		}
	}
	objects, err := s.client.Objects(ctx, owner, 0)
	if err != nil {
		return err
	}
	return c.print(objectList{Owner: owner, Objects: objects}, func() error {
		if len(objects) == 0 {
			return c.say("nothing is stored; `isun store put FILE` does")
		}
		table := format.NewTable("NAME", ">SIZE", ">BLOCK", "DIGEST")
		for _, o := range objects {
			table.Add(o.Name, format.Bytes(o.SizeBytes), fmt.Sprint(o.Height), o.Digest)
		}
		return table.Write(c.streams.Out)
	})
}

// objectShared is what store share prints as JSON.
type objectShared struct {
	Object string `json:"object"`
	Key    string `json:"key"`
}

func (c *commands) storeShare() *cobra.Command {
	return &cobra.Command{
		Use:   "share NAME",
		Short: "Print the key by which others can read what you stored",
		Long: `Print the key of a private object of yours. Whoever has it can fetch and read the object,
also what you store under the same name later; it opens nothing else. It cannot be taken
back: to stop sharing, store under another name and remove this one.`,
		Example: `  isun store share results.csv
  isun store get --key isunkey1...`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.runStoreShare(cmd.Context(), args[0]) },
	}
}

func (c *commands) runStoreShare(ctx context.Context, text string) error {
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	owner, name, err := s.ownObject(text)
	if err != nil {
		return err
	}
	object, err := s.client.Object(ctx, owner, name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.keyringPath()); err != nil {
		return fmt.Errorf("the key of %s is not on this machine: %w", object.Object, err)
	}
	identity, err := s.objectIdentity(name)
	if err != nil {
		return err
	}
	key := parcel.Key{Object: object.Object, Secret: identity.Text()}.String()
	return c.print(objectShared{Object: object.Object, Key: key}, func() error { return c.say("%s", key) })
}

// ownObject reads the name of an object that has to be the signer's.
func (s *session) ownObject(text string) (owner, name string, err error) {
	if owner, name, err = s.client.ObjectRef(text); err != nil {
		return "", "", err
	}
	if address, err := s.client.Address(); err != nil || address != owner {
		return "", "", errors.Join(fmt.Errorf("%s/%s is not yours: its owner can do this", owner, name), err)
	}
	return owner, name, nil
}

// objectRemoved is what store rm prints as JSON.
type objectRemoved struct {
	Object string `json:"object"`
	tenant.Sent
}

func (c *commands) storeRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME",
		Aliases: []string{"remove"},
		Short:   "End that the network keeps what you stored",
		Long: `Remove an object of yours from the chain. The nodes that hold it drop it by and by, and
nobody can make them: what was public, or shared, may have been copied.`,
		Example: `  isun store rm results.csv`,
		Args:    exactArgs("NAME"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.runStoreRemove(cmd.Context(), args[0]) },
	}
}

func (c *commands) runStoreRemove(ctx context.Context, text string) error {
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	owner, name, err := s.ownObject(text)
	if err != nil {
		return err
	}
	object, err := s.client.Object(ctx, owner, name)
	if err != nil {
		return err
	}
	if err := c.confirm(ctx, "Remove it for good", fmt.Sprintf("%s: %s, %s", object.Object, format.Bytes(object.SizeBytes), object.Digest)); err != nil {
		return err
	}
	sent, err := s.client.RemoveObject(ctx, name)
	if err != nil {
		return err
	}
	return c.print(objectRemoved{Object: object.Object, Sent: sent}, func() error {
		return c.say("%s is removed (transaction %s)", object.Object, sent.Tx)
	})
}

// readKey takes a key, or a file of one, or the standard input.
func (c *commands) readKey(text string) (parcel.Key, age.Identity, error) {
	if text == "-" {
		raw, err := io.ReadAll(io.LimitReader(c.streams.In, 4096))
		if err != nil {
			return parcel.Key{}, nil, err
		}
		text = string(raw)
	}
	key, err := parcel.ParseKey(text)
	if err != nil {
		return parcel.Key{}, nil, fmt.Errorf("--key: %w", err)
	}
	identity, err := key.Identity()
	return key, identity, err
}
