package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// offerList is what price prints as JSON.
type offerList struct {
	Offers []tenant.Offer `json:"offers"`
}

func (c *commands) price() *cobra.Command {
	var demand demandFlags
	var rules rulesFlags
	var maxPrice string
	var limit int
	cmd := &cobra.Command{
		Use:   "price [IMAGE]",
		Short: "What a replica would cost now, and on which machines",
		Long: `What a replica of an image, or of a size, would cost now, on the machines that would
take it, in the order in which they would be chosen: by country as you prefer, then
by price. Prices are for an hour of one replica, royalty included.`,
		Example: `  isun price hello:1
  isun price --suns 0.5
  isun price --general 4 --gpu gpu:1:26 --country TW,JP`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := tenant.QuoteRequest{Limit: limit}
			if len(args) > 0 {
				req.Image = args[0]
			}
			return c.runPrice(cmd.Context(), req, &demand, &rules, maxPrice)
		},
		ValidArgsFunction: c.completeImages,
	}
	demand.add(cmd, "what the image needs, or 1")
	rules.add(cmd)
	cmd.Flags().StringVar(&maxPrice, "max-price", "", "show no dearer ones, in ISC or uisc an hour")
	cmd.Flags().IntVar(&limit, "limit", 10, "how many machines to name, at most 100")
	return cmd
}

func (c *commands) runPrice(
	ctx context.Context, req tenant.QuoteRequest, demand *demandFlags, rules *rulesFlags, maxPrice string,
) error {
	general, accelerator, err := demand.parse()
	if err != nil {
		return err
	}
	if req.Rules, err = rules.parse(); err != nil {
		return err
	}
	if maxPrice != "" {
		if req.MaxPrice, err = format.ParseHourPrice(maxPrice); err != nil {
			return fmt.Errorf("--max-price: %w", err)
		}
	}
	if req.Limit < 1 {
		return fmt.Errorf("--limit is %d: say at least 1", req.Limit)
	}
	s, err := c.open(ctx, req.Image != "" && !strings.Contains(req.Image, "/"))
	if err != nil {
		return err
	}
	defer s.end()
	// One SUNS is the unit people compare prices by.
	wanted := sunstypes.Demand{GeneralMilliSuns: 1000}
	if req.Image != "" {
		if req.Image, err = s.client.ImageRef(req.Image); err != nil {
			return err
		}
		image, err := s.client.Image(ctx, req.Image)
		if err != nil {
			return err
		}
		wanted = image.Demand.Proto()
	}
	wanted = changedDemand(wanted, general, accelerator)
	req.Demand = &wanted
	offers, err := s.client.Quote(ctx, req)
	if err != nil {
		return err
	}
	views := tenant.NewOffers(offers)
	return c.print(offerList{Offers: views}, func() error { return c.writeOffers(wanted, views) })
}

func (c *commands) writeOffers(wanted sunstypes.Demand, offers []tenant.Offer) error {
	if len(offers) == 0 {
		return c.say("no machine takes %s now; `isun nodes` shows what there is", format.Demand(wanted))
	}
	day := math.NewIntFromUint64(offers[0].HourPrice).MulRaw(24)
	if err := c.say("%s: %s, %s a day, on the best of %d", format.Demand(wanted), format.HourPrice(offers[0].HourPrice),
		format.ISC(day), len(offers)); err != nil {
		return err
	}
	table := format.NewTable(">PRICE", ">PER SUNS", ">SUNS", "COUNTRY", "ARCH", "NODE")
	for _, o := range offers {
		table.Add(format.HourPrice(o.HourPrice), format.HourPrice(o.AskPrice), format.SUNS(o.MilliSuns), o.Country, o.Architecture, o.Node)
	}
	return table.Write(c.streams.Out)
}

// nodeList is what nodes prints as JSON.
type nodeList struct {
	Nodes []tenant.Node `json:"nodes"`
}

func (c *commands) nodes() *cobra.Command {
	var operator string
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the machines on the market",
		Example: `  isun nodes
  isun nodes --operator isun1...
  isun nodes --output json | jq '[.nodes[].milli_suns] | add'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runNodes(cmd.Context(), operator, all, limit) },
	}
	cmd.Flags().StringVar(&operator, "operator", "", "only this operator's")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "retired ones too")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to look at; 0 is all")
	return cmd
}

func (c *commands) runNodes(ctx context.Context, operator string, all bool, limit int) error {
	if limit < 0 {
		return fmt.Errorf("--limit is %d: it cannot be negative", limit)
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.end()
	nodes, err := s.client.Nodes(ctx, operator, all, limit)
	if err != nil {
		return err
	}
	return c.print(nodeList{Nodes: nodes}, func() error { return c.writeNodes(nodes) })
}

func (c *commands) writeNodes(nodes []tenant.Node) error {
	if len(nodes) == 0 {
		return c.say("no machines; `isun-worker join` offers one")
	}
	table := format.NewTable("NODE", "NAME", "STATUS", "WHERE", "ARCH", ">SUNS", ">FREE", ">ASK", "DEVICES", ">RUNS", ">SEEN")
	for _, n := range nodes {
		where := n.Country
		if n.Zone != "" {
			where += " " + n.Zone
		}
		table.Add(n.Node, n.Moniker, n.Status, where, n.Architecture, format.SUNS(n.MilliSuns), format.SUNS(n.FreeGeneralMilliSuns),
			format.HourPrice(n.AskPrice), devices(n.Devices), fmt.Sprint(n.Placements), format.Duration(seconds(n.SeenSeconds))+" ago")
	}
	return table.Write(c.streams.Out)
}

// devices counts equal devices: "2/3 NVIDIA GeForce RTX 4090" when two of three are free.
func devices(list []tenant.Device) string {
	type count struct{ free, all int }
	var models []string
	counts := make(map[string]*count)
	for _, d := range list {
		if counts[d.Model] == nil {
			counts[d.Model] = &count{}
			models = append(models, d.Model)
		}
		counts[d.Model].all++
		if d.Free {
			counts[d.Model].free++
		}
	}
	parts := make([]string, 0, len(models))
	for _, m := range models {
		parts = append(parts, fmt.Sprintf("%d/%d %s", counts[m].free, counts[m].all, m))
	}
	return strings.Join(parts, ", ")
}
