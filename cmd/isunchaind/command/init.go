package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cosmos/go-bip39"
	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/input"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/version"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
)

const (
	flagOverwrite = "overwrite"
	flagRecover   = "recover"
)

// initCommand sets up a node's home: its keys, its configuration and a genesis nobody has money in yet.
func initCommand(template *app.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [moniker]",
		Short: "Set up a node's keys, configuration and genesis",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInit(cmd, template, args[0])
		},
	}
	cmd.Flags().String(flags.FlagHome, DefaultHome(), "the node's home folder")
	cmd.Flags().String(flags.FlagChainID, "", "chain id of the genesis (default "+nodeconfig.DefaultChainID+")")
	cmd.Flags().BoolP(flagOverwrite, "o", false, "replace a genesis that is already there")
	cmd.Flags().Bool(flagRecover, false, "read the phrase of an existing validator key instead of making one")
	cmd.Flags().StringP(flags.FlagOutput, "", flags.OutputFormatText, "output format (text|json)")
	return cmd
}

func runInit(cmd *cobra.Command, template *app.App, moniker string) error {
	clientCtx := client.GetClientContextFromCmd(cmd)
	config := server.GetServerContextFromCmd(cmd).Config
	config.SetRoot(clientCtx.HomeDir)
	config.Moniker = moniker

	overwrite, err := cmd.Flags().GetBool(flagOverwrite)
	if err != nil {
		return err
	}
	if _, err := os.Stat(config.GenesisFile()); !overwrite && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is already there; --%s replaces it", config.GenesisFile(), flagOverwrite)
	}
	mnemonic, err := readMnemonic(cmd)
	if err != nil {
		return err
	}
	nodeID, _, err := genutil.InitializeNodeValidatorFilesFromMnemonic(config, mnemonic)
	if err != nil {
		return fmt.Errorf("make the node's keys: %w", err)
	}
	genesis, err := emptyGenesis(template, clientCtx.ChainID)
	if err != nil {
		return err
	}
	if err := genutil.ExportGenesisFile(genesis, config.GenesisFile()); err != nil {
		return fmt.Errorf("write the genesis: %w", err)
	}
	cmtcfg.WriteConfigFile(nodeconfig.CometFile(clientCtx.HomeDir), config)
	return printInit(cmd, initResult{
		Moniker: moniker, ChainID: clientCtx.ChainID, NodeID: nodeID, Home: clientCtx.HomeDir,
		Genesis: config.GenesisFile(),
	})
}

// readMnemonic asks for a phrase if one is to be recovered from; empty means a new key.
func readMnemonic(cmd *cobra.Command) (string, error) {
	recovering, err := cmd.Flags().GetBool(flagRecover)
	if err != nil || !recovering {
		return "", err
	}
	mnemonic, err := input.GetString("Enter the validator key's phrase", bufio.NewReader(cmd.InOrStdin()))
	if err != nil {
		return "", err
	}
	if !bip39.IsMnemonicValid(mnemonic) {
		return "", errors.New("that is no valid phrase")
	}
	return mnemonic, nil
}

// emptyGenesis is the default genesis as a file.
func emptyGenesis(template *app.App, chainID string) (*genutiltypes.AppGenesis, error) {
	state, err := template.DefaultGenesis()
	if err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the genesis: %w", err)
	}
	genesis := genutiltypes.NewAppGenesisWithVersion(chainID, raw)
	genesis.AppName, genesis.AppVersion = app.Name, version.Version
	genesis.InitialHeight = 1
	genesis.Consensus = &genutiltypes.ConsensusGenesis{Params: app.DefaultConsensusParams()}
	return genesis, nil
}

// initResult is what init tells.
type initResult struct {
	Moniker string `json:"moniker"`
	ChainID string `json:"chain_id"`
	NodeID  string `json:"node_id"`
	Home    string `json:"home"`
	Genesis string `json:"genesis"`
}

func printInit(cmd *cobra.Command, result initResult) error {
	output, err := cmd.Flags().GetString(flags.FlagOutput)
	if err != nil {
		return err
	}
	if output == flags.OutputFormatJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `%s is ready as a node of %s
  node id  %s
  home     %s
  genesis  %s (replace it with the network's own to join one)
`, result.Moniker, result.ChainID, result.NodeID, result.Home, result.Genesis)
	return err
}
