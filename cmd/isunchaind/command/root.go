// Package command is isunchaind's command line.
package command

import (
	"fmt"
	"os"
	"path/filepath"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/cobra"

	"cosmossdk.io/client/v2/autocli"
	"cosmossdk.io/core/appmodule"
	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/client"
	clientconfig "github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/runtime/services"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
)

// EnvPrefix begins the environment variables that set flags: ISUNCHAIND_NODE sets --node.
const EnvPrefix = "ISUNCHAIND"

// ownSetup marks commands that read neither client.toml nor a node's files: they run before there are any.
const ownSetup = "own-setup"

// DefaultHome is where a node and its keys live unless --home or ISUNCHAIND_HOME says otherwise.
func DefaultHome() string {
	if home := os.Getenv(EnvPrefix + "_HOME"); home != "" {
		return home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".isunchain"
	}
	return filepath.Join(home, ".isunchain")
}

// Root builds the whole command tree. An application over an empty database gives the modules' commands and codecs.
func Root() *cobra.Command {
	template := app.New(log.NewNopLogger(), dbm.NewMemDB(), app.NoOptions{})
	clientCtx := newClientContext(template)
	root := &cobra.Command{
		Use:   "isunchaind",
		Short: "The chain of iSunCoin: run a node, send transactions, ask questions",
		// An error of the chain is not a mistake in the flags.
		SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.OutOrStdout())
			cmd.SetErr(cmd.ErrOrStderr())
			if hasOwnSetup(cmd) {
				return nil
			}
			return prepare(cmd, clientCtx)
		},
	}
	addServerCommands(root, template)
	addClientCommands(root)
	if err := autoCLI(template, clientCtx).EnhanceRootCommand(root); err != nil {
		panic(fmt.Errorf("generate the modules' commands: %w", err))
	}
	return root
}

func newClientContext(template *app.App) client.Context {
	return client.Context{}.
		WithCodec(template.AppCodec()).
		WithInterfaceRegistry(template.InterfaceRegistry()).
		WithTxConfig(template.TxConfig()).
		WithLegacyAmino(template.LegacyAmino()).
		WithInput(os.Stdin).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithHomeDir(DefaultHome()).
		WithViper(EnvPrefix)
}

// autoCLI describes the modules to the generator of query and tx commands.
func autoCLI(template *app.App, clientCtx client.Context) autocli.AppOptions {
	modules := make(map[string]appmodule.AppModule)
	for name, module := range template.ModuleManager().Modules {
		if m, ok := module.(appmodule.AppModule); ok {
			modules[name] = m
		}
	}
	config := sdk.GetConfig()
	return autocli.AppOptions{
		Modules:               modules,
		ModuleOptions:         services.ExtractAutoCLIOptions(template.ModuleManager().Modules),
		AddressCodec:          address.NewBech32Codec(config.GetBech32AccountAddrPrefix()),
		ValidatorAddressCodec: address.NewBech32Codec(config.GetBech32ValidatorAddrPrefix()),
		ConsensusAddressCodec: address.NewBech32Codec(config.GetBech32ConsensusAddrPrefix()),
		ClientCtx:             clientCtx,
	}
}

// prepare reads the configuration that a command needs: client.toml for all, and a node's own files for those that work on
// a node. The others leave them alone, because the SDK binds every key of config.toml to a flag of the same name: a
// transaction's --moniker or --version must not come from the node's settings.
func prepare(cmd *cobra.Command, base client.Context) error {
	clientCtx, err := client.ReadPersistentCommandFlags(base.WithCmdContext(cmd.Context()).WithViper(EnvPrefix), cmd.Flags())
	if err != nil {
		return err
	}
	if err := nodeconfig.EnsureClient(clientCtx.HomeDir, clientCtx.ChainID); err != nil {
		return err
	}
	if clientCtx, err = clientconfig.ReadFromClientConfig(clientCtx); err != nil {
		return err
	}
	if err := client.SetCmdClientContextHandler(clientCtx, cmd); err != nil {
		return err
	}
	if worksOnNode(cmd) {
		return prepareNode(cmd, clientCtx.HomeDir)
	}
	return adjustGasFlags(cmd)
}

// hasOwnSetup says whether a command, or one above it, does without the usual configuration.
func hasOwnSetup(cmd *cobra.Command) bool {
	for c := cmd; c != nil; c = c.Parent() {
		if c.Annotations[ownSetup] != "" {
			return true
		}
	}
	return false
}

// topLevel is the name of the command directly under the root that cmd belongs to.
func topLevel(cmd *cobra.Command) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd.Name()
}
