// Package command is isun-worker's command line: flags, words for people, and
// one call into the packages that do the work.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cosmos/cosmos-sdk/version"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/agent"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
)

const (
	outputText = "text"
	outputJSON = "json"

	// chainTimeout bounds what a command asks of the chain.
	chainTimeout = 20 * time.Second
)

// options are the flags of every command.
type options struct {
	home   string
	output string
}

func (o *options) dir() config.Home { return config.Home(o.home) }

func (o *options) json() bool { return o.output == outputJSON }

// Root is the whole command line.
func Root() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "isun-worker",
		Short: "Offer this machine to the iSunCoin network and earn ISC",
		Long: `isun-worker rents this machine out by the hour: it measures and registers it, runs
tenants' containers inside limits, and reports what they used, for which the chain pays.

  isun-worker init                                  write a config with sensible defaults
  isun-worker doctor                                see what is missing and how to mend it
  isun-worker join --operator-key me --country DE   measure and register the machine
  isun-worker start                                 run
  isun-worker pause                                 have the machine to yourself at once`,
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if o.output != outputText && o.output != outputJSON {
				return fmt.Errorf("--output %q: want text or json", o.output)
			}
			return nil
		},
	}
	root.PersistentFlags().StringVar(&o.home, "home", string(config.DefaultHome()), "folder of the worker")
	root.PersistentFlags().StringVarP(&o.output, "output", "o", outputText, "output format (text|json)")
	root.AddCommand(
		initCommand(o), doctorCommand(o), benchCommand(o), joinCommand(o), startCommand(o),
		statusCommand(o), pauseCommand(o), resumeCommand(o), drainCommand(o), retireCommand(o),
		acceleratorSourceCommand(o),
	)
	return root
}

// load reads the config; missing is what to use when there is none, nil to
// insist on one.
func (o *options) load(missing func() (config.Config, error)) (config.Config, error) {
	cfg, err := config.Load(o.dir().Config())
	if errors.Is(err, config.ErrNotInitialised) && missing != nil {
		return missing()
	}
	return cfg, err
}

// defaults serves commands that only look.
func defaults() (config.Config, error) { return config.Default(), nil }

// create writes the default config for a command that needs one to stay.
func (o *options) create() (config.Config, error) {
	if err := o.dir().Create(); err != nil {
		return config.Config{}, err
	}
	cfg := config.Default()
	return cfg, config.Write(o.dir().Config(), cfg)
}

// node is who this worker is.
func (o *options) node() (identity.Node, error) { return identity.LoadNode(o.dir().Node()) }

// dial connects to the chain.
func dial(ctx context.Context, cfg config.Config, chainID string) (*chainclient.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, chainTimeout)
	defer cancel()
	conn, err := chainclient.Dial(ctx, agent.ChainConfig(cfg, chainID))
	if err != nil {
		return nil, fmt.Errorf("%w; check chain.endpoints in the config, or start a chain here with `isunchaind localnet`", err)
	}
	return conn, nil
}

// print writes a value as JSON, or lets text write it for people.
func (o *options) print(w io.Writer, value any, text func(io.Writer) error) error {
	if !o.json() {
		return text(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// logger logs as the config says.
func logger(cfg config.Log, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	handler := &slog.HandlerOptions{Level: level}
	if cfg.Format == outputJSON {
		return slog.New(slog.NewJSONHandler(w, handler)), nil
	}
	return slog.New(slog.NewTextHandler(w, handler)), nil
}

// terminal says whether a person looks at a stream.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
