// Package opencl finds and measures devices through OpenCL: graphics cards of
// all makers, FPGAs and processors whose drivers speak it. The library is
// loaded at run time and without cgo, so the worker runs where there is none.
//
// Drivers crash and hang, so the worker uses this package in a child process
// (see plugin.Self). What is measured, each with a seed, a checked result and
// a digest that is the same on every device:
//
//	accelerator.memory_bandwidth  MB/s     a = b + s·c over buffers far beyond caches, bytes counted as STREAM does
//	accelerator.fp32              GFLOP/s  chains of multiply-add in registers
//	accelerator.fp32_product      GFLOP/s  tiled matrix product of small integers, exact in fp32
//	accelerator.integer_product   GOP/s    the same in 32-bit words that wrap around
//	accelerator.field_product     GOP/s    the same modulo the prime 2^31 - 1
//
// For SUNS count the first two: they are the two figures that makers publish
// and that one SUNS of a device is defined by. The products tell how much of
// them a program gets that is not tuned to the device.
package opencl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// Source is accel.Source over OpenCL. Its calls do not run at the same time:
// two measurements would disturb each other.
type Source struct {
	// Library is the loader's file; empty is LibraryName.
	Library string
	// Sys is /sys, where device files are looked up.
	Sys fs.FS
	// Vendors is /etc/OpenCL/vendors, where drivers are registered.
	Vendors fs.FS

	effort effort
	mu     sync.Mutex
	lib    *library
}

var _ accel.Source = (*Source)(nil)

// New is the source of this machine; sys is where /sys is.
func New(sys string) *Source {
	return &Source{Sys: os.DirFS(sys), Vendors: os.DirFS("/etc/OpenCL/vendors"), effort: fullEffort}
}

// Name is what the source is called.
const Name = "opencl"

// Name implements accel.Source.
func (*Source) Name() string { return Name }

// library loads OpenCL once.
func (s *Source) library() (*library, error) {
	if s.lib != nil {
		return s.lib, nil
	}
	name := s.Library
	if name == "" {
		name = LibraryName
	}
	lib, err := load(name)
	s.lib = lib
	return lib, err
}

// Inventory implements accel.Source. No library, no driver and no device is an
// empty list.
func (s *Source) Inventory(ctx context.Context) (accel.Inventory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := accel.Inventory{Version: accel.ContractVersion, Devices: []accel.Device{}}
	if err := ctx.Err(); err != nil {
		return inv, err
	}
	lib, err := s.library()
	if errors.Is(err, ErrNoLibrary) {
		return inv, nil
	}
	if err != nil {
		return inv, err
	}
	entries, notes, err := lib.list(s.Sys)
	if err != nil {
		return inv, err
	}
	inv.Notes = notes
	for _, e := range entries {
		inv.Devices = append(inv.Devices, e.device)
	}
	if len(entries) == 0 && len(notes) == 0 {
		inv.Notes = s.idleDrivers()
	}
	return inv, nil
}

// idleDrivers tells of drivers that are registered and show no device.
func (s *Source) idleDrivers() []string {
	files, err := fs.Glob(s.Vendors, "*.icd")
	if err != nil || len(files) == 0 {
		return nil
	}
	slices.Sort(files)
	return []string{printable(fmt.Sprintf("OpenCL drivers are registered in /etc/OpenCL/vendors (%v) and show no device: "+
		"either the card is missing or its kernel driver is", files), 400)}
}

// find gives the device with an id.
func (s *Source) find(id string) (*library, entry, error) {
	lib, err := s.library()
	if errors.Is(err, ErrNoLibrary) {
		return nil, entry{}, fmt.Errorf("%w: %s: %w", accel.ErrNoDevice, id, err)
	}
	if err != nil {
		return nil, entry{}, err
	}
	entries, _, err := lib.list(s.Sys)
	if err != nil {
		return nil, entry{}, err
	}
	for _, e := range entries {
		if e.device.ID != id {
			continue
		}
		if !e.facts.CompilerAvailable {
			return nil, entry{}, fmt.Errorf("%w: the driver of %s cannot compile programs", accel.ErrCannotMeasure, e.device.Model)
		}
		if !e.facts.Available {
			return nil, entry{}, fmt.Errorf("%s (%s): its driver says that it is not available", id, e.device.Model)
		}
		return lib, e, nil
	}
	return nil, entry{}, fmt.Errorf("%w: %s", accel.ErrNoDevice, id)
}

// use opens a device for the time of a call.
func (s *Source) use(ctx context.Context, id string, do func(*session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	lib, e, err := s.find(id)
	if err != nil {
		return err
	}
	session, err := lib.open(e)
	if err != nil {
		return fmt.Errorf("%s (%s): %w", id, e.device.Model, err)
	}
	if err := errors.Join(do(session), session.close()); err != nil {
		return fmt.Errorf("%s (%s): %w", id, e.device.Model, err)
	}
	return nil
}
