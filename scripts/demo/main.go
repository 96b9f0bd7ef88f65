// Command demo shows the main job on one machine, with real parts: a chain, two workers on one Docker engine, a tenant whose
// money turns into running containers, hour after hour, and comes apart into shares and a refund. It checks what it shows,
// leaves build/demo/report.json and exits non-zero if anything is off. KEEP=1 leaves it running.
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
	if err := run(ctx, filepath.Join("build", "demo"), "build", os.Getenv("KEEP") != ""); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

// run plays the demo in a fresh folder with the programs of bin.
func run(ctx context.Context, dir, bin string, keep bool) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	d := newDemo(absolute, bin)
	err = d.play(ctx, keep)
	if keep && err == nil {
		d.sayWhatToTry()
		return nil
	}
	// Cleaning up must not be cut short by the Ctrl-C that asked for it.
	return errors.Join(err, d.cleanUp(context.WithoutCancel(ctx)))
}
