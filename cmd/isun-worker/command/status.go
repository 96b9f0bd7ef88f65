package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/identity"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// status is what the status command prints: the worker's word and the chain's.
type status struct {
	Node    string          `json:"node"`
	ChainID string          `json:"chain_id"`
	Paused  bool            `json:"paused"`
	Worker  *control.Status `json:"worker,omitempty"`
	Chain   *chainStatus    `json:"chain,omitempty"`
	// ChainError says why the chain's part is absent.
	ChainError string `json:"chain_error,omitempty"`
}

// chainStatus is what the chain says of the node.
type chainStatus struct {
	Status      string   `json:"status"`
	MilliSuns   uint64   `json:"milli_suns"`
	FreeGeneral uint64   `json:"free_general_milli_suns"`
	Placements  uint32   `json:"placements"`
	AskPrice    uint64   `json:"ask_price_uisc_per_suns_hour"`
	Bond        math.Int `json:"bond_uisc"`
	LastCheckIn uint64   `json:"last_check_in_ms"`
	NowMs       uint64   `json:"now_ms"`
	// MaintenanceReward and AuditReward can be withdrawn, in uisc.
	MaintenanceReward math.Int `json:"maintenance_reward_uisc"`
	AuditReward       math.Int `json:"audit_reward_uisc"`
}

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what this worker does and earns",
		Long: `Shows what the running worker says of itself and what the chain says of its node. It also works
while no worker runs, or while the chain does not answer.`,
		Example: `  isun-worker status
  isun-worker status --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(nil)
			if err != nil {
				return err
			}
			node, err := o.node()
			if err != nil {
				return err
			}
			s := status{Node: node.ID().String(), ChainID: node.ChainID, Paused: control.NewSwitch(o.dir().Paused()).Paused()}
			worker, err := control.NewClient(o.dir().Socket()).Status(cmd.Context())
			switch {
			case err == nil:
				s.Worker = &worker
			case !errors.Is(err, control.ErrNotRunning):
				return err
			}
			if s.Chain, err = askChain(cmd.Context(), cfg, node); err != nil {
				s.ChainError = err.Error()
			}
			return o.print(cmd.OutOrStdout(), s, func(w io.Writer) error { return writeStatus(w, s) })
		},
	}
}

func askChain(ctx context.Context, cfg config.Config, node identity.Node) (*chainStatus, error) {
	conn, err := dial(ctx, cfg, node.ChainID)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, chainTimeout)
	defer cancel()
	info, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: node.Operator, Number: node.Number})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node.ID(), err)
	}
	clock, err := conn.Suns().Clock(ctx, &sunstypes.QueryClockRequest{})
	if err != nil {
		return nil, fmt.Errorf("chain clock: %w", err)
	}
	maintenance, err := conn.Suns().Rewards(ctx, &sunstypes.QueryRewardsRequest{Operator: node.Operator, Number: node.Number})
	if err != nil {
		return nil, fmt.Errorf("maintenance reward: %w", err)
	}
	audit, err := conn.Audit().Rewards(ctx, &audittypes.QueryRewardsRequest{Operator: node.Operator, Node: node.Number})
	if err != nil {
		return nil, fmt.Errorf("audit reward: %w", err)
	}
	n := info.Node
	return &chainStatus{
		Status: nodeStatus(n.Node.Status), MilliSuns: n.Node.MilliSuns, FreeGeneral: n.FreeGeneralMilliSuns,
		Placements: n.Load.Placements, AskPrice: n.Node.AskPrice, Bond: n.Node.Bond,
		LastCheckIn: n.LastCheckInMs, NowMs: clock.Clock.NowMs,
		MaintenanceReward: maintenance.Maintenance, AuditReward: audit.Audit,
	}, nil
}

func writeStatus(w io.Writer, s status) error {
	fmt.Fprintf(w, "node     %s of %s\n", s.Node, s.ChainID)
	switch {
	case s.Worker == nil && s.Paused:
		fmt.Fprintln(w, "worker   not running, and paused")
	case s.Worker == nil:
		fmt.Fprintln(w, "worker   not running: `isun-worker start` starts it")
	default:
		fmt.Fprintf(w, "worker   %s, process %d, up %s\n", s.Worker.Mode, s.Worker.PID,
			format.Duration(time.Since(s.Worker.Since).Truncate(time.Second)))
		fmt.Fprintf(w, "signs    %d attestations, %d check-ins, %d failures\n",
			s.Worker.Attester.Attested, s.Worker.Attester.CheckIns, s.Worker.Attester.Failures)
		if e := s.Worker.Attester.LastError; e != "" {
			fmt.Fprintf(w, "         last failure: %s\n", e)
		}
	}
	if c := s.Chain; c != nil {
		fmt.Fprintf(w, "chain    %s, %s SUNS (%s free), asks %s per SUNS, bond %s\n", c.Status,
			format.SUNS(c.MilliSuns), format.SUNS(c.FreeGeneral), format.HourPrice(c.AskPrice), format.ISC(c.Bond))
		since := time.Duration(c.NowMs-min(c.NowMs, c.LastCheckIn)) * time.Millisecond
		fmt.Fprintf(w, "seen     %s ago\n", format.Duration(since.Truncate(time.Second)))
		fmt.Fprintf(w, "rewards  %s for maintenance, %s for audits, to be withdrawn\n",
			format.ISC(c.MaintenanceReward), format.ISC(c.AuditReward))
	} else {
		fmt.Fprintf(w, "chain    %s\n", s.ChainError)
	}
	if s.Worker == nil || len(s.Worker.Placements) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	table := format.NewTable("PLACEMENT", "CHAIN", "CONTAINER", ">SUNS", ">SERVED", ">ATTESTED", ">PAID", "ENDPOINTS")
	for _, p := range s.Worker.Placements {
		endpoints := ""
		for i, e := range p.Endpoints {
			if i > 0 {
				endpoints += " "
			}
			endpoints += e.Name + "=" + e.Address
		}
		paid, ok := math.NewIntFromString(p.PaidOperator)
		if !ok {
			paid = math.ZeroInt()
		}
		table.Add(p.ID.String(), p.Chain, p.Container, format.SUNS(p.MilliSuns), seconds(p.Usage.ServedMs),
			seconds(p.Attested.ServedMs), format.ISC(paid), endpoints)
	}
	return table.Write(w)
}

func seconds(ms uint64) string {
	return (time.Duration(ms) * time.Millisecond).Truncate(100 * time.Millisecond).String()
}
