package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// closed is what close prints as JSON.
type closed struct {
	Lease  string `json:"lease"`
	Status string `json:"status"`
	// Settled is true when everything was paid and refunded.
	Settled bool        `json:"settled"`
	Bill    tenant.Bill `json:"bill"`
	// Tx is empty when the lease was closing already.
	Tx     string `json:"tx,omitempty"`
	Height int64  `json:"height,omitempty"`
}

func (c *commands) close() *cobra.Command {
	var wait bool
	var waitTime time.Duration
	cmd := &cobra.Command{
		Use:     "close LEASE",
		Aliases: []string{"rm"},
		Short:   "End a lease, get the rest of the deposit back and see the bill",
		Long: `End a lease. Its replicas stop, their machines are paid for what they served, and
what is left of the deposit comes back. Settling waits for the machines' last
attestations, a few minutes at most; the bill follows.

The rest of the hour that a replica was in is not given back, except within the
trial period after its start.`,
		Example: `  isun close 3
  isun close 3 --yes --output json`,
		Args: exactArgs("LEASE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runClose(cmd.Context(), args[0], wait, waitTime)
		},
		ValidArgsFunction: c.completeLeases,
	}
	addWait(cmd, &wait, &waitTime, "until the refund is paid")
	return cmd
}

func (c *commands) runClose(ctx context.Context, text string, wait bool, waitTime time.Duration) error {
	s, id, err := c.openLease(ctx, text, true)
	if err != nil {
		return err
	}
	defer s.end()
	lease, err := s.client.Lease(ctx, id)
	if err != nil {
		return err
	}
	result := closed{Lease: lease.Lease}
	if lease.Status != "closing" && lease.Status != "closed" {
		if err := c.confirm(ctx, fmt.Sprintf("Close lease %s, of which %d replicas run", id, lease.Running)); err != nil {
			return err
		}
		sent, err := s.client.Close(ctx, id)
		if err != nil {
			return err
		}
		result.Tx, result.Height = sent.Tx, sent.Height
		fmt.Fprintf(c.streams.Err, "lease %d is closing (block %d, transaction %s)\n", id.Number, sent.Height, sent.Tx)
	}
	var waitErr error
	if wait {
		lease, waitErr = s.awaitClosed(ctx, id, waitTime)
	} else if lease, err = s.client.Lease(ctx, id); err != nil {
		return err
	}
	result.Status, result.Bill = lease.Status, lease.Bill
	result.Settled = lease.Status == "closed"
	return errors.Join(c.print(result, func() error {
		if !result.Settled {
			return c.say("lease %d is %s; `isun close %d` waits for its bill", id.Number, lease.Status, id.Number)
		}
		return errors.Join(c.say("lease %d is closed: %s came back", id.Number, isc(lease.Bill.Refunded)), c.say(""), c.writeBill(lease.Bill))
	}), waitErr)
}

// awaitClosed waits with a live status line.
func (s *session) awaitClosed(ctx context.Context, id leasetypes.LeaseID, waitTime time.Duration) (tenant.Lease, error) {
	waitCtx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	line := s.line()
	lease, err := s.client.WaitClosed(waitCtx, id, func(p tenant.Progress) { line.Set(p.Detail, p.Countdown) })
	line.Clear()
	switch {
	case err == nil:
		return lease, nil
	case ctx.Err() != nil:
		return lease, errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return lease, fmt.Errorf("waited %s for lease %d to be settled; it goes on, and `isun close %d` waits again", waitTime, id.Number, id.Number)
	default:
		return lease, err
	}
}
