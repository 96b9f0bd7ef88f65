package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// leaseList is what ps prints as JSON.
type leaseList struct {
	Tenant string         `json:"tenant"`
	Leases []tenant.Lease `json:"leases"`
}

func (c *commands) ps() *cobra.Command {
	var all bool
	var owner string
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List your leases",
		Long: `List your leases: how many replicas run of how many, what they cost an hour, what
is left of the deposit and how long that lasts, and where the first one is reached.`,
		Example: `  isun ps
  isun ps --all
  isun ps --tenant isun1... --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runPs(cmd.Context(), owner, all) },
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "closed leases too")
	cmd.Flags().StringVar(&owner, "tenant", "", "whose leases (default: those of the key)")
	return cmd
}

func (c *commands) runPs(ctx context.Context, owner string, all bool) error {
	if owner != "" {
		if _, err := sdk.AccAddressFromBech32(owner); err != nil {
			return fmt.Errorf("--tenant: %w", err)
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
	leases, err := s.client.Leases(ctx, owner, all)
	if err != nil {
		return err
	}
	if err := s.addSaving(ctx, leases); err != nil {
		return err
	}
	return c.print(leaseList{Tenant: owner, Leases: leases}, func() error { return c.writeLeases(leases, all) })
}

func (c *commands) writeLeases(leases []tenant.Lease, all bool) error {
	if len(leases) == 0 {
		if all {
			return c.say("no leases; `isun deploy IMAGE` orders one")
		}
		return c.say("no leases; `isun ps --all` shows closed ones")
	}
	table := format.NewTable(">LEASE", "STATUS", "IMAGE", ">RUN", "DEMAND", ">PRICE", ">LEFT", ">LASTS", ">AGE", "ENDPOINT")
	for _, l := range leases {
		lasts := ""
		if l.FundedSeconds > 0 {
			lasts = format.Duration(seconds(l.FundedSeconds))
		}
		price := ""
		if l.HourPrice != "0" {
			price = iscPerHour(l.HourPrice)
		}
		table.Add(fmt.Sprint(l.Number), l.Status, shortImage(l.Image), fmt.Sprintf("%d/%d", l.Running, l.Replicas),
			format.Demand(l.Demand.Proto()), price, isc(l.Bill.Balance), lasts, format.Duration(seconds(l.AgeSeconds)), firstEndpoint(l))
	}
	if err := table.Write(c.streams.Out); err != nil {
		return err
	}
	for _, l := range leases {
		if l.Saving == nil {
			continue
		}
		id := leasetypes.LeaseID{Tenant: l.Tenant, Number: l.Number}
		if err := c.say("lease %d: %s", l.Number, describeSaving(l.Saving, id)); err != nil {
			return err
		}
	}
	return nil
}

// addSaving says of leases with volumes, as long as they are open, how far those are saved.
func (s *session) addSaving(ctx context.Context, leases []tenant.Lease) (err error) {
	for i := range leases {
		if leases[i].Status == "closed" {
			continue
		}
		id := leasetypes.LeaseID{Tenant: leases[i].Tenant, Number: leases[i].Number}
		if leases[i].Saving, err = s.client.Saving(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func seconds(n uint64) time.Duration { return time.Duration(n) * time.Second }

// shortImage leaves most of the publisher's address out: "isun1qy3…k7/hello:1".
func shortImage(ref string) string {
	publisher, name, ok := strings.Cut(ref, "/")
	if !ok || len(publisher) < 14 {
		return ref
	}
	return publisher[:8] + "…" + publisher[len(publisher)-4:] + "/" + name
}

func firstEndpoint(l tenant.Lease) string {
	list := endpoints(l)
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].URL
	default:
		return fmt.Sprintf("%s +%d", list[0].URL, len(list)-1)
	}
}
