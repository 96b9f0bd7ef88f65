package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/agent"
)

func startCommand(o *options) *cobra.Command {
	var level, logFormat, listen string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the worker",
		Long: `Runs until it is interrupted: asks the chain what should run here, makes it so, measures what is
used and attests it. Stopping leaves tenants' containers running, unpaid, for the next start; use
'isun-worker pause' or 'drain' to stop them.`,
		Example: `  isun-worker start
  isun-worker start --log-level debug --metrics 127.0.0.1:9464`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(nil)
			if err != nil {
				return err
			}
			for flag, target := range map[string]*string{
				"log-level": &cfg.Log.Level, "log-format": &cfg.Log.Format, "metrics": &cfg.Metrics.Listen,
			} {
				if cmd.Flags().Changed(flag) {
					*target = cmd.Flags().Lookup(flag).Value.String()
				}
			}
			if o.json() {
				cfg.Log.Format = outputJSON
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			log, err := logger(cfg.Log, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			err = agent.Start(cmd.Context(), o.dir(), cfg, o.accelerators(cfg), log)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // it was told to stop while it waited for something
			}
			return err
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "", "debug, info, warn or error; the config's when empty")
	cmd.Flags().StringVar(&logFormat, "log-format", "", "text or json; the config's when empty")
	cmd.Flags().StringVar(&listen, "metrics", "", "address of the Prometheus endpoint; the config's when empty")
	return cmd
}
