package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/netbench"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// DefaultDuration is how long the processor is measured: five hundred slices
// and more of each part on each thread, of which the best are stable. The
// other resources take their time by it.
const DefaultDuration = 8 * time.Second

// QuickDuration is for trying things out: figures move by some percent more.
const QuickDuration = time.Second

// The resources that can be measured.
const (
	ResourceCPU          = "cpu"
	ResourceMemory       = "memory"
	ResourceDisk         = "disk"
	ResourceNetwork      = "network"
	ResourceAccelerators = "accelerators"
)

// AllResources in the order they are measured.
func AllResources() []string {
	return []string{ResourceCPU, ResourceMemory, ResourceDisk, ResourceNetwork, ResourceAccelerators}
}

// Options say what to measure and how.
type Options struct {
	Host   probe.Host
	Offer  config.Offer
	Bundle Bundle
	// For is how long to measure the processor.
	For time.Duration
	// Only these resources; empty is all. Without the processor the report is
	// worth no SUNS.
	Only []string
	// Sources of accelerators, the first having the first word.
	Sources []accel.Source
	// Busy are the devices that placements hold, as the chain has them.
	Busy []sunstypes.Accelerator
	// Endpoints (host:port of a netbench server) to measure the line to; none
	// leaves it at what is declared.
	Endpoints []string
	// Progress hears of each step as it begins; it may be nil.
	Progress func(Step)
}

// Step is one part of a run.
type Step struct {
	// Name is what is being measured, for people.
	Name string
	// Expected is how long the step takes, about.
	Expected time.Duration
	// Before is how long all steps before it were to take, Total all of them.
	Before, Total time.Duration
}

// Validate says which option cannot be.
func (o Options) Validate() error {
	if o.For < 0 || o.For > 5*time.Minute {
		return fmt.Errorf("measure for %s: want at most 5m", o.For)
	}
	for _, name := range o.Only {
		if !slices.Contains(AllResources(), name) {
			return fmt.Errorf("measure only %q: want some of %s", name, strings.Join(AllResources(), ", "))
		}
	}
	return o.Offer.Validate()
}

func (o Options) wants(resource string) bool {
	return len(o.Only) == 0 || slices.Contains(o.Only, resource)
}

// runner is one run.
type runner struct {
	Options
	report  Report
	devices []accel.FoundDevice
	steps   []step
	before  time.Duration
	total   time.Duration
}

type step struct {
	name     string
	expected time.Duration
	do       func(context.Context) error
}

// Run probes and measures the machine. It ends soon after ctx does and leaves
// nothing behind.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	r := &runner{Options: o, report: Report{
		Version: Version, Offer: o.Offer, Bundle: o.Bundle, Accelerators: []Accelerator{},
		Measurements: []measure.Measurement{}, Notes: []string{},
	}}
	if err := r.look(ctx); err != nil {
		return Report{}, err
	}
	r.plan()
	for _, s := range r.steps {
		r.announce(s)
		if err := s.do(ctx); err != nil {
			return Report{}, err
		}
		r.before += s.expected
	}
	return r.report, r.conclude(ctx)
}

// look takes stock of what there is to measure.
func (r *runner) look(ctx context.Context) error {
	facts, err := probe.Probe(ctx, r.Host)
	if err != nil {
		return err
	}
	if failed := facts.Failures(); len(failed) > 0 {
		return fmt.Errorf("inventory: %s could not be read: %s", failed[0].Fact, failed[0].Detail)
	}
	r.report.Host = facts
	if !r.wants(ResourceAccelerators) {
		return nil
	}
	found, err := accel.Find(ctx, r.Sources)
	if err != nil {
		return err
	}
	r.devices = found.Devices
	r.report.Notes = append(r.report.Notes, found.Notes...)
	return nil
}

// plan says what is done, and for how long.
func (r *runner) plan() {
	host := r.report.Host
	add := func(resource, name string, d time.Duration, do func(context.Context) error) {
		if r.wants(resource) {
			r.steps = append(r.steps, step{name, d, do})
			r.total += d
		}
	}
	add(ResourceCPU, "processor", r.For, func(ctx context.Context) (err error) {
		r.report.CPU, err = CPU(ctx, host.CPU.Usable, r.For)
		r.report.Measurements = append(r.report.Measurements, r.report.CPU.Parts...)
		return err
	})
	add(ResourceMemory, "memory", r.For/2, func(ctx context.Context) error {
		available := min(host.Memory.AvailableMiB, host.Memory.UsableMiB) * probe.MiB
		m, err := MemoryBandwidth(ctx, host.CPU.Usable, available, r.For/2)
		return r.took(m, nil, err)
	})
	add(ResourceDisk, "disk", r.For/2, func(ctx context.Context) error {
		return r.took(Disk(ctx, host.Disk.Path, host.Disk.FreeMiB*probe.MiB, r.For/2))
	})
	direction := min(max(r.For/4, netbench.MinDuration), netbench.MaxDuration)
	for _, endpoint := range r.Endpoints {
		// Both directions, and half as long for the latency.
		add(ResourceNetwork, "line to "+endpoint, 5*direction/2, func(ctx context.Context) error {
			return r.line(ctx, endpoint, direction)
		})
	}
	for _, d := range r.devices {
		if r.deviceOptions().measures(d, r.Offer, r.busy()) {
			r.total += r.perDevice()
		}
	}
	if len(r.devices) > 0 {
		r.steps = append(r.steps, step{do: r.accelerators})
	}
}

// perDevice is for three figures each: memory, floating point, integers.
func (r *runner) perDevice() time.Duration { return r.For / 2 }

func (r *runner) announce(s step) {
	if r.Progress != nil && s.name != "" {
		r.Progress(Step{Name: s.name, Expected: s.expected, Before: r.before, Total: r.total})
	}
}

// took adds figures. What memory or disk could do is not needed for SUNS, so
// too little room to measure them is a note.
func (r *runner) took(m []measure.Measurement, notes []string, err error) error {
	r.report.Measurements = append(r.report.Measurements, m...)
	r.report.Notes = append(r.report.Notes, notes...)
	if errors.Is(err, ErrTooLittle) {
		r.report.Notes = append(r.report.Notes, err.Error())
		return nil
	}
	return err
}

func (r *runner) line(ctx context.Context, endpoint string, d time.Duration) error {
	result, err := netbench.Measure(ctx, endpoint, netbench.Options{Seed: Seed, Duration: d})
	if err != nil {
		return err
	}
	for i := range result.Measurements {
		result.Measurements[i].Device = endpoint
	}
	r.report.Host.Network.SeenAs(result.PublicAddress)
	return r.took(result.Measurements, []string{
		fmt.Sprintf("%s sees this machine as %s", endpoint, result.PublicAddress),
	}, nil)
}

func (r *runner) deviceOptions() deviceOptions {
	return deviceOptions{
		BenchOptions: accel.BenchOptions{Seed: Seed, Duration: r.perDevice() / 3},
		all:          slices.Contains(r.Only, ResourceAccelerators), // asked for by name
	}
}

// busy are the devices that placements hold, by id.
func (r *runner) busy() map[string]sunstypes.Accelerator {
	busy := make(map[string]sunstypes.Accelerator, len(r.Busy))
	for _, a := range r.Busy {
		busy[a.DeviceID] = a
	}
	return busy
}

func (r *runner) accelerators(ctx context.Context) error {
	each := r.perDevice()
	devices, m, err := measureDevices(ctx, r.devices, r.Offer, r.busy(), r.Bundle.Accelerator, r.deviceOptions(), func(d accel.FoundDevice) {
		r.announce(step{name: d.Model, expected: each})
		r.before += each
	})
	if err != nil {
		return err
	}
	r.report.Accelerators = devices
	return r.took(m, nil, nil)
}

// conclude works out what is offered and what it is worth.
func (r *runner) conclude(ctx context.Context) error {
	held, err := heldMiB(ctx, r.Host.DataDir)
	if err != nil {
		return err
	}
	report := &r.report
	mbps, from := bandwidth(r.Offer.BandwidthMbps, report.Measurements)
	report.BandwidthFrom = from
	report.Machine = machine(report.Host, report.CPU.Points, held, mbps)
	if disturbed := report.Disturbed(); len(disturbed) > 0 {
		report.Notes = append(report.Notes, "something else ran on this machine or beside it meanwhile: "+
			list(disturbed)+" delivered less than they can do")
	}
	if !report.Complete() {
		report.Notes = append(report.Notes, "the processor was not measured, so there are no SUNS")
		return nil
	}
	if report.Capacity, err = offered(report.Host, report.Machine, r.Offer); err != nil {
		return err
	}
	report.Worth = report.Suns(r.Bundle)
	return nil
}
