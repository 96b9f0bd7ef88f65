package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// pulled is what uai pull prints as JSON.
type pulled struct {
	Image     string `json:"image,omitempty"`
	Digest    string `json:"digest"`
	Layout    string `json:"layout"`
	SizeBytes int64  `json:"size_bytes"`
	// FetchedBytes came from nodes; the rest was here.
	FetchedBytes int64 `json:"fetched_bytes"`
	// Decrypted is the digest of what the layout has of a private image of one's own.
	Decrypted string `json:"decrypted,omitempty"`
}

func (c *commands) uaiPull() *cobra.Command {
	var out string
	var encrypted bool
	cmd := &cobra.Command{
		Use:   "pull IMAGE",
		Short: "Take an image out of iSunCloud",
		Long: `Take an image out of iSunCloud, from as many of its holders as answer, and put it into the
store on this machine or into a layout folder. IMAGE is a published name or the digest
of an index. Every byte is checked; a pull that was interrupted goes on where it was,
and of the next version of an image only what changed is sent.

A private image of yours, pulled by its name, is decrypted with the keyring in --home.
The key of others' is given to the nodes that run it, and to nobody else.`,
		Example: `  isun uai pull isun1.../hello:1
  isun uai pull sha256:4f3c... --out hello`,
		Args: exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runPull(cmd.Context(), args[0], out, encrypted)
		},
		ValidArgsFunction: c.completeImages,
	}
	cmd.Flags().StringVar(&out, "out", "", "layout folder to put it into (default: the store)")
	cmd.Flags().BoolVar(&encrypted, "encrypted", false, "take a private image as it is stored")
	return cmd
}

func (c *commands) runPull(ctx context.Context, text, out string, encrypted bool) error {
	s, err := c.open(ctx, !strings.Contains(text, "/") && !strings.HasPrefix(text, "sha256:"))
	if err != nil {
		return err
	}
	defer s.end()
	answer := pulled{Layout: out}
	if answer.Layout == "" {
		answer.Layout = c.storeDir()
	}
	digest, err := uai.ParseDigest(text)
	if err != nil {
		if answer.Image, digest, err = s.published(ctx, text); err != nil {
			return err
		}
	}
	answer.Digest = digest.String()
	var key *vault.Identity
	if answer.Image != "" && !encrypted {
		if key, err = s.openPrivate(ctx, answer.Image); err != nil {
			return err
		}
	}
	store, err := c.openFetched()
	if err != nil {
		return err
	}
	defer store.Close()
	if err := s.pull(ctx, store, digest, &answer); err != nil {
		return err
	}
	image, err := uai.OpenContents(contentsOf(store), uai.DefaultLimits()).Image(digest)
	if err != nil {
		return err
	}
	if key != nil && image.Private() {
		answer.Decrypted, err = copyDecrypted(ctx, image, key, answer.Layout, answer.Image)
	} else {
		err = uai.Copy(ctx, image, answer.Layout, answer.Image)
	}
	if err != nil {
		return err
	}
	return c.print(answer, func() error {
		what := digest.String()
		if answer.Decrypted != "" {
			what += ", decrypted as " + answer.Decrypted + ","
		}
		return c.say("%s is in %s: %s, of which %s came from nodes", what, answer.Layout,
			format.Bytes(uint64(answer.SizeBytes)), format.Bytes(uint64(answer.FetchedBytes)))
	})
}

// copyDecrypted puts a private image into a layout as it was before, and gives the digest it has there. What is encrypted is
// not left behind.
func copyDecrypted(ctx context.Context, image *uai.Image, key *vault.Identity, dir, name string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".isun-pull-") // on the same disk
	if err != nil {
		return "", fmt.Errorf("decrypt: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // a copy, on its way
	if err := uai.Copy(ctx, image, work, ""); err != nil {
		return "", err
	}
	digest, err := uai.Decrypt(ctx, work, image.Digest, key.Age(), "")
	if err != nil {
		return "", err
	}
	layout, err := uai.Open(work)
	if err != nil {
		return "", err
	}
	defer layout.Close()
	plain, err := layout.Image(digest)
	if err != nil {
		return "", err
	}
	return digest.String(), uai.Copy(ctx, plain, dir, name)
}

// published finds an image on the chain.
func (s *session) published(ctx context.Context, text string) (string, uai.Digest, error) {
	ref, err := s.client.ImageRef(text)
	if err != nil {
		return "", "", err
	}
	image, err := s.client.Image(ctx, ref)
	if err != nil {
		return "", "", err
	}
	digest, err := uai.ParseDigest(image.Digest)
	return ref, digest, err
}

// pull brings a root into the store.
func (s *session) pull(ctx context.Context, store *blobs.Store, root uai.Digest, answer *pulled) error {
	host, err := s.peer(nil, false)
	if err != nil {
		return err
	}
	defer host.Close()
	bar := s.transferBar("pulling")
	tree, err := cloudclient.Pull(ctx, cloudclient.NewCatalogue(s.conn), host, store, root, fetch.Options{
		Progress: func(p fetch.Progress) {
			answer.SizeBytes, answer.FetchedBytes = p.Total, p.Remote
			bar.set(p.Local+p.Remote, p.Total)
		},
		Report: func(f fetch.Fault) {
			fmt.Fprintf(s.streams.Err, "a node %s and is asked no more: %s: %v\n", f.Kind, f.Source, f.Err)
		},
	})
	bar.clear()
	if err != nil {
		return err
	}
	return store.SetRoot(root, tree, false)
}

// contentsOf reads a store as package uai does a layout.
func contentsOf(store *blobs.Store) func(uai.Digest) (io.ReadCloser, int64, error) {
	return func(digest uai.Digest) (io.ReadCloser, int64, error) {
		size, err := store.Stat(digest)
		if err == nil {
			var content cloud.Content
			if content, err = store.Open(digest); err == nil {
				return content, size, nil
			}
		}
		if errors.Is(err, cloud.ErrNotHeld) {
			err = fmt.Errorf("%w: %w", uai.ErrNotFound, err)
		}
		return nil, 0, err
	}
}
