package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/parcel"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// objectGot is what store get prints as JSON.
type objectGot struct {
	Object    string `json:"object,omitempty"`
	Digest    string `json:"digest"`
	Out       string `json:"out"`
	Public    bool   `json:"public"`
	SizeBytes int64  `json:"size_bytes"`
	// FetchedBytes came from nodes; the rest was here.
	FetchedBytes int64 `json:"fetched_bytes"`
}

// getFlags are those of store get.
type getFlags struct {
	key   string
	force bool
}

func (c *commands) storeGet() *cobra.Command {
	f := &getFlags{}
	cmd := &cobra.Command{
		Use:   "get NAME|OWNER/NAME|DIGEST [OUT]",
		Short: "Fetch what is stored in the network",
		Long: `Fetch a stored object from as many of its holders as answer, check every byte, decrypt it
and write it to OUT: a file or folder that appears when all of it is there, or - for the
standard output. Without OUT it is the last part of its name, in this folder. What was
interrupted goes on where it was.

Your own objects are opened with the keyring in --home. Others' take the key that their
owner printed with "isun store share"; it says which object it is for.`,
		Example: `  isun store get results.csv
  isun store get runs/2026-11-24 out
  isun store get --key isunkey1...
  isun store get backups/app.sql - | psql app`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && f.key == "" {
				return errors.New("which object? Say its name, or --key")
			}
			name, out := "", ""
			if len(args) > 0 {
				name = args[0]
			}
			if len(args) > 1 {
				out = args[1]
			}
			return c.runStoreGet(cmd.Context(), f, name, out)
		},
	}
	cmd.Flags().StringVar(&f.key, "key", "", "the key of somebody else's object, isunkey1…; - reads it from the standard input")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace a file that is there")
	return cmd
}

// wanted is an object to fetch, and what may open it.
type wanted struct {
	// object is owner/name, empty for a digest that no name was said for.
	object   string
	digest   uai.Digest
	identity age.Identity
	// given says that the identity is of a key that was given.
	given bool
}

func (c *commands) runStoreGet(ctx context.Context, f *getFlags, text, out string) error {
	want := wanted{}
	var key parcel.Key
	if f.key != "" {
		var err error
		if key, want.identity, err = c.readKey(f.key); err != nil {
			return err
		}
		text, want.given = or(text, key.Object), true
	}
	owner, _, _ := strings.Cut(text, "/")
	_, err := sdk.AccAddressFromBech32(owner)
	s, err := c.open(ctx, err != nil && !strings.HasPrefix(text, "sha256:"))
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.findObject(ctx, text, &want); err != nil {
		return err
	}
	if want.given && want.object != "" && want.object != key.Object {
		return fmt.Errorf("the key is for %s, not for %s", key.Object, want.object)
	}
	return s.getObject(ctx, f, want, out)
}

// findObject reads a name or digest, and takes the key of one's own objects from the keyring.
func (s *session) findObject(ctx context.Context, text string, want *wanted) (err error) {
	if want.digest, err = uai.ParseDigest(text); err == nil {
		return nil
	}
	owner, name, err := s.client.ObjectRef(text)
	if err != nil {
		return err
	}
	object, err := s.client.Object(ctx, owner, name)
	if err != nil {
		return err
	}
	want.object = object.Object
	if want.digest, err = uai.ParseDigest(object.Digest); err != nil || want.given {
		return err
	}
	// Who has no keyring has nothing private of his own: none is made for this.
	if _, err := os.Stat(s.keyringPath()); err != nil {
		return nil
	}
	ring, err := s.keyring()
	if err != nil {
		return err
	}
	identity, err := ring.Identity(s.conn.ChainID(), vault.ObjectSubject(owner, name))
	if err != nil {
		return err
	}
	want.identity = identity.Age()
	return nil
}

func (s *session) getObject(ctx context.Context, f *getFlags, want wanted, out string) error {
	if out == "" {
		if want.object == "" {
			return errors.New("where to? A digest has no name: say OUT")
		}
		out = path.Base(want.object)
	}
	if _, err := os.Lstat(out); out != "-" && err == nil && !f.force {
		return fmt.Errorf("%s is there already: name another place, or say --force to replace a file", out)
	}
	store, err := s.openFetched()
	if err != nil {
		return err
	}
	defer store.Close()
	// A key that does not fit is found before anything large is sent.
	manifest, err := s.fetchManifest(ctx, store, want.digest)
	if err != nil {
		return err
	}
	if manifest.Private && want.identity == nil {
		return s.explain(want, parcel.ErrPrivate)
	}
	answer := pulled{}
	if err := s.pull(ctx, store, want.digest, &answer); err != nil {
		return err
	}
	if err := s.unpackObject(ctx, store, f, want, out); err != nil {
		return s.explain(want, err)
	}
	if err := store.RemoveRoot(want.digest); err != nil {
		return err
	}
	got := objectGot{
		Object: want.object, Digest: want.digest.String(), Out: out, Public: !manifest.Private,
		SizeBytes: answer.SizeBytes, FetchedBytes: answer.FetchedBytes,
	}
	if out == "-" {
		return nil
	}
	return s.print(got, func() error {
		return s.say("%s is in %s: %s, of which %s came from nodes", or(want.object, got.Digest), out,
			format.Bytes(uint64(got.SizeBytes)), format.Bytes(uint64(got.FetchedBytes)))
	})
}

func (s *session) unpackObject(ctx context.Context, store *blobs.Store, f *getFlags, want wanted, out string) error {
	p, err := parcel.Open(store, want.digest)
	if err != nil {
		return err
	}
	bar := s.transferBar("unpacking")
	defer bar.clear()
	opts := parcel.UnpackOptions{
		Identity: want.identity, Replace: f.force, Progress: func(bytes int64) { bar.set(bytes, p.Size) },
	}
	if out == "-" {
		return p.Stream(ctx, s.streams.Out, opts)
	}
	return p.Unpack(ctx, out, opts)
}

// explain says what to do when content does not open.
func (s *session) explain(want wanted, err error) error {
	name := or(want.object, want.digest.String())
	switch {
	case errors.Is(err, parcel.ErrPrivate), errors.Is(err, parcel.ErrNoKey) && !want.given:
		if want.object == "" {
			return fmt.Errorf("%s is private: fetch it by its name, or with --key", name)
		}
		return fmt.Errorf("%s is private and %s does not have its key: ask its owner for what `isun store share` prints, and give it as --key",
			name, s.keyringPath())
	case errors.Is(err, parcel.ErrNoKey):
		return fmt.Errorf("%w: %s was not encrypted by its owner to the key that was given", err, name)
	}
	return err
}

// fetchManifest brings the manifest of an object into the store, and nothing else.
func (s *session) fetchManifest(ctx context.Context, store *blobs.Store, root uai.Digest) (*parcel.Parcel, error) {
	if _, err := store.Stat(root); err == nil {
		return parcel.Open(store, root)
	}
	host, err := s.peer(nil, false)
	if err != nil {
		return nil, err
	}
	defer host.Close()
	sources, err := cloudclient.Sources(ctx, cloudclient.NewCatalogue(s.conn), host, root)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, source := range sources {
		sizes, err := source.Stat(ctx, []uai.Digest{root})
		size, ok := sizes[root]
		if err != nil || !ok || size > uai.DefaultLimits().MetadataBytes {
			failures = append(failures, fmt.Errorf("%s: it has no manifest %s: %w", source.Name(), root, errors.Join(err, cloud.ErrNotHeld)))
			continue
		}
		if err := fetch.Blob(ctx, store, cloud.Blob{Digest: root, Size: size}, []cloud.Source{source}, fetch.Options{}); err != nil {
			failures = append(failures, err)
			continue
		}
		return parcel.Open(store, root)
	}
	return nil, errors.Join(failures...)
}
