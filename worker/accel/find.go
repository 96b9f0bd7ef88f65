package accel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sourceTimeout is for a source that does not end by itself. It is longer than
// what a source in a process of its own has, which says more of what went wrong.
const sourceTimeout = 35 * time.Second

// Found is what all sources together say of the machine.
type Found struct {
	// Devices are sorted by their place on the bus, then by id.
	Devices []FoundDevice `json:"devices"`
	// Notes tell the owner what is missing and which sources failed.
	Notes []string `json:"notes,omitempty"`
	// Failed are the names of the sources that gave no list: what only they
	// know may be there all the same.
	Failed []string `json:"failed,omitempty"`
}

// FoundDevice is one device with all that its sources say of it.
type FoundDevice struct {
	Device
	// Offered is true when it can be rented out. If not, Unusable says why.
	Offered bool `json:"offered"`
	// Measurers are the sources that may measure it, best first, by name.
	Measurers []string `json:"measurers,omitempty"`

	known []known
}

// known is how one source knows a device.
type known struct {
	source Source
	id     string
}

// FindsOnly is a source that can never measure what it finds.
type FindsOnly interface {
	Source
	FindsOnly() bool
}

// Find asks all sources at once and joins their answers: what several of them
// say of one place on the bus, or under one id, is one device, and the sources
// named first have the first word on it. A source that fails or hangs costs a
// note. The only error is that ctx ended.
func Find(ctx context.Context, sources []Source) (Found, error) {
	answers := make([]chan answer, len(sources))
	for i, source := range sources {
		answers[i] = make(chan answer, 1)
		go func() { answers[i] <- ask(ctx, source) }()
	}
	j := joiner{}
	for i, source := range sources {
		a := <-answers[i]
		j.join(source, a.inventory, a.err)
	}
	if err := ctx.Err(); err != nil {
		return Found{}, fmt.Errorf("find accelerators: %w", context.Cause(ctx))
	}
	return j.found(), nil
}

type answer struct {
	inventory Inventory
	err       error
}

// ask does not wait for a source that heeds no deadline.
func ask(ctx context.Context, source Source) answer {
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		inventory, err := source.Inventory(ctx)
		done <- answer{inventory, err}
	}()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
	}
	select {
	case a := <-done: // it answered at the last moment
		return a
	default:
		return answer{err: ctx.Err()}
	}
}

// Device finds a device by its id.
func (f Found) Device(id string) (FoundDevice, bool) {
	for _, d := range f.Devices {
		if d.ID == id {
			return d, true
		}
	}
	return FoundDevice{}, false
}

// Offered are the devices that can be rented out.
func (f Found) Offered() []FoundDevice {
	var offered []FoundDevice
	for _, d := range f.Devices {
		if d.Offered {
			offered = append(offered, d)
		}
	}
	return offered
}

// Bench measures the device with the first of its sources that can.
// ErrCannotMeasure if none can.
func (d FoundDevice) Bench(ctx context.Context, opts BenchOptions) (Result, error) {
	var errs []error
	for _, k := range d.known {
		result, err := k.source.Bench(ctx, k.id, opts)
		if err == nil {
			for i := range result.Measurements {
				result.Measurements[i].Device = d.ID
			}
			return result, nil
		}
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("measure %s: %w", d.ID, context.Cause(ctx))
		}
		if !errors.Is(err, ErrCannotMeasure) {
			errs = append(errs, fmt.Errorf("%s: %w", k.source.Name(), err))
		}
	}
	if len(errs) == 0 {
		return Result{}, fmt.Errorf("measure %s: %w", d.ID, ErrCannotMeasure)
	}
	return Result{}, fmt.Errorf("measure %s: %w", d.ID, errors.Join(errs...))
}

// joiner puts the sources' answers together, in their order.
type joiner struct {
	devices []*FoundDevice
	notes   []string
	failed  []string
}

func (j *joiner) note(source Source, format string, args ...any) {
	j.notes = append(j.notes, source.Name()+": "+fmt.Sprintf(format, args...))
}

func (j *joiner) join(source Source, inventory Inventory, err error) {
	if err == nil && inventory.Version > ContractVersion {
		err = fmt.Errorf("it answers in version %d of the contract and this worker knows %d: update the worker",
			inventory.Version, ContractVersion)
	}
	if err != nil {
		j.failed = append(j.failed, source.Name())
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s; its driver may hang", sourceTimeout)
		}
		j.note(source, "its devices are left out: %v", err)
		return
	}
	for _, note := range inventory.Notes {
		j.note(source, "%s", note)
	}
	here := map[string]bool{}
	for _, d := range inventory.Devices {
		d.PCI = NormalPCI(d.PCI)
		d.Vendor, d.Model = strings.TrimSpace(d.Vendor), strings.TrimSpace(d.Model)
		if here[d.ID] {
			j.note(source, "it lists device %q twice; the second is left out", d.ID)
			continue
		}
		here[d.ID] = true
		j.add(source, d)
	}
}

func (j *joiner) add(source Source, d Device) {
	for _, have := range j.devices {
		if have.same(d) {
			have.learn(source, d)
			return
		}
		if have.ID == d.ID {
			j.note(source, "device %q at %s has the id of the one at %s and is left out", d.ID, d.PCI, have.PCI)
			return
		}
	}
	fresh := &FoundDevice{Device: d}
	fresh.Sources = nil
	fresh.Attach = Attach{}
	fresh.learn(source, d)
	j.devices = append(j.devices, fresh)
}

// same says whether another source's device is this one. Slices lie at one
// place on the bus, so only their ids tell them apart.
func (d *FoundDevice) same(o Device) bool {
	if d.PCI != "" && o.PCI != "" && d.PCI != o.PCI {
		return false
	}
	if d.ID == o.ID {
		return true
	}
	return d.PCI != "" && d.PCI == o.PCI && d.Parent == "" && o.Parent == ""
}

// learn adds what a further source says; what is known already stays.
func (d *FoundDevice) learn(source Source, o Device) {
	d.Sources = append(d.Sources, source.Name())
	d.Kind = cmp.Or(d.Kind, o.Kind)
	d.Vendor = cmp.Or(d.Vendor, o.Vendor)
	d.Model = cmp.Or(d.Model, o.Model)
	d.MemoryMiB = cmp.Or(d.MemoryMiB, o.MemoryMiB)
	d.PCI = cmp.Or(d.PCI, o.PCI)
	d.Driver = cmp.Or(d.Driver, o.Driver)
	d.Status = d.Status.or(o.Status)
	d.Attach = d.Attach.with(o.Attach)
	if f, ok := source.(FindsOnly); ok && f.FindsOnly() {
		return
	}
	d.Measurers = append(d.Measurers, source.Name())
	d.known = append(d.known, known{source, o.ID})
}

func (s Status) or(o Status) Status {
	return Status{
		UtilisationPercent: cmp.Or(s.UtilisationPercent, o.UtilisationPercent),
		MemoryUsedMiB:      cmp.Or(s.MemoryUsedMiB, o.MemoryUsedMiB),
		TemperatureCelsius: cmp.Or(s.TemperatureCelsius, o.TemperatureCelsius),
		ECC:                cmp.Or(s.ECC, o.ECC),
		PCIeGeneration:     cmp.Or(s.PCIeGeneration, o.PCIeGeneration),
		PCIeWidth:          cmp.Or(s.PCIeWidth, o.PCIeWidth),
	}
}

// with adds another source's way to the device. Where NVIDIA's runtime hands
// it over, that brings the nodes itself.
func (a Attach) with(o Attach) Attach {
	a.NVIDIA = cmp.Or(a.NVIDIA, o.NVIDIA)
	a.Nodes = append(slices.Clone(a.Nodes), o.Nodes...)
	slices.Sort(a.Nodes)
	a.Nodes = slices.Compact(a.Nodes)
	if a.NVIDIA != "" {
		a.Nodes = nil
	}
	a.Env = slices.Clone(a.Env)
	for _, e := range o.Env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(a.Env, func(have string) bool { return strings.HasPrefix(have, name+"=") }) {
			a.Env = append(a.Env, e)
		}
	}
	return a
}

func (a Attach) empty() bool { return a.NVIDIA == "" && len(a.Nodes) == 0 }

// found decides what is offered.
func (j *joiner) found() Found {
	divided := map[string]bool{}
	for _, d := range j.devices {
		if d.Parent != "" {
			divided[d.Parent] = true
		}
	}
	f := Found{Devices: []FoundDevice{}, Notes: j.notes, Failed: j.failed}
	for _, d := range j.devices {
		d.Model = cmp.Or(d.Model, strings.TrimSpace(d.Vendor+" "+d.Kind))
		d.Unusable = cmp.Or(d.Unusable, d.obstacle(divided[d.ID]))
		d.Offered = d.Unusable == ""
		f.Devices = append(f.Devices, *d)
	}
	slices.SortFunc(f.Devices, func(a, b FoundDevice) int {
		return cmp.Or(
			cmp.Compare(min(len(b.PCI), 1), min(len(a.PCI), 1)), // those on no bus come last
			cmp.Compare(a.PCI, b.PCI), cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.ID, b.ID),
		)
	})
	return f
}

// unmeasured is in the way of offering a device, not of using it.
const unmeasured = "nothing here can measure it: install its maker's OpenCL driver, or a plugin that can"

// obstacle says why a device cannot be rented out; empty if it can.
func (d *FoundDevice) obstacle(divided bool) string {
	switch d.Kind {
	case KindGPU, KindFPGA, KindASIC:
	case KindCPU:
		return "it is the machine's processor, which the general capacity has already"
	default:
		return fmt.Sprintf("its kind %.20q is none of gpu, fpga and asic", d.Kind)
	}
	switch {
	case divided:
		return "it is divided, and its slices are offered instead"
	case !printable(d.ID, maxIDBytes):
		return fmt.Sprintf("its id %.80q is not 1 to %d printable characters", d.ID, maxIDBytes)
	case !printable(d.Vendor, maxVendorBytes):
		return fmt.Sprintf("its maker %.80q is not 1 to %d printable characters", d.Vendor, maxVendorBytes)
	case !printable(d.Model, maxModelBytes):
		return fmt.Sprintf("its model %.80q is not 1 to %d printable characters", d.Model, maxModelBytes)
	case d.Attach.empty():
		return "nothing says how a container gets it"
	case len(d.Measurers) == 0:
		return unmeasured
	}
	return ""
}

// What the chain takes of a device's description; see x/suns.
const (
	maxIDBytes     = 64
	maxVendorBytes = 32
	maxModelBytes  = 64
)

func printable(s string, most int) bool {
	return s != "" && len(s) <= most && s == strings.TrimSpace(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// NormalPCI writes a place on the bus as the kernel does, "0000:01:00.0".
// NVIDIA's library puts eight digits of domain before it. What is no such
// address comes back empty: nothing may be joined by it.
func NormalPCI(address string) string {
	var domain, bus, device, function uint32
	parts := strings.Split(strings.ToLower(strings.TrimSpace(address)), ":")
	if len(parts) == 2 {
		parts = append([]string{"0000"}, parts...)
	}
	if len(parts) != 3 {
		return ""
	}
	slot, fn, ok := strings.Cut(parts[2], ".")
	if !ok || !hex(parts[0], 8, &domain) || !hex(parts[1], 2, &bus) || !hex(slot, 2, &device) || !hex(fn, 1, &function) {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", domain, bus, device, function)
}

func hex(s string, most int, into *uint32) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, r := range s {
		digit := strings.IndexRune("0123456789abcdef", r)
		if digit < 0 {
			return false
		}
		*into = *into<<4 | uint32(digit)
	}
	return true
}
