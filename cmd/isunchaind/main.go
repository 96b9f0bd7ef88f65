// Command isunchaind runs a node of the chain and is its command line: keys, transactions, queries, genesis and local
// networks.
package main

import (
	"fmt"
	"os"

	svrcmd "github.com/cosmos/cosmos-sdk/server/cmd"

	"github.com/isuncoin/isuncoin/cmd/isunchaind/command"
)

func main() {
	// Cobra has already told the user what went wrong.
	if err := svrcmd.Execute(command.Root(), command.EnvPrefix, command.DefaultHome()); err != nil {
		if hint := command.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}
