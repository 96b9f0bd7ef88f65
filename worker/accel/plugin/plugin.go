// Package plugin is a source of accelerators that runs an executable: an
// owner's plugin for hardware the worker does not know, or a child of the
// worker itself for drivers that crash and hang.
//
// The executable is called as
//
//	PLUGIN inventory
//	PLUGIN bench --device ID --seed N --duration 3s
//
// and answers with one JSON document on its standard output: accel.Inventory
// or accel.Result. What it writes to its standard error is for people. Exit
// codes: 0 an answer, 3 no such device, 4 it finds devices and cannot measure
// them, anything else a failure. Nothing it says is taken on trust:
// CheckInventory and CheckResult say what a valid answer is.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// What a plugin is asked for.
const (
	verbInventory = "inventory"
	verbBench     = "bench"
)

// Exit codes of a plugin.
const (
	ExitAnswer        = 0
	ExitFailure       = 1
	ExitUsage         = 2
	ExitNoDevice      = 3
	ExitCannotMeasure = 4
)

const (
	// DefaultInventoryTimeout is generous: a driver that wakes a sleeping card
	// takes seconds.
	DefaultInventoryTimeout = 30 * time.Second
	// DefaultBenchTimeout is for what a benchmark does beside measuring, such
	// as compiling its kernels; each figure's own time comes on top.
	DefaultBenchTimeout = 2 * time.Minute
	// figures is how many figures a benchmark may take, each for the duration
	// it was asked for and as long again to prepare and check it.
	figures = 2 * maxMeasurements
)

// Source runs an executable.
type Source struct {
	// SourceName is what the source is called.
	SourceName string
	// Command is the executable and what comes before the verb.
	Command []string
	// InventoryTimeout and BenchTimeout bound an answer; zero is the default.
	InventoryTimeout time.Duration
	BenchTimeout     time.Duration
	// guard says whether the executable may be run; nil is yes.
	guard func() error
}

var _ accel.Source = (*Source)(nil)

// Self is the worker's own source NAME in a process of its own: it runs
// `isun-worker accelerator-source --home HOME NAME`. A driver that crashes or
// hangs there costs one answer and not the worker.
func Self(home, name string) *Source {
	// /proc/self/exe names the running program even after an update has
	// replaced its file.
	return &Source{SourceName: name, Command: []string{"/proc/self/exe", SelfCommand, "--home", home, name}}
}

// SelfCommand is the hidden command of isun-worker that serves its sources.
const SelfCommand = "accelerator-source"

// Name implements accel.Source.
func (s *Source) Name() string { return s.SourceName }

// Inventory implements accel.Source.
func (s *Source) Inventory(ctx context.Context) (accel.Inventory, error) {
	raw, err := s.ask(ctx, orUsual(s.InventoryTimeout, DefaultInventoryTimeout), verbInventory)
	if err != nil {
		return accel.Inventory{}, err
	}
	inv, err := readInventory(raw)
	if err != nil {
		return accel.Inventory{}, fmt.Errorf("%s: the answer to %s: %w", s.SourceName, verbInventory, err)
	}
	for i := range inv.Devices {
		inv.Devices[i].Sources = []string{s.SourceName}
	}
	return inv, nil
}

// Bench implements accel.Source.
func (s *Source) Bench(ctx context.Context, deviceID string, opts accel.BenchOptions) (accel.Result, error) {
	if !validID(deviceID) { // it becomes an argument
		return accel.Result{}, fmt.Errorf("%w: %q", accel.ErrNoDevice, deviceID)
	}
	if opts.Duration < 0 || opts.Duration > MaxDuration {
		return accel.Result{}, fmt.Errorf("measure for %s: want 0 to %s a figure", opts.Duration, MaxDuration)
	}
	limit := orUsual(s.BenchTimeout, DefaultBenchTimeout) + figures*opts.Duration
	raw, err := s.ask(ctx, limit, verbBench, "--device", deviceID,
		"--seed", strconv.FormatUint(opts.Seed, 10), "--duration", opts.Duration.String())
	if err != nil {
		return accel.Result{}, err
	}
	result, err := readResult(raw, deviceID, opts.Seed)
	if err != nil {
		return accel.Result{}, fmt.Errorf("%s: the answer to %s: %w", s.SourceName, verbBench, err)
	}
	return result, nil
}

// MaxDuration bounds how long one figure is measured.
const MaxDuration = time.Hour

// ask runs the executable and gives its standard output.
func (s *Source) ask(ctx context.Context, limit time.Duration, args ...string) ([]byte, error) {
	if len(s.Command) == 0 {
		return nil, errors.New("a plugin without a command")
	}
	if s.guard != nil {
		if err := s.guard(); err != nil {
			return nil, err
		}
	}
	p := process{args: slices.Concat(s.Command, args), limit: limit}
	raw, err := p.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.SourceName, args[0], err)
	}
	return raw, nil
}

func orUsual(set, usual time.Duration) time.Duration {
	if set > 0 {
		return set
	}
	return usual
}
