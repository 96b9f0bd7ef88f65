// Package command is the command line of isun.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/isuncoin/isuncoin/client/chain"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	// exitInterrupted is what shells use for a program that Ctrl-C ended.
	exitInterrupted = 130
)

// envPrefix begins the environment variables that set what a flag does not: ISUN_NODE, ISUN_FROM, …
const envPrefix = "ISUN_"

// flags are those of every command.
type flags struct {
	nodes          []string
	chainID        string
	from           string
	keyringBackend string
	home           string
	gasPrices      string
	output         string
	yes            bool
}

// Run carries out a command line and gives the process's exit code.
func Run(ctx context.Context, streams Streams, args []string) int {
	root := Root(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted), ctx.Err() != nil:
		// Of a transaction that was sent, the user must learn the hash.
		var sent *chain.TimeoutError
		if errors.As(err, &sent) {
			fmt.Fprintln(streams.Err, "isun:", chain.Message(err))
		}
		fmt.Fprintln(streams.Err, "isun: interrupted")
		return exitInterrupted
	default:
		fmt.Fprintln(streams.Err, "isun:", chain.Message(err))
		return exitFailed
	}
}

// Root is the command with all its subcommands.
func Root(streams Streams) *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "isun",
		Short: "Rent computing by the hour",
		Long: `isun rents computing by the hour on the machines of the iSunCoin network.

An image is ordered as a lease: so many replicas of so many SUNS each, at most at
a given price an hour. The chain finds the cheapest machines that fit, moves a
replica when its machine fails, bills what was really served, and gives the rest
of the deposit back when the lease is closed.

Without flags it talks to a chain on this machine and signs with the only key of
isunchaind's keyring, or with the one called "tenant". Every flag of all commands
can be set in the environment: ISUN_NODE, ISUN_FROM, ISUN_OUTPUT and so on.`,
		Example: `  isun price --suns 0.5                      what half a SUNS costs now
  isun deploy hello:1 --replicas 2           order, and wait until it answers
  isun ps                                    your leases
  isun close 1                               end lease 1 and get the rest back`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := setFromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			return f.validate()
		},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	f.add(root)

	root.AddGroup(
		&cobra.Group{ID: groupLease, Title: "Leases:"},
		&cobra.Group{ID: groupMarket, Title: "The market:"},
	)
	c := &commands{streams: streams, flags: f}
	for id, list := range map[string][]*cobra.Command{
		groupLease: {
			c.deploy(), c.ps(), c.inspect(), c.fund(), c.scale(), c.migrate(), c.snapshot(), c.close(),
		},
		groupMarket: {c.price(), c.nodes(), c.uai(), c.store()},
	} {
		for _, cmd := range list {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(c.version())
	return root
}

const (
	groupLease  = "lease"
	groupMarket = "market"
)

// commands make the subcommands; each has the streams and the flags of all.
type commands struct {
	streams Streams
	flags   *flags
}

func (f *flags) add(root *cobra.Command) {
	p := root.PersistentFlags()
	p.StringSliceVar(&f.nodes, "node", []string{chain.DefaultEndpoint}, "RPC of a node; repeat it to name others to go on with")
	p.StringVar(&f.chainID, "chain-id", "", "id of the chain (default: the node's)")
	p.StringVar(&f.from, "from", "", "name or address of the key to sign with")
	p.StringVar(&f.keyringBackend, "keyring-backend", chain.DefaultKeyringBackend, "where keys are kept: os, file, kwallet, pass or test")
	p.StringVar(&f.home, "home", chain.DefaultHome(), "isunchaind's home, with its keyring")
	p.StringVar(&f.gasPrices, "gas-prices", "", "what to pay for gas, such as 0.025uisc (default: the node's least)")
	p.StringVarP(&f.output, "output", "o", outputText, "text or json")
	p.BoolVarP(&f.yes, "yes", "y", false, "do not ask before spending")
	p.Lookup("home").DefValue = "~/.isunchain"
	complete(root, "output", outputText, outputJSON)
	complete(root, "keyring-backend", "os", "file", "kwallet", "pass", "test")
}

func (f *flags) validate() error {
	if f.output != outputText && f.output != outputJSON {
		return fmt.Errorf("--output is %q: say text or json", f.output)
	}
	return nil
}

// setFromEnvironment sets the flags that were not given and have a variable.
func setFromEnvironment(set *pflag.FlagSet) error {
	var failed error
	set.VisitAll(func(flag *pflag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || flag.Changed || !isCommon(flag.Name) || failed != nil {
			return
		}
		if err := set.Set(flag.Name, value); err != nil {
			failed = fmt.Errorf("%s=%q: %w", name, value, err)
		}
	})
	return failed
}

// isCommon says whether a flag is one of all commands.
func isCommon(name string) bool {
	switch name {
	case "node", "chain-id", "from", "keyring-backend", "home", "gas-prices", "output", "yes":
		return true
	default:
		return false
	}
}

// complete offers fixed words for a flag. It fails only for a flag that is not there, which is a mistake in this package.
func complete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
