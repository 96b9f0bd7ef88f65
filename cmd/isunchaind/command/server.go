package command

import (
	"fmt"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/cobra"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/client/pruning"
	"github.com/cosmos/cosmos-sdk/client/snapshot"
	"github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
)

// nodeCommands are the commands that work on a node's own files and so read them. What is under them does too.
var nodeCommands = map[string]bool{
	"start": true, "comet": true, "export": true, "rollback": true, "module-hash-by-height": true,
	"genesis": true, "snapshots": true, "prune": true, "init": true,
}

func worksOnNode(cmd *cobra.Command) bool { return nodeCommands[topLevel(cmd)] }

// addServerCommands adds what runs and tends a node.
func addServerCommands(root *cobra.Command, template *app.App) {
	server.AddCommands(root, DefaultHome(), newApp, exportApp, func(*cobra.Command) {})
	for _, cmd := range root.Commands() {
		if cmd.Name() == "version" {
			annotate(cmd)
		}
	}
	root.AddCommand(
		initCommand(template),
		genutilcli.Commands(template.TxConfig(), template.BasicManager(), DefaultHome()),
		snapshot.Cmd(newApp),
		pruning.Cmd(newApp, DefaultHome()),
		localnetCommand(template),
	)
}

// annotate marks a command as doing without the usual configuration.
func annotate(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[ownSetup] = "true"
}

// prepareNode makes sure that a node's files exist, with our defaults, and reads them.
func prepareNode(cmd *cobra.Command, home string) error {
	if err := nodeconfig.EnsureNode(home); err != nil {
		return err
	}
	if cmd.Name() == "gentx" {
		if err := fixGenesisGas(cmd); err != nil {
			return err
		}
	}
	// The templates are only used for files that do not exist, so what is handed over is read from disk.
	return server.InterceptConfigsPreRunHandler(cmd, "", nil, nodeconfig.Comet())
}

// newApp builds the application of a running node.
func newApp(logger log.Logger, db dbm.DB, opts servertypes.AppOptions) servertypes.Application {
	return app.New(logger, db, opts, server.DefaultBaseappOptions(opts)...)
}

// exportApp writes the state of a height, or of the latest with -1.
func exportApp(
	logger log.Logger, db dbm.DB, height int64, forZeroHeight bool, jailAllowed []string,
	opts servertypes.AppOptions, modules []string,
) (servertypes.ExportedApp, error) {
	a := app.NewAt(logger, db, opts)
	if height == -1 {
		if err := a.LoadLatestVersion(); err != nil {
			return servertypes.ExportedApp{}, err
		}
	} else if err := a.LoadHeight(height); err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("load height %d: %w", height, err)
	}
	return a.Export(forZeroHeight, jailAllowed, modules)
}
