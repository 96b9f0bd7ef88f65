package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// inspected is what inspect prints as JSON: the lease, and with --history all placements the chain still knows.
type inspected struct {
	tenant.Lease
	History []tenant.Placement `json:"history,omitempty"`
}

// historyLimit is how many settled placements are shown.
const historyLimit = 200

func (c *commands) inspect() *cobra.Command {
	var history bool
	cmd := &cobra.Command{
		Use:     "inspect LEASE",
		Aliases: []string{"show"},
		Short:   "Show a lease: its placements, what it waits for and its bill",
		Long: `Show a lease: its placements, what it waits for and its bill.

LEASE is the number of one of your leases, or tenant/number for anybody's.`,
		Example: `  isun inspect 3
  isun inspect isun1.../3 --history
  isun inspect 3 --output json | jq -r '.placements[].endpoints[].url'`,
		Args: exactArgs("LEASE"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.runInspect(cmd.Context(), args[0], history) },
	}
	cmd.Flags().BoolVar(&history, "history", false, "settled placements too, as long as the chain keeps them")
	cmd.ValidArgsFunction = c.completeLeases
	return cmd
}

// openLease connects and reads a lease's name; a bare number needs the key whose lease it is.
func (c *commands) openLease(ctx context.Context, text string, withKey bool) (*session, leasetypes.LeaseID, error) {
	s, err := c.open(ctx, withKey || !strings.Contains(text, "/"))
	if err != nil {
		return nil, leasetypes.LeaseID{}, err
	}
	id, err := s.client.LeaseID(text)
	if err != nil {
		s.end()
		return nil, id, err
	}
	return s, id, nil
}

func (c *commands) runInspect(ctx context.Context, text string, history bool) error {
	s, id, err := c.openLease(ctx, text, false)
	if err != nil {
		return err
	}
	defer s.end()
	view := inspected{}
	if view.Lease, err = s.client.Lease(ctx, id); err != nil {
		return err
	}
	if view.Saving, err = s.client.Saving(ctx, id); err != nil {
		return err
	}
	if history {
		if view.History, err = s.client.Placements(ctx, id, historyLimit); err != nil {
			return err
		}
	}
	return c.print(view, func() error {
		if history {
			view.Placements = view.History
		}
		return c.writeLease(view.Lease)
	})
}

// writeLease shows a lease for a person.
func (c *commands) writeLease(l tenant.Lease) error {
	status := l.Status
	if l.CloseReason != "" {
		status += ", " + l.CloseReason
	}
	facts := [][2]string{
		{"lease", l.Lease},
		{"status", status},
		{"image", l.Image},
		{"replicas", fmt.Sprintf("%d of %d run", l.Running, l.Replicas)},
		{"demand", format.Demand(l.Demand.Proto()) + " each"},
		{"price", fmt.Sprintf("%s now for all, at most %s a replica", iscPerHour(l.HourPrice), format.HourPrice(l.MaxPrice))},
		{"age", format.Duration(seconds(l.AgeSeconds))},
	}
	if l.FundedSeconds > 0 {
		facts = append(facts, [2]string{"lasts", "about " + format.Duration(seconds(l.FundedSeconds)) + " at the present price"})
	}
	if l.Saving != nil {
		id := leasetypes.LeaseID{Tenant: l.Tenant, Number: l.Number}
		facts = append(facts, [2]string{"volumes", describeSaving(l.Saving, id)})
	}
	if len(l.Args) > 0 {
		facts = append(facts, [2]string{"args", strings.Join(l.Args, " ")})
	}
	for _, name := range sortedKeys(l.Env) {
		facts = append(facts, [2]string{"env", name + "=" + l.Env[name]})
	}
	var errs []error
	for _, f := range facts {
		errs = append(errs, c.say("%-9s %s", f[0], format.Plain(f[1])))
	}
	if len(l.Placements) > 0 {
		errs = append(errs, c.say(""), c.writePlacements(l.Placements))
	}
	if len(l.Waiting) > 0 {
		errs = append(errs, c.say(""), c.writeWaiting(l.Waiting))
	}
	return errors.Join(append(errs, c.say(""), c.writeBill(l.Bill))...)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (c *commands) writePlacements(placements []tenant.Placement) error {
	table := format.NewTable(">REPLICA", ">GEN", "STATUS", ">SUNS", ">PRICE", ">RUN", ">BILLED", "NODE", "ENDPOINTS")
	for _, p := range placements {
		status := p.Status
		switch {
		case p.EndReason != "" && p.EndDetail != "":
			status += " (" + p.EndReason + ": " + p.EndDetail + ")"
		case p.EndReason != "":
			status += " (" + p.EndReason + ")"
		case p.Draining:
			status += " (draining)"
		}
		urls := make([]string, 0, len(p.Endpoints))
		for _, e := range p.Endpoints {
			urls = append(urls, e.URL)
		}
		table.Add(fmt.Sprint(p.Replica), fmt.Sprint(p.Generation), status, format.SUNS(p.MilliSuns), iscPerHour(p.HourPrice),
			format.Duration(seconds(p.RunSeconds)), format.Duration(seconds(p.BilledSeconds)), p.Node, strings.Join(urls, " "))
	}
	return table.Write(c.streams.Out)
}

func (c *commands) writeWaiting(waiting []tenant.Waiting) error {
	table := format.NewTable(">REPLICA", ">TRIES", ">NEXT TRY", "WAITS BECAUSE")
	for _, w := range waiting {
		reason := w.Reason
		if reason == "" {
			reason = "it has just been queued"
		}
		table.Add(fmt.Sprint(w.Replica), fmt.Sprint(w.Attempts), "in "+format.Duration(seconds(w.RetrySeconds)), reason)
	}
	return table.Write(c.streams.Out)
}

// writeBill shows where a lease's money is.
func (c *commands) writeBill(b tenant.Bill) error {
	table := format.NewTable("BILL", ">ISC")
	for _, row := range [][2]string{
		{"deposited", b.Deposited},
		{"paid to operators", b.PaidOperators},
		{"paid to the audit pool", b.PaidAudit},
		{"paid to the image's owner", b.PaidRoyalty},
		{"paid for retries", b.RetryFees},
		{"refunded", b.Refunded},
		{"reserved for this period", b.Reserved},
		{"left", b.Balance},
	} {
		table.Add(row[0], strings.TrimSuffix(isc(row[1]), " ISC"))
	}
	err := table.Write(c.streams.Out)
	if b.BilledSeconds > 0 {
		err = errors.Join(err, c.say("%s of service in %d settled periods", format.Duration(seconds(b.BilledSeconds)), b.Periods))
	}
	if !b.AddsUp {
		err = errors.Join(err, c.say("these figures do not add up: please report it"))
	}
	return err
}
