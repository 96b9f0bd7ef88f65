package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// keysShown is what uai keys prints as JSON.
type keysShown struct {
	tenant.KeyHolders
	// Sent is the transaction that renewed them, if one did.
	*tenant.Sent
}

func (c *commands) uaiKeys() *cobra.Command {
	var renew bool
	var want cloudclient.Sharing
	cmd := &cobra.Command{
		Use:   "keys IMAGE",
		Short: "Show or renew who holds the key of a private image",
		Long: `Show which nodes hold shares of the key of a private image, and whether they are alive.

As many of them as the threshold says give a node the key when it is to run the image;
fewer can neither give it nor learn it. With --renew the key is split anew among nodes
that are active now: do that when few are left, or when the network has grown. The key
itself stays, and it comes from the keyring in --home.`,
		Example: `  isun uai keys hello:1
  isun uai keys hello:1 --renew
  isun uai keys hello:1 --renew --holders 5 --threshold 3`,
		Args: exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !renew && (cmd.Flags().Changed("holders") || cmd.Flags().Changed("threshold")) {
				return errors.New("--holders and --threshold say how to --renew: say that too")
			}
			return c.runKeys(cmd.Context(), args[0], renew, want)
		},
		ValidArgsFunction: c.completeImages,
	}
	cmd.Flags().BoolVar(&renew, "renew", false, "split the key among nodes that are active now")
	addSharing(cmd, &want)
	return cmd
}

// addSharing adds the flags that say among how many nodes a key is split.
func addSharing(cmd *cobra.Command, want *cloudclient.Sharing) {
	cmd.Flags().IntVar(&want.Shares, "holders", 0, "nodes that get a share of the key (default 3, or what there is)")
	cmd.Flags().IntVar(&want.Threshold, "threshold", 0, "how many of them give the key back (default 2 of 3; 1 below three operators)")
}

func (c *commands) runKeys(ctx context.Context, text string, renew bool, want cloudclient.Sharing) error {
	s, err := c.open(ctx, renew || !strings.Contains(text, "/"))
	if err != nil {
		return err
	}
	defer s.end()
	ref, err := s.client.ImageRef(text)
	if err != nil {
		return err
	}
	answer := keysShown{}
	if answer.KeyHolders, err = s.imageKeys(ctx, ref); err != nil {
		return err
	}
	if renew {
		sent, err := s.renewKeys(ctx, ref, answer.KeyHolders, want)
		if err != nil {
			return err
		}
		answer.Sent = &sent
		if answer.KeyHolders, err = s.imageKeys(ctx, ref); err != nil {
			return err
		}
	}
	return c.print(answer, func() error { return c.writeKeys(answer.KeyHolders, ref) })
}

// imageKeys are the holders of an image's key.
func (s *session) imageKeys(ctx context.Context, ref string) (tenant.KeyHolders, error) {
	holders, err := s.client.KeyHolders(ctx, string(vault.ImageSubject(ref)))
	if chain.IsNotFound(err) {
		if _, err := s.client.Image(ctx, ref); err != nil {
			return holders, err
		}
		return holders, fmt.Errorf("%s is not private: there is no key to it", ref)
	}
	return holders, err
}

func (s *session) renewKeys(ctx context.Context, ref string, known tenant.KeyHolders, want cloudclient.Sharing) (tenant.Sent, error) {
	owner, err := s.client.Address()
	if err != nil {
		return tenant.Sent{}, err
	}
	identity, subject, err := s.imageIdentity(ref)
	if err != nil {
		return tenant.Sent{}, err
	}
	if identity.Recipient() != known.Recipient {
		return tenant.Sent{}, fmt.Errorf("%s was encrypted with another keyring than %s: take the one it was pushed with", ref, s.keyringPath())
	}
	split, err := s.splitKey(ctx, identity, subject, want)
	if err != nil {
		return tenant.Sent{}, err
	}
	question := fmt.Sprintf("Split the key of %s among %d nodes, of which %d give it back", ref, len(split.Nodes), split.Record.Threshold)
	if err := s.confirm(ctx, question); err != nil {
		return tenant.Sent{}, err
	}
	return s.client.SetKeyHolders(ctx, split.Message(owner))
}

func (c *commands) writeKeys(k tenant.KeyHolders, ref string) error {
	if k.Threshold == 0 {
		return c.say("the owner of %s keeps its key alone: no node can run it", ref)
	}
	table := format.NewTable("NODE", "STATUS", "GIVES ITS SHARE")
	for _, n := range k.Nodes {
		gives := "yes"
		switch {
		case !n.Alive:
			gives = "no"
		case !n.Reachable:
			gives = "no, it is not reached"
		}
		table.Add(n.Node, n.Status, gives)
	}
	if err := table.Write(c.streams.Out); err != nil {
		return err
	}
	if err := c.say("\n%d of these %d give the key back; alive: %d", k.Threshold, len(k.Nodes), k.Alive); err != nil {
		return err
	}
	if k.Alive < k.Threshold {
		return c.say("no node can start %s: renew its holders with `isun uai keys %s --renew`", ref, ref)
	}
	return nil
}
