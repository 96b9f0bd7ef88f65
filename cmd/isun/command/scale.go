package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// scaleFlags are those of scale.
type scaleFlags struct {
	demand   demandFlags
	saving   savingFlags
	image    string
	maxPrice string
	wait     bool
	waitTime time.Duration
}

func (c *commands) scale() *cobra.Command {
	f := &scaleFlags{}
	cmd := &cobra.Command{
		Use:   "scale LEASE [REPLICAS]",
		Short: "Change how many replicas a lease has, how big they are, their image or the price cap",
		Long: `Change a lease while it runs: how many replicas it has, how big they are, what image
they run or what they may cost. What is not said stays.

With another size or image each replica is ended and started anew. Ending a replica
costs the rest of its hour, except within the trial period after its start.`,
		Example: `  isun scale 3 5
  isun scale 3 --suns 2
  isun scale 3 2 --image hello:2 --max-price 1.2
  isun scale 3 --snapshot-every 30m --wait=false`,
		Aliases: []string{"update"},
		Args:    cobra.MatchAll(atLeastArgs("LEASE"), cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.saving.read(cmd)
			return c.runScale(cmd.Context(), f, args)
		},
	}
	f.demand.add(cmd, "as it is")
	f.saving.addSchedule(cmd, "save the volumes so often, such as 1h; 0 is on request alone (default: as it is)")
	cmd.Flags().StringVar(&f.image, "image", "", "another image, publisher/name:tag or name:tag (default: as it is)")
	cmd.Flags().StringVar(&f.maxPrice, "max-price", "", "another price cap, in ISC or uisc an hour (default: as it is)")
	addWait(cmd, &f.wait, &f.waitTime, "until every replica answers")
	cmd.ValidArgsFunction = c.completeLeases
	return cmd
}

func (c *commands) runScale(ctx context.Context, f *scaleFlags, args []string) error {
	change, err := f.change(args)
	if err != nil {
		return err
	}
	general, accelerator, err := f.demand.parse()
	if err != nil {
		return err
	}
	s, id, err := c.openLease(ctx, args[0], true)
	if err != nil {
		return err
	}
	defer s.end()
	before, err := s.client.Lease(ctx, id)
	if err != nil {
		return err
	}
	if general > 0 || accelerator != nil {
		demand := changedDemand(before.Demand.Proto(), general, accelerator)
		change.Demand = &demand
	}
	if f.image != "" {
		if change.Image, err = s.client.ImageRef(f.image); err != nil {
			return err
		}
	}
	if change == (tenant.Change{}) {
		return errors.New("nothing to change: say how many replicas, --suns, --gpu, --image, --max-price or --snapshot-every")
	}
	if err := c.confirm(ctx, "Change it", describeChange(before, change)...); err != nil {
		return err
	}
	start := c.streams.Now()
	sent, err := s.client.Update(ctx, id, change)
	if err != nil {
		return err
	}
	return s.finishScale(ctx, f, id, sent, start)
}

func (s *session) finishScale(ctx context.Context, f *scaleFlags, id leasetypes.LeaseID, sent tenant.Sent, start time.Time) error {
	after, err := s.client.Lease(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.streams.Err, "lease %d is changed (block %d, transaction %s)\n", id.Number, sent.Height, sent.Tx)
	result := deployed{
		Lease: id.String(), Tenant: id.Tenant, Number: id.Number, Image: after.Image, Replicas: after.Replicas,
		MaxPrice: after.MaxPrice, Tx: sent.Tx, Height: sent.Height, Endpoints: []replicaEndpoint{},
	}
	return s.finish(ctx, id, &result, f.wait, f.waitTime, start)
}

// change reads what needs no look at the chain.
func (f *scaleFlags) change(args []string) (tenant.Change, error) {
	var change tenant.Change
	if len(args) > 1 {
		n, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return change, fmt.Errorf("REPLICAS is %q: say a number, such as 3", args[1])
		}
		if n == 0 {
			return change, fmt.Errorf("REPLICAS is 0: `isun close %s` ends the lease", args[0])
		}
		change.Replicas = uint32(n)
	}
	if f.maxPrice != "" {
		price, err := format.ParseHourPrice(f.maxPrice)
		if err != nil {
			return change, fmt.Errorf("--max-price: %w", err)
		}
		if price == 0 {
			return change, errors.New("--max-price is 0: no machine is free of charge")
		}
		change.MaxPrice = price
	}
	var err error
	change.SnapshotEverySeconds, change.SnapshotKeep, err = f.saving.schedule()
	change.NoSchedule = f.saving.everySet && f.saving.every == 0
	return change, err
}

func changedDemand(demand sunstypes.Demand, general uint64, accelerator *sunstypes.AcceleratorDemand) sunstypes.Demand {
	if general > 0 {
		demand.GeneralMilliSuns = general
	}
	if accelerator != nil {
		demand.Accelerator = accelerator
	}
	return demand
}

// describeChange says what becomes of a lease.
func describeChange(before tenant.Lease, change tenant.Change) []string {
	lines := []string{"lease " + before.Lease}
	if change.Replicas > 0 {
		lines = append(lines, fmt.Sprintf("  replicas   %d, now %d", change.Replicas, before.Replicas))
	}
	if change.Demand != nil {
		lines = append(lines, fmt.Sprintf("  demand     %s each, now %s", format.Demand(*change.Demand), format.Demand(before.Demand.Proto())))
	}
	if change.Image != "" {
		lines = append(lines, fmt.Sprintf("  image      %s, now %s", change.Image, before.Image))
	}
	if change.MaxPrice > 0 {
		lines = append(lines, fmt.Sprintf("  price cap  %s a replica, now %s", format.HourPrice(change.MaxPrice), format.HourPrice(before.MaxPrice)))
	}
	switch {
	case change.SnapshotEverySeconds > 0:
		lines = append(lines, fmt.Sprintf("  volumes    saved every %s", format.Duration(seconds(uint64(change.SnapshotEverySeconds)))))
	case change.NoSchedule:
		lines = append(lines, "  volumes    saved on request alone")
	}
	if change.SnapshotKeep > 0 {
		lines = append(lines, fmt.Sprintf("  snapshots  %d of each replica are kept", change.SnapshotKeep))
	}
	if change.Demand != nil || change.Image != "" {
		lines = append(lines, "  every replica is ended and started anew")
	}
	return lines
}

func (c *commands) migrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate LEASE REPLICA",
		Short: "Move a replica to another machine",
		Long: `Move a replica to another machine. It is ended where it is and started elsewhere,
with a gap between; its old machine keeps the rest of the hour's pay, except within
the trial period after its start.`,
		Example:           `  isun migrate 3 0`,
		Args:              exactArgs("LEASE", "REPLICA"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runMigrate(cmd.Context(), args[0], args[1]) },
		ValidArgsFunction: c.completeLeases,
	}
	return cmd
}

// migrated is what migrate prints as JSON.
type migrated struct {
	Lease   string `json:"lease"`
	Replica uint32 `json:"replica"`
	tenant.Sent
}

func (c *commands) runMigrate(ctx context.Context, lease, text string) error {
	replica, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("REPLICA is %q: say its number, from 0", text)
	}
	s, id, err := c.openLease(ctx, lease, true)
	if err != nil {
		return err
	}
	defer s.end()
	if err := c.confirm(ctx, fmt.Sprintf("Move replica %d of lease %s to another machine", replica, id)); err != nil {
		return err
	}
	sent, err := s.client.Migrate(ctx, id, uint32(replica))
	if err != nil {
		return err
	}
	return c.print(migrated{Lease: id.String(), Replica: uint32(replica), Sent: sent}, func() error {
		return c.say("replica %d of lease %d moves (transaction %s); `isun inspect %d` shows where to", replica, id.Number, sent.Tx, id.Number)
	})
}
