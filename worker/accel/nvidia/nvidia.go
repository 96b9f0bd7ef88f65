// Package nvidia finds NVIDIA's cards, and the slices they are divided into,
// through the driver's own library.
//
// That library ends the process that asks it wrongly: any call after a failed
// start does, and so does a function that an older driver lacks. So Driver is
// for a process of its own, and Source runs one and reads its answer.
package nvidia

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// Name of the source, and of the child that serves it.
const Name = "nvidia"

// missingSymbol is how the dynamic linker ends a process that calls a function
// which the library does not have.
const missingSymbol = 127

// Source asks a child process.
type Source struct {
	// Child runs Driver in a process of its own.
	Child accel.Source
}

var _ accel.FindsOnly = Source{}

// Name implements accel.Source.
func (Source) Name() string { return Name }

// FindsOnly implements accel.FindsOnly: OpenCL measures what is found here.
func (Source) FindsOnly() bool { return true }

// Inventory implements accel.Source.
func (s Source) Inventory(ctx context.Context) (accel.Inventory, error) {
	inventory, err := s.Child.Inventory(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == missingSymbol {
		return inventory, fmt.Errorf("NVIDIA's driver lacks a function that this worker needs: "+
			"install version 450 or newer and restart the machine (%w)", err)
	}
	return inventory, err
}

// Bench implements accel.Source.
func (Source) Bench(context.Context, string, accel.BenchOptions) (accel.Result, error) {
	return accel.Result{}, accel.ErrCannotMeasure
}
