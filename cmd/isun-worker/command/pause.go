package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/control"
)

// switched is what pause and resume print.
type switched struct {
	Paused  bool   `json:"paused"`
	Changed bool   `json:"changed"`
	Running bool   `json:"worker_running"`
	Note    string `json:"note,omitempty"`
	TxHash  string `json:"tx_hash,omitempty"`
}

// flip sets the owner's switch and tells the worker, if one runs.
func (o *options) flip(ctx context.Context, paused bool) (switched, error) {
	if err := o.dir().Create(); err != nil {
		return switched{}, err
	}
	changed, err := control.NewSwitch(o.dir().Paused()).Set(paused)
	if err != nil {
		return switched{}, err
	}
	err = control.NewClient(o.dir().Socket()).SwitchChanged(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		return switched{Paused: paused, Changed: changed}, nil
	}
	return switched{Paused: paused, Changed: changed, Running: err == nil}, err
}

// freezeWait is how long pause waits for the containers to stand still.
const freezeWait = 30 * time.Second

// frozen waits until no container runs.
func (o *options) frozen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, freezeWait)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		status, err := control.NewClient(o.dir().Socket()).Status(ctx)
		switch {
		case errors.Is(err, control.ErrNotRunning):
			return nil
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && status.Mode == "paused" && !anyRunning(status):
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the worker is told to pause, but containers still run: see `isun-worker status`")
		case <-ticker.C:
		}
	}
}

func anyRunning(s control.Status) bool {
	for _, p := range s.Placements {
		if p.Container == "running" {
			return true
		}
	}
	return false
}

func pauseCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "pause",
		Short: "Have the machine to yourself at once",
		Long: `Freezes all tenants' containers and takes no new ones, until 'isun-worker resume', also after a
restart or a reboot. Nothing is earned meanwhile. A pause shorter than the chain's silence limit
costs tenants only the pause; after a longer one the chain moves them to other nodes.

To hand the machine back without a gap for tenants, use 'isun-worker drain' instead.`,
		Example: `  isun-worker pause`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := o.flip(cmd.Context(), true)
			if err != nil {
				return err
			}
			if result.Running {
				if err := o.frozen(cmd.Context()); err != nil {
					return err
				}
			}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error {
				text := "paused: nothing of a tenant's runs; `isun-worker resume` ends that"
				if !result.Running {
					text = "paused: the worker is not running and will be paused when it starts"
				}
				_, err := fmt.Fprintln(w, text)
				return err
			})
		},
	}
}

func resumeCommand(o *options) *cobra.Command {
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a pause, and a drain",
		Long: `Lets tenants' containers run again after 'isun-worker pause'. If the node drains on the chain and
the operator's key is given, the drain ends too.`,
		Example: `  isun-worker resume
  isun-worker resume --operator-key me`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(defaults)
			if err != nil {
				return err
			}
			result, err := o.flip(cmd.Context(), false)
			if err != nil {
				return err
			}
			if result.Note, result.TxHash, err = resumeChain(cmd.Context(), o, cfg, &keys, cmd.InOrStdin()); err != nil {
				return fmt.Errorf("the pause has ended, but: %w", err)
			}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error {
				text := "resumed"
				if !result.Running {
					text += "; the worker is not running, `isun-worker start` starts it"
				}
				if result.Note != "" {
					text += "\n" + result.Note
				}
				_, err := fmt.Fprintln(w, text)
				return err
			})
		},
	}
	keys.flags(cmd)
	return cmd
}
