// Command isun is the tenant's command: it orders, watches, changes and closes leases.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/isuncoin/isuncoin/cmd/isun/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, command.StandardStreams(), os.Args[1:])
	stop()
	os.Exit(code)
}
