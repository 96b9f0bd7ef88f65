package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/tenant"
)

// accessShown is what uai access prints as JSON.
type accessShown struct {
	tenant.Access
	// Sent is the transaction that changed it, if one did.
	*tenant.Sent
}

func (c *commands) uaiAccess() *cobra.Command {
	var change tenant.AccessChange
	var open, restrict bool
	cmd := &cobra.Command{
		Use:   "access IMAGE",
		Short: "Show or change who may run an image",
		Long: `Show who may run an image, or change that for an image of yours.

A restricted image may be ordered by its owner and by the addresses it was granted to,
and only nodes that run it for one of them are given the key of a private one. A change
binds orders and starts from now on: what runs goes on, and who has read an image once
can keep what it read.`,
		Example: `  isun uai access hello:1
  isun uai access hello:1 --grant isun1... --revoke isun1...
  isun uai access hello:1 --open`,
		Args: exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if open || restrict {
				change.Restricted = &restrict
			}
			return c.runAccess(cmd.Context(), args[0], change)
		},
		ValidArgsFunction: c.completeImages,
	}
	cmd.Flags().StringSliceVar(&change.Grant, "grant", nil, "let this address run it; repeat it for others")
	cmd.Flags().StringSliceVar(&change.Revoke, "revoke", nil, "take that back")
	cmd.Flags().BoolVar(&open, "open", false, "let everybody run it; those it was granted to are remembered")
	cmd.Flags().BoolVar(&restrict, "restrict", false, "let only the owner and those it was granted to run it")
	cmd.MarkFlagsMutuallyExclusive("open", "restrict")
	return cmd
}

func (c *commands) runAccess(ctx context.Context, text string, change tenant.AccessChange) error {
	changes := describeAccess(change)
	s, err := c.open(ctx, len(changes) > 0 || !strings.Contains(text, "/"))
	if err != nil {
		return err
	}
	defer s.end()
	ref, err := s.client.ImageRef(text)
	if err != nil {
		return err
	}
	answer := accessShown{}
	if len(changes) > 0 {
		if err := c.confirm(ctx, "Change who may run "+ref, changes...); err != nil {
			return err
		}
		sent, err := s.client.SetAccess(ctx, ref, change)
		if err != nil {
			return err
		}
		answer.Sent = &sent
	}
	if answer.Access, err = s.client.Access(ctx, ref); err != nil {
		return err
	}
	return c.print(answer, func() error { return c.writeAccess(answer.Access) })
}

func describeAccess(change tenant.AccessChange) []string {
	var lines []string
	if change.Restricted != nil {
		who := "everybody may run it"
		if *change.Restricted {
			who = "its owner and those it was granted to may run it"
		}
		lines = append(lines, who)
	}
	for _, address := range change.Grant {
		lines = append(lines, "grant it to "+address)
	}
	for _, address := range change.Revoke {
		lines = append(lines, "revoke it from "+address)
	}
	return lines
}

func (c *commands) writeAccess(a tenant.Access) error {
	errs := []error{
		c.say("%-9s %s", "image", a.Image), c.say("%-9s %s", "owner", a.Owner), c.say("%-9s %s", "may run", mayRun(a.Restricted)),
	}
	for _, address := range a.Grantees {
		errs = append(errs, c.say("%-9s %s", "granted", address))
	}
	if len(a.Grantees) == 0 && a.Restricted {
		errs = append(errs, c.say("%-9s %s", "granted", fmt.Sprintf("nobody; `isun uai access %s --grant ADDRESS` does", a.Image)))
	}
	return errors.Join(errs...)
}
