// Command demo shows the main job on one machine, with real parts: a chain, two workers on one Docker engine, a tenant whose
// money turns into running containers, hour after hour, and comes apart into shares and a refund. It checks what it shows,
// leaves build/demo/report.json and exits non-zero if anything is off. KEEP=1 leaves it running;
// "stop" ends one that was left.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := filepath.Abs(filepath.Join("build", "demo"))
	switch {
	case err != nil:
	case len(os.Args) > 1 && os.Args[1] == "stop":
		err = endLeftover(ctx, dir)
	default:
		err = run(ctx, dir, "build", os.Getenv("KEEP") != "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

// run plays the demo in a fresh folder with the programs of bin.
func run(ctx context.Context, dir, bin string, keep bool) error {
	if err := endLeftover(ctx, dir); err != nil {
		return fmt.Errorf("end the demo that was kept: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	d := newDemo(dir, bin)
	err = d.play(ctx, keep)
	if keep && err == nil {
		d.sayWhatToTry()
		return nil
	}
	// Cleaning up must not be cut short by the Ctrl-C that asked for it.
	return errors.Join(err, d.cleanUp(context.WithoutCancel(ctx)))
}
