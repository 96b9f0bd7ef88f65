package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// Serve answers one call of a plugin from a source written in Go and gives the
// code to exit with. args are what follows the program's name.
func Serve(ctx context.Context, source accel.Source, args []string, out, words io.Writer) int {
	answer, err := respond(ctx, source, args, words)
	if err == nil {
		err = json.NewEncoder(out).Encode(answer)
	}
	if err == nil {
		return ExitAnswer
	}
	fmt.Fprintln(words, err)
	switch {
	case errors.Is(err, errUsage):
		return ExitUsage
	case errors.Is(err, accel.ErrNoDevice):
		return ExitNoDevice
	case errors.Is(err, accel.ErrCannotMeasure):
		return ExitCannotMeasure
	}
	return ExitFailure
}

var errUsage = errors.New("usage: inventory | bench --device ID [--seed N] [--duration 3s]")

func respond(ctx context.Context, source accel.Source, args []string, words io.Writer) (any, error) {
	switch {
	case len(args) == 1 && args[0] == verbInventory:
		inv, err := source.Inventory(ctx)
		inv.Version = accel.ContractVersion
		if inv.Devices == nil {
			inv.Devices = []accel.Device{}
		}
		return inv, err
	case len(args) > 0 && args[0] == verbBench:
		var device string
		var opts accel.BenchOptions
		flags := flag.NewFlagSet(verbBench, flag.ContinueOnError)
		flags.SetOutput(words)
		flags.StringVar(&device, "device", "", "id of the device, as inventory lists it")
		flags.Uint64Var(&opts.Seed, "seed", 0, "chooses the work")
		flags.DurationVar(&opts.Duration, "duration", 3*time.Second, "how long to take for each figure")
		if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 || device == "" || opts.Duration < 0 {
			return nil, errUsage
		}
		result, err := source.Bench(ctx, device, opts)
		result.Version = accel.ContractVersion
		return result, err
	}
	return nil, errUsage
}
