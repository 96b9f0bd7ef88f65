package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/netbench"
)

// serving is what bench serve says when it begins.
type serving struct {
	Listening string          `json:"listening"`
	Limits    netbench.Limits `json:"limits"`
}

func benchServeCommand(o *options) *cobra.Command {
	var listen string
	limits := netbench.DefaultLimits()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Let other machines measure their line against this one",
		Long: `Answers workers that measure their line, until it is interrupted. It needs no config, chain or
account. A figure is never above this machine's own line, so run it where there is plenty. What a
client may take is bounded, in all and for each address; two that measure at the same time are both
told that they disturbed each other. A worker that runs can do the same: measuring.listen in its
config.`,
		Example: `  isun-worker bench serve
  isun-worker bench serve --listen 192.0.2.7:9465 --sessions 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := config.Default().Log
			if o.json() {
				log.Format = outputJSON
			}
			logger, err := logger(log, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			server, err := netbench.NewServer(limits, logger)
			if err != nil {
				return err
			}
			var network net.ListenConfig
			listener, err := network.Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return fmt.Errorf("--listen %s: %w", listen, err)
			}
			hello := serving{Listening: listener.Addr().String(), Limits: limits}
			if err := writeServing(cmd.OutOrStdout(), o.json(), hello); err != nil {
				return err
			}
			return server.Serve(cmd.Context(), listener)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":9465", "address to listen at")
	cmd.Flags().IntVar(&limits.Sessions, "sessions", limits.Sessions, "how many may measure at once")
	cmd.Flags().IntVar(&limits.Streams, "streams", limits.Streams, "how many connections one may use at once")
	cmd.Flags().DurationVar(&limits.Duration, "longest", limits.Duration, "the longest a direction may take")
	cmd.Flags().Uint64Var(&limits.Bytes, "bytes", limits.Bytes, "how many bytes one session may move")
	cmd.Flags().IntVar(&limits.PerMinute, "per-minute", limits.PerMinute, "how many sessions an address may open in a minute")
	return cmd
}

// writeServing is one line even as JSON, so that a script can wait for it.
func writeServing(w io.Writer, asJSON bool, s serving) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, "listening at %s; interrupt to end\n", s.Listening)
	return err
}
