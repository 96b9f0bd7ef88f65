package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client/flags"
)

// offlineGas is asked for where nothing can be simulated; it is what the SDK asks for by default.
const offlineGas = "200000"

// adjustGasFlags fits what client.toml says of gas to what was asked for on the command line: --fees stands in for gas
// prices, and where no chain can be asked gas cannot be estimated.
func adjustGasFlags(cmd *cobra.Command) error {
	set := cmd.Flags()
	if set.Lookup(flags.FlagGas) == nil {
		return nil
	}
	if set.Changed(flags.FlagFees) && !set.Changed(flags.FlagGasPrices) {
		if err := set.Set(flags.FlagGasPrices, ""); err != nil {
			return fmt.Errorf("leave out gas prices: %w", err)
		}
	}
	offline, err := set.GetBool(flags.FlagOffline)
	if err != nil {
		return err
	}
	if offline && !set.Changed(flags.FlagGas) {
		return set.Set(flags.FlagGas, offlineGas)
	}
	return nil
}

// fixGenesisGas makes a genesis transaction, which runs before there is a chain, ask for fixed gas and pay nothing.
func fixGenesisGas(cmd *cobra.Command) error {
	set := cmd.Flags()
	for name, value := range map[string]string{flags.FlagGas: offlineGas, flags.FlagGasPrices: ""} {
		if set.Lookup(name) == nil || set.Changed(name) {
			continue
		}
		if err := set.Set(name, value); err != nil {
			return fmt.Errorf("set --%s: %w", name, err)
		}
	}
	return nil
}
