package command

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client/flags"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/cmd/isunchaind/localnet"
)

// shapeFlags are the flags that a network which is already set up can no longer follow.
var shapeFlags = []string{
	flags.FlagChainID, "validators", "free-ports", "base-port", "rpc-port", "p2p-port", "api-port", "grpc-port",
	"block-time", "block-executor", "billing-period", "settle-grace", "start-deadline", "attest-interval", "epoch",
	"silence-limit", "unbonding-period", "replicas",
}

// localnetCommand runs a network on this machine.
func localnetCommand(template *app.App) *cobra.Command {
	options := localnet.DefaultOptions()
	var basePort int
	var output string
	cmd := &cobra.Command{
		Use:   "localnet",
		Short: "Set up and run a chain on this machine, with funded accounts",
		Long: `Sets up a chain with funded, named accounts (if the home folder holds none yet) and runs it until interrupted.
With no flags, isun and isun-worker find it. With --output json it prints one line of JSON when the chain answers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			if basePort != 0 {
				options.Ports = localnet.Ports{RPC: basePort, P2P: basePort + 1, GRPC: basePort + 2, API: basePort + 3}
			}
			for _, name := range shapeFlags {
				if cmd.Flags().Changed(name) {
					options.ShapeFlags = append(options.ShapeFlags, name)
				}
			}
			options.JSON = output == flags.OutputFormatJSON
			return localnet.Run(ctx, template, options, cmd.OutOrStdout())
		},
	}
	annotate(cmd)
	set := cmd.Flags()
	set.StringVar(&options.Home, flags.FlagHome, options.Home, "folder of the network")
	set.StringVar(&options.ChainID, flags.FlagChainID, options.ChainID, "chain id")
	set.IntVar(&options.Validators, "validators", options.Validators, "number of validators, each a process of its own")
	set.BoolVar(&options.Reset, "reset", false, "throw away the network in the home folder and begin anew")
	set.DurationVar(&options.BlockTime, "block-time", options.BlockTime, "pause between blocks")
	set.StringVar(&options.BlockExecutor, "block-executor", options.BlockExecutor, "how blocks run (sequential|block-stm)")
	set.StringVarP(&output, flags.FlagOutput, "o", flags.OutputFormatText, "output format (text|json)")

	set.IntVar(&basePort, "base-port", 0, "first of four ports in a row: rpc, p2p, grpc, api")
	set.IntVar(&options.Ports.RPC, "rpc-port", options.Ports.RPC, "port of CometBFT's RPC")
	set.IntVar(&options.Ports.P2P, "p2p-port", options.Ports.P2P, "port for peers")
	set.IntVar(&options.Ports.API, "api-port", options.Ports.API, "port of the REST API")
	set.IntVar(&options.Ports.GRPC, "grpc-port", options.Ports.GRPC, "port of gRPC")
	set.BoolVar(&options.FreePorts, "free-ports", false, "use ports that nobody uses, chosen by the system")

	set.DurationVar(&options.Periods.Billing, "billing-period", 0, "length of a billed hour")
	set.DurationVar(&options.Periods.SettleGrace, "settle-grace", 0, "how long an ended hour waits for its last attestation")
	set.DurationVar(&options.Periods.StartDeadline, "start-deadline", 0, "how long a node has to start a placement")
	set.DurationVar(&options.Periods.AttestInterval, "attest-interval", 0, "how often a busy node attests")
	set.DurationVar(&options.Periods.Epoch, "epoch", 0, "length of an epoch of the maintenance reward")
	set.Uint32Var(&options.Replicas, "replicas", options.Replicas, "on how many nodes iSunCloud keeps content")
	set.DurationVar(&options.Periods.SilenceLimit, "silence-limit", 0, "how long a busy node may be silent")
	set.DurationVar(&options.Periods.Unbonding, "unbonding-period", 0, "how long a retired node's bond stays")
	return cmd
}
