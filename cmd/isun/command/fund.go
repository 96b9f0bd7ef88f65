package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
)

// funded is what fund prints as JSON.
type funded struct {
	Lease   string `json:"lease"`
	Amount  string `json:"amount_uisc"`
	Balance string `json:"balance_uisc"`
	tenant.Sent
}

func (c *commands) fund() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fund LEASE AMOUNT",
		Short: "Add to a lease's balance",
		Long: `Add to a lease's balance, your own or, as tenant/number, anybody's. A lease that had
run out of money or was suspended is tried again.`,
		Example: `  isun fund 3 10
  isun fund isun1.../3 10000000uisc --yes`,
		Args:              exactArgs("LEASE", "AMOUNT"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runFund(cmd.Context(), args[0], args[1]) },
		ValidArgsFunction: c.completeLeases,
	}
	return cmd
}

func (c *commands) runFund(ctx context.Context, lease, text string) error {
	amount, err := format.ParseAmount(text)
	if err != nil {
		return err
	}
	if amount.IsZero() {
		return fmt.Errorf("amount %q is nothing", text)
	}
	s, id, err := c.openLease(ctx, lease, true)
	if err != nil {
		return err
	}
	defer s.end()
	if err := c.confirm(ctx, fmt.Sprintf("Pay %s into lease %s", format.ISC(amount), id)); err != nil {
		return err
	}
	sent, balance, err := s.client.Fund(ctx, id, amount)
	if err != nil {
		return err
	}
	return c.print(funded{Lease: id.String(), Amount: amount.String(), Balance: balance.String(), Sent: sent}, func() error {
		return c.say("lease %d has %s left (transaction %s)", id.Number, format.ISC(balance), sent.Tx)
	})
}
