package localnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/isuncoin/isuncoin/app"
)

// Run sets up the network where there is none, runs it until ctx ends, and stops its nodes. The app gives modules and
// codecs. When the chain answers, it says so on out.
func Run(ctx context.Context, a *app.App, o Options, out io.Writer) error {
	if err := o.Validate(); err != nil {
		return err
	}
	network, err := prepare(ctx, a, o)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var running []*process
	defer func() { stopAll(running, out) }()
	for i, node := range network.Nodes {
		p, err := launch(program, node)
		if err != nil {
			return err
		}
		running = append(running, p)
		network.Nodes[i].PID = p.node.PID
	}
	for _, p := range running {
		if err := p.await(ctx); err != nil {
			return ignoreCancel(err)
		}
	}
	if err := report(out, network, o.JSON); err != nil {
		return err
	}
	return supervise(ctx, running)
}

// supervise waits for the end of ctx, or of a node, which the others cannot do without for long.
func supervise(ctx context.Context, running []*process) error {
	ended := make(chan error, len(running))
	for _, p := range running {
		go func() {
			select {
			case <-p.ended:
				ended <- p.failure()
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stopAll ends the nodes together: each waits for its own last block.
func stopAll(running []*process, out io.Writer) {
	done := make(chan error, len(running))
	for _, p := range running {
		go func() { done <- p.stop() }()
	}
	for range running {
		if err := <-done; err != nil {
			fmt.Fprintln(out, err)
		}
	}
}

// ignoreCancel makes an interrupted start an ordinary end.
func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// report says what runs: one line of JSON for scripts, or text for people.
func report(out io.Writer, network Network, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(network)
	}
	fmt.Fprintf(out, "%s runs on this machine with %d validator(s)\n\n", network.ChainID, len(network.Nodes))
	fmt.Fprintf(out, "  rpc   %s\n  grpc  %s\n  api   %s\n  home  %s\n", network.RPC, network.GRPC, network.API, network.Home)
	for _, node := range network.Nodes {
		fmt.Fprintf(out, "  log   %s\n", node.Log)
	}
	fmt.Fprintf(out, "\naccounts, with their keys in the keyring %q of the home folder\n\n", network.KeyringBackend)
	for _, name := range slices.Sorted(maps.Keys(network.Accounts)) {
		fmt.Fprintf(out, "  %-12s %s\n", name, network.Accounts[name])
	}
	_, err := fmt.Fprintf(out, `
try

  isunchaind --home %[1]s status
  isunchaind --home %[1]s query bank balances tenant
  isunchaind --home %[1]s tx bank send tenant %[2]s 1000000uisc --yes

Ctrl-C stops it; the same command goes on from there, and with --reset begins anew.
`, network.Home, network.Accounts["tenant2"])
	return err
}
