package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/operator"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// joinFlags are what an owner says when joining.
type joinFlags struct {
	measuring
	keyFlags
	price, bond, feeLimit  string
	country, zone, moniker string
}

// joined is what join prints.
type joined struct {
	Node      string   `json:"node"`
	ChainID   string   `json:"chain_id"`
	Agent     string   `json:"agent"`
	Already   bool     `json:"already_joined"`
	MilliSuns uint64   `json:"milli_suns"`
	Bond      math.Int `json:"bond_uisc"`
	AskPrice  uint64   `json:"ask_price_uisc_per_suns_hour"`
	Status    string   `json:"status"`
	TxHash    string   `json:"tx_hash,omitempty"`
}

func joinCommand(o *options) *cobra.Command {
	var j joinFlags
	cmd := &cobra.Command{
		Use:   "join",
		Short: "Measure this machine and register it on the chain",
		Long: `Makes the agent's key, takes stock of the machine and measures it, registers it and grants the
agent its fees, in one transaction signed by the operator's key. The key stays in isunchaind's
keyring; the agent's own key can check in, attest and start, and moves no money.

Joining again is harmless: it finds the node that is there.`,
		Example: `  isun-worker join --operator-key me --country DE
  isun-worker join --operator-key me --country DE --zone home --moniker attic \
    --price 0.02isc --bond 50isc --offer 60% --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := j.join(cmd, o)
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error { return writeJoined(w, result) })
		},
	}
	j.measuring.flags(cmd)
	j.keyFlags.flags(cmd)
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // then the node has no moniker unless one is given
	}
	f := cmd.Flags()
	f.StringVar(&j.price, "price", "", "ask price per SUNS-hour, such as 0.02isc; the chain's least when empty")
	f.StringVar(&j.country, "country", "", "country the machine stands in, ISO 3166-1 alpha-2, such as DE (needed)")
	f.StringVar(&j.zone, "zone", "", "zone within the country: lower-case letters, digits and dashes")
	f.StringVar(&j.moniker, "moniker", hostname, "name of the node, for people")
	f.StringVar(&j.bond, "bond", "", "bond, such as 50isc; by default what lets all of its SUNS be rewarded")
	f.StringVar(&j.feeLimit, "fee-limit", "10isc", "what the agent may spend on fees a day")
	return cmd
}

func (j *joinFlags) join(cmd *cobra.Command, o *options) (joined, error) {
	ctx := cmd.Context()
	cfg, err := o.load(o.create)
	if err != nil {
		return joined{}, err
	}
	conn, err := dial(ctx, cfg, cfg.Chain.ID)
	if err != nil {
		return joined{}, err
	}
	defer conn.Close()
	key, err := identity.LoadOrCreateKey(o.dir().AgentKey())
	if err != nil {
		return joined{}, err
	}
	owner, err := j.open(conn, cmd.InOrStdin())
	if err != nil {
		return joined{}, err
	}
	params, err := chain.ReadParams(ctx, conn)
	if err != nil {
		return joined{}, err
	}
	reg, err := j.registration()
	if err != nil {
		return joined{}, err
	}
	node, there, err := operator.Find(ctx, conn, key.Address())
	if err != nil {
		return joined{}, err
	}
	if there { // a new report may have been on its way when the program ended
		if err := bench.Settle(o.dir().Report(), node.ReportDigest); err != nil {
			return joined{}, err
		}
	}
	report, err := j.report(ctx, cmd, o, cfg, params.Suns, reg, there)
	if err != nil {
		return joined{}, err
	}
	result, err := owner.Join(ctx, params.Suns, key, report, reg)
	if err != nil {
		return joined{}, err
	}
	self := identity.Node{
		ChainID: conn.ChainID(), Operator: result.Node.ID.Operator, Number: result.Node.ID.Number, Agent: key.Address().String(),
	}
	if err := identity.SaveNode(o.dir().Node(), self); err != nil {
		return joined{}, err
	}
	return joined{
		Node: self.ID().String(), ChainID: self.ChainID, Agent: self.Agent, Already: result.Already,
		MilliSuns: result.Node.MilliSuns, Bond: result.Node.Bond, AskPrice: result.Node.AskPrice,
		Status: nodeStatus(result.Node.Status), TxHash: result.TxHash,
	}, nil
}

func (j *joinFlags) registration() (operator.Registration, error) {
	reg := operator.Registration{Moniker: j.moniker, Country: strings.ToUpper(j.country), Zone: j.zone}
	var err error
	if reg.FeeLimit, err = format.ParseAmount(j.feeLimit); err != nil {
		return reg, fmt.Errorf("--fee-limit: %w", err)
	}
	if j.price != "" {
		if reg.AskPrice, err = format.ParseHourPrice(j.price); err != nil {
			return reg, fmt.Errorf("--price: %w", err)
		}
	}
	if j.bond != "" {
		bond, err := format.ParseAmount(j.bond)
		if err != nil {
			return reg, fmt.Errorf("--bond: %w", err)
		}
		reg.Bond = &bond
	}
	return reg, nil
}

// report measures the machine and asks the owner, unless the node is on the
// chain already: then nothing is at stake, and only a lost report is made anew.
func (j *joinFlags) report(
	ctx context.Context, cmd *cobra.Command, o *options, cfg config.Config, params sunstypes.Params, reg operator.Registration, there bool,
) (bench.Report, error) {
	if there {
		if report, err := bench.Load(o.dir().Report()); err == nil {
			return report, nil
		}
	} else if err := check(params, reg); err != nil {
		return bench.Report{}, err
	}
	report, err := j.run(ctx, cmd, o, cfg, bench.BundleOf(params))
	if err != nil {
		return bench.Report{}, err
	}
	if !there {
		if err := j.ask(cmd, params, report, reg); err != nil {
			return bench.Report{}, err
		}
	}
	return report, report.Save(o.dir().Report())
}

// check refuses what the chain would refuse, before seconds are spent on measuring.
func check(params sunstypes.Params, reg operator.Registration) error {
	if reg.Country == "" {
		return errors.New("--country is needed: where the machine stands, such as DE")
	}
	if err := sunstypes.ValidateCountry(reg.Country); err != nil {
		return fmt.Errorf("--country: %w", err)
	}
	if err := sunstypes.ValidateZone(reg.Zone); err != nil {
		return fmt.Errorf("--zone: %w", err)
	}
	if err := sunstypes.ValidateMoniker(reg.Moniker); err != nil {
		return fmt.Errorf("--moniker: %w", err)
	}
	if reg.AskPrice == 0 {
		return nil // the chain's least
	}
	if err := sunstypes.ValidateAsk(params, reg.AskPrice); err != nil {
		return fmt.Errorf("--price: %w", err)
	}
	return nil
}

// ask shows what is about to be sent and asks.
func (j *joinFlags) ask(cmd *cobra.Command, params sunstypes.Params, report bench.Report, reg operator.Registration) error {
	suns := report.Suns(bench.BundleOf(params))
	bond, price := operator.Bond(params, suns.MilliSuns), reg.AskPrice
	if reg.Bond != nil {
		bond = *reg.Bond
	}
	if price == 0 {
		price = params.MinAsk
	}
	return j.keyFlags.confirm(cmd, fmt.Sprintf("register this machine with %s SUNS (bound by %s) at %s per SUNS, bond %s, in %s",
		format.SUNS(suns.MilliSuns), suns.Bottleneck, format.HourPrice(price), format.ISC(bond), reg.Country))
}

func writeJoined(w io.Writer, r joined) error {
	text := "joined"
	if r.Already {
		text = "joined already"
	}
	_, err := fmt.Fprintf(w, "%s: node %s of %s\n  %s SUNS, asks %s per SUNS, bond %s, %s\n  agent %s\nnext: isun-worker start\n",
		text, r.Node, r.ChainID, format.SUNS(r.MilliSuns), format.HourPrice(r.AskPrice), format.ISC(r.Bond), r.Status, r.Agent)
	return err
}

// nodeStatus is a node's status as people write it: "active".
func nodeStatus(s sunstypes.NodeStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "NODE_STATUS_"))
}
