package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/agent"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/doctor"
	"github.com/isuncoin/isuncoin/worker/netguard"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker"
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check everything a worker needs and say how to mend it",
		Long: `Looks at the container engine, control groups, which limits can be held, the machine, its disk and accelerators,
the firewall, ports, the chain, the clock, images and the worker's identity. It changes nothing and ends with an error if
a check fails.`,
		Example: `  isun-worker doctor
  isun-worker doctor --output json | jq '.findings[] | select(.grade != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(defaults)
			if err != nil {
				return err
			}
			findings := doctor.Examine(cmd.Context(), doctor.Checks(o.patient(cfg)))
			result := struct {
				Healthy  bool             `json:"healthy"`
				Findings []doctor.Finding `json:"findings"`
			}{doctor.Healthy(findings), findings}
			err = o.print(cmd.OutOrStdout(), result, func(w io.Writer) error { return writeFindings(w, findings) })
			if err == nil && !result.Healthy {
				err = fmt.Errorf("this machine cannot work yet: mend what failed and run doctor again")
			}
			return err
		},
	}
}

func writeFindings(w io.Writer, findings []doctor.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-5s %-12s %s\n", f.Grade, f.Check, f.Detail); err != nil {
			return err
		}
		if f.Mend != "" {
			if _, err := fmt.Fprintf(w, "%18s → %s\n", "", f.Mend); err != nil {
				return err
			}
		}
		if err := writeLimits(w, f.Limits); err != nil {
			return err
		}
	}
	return nil
}

func writeLimits(w io.Writer, limits []runtime.Bound) error {
	for _, b := range limits {
		if _, err := fmt.Fprintf(w, "%18s %-10s %-10s %s\n", "", b.Limit, b.Held, b.Detail); err != nil {
			return err
		}
		if b.Mend == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%39s → %s\n", "", b.Mend); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) patient(cfg config.Config) doctor.Patient {
	return doctor.Patient{
		Home: o.dir(), Config: cfg, Now: time.Now,
		Accelerators: func(ctx context.Context) (accel.Found, error) { return accel.Find(ctx, o.accelerators(cfg)) },
		// The examined engine is opened under names of its own, so that nothing
		// of a worker is touched.
		Engine: func(ctx context.Context) (doctor.Engine, error) {
			dir, err := os.MkdirTemp("", "isun-doctor-*")
			if err != nil {
				return nil, err
			}
			defer os.RemoveAll(dir) //nolint:errcheck // an empty folder
			return docker.New(ctx, docker.Config{
				Host: cfg.Engine.Host, Chain: "doctor", Node: "doctor/1", StateDir: dir,
			})
		},
		Guard: func() (doctor.Guard, error) {
			networks, err := netguard.ConnectedNetworks()
			if err != nil {
				return nil, err
			}
			return netguard.New(netguard.Config{Blocked: networks})
		},
		Chain: func(ctx context.Context, chainID string) (doctor.Chain, error) {
			return chainclient.Dial(ctx, agent.ChainConfig(cfg, chainID))
		},
	}
}
