package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// defaultWaitTime is long enough to fetch a large image.
const defaultWaitTime = 15 * time.Minute

// deployFlags are those of deploy.
type deployFlags struct {
	demand   demandFlags
	rules    rulesFlags
	saving   savingFlags
	replicas uint32
	maxPrice string
	deposit  string
	env      []string
	args     []string
	wait     bool
	waitTime time.Duration
}

// deployed is what deploy and scale print as JSON.
type deployed struct {
	Lease    string `json:"lease"`
	Tenant   string `json:"tenant"`
	Number   uint64 `json:"number"`
	Image    string `json:"image"`
	Replicas uint32 `json:"replicas"`
	MaxPrice uint64 `json:"max_price_uisc,string"`
	// Deposit is empty when nothing was deposited.
	Deposit string `json:"deposit_uisc,omitempty"`
	Tx      string `json:"tx"`
	Height  int64  `json:"height"`
	// Ready is true when every replica ran and answered.
	Ready     bool              `json:"ready"`
	ElapsedMs int64             `json:"elapsed_ms"`
	Endpoints []replicaEndpoint `json:"endpoints"`
}

// replicaEndpoint is an endpoint with its replica.
type replicaEndpoint struct {
	Replica uint32 `json:"replica"`
	Node    string `json:"node"`
	tenant.Endpoint
}

func (c *commands) deploy() *cobra.Command {
	f := &deployFlags{}
	cmd := &cobra.Command{
		Use:   "deploy IMAGE",
		Short: "Order replicas of an image and wait until they answer",
		Long: `Order replicas of an image and wait until they answer.

IMAGE is publisher/name:tag, or name:tag for an image of your own. A replica gets at
least the SUNS the image needs, or those you ask for.

The price cap is what a replica may cost an hour at most, royalty included; it pays
what its machine asks, never more. Without --max-price the cap is the dearest of the
machines that would be taken now and a fifth. The deposit pays for the running
lease and the rest comes back when it is closed; without --deposit it is 24 hours of
all replicas at the cap.

What you set with --env and --arg is public: everybody can read it on the chain.

With --snapshot-every what the image's volumes hold is saved in the network, encrypted to
a key of yours, and a replica that fails over begins with its newest snapshot. Shares of
that key go to nodes in a second transaction, which takes the number of the lease.`,
		Example: `  isun deploy hello:1
  isun deploy hello:1 --replicas 3 --suns 0.5 --max-price 0.8 --deposit 20
  isun deploy isun1.../llama:3 --general 4 --gpu gpu:1:26 --country TW,JP
  isun deploy hello:1 --env GREETING=hi --yes --output json
  isun deploy db:1 --snapshot-every 1h --key-holders 2-of-3`,
		Args: exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.saving.read(cmd)
			return c.runDeploy(cmd.Context(), f, args[0])
		},
	}
	f.demand.add(cmd, "what the image needs")
	f.rules.add(cmd)
	f.saving.add(cmd)
	cmd.Flags().Uint32VarP(&f.replicas, "replicas", "r", 1, "how many")
	cmd.Flags().StringVar(&f.maxPrice, "max-price", "", "the most a replica may cost an hour, in ISC (0.5) or uisc (500000uisc)")
	cmd.Flags().StringVar(&f.deposit, "deposit", "", "what to pay in, in ISC (20) or uisc (20000000uisc)")
	cmd.Flags().StringArrayVarP(&f.env, "env", "e", nil, "an environment variable, NAME=VALUE; public")
	cmd.Flags().StringArrayVar(&f.args, "arg", nil, "an argument in place of the image's command; repeat it for each; public")
	addWait(cmd, &f.wait, &f.waitTime, "until every replica answers")
	cmd.ValidArgsFunction = c.completeImages
	return cmd
}

// addWait adds the flags of waiting.
func addWait(cmd *cobra.Command, wait *bool, waitTime *time.Duration, until string) {
	cmd.Flags().BoolVar(wait, "wait", true, "wait "+until)
	cmd.Flags().DurationVar(waitTime, "wait-timeout", defaultWaitTime, "how long to wait at most")
}

func (c *commands) runDeploy(ctx context.Context, f *deployFlags, image string) error {
	order, err := f.order()
	if err != nil {
		return err
	}
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	if order.Image, err = s.client.ImageRef(image); err != nil {
		return err
	}
	plan, err := s.client.Plan(ctx, order)
	if errors.Is(err, tenant.ErrNoOffer) {
		return fmt.Errorf("%w for %s: `isun nodes` shows what there is; ask for less, allow more places, or give --max-price to wait for a machine",
			err, order.Image)
	}
	if err != nil {
		return err
	}
	if err := s.checkSaving(ctx, &f.saving, plan); err != nil {
		return err
	}
	if err := c.confirm(ctx, "Order it", describePlan(plan)...); err != nil {
		return err
	}
	start := c.streams.Now()
	created, err := s.client.Create(ctx, plan)
	if err != nil {
		return err
	}
	result := deployed{
		Lease: created.ID.String(), Tenant: created.ID.Tenant, Number: created.ID.Number, Image: plan.Msg.Image,
		Replicas: plan.Msg.Replicas, MaxPrice: plan.Msg.MaxPrice, Deposit: plan.Msg.Deposit.Amount.String(),
		Tx: created.Tx, Height: created.Height, Endpoints: []replicaEndpoint{},
	}
	fmt.Fprintf(c.streams.Err, "lease %d is ordered (block %d, transaction %s)\n", created.ID.Number, created.Height, created.Tx)
	keyErr := s.shareKey(ctx, &f.saving, plan, created.ID)
	return errors.Join(s.finish(ctx, created.ID, &result, f.wait, f.waitTime, start), keyErr)
}

// order reads the flags.
func (f *deployFlags) order() (tenant.Order, error) {
	order := tenant.Order{Replicas: f.replicas, Args: f.args}
	if f.replicas == 0 {
		return order, errors.New("--replicas is 0: a lease has at least one")
	}
	var err error
	if order.GeneralMilliSuns, order.Accelerator, err = f.demand.parse(); err != nil {
		return order, err
	}
	if order.Rules, err = f.rules.parse(); err != nil {
		return order, err
	}
	if order.Env, err = parseEnv(f.env); err != nil {
		return order, err
	}
	if order.SnapshotEverySeconds, order.SnapshotKeep, err = f.saving.schedule(); err != nil {
		return order, err
	}
	if _, err := f.saving.policy(); err != nil {
		return order, err
	}
	if f.maxPrice != "" {
		if order.MaxPrice, err = format.ParseHourPrice(f.maxPrice); err != nil {
			return order, fmt.Errorf("--max-price: %w", err)
		}
		if order.MaxPrice == 0 {
			return order, errors.New("--max-price is 0: no machine is free of charge")
		}
	}
	if f.deposit != "" {
		if order.Deposit, err = format.ParseAmount(f.deposit); err != nil {
			return order, fmt.Errorf("--deposit: %w", err)
		}
	}
	return order, nil
}

// describePlan says what an order costs.
func describePlan(p tenant.Plan) []string {
	lines := []string{fmt.Sprintf("%s: %d × %s", p.Msg.Image, p.Msg.Replicas, format.Demand(p.Demand))}
	price := fmt.Sprintf("  price    at most %s a replica", format.HourPrice(p.Msg.MaxPrice))
	switch {
	case len(p.Offers) == 0:
		price += "; no machine fits that now, it will wait for one"
	case p.QuotedCap:
		price += fmt.Sprintf("; the best machine asks %s now, the cap is a fifth above the dearest it may need", format.HourPrice(p.Offers[0].HourPrice))
	default:
		price += fmt.Sprintf("; the best machine asks %s now", format.HourPrice(p.Offers[0].HourPrice))
	}
	deposit := fmt.Sprintf("  deposit  %s, enough for %s of all replicas at that price; what is not used comes back",
		format.ISC(p.Msg.Deposit.Amount), format.Duration(p.DepositTime))
	lines = append(lines, price, deposit)
	if every := p.Msg.SnapshotEverySeconds; every > 0 {
		lines = append(lines, fmt.Sprintf("  volumes  saved every %s", format.Duration(seconds(uint64(every)))))
	}
	return lines
}

// finish waits for a lease to answer and prints the result. When waiting fails the result is printed all the same: the
// lease is there and costs money.
func (s *session) finish(
	ctx context.Context, id leasetypes.LeaseID, result *deployed, wait bool, waitTime time.Duration, start time.Time,
) error {
	var waitErr error
	var lease tenant.Lease
	if wait {
		lease, waitErr = s.awaitAnswering(ctx, id, waitTime)
		result.Ready = waitErr == nil
		result.Endpoints = endpoints(lease)
	}
	result.ElapsedMs = s.streams.Now().Sub(start).Milliseconds()
	err := s.print(result, func() error {
		if !result.Ready {
			return nil
		}
		if err := s.say("lease %d answers after %s", id.Number, format.Duration(s.streams.Now().Sub(start))); err != nil {
			return err
		}
		return s.writeEndpoints(lease)
	})
	if waitErr == nil && !wait && !s.json() {
		err = errors.Join(err, s.say("`isun inspect %d` shows how it goes on", id.Number))
	}
	return errors.Join(err, waitErr)
}

// awaitAnswering waits with a live status line.
func (s *session) awaitAnswering(ctx context.Context, id leasetypes.LeaseID, waitTime time.Duration) (tenant.Lease, error) {
	waitCtx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	line := s.line()
	lease, err := s.client.WaitAnswering(waitCtx, id, func(p tenant.Progress) { line.Set(p.Detail, p.Countdown) })
	line.Clear()
	return lease, s.waitError(ctx, err, id, waitTime)
}

// waitError says what goes on when waiting ended early: the lease itself does.
func (s *session) waitError(ctx context.Context, err error, id leasetypes.LeaseID, waitTime time.Duration) error {
	advice := fmt.Sprintf("lease %d goes on: `isun inspect %d` shows it, `isun close %d` ends it and gives the rest of the deposit back",
		id.Number, id.Number, id.Number)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		fmt.Fprintln(s.streams.Err, advice)
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("waited %s; %s", waitTime, advice)
	default:
		return err
	}
}

// endpoints lists a lease's endpoints by replica.
func endpoints(lease tenant.Lease) []replicaEndpoint {
	list := []replicaEndpoint{}
	for _, p := range lease.Placements {
		if p.Status != "running" {
			continue
		}
		for _, e := range p.Endpoints {
			list = append(list, replicaEndpoint{Replica: p.Replica, Node: p.Node, Endpoint: e})
		}
	}
	return list
}

// writeEndpoints shows where a lease is reached.
func (s *session) writeEndpoints(lease tenant.Lease) error {
	table := format.NewTable(">REPLICA", "PORT", "ENDPOINT", "NODE", ">PRICE")
	for _, p := range lease.Placements {
		if p.Status != "running" {
			continue
		}
		if len(p.Endpoints) == 0 {
			table.Add(fmt.Sprint(p.Replica), "", "", p.Node, iscPerHour(p.HourPrice))
		}
		for _, e := range p.Endpoints {
			table.Add(fmt.Sprint(p.Replica), e.Name, e.URL, p.Node, iscPerHour(p.HourPrice))
		}
	}
	return table.Write(s.streams.Out)
}

// isc shows uisc of a view in ISC.
func isc(uisc string) string {
	amount, ok := math.NewIntFromString(uisc)
	if !ok {
		return uisc + " uisc"
	}
	return format.ISC(amount)
}

func iscPerHour(uisc string) string { return isc(uisc) + "/h" }
