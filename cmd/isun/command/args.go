package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTime bounds how long a shell waits for words from the chain.
const completionTime = 2 * time.Second

// exactArgs wants these arguments and says which are missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := atLeastArgs(names...)(cmd, args); err != nil {
			return err
		}
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

func atLeastArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing: %s", strings.Join(names[len(args):], " and "), cmd.UseLine())
		}
		return nil
	}
}

// completeLeases offers the numbers of the key's open leases for the first argument.
func (c *commands) completeLeases(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeWith(cmd, func(ctx context.Context, s *session) ([]string, error) {
		tenant, err := s.client.Address()
		if err != nil {
			return nil, err
		}
		leases, err := s.client.Leases(ctx, tenant, false)
		words := make([]string, 0, len(leases))
		for _, l := range leases {
			words = append(words, fmt.Sprintf("%d\t%s, %s", l.Number, l.Status, shortImage(l.Image)))
		}
		return words, err
	})
}

// completeImages offers the key's own images for the first argument.
func (c *commands) completeImages(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeWith(cmd, func(ctx context.Context, s *session) ([]string, error) {
		publisher, err := s.client.Address()
		if err != nil {
			return nil, err
		}
		images, err := s.client.Images(ctx, publisher, "", 100)
		words := make([]string, 0, len(images))
		for _, i := range images {
			words = append(words, strings.TrimPrefix(i.Image, publisher+"/"))
		}
		return words, err
	})
}

// completeWith asks the chain for words; where it does not answer there are none.
func (c *commands) completeWith(
	cmd *cobra.Command, words func(context.Context, *session) ([]string, error),
) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	if err := setFromEnvironment(cmd.Flags()); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	s, err := c.open(ctx, true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.end()
	list, err := words(ctx, s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
