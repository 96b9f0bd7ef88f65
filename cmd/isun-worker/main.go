// Command isun-worker offers a machine to the network: it measures and
// registers it, runs tenants' containers on it and earns ISC.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/isuncoin/isuncoin/cmd/isun-worker/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	if err := command.Root().ExecuteContext(ctx); err != nil {
		code, tell := command.ExitCode(err)
		if tell {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		os.Exit(code)
	}
}
