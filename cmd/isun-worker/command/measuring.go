package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// measuring are the flags of commands that measure. What a flag does not say
// is the config's.
type measuring struct {
	offer                           string
	cpu, memory, storage, bandwidth string
	keep                            []string
	threads, memoryMiB, diskMiB     uint64
	duration                        time.Duration
	quick                           bool
	only, endpoints                 []string
	// busy are devices that placements hold.
	busy []sunstypes.Accelerator
}

func (m *measuring) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.offer, "offer", "", "part of the machine to rent out, such as 60%; the config's when empty")
	f.StringVar(&m.cpu, "offer-cpu", "", "processor time to rent out, such as 50% or '4 threads'; --offer when empty")
	f.StringVar(&m.memory, "offer-memory", "", "memory to rent out, such as 50% or 8GiB; --offer when empty")
	f.StringVar(&m.storage, "offer-storage", "", "disk space to rent out, such as 50% or 200GiB; --offer when empty")
	f.StringVar(&m.bandwidth, "offer-bandwidth", "", "bandwidth to rent out, such as 50% or 50Mbit/s; --offer when empty")
	f.StringSliceVar(&m.keep, "keep-device", nil, "accelerator that is not for rent, by its id, or all; repeat it for several")
	f.Uint64Var(&m.threads, "reserve-threads", 0, "processor threads kept for the machine itself; the config's when not given")
	f.Uint64Var(&m.memoryMiB, "reserve-memory", 0, "memory kept for the machine itself, in MiB; the config's when not given")
	f.Uint64Var(&m.diskMiB, "reserve-disk", 0, "disk space kept for the machine itself, in MiB; the config's when not given")
	f.DurationVar(&m.duration, "measure", bench.DefaultDuration, "how long to measure the processor; all together takes about twice that")
	f.BoolVar(&m.quick, "quick", false, fmt.Sprintf("the same as --measure %s: less exact", bench.QuickDuration))
	f.StringSliceVar(&m.endpoints, "network", nil, "HOST:PORT of an `isun-worker bench serve` to measure the line to; repeat it for several")
}

// offered is the config's offer with what the flags say.
func (m *measuring) offered(cmd *cobra.Command, offer config.Offer) (config.Offer, error) {
	if m.offer != "" {
		share, err := config.ParseShare(m.offer)
		if err != nil {
			return offer, fmt.Errorf("--offer: %w", err)
		}
		// One share for all: the config's parts of single resources give way.
		offer.Share = share
		offer.CPU, offer.Memory, offer.Storage, offer.Bandwidth = "", "", "", ""
	}
	for _, part := range []struct {
		flag, value string
		unit        config.Unit
		to          *config.Part
	}{
		{"offer-cpu", m.cpu, config.Threads, &offer.CPU},
		{"offer-memory", m.memory, config.Bytes, &offer.Memory},
		{"offer-storage", m.storage, config.Bytes, &offer.Storage},
		{"offer-bandwidth", m.bandwidth, config.Speed, &offer.Bandwidth},
	} {
		if part.value == "" {
			continue
		}
		*part.to = config.Part(part.value)
		if err := part.to.Check(part.unit); err != nil {
			return offer, fmt.Errorf("--%s: %w", part.flag, err)
		}
	}
	for flag, pair := range map[string][2]*uint64{
		"reserve-threads": {&m.threads, &offer.ReserveThreads},
		"reserve-memory":  {&m.memoryMiB, &offer.ReserveMemory},
		"reserve-disk":    {&m.diskMiB, &offer.ReserveDisk},
	} {
		if cmd.Flags().Changed(flag) {
			*pair[1] = *pair[0]
		}
	}
	offer.KeepDevices = slices.Concat(offer.KeepDevices, m.keep)
	return offer, nil
}

// run measures this machine.
func (m *measuring) run(ctx context.Context, cmd *cobra.Command, o *options, cfg config.Config, bundle bench.Bundle) (bench.Report, error) {
	offer, err := m.offered(cmd, cfg.Offer)
	if err != nil {
		return bench.Report{}, err
	}
	duration := m.duration
	if m.quick {
		duration = bench.QuickDuration
	}
	progress := newProgress(cmd.ErrOrStderr())
	defer progress.stop()
	return bench.Run(ctx, bench.Options{
		Host:  probe.Host{Proc: cfg.Host.Proc, Sys: cfg.Host.Sys, DataDir: o.dir().Data(cfg)},
		Offer: offer, Bundle: bundle, For: duration, Only: m.only,
		Sources: o.accelerators(cfg), Busy: m.busy,
		Endpoints: m.endpoints, Progress: progress.step,
	})
}

// progress moves one bar over all steps, or says each step once where nobody
// watches.
type progress struct {
	w     io.Writer
	steps chan bench.Step
	ended chan struct{}
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if terminal(w) {
		p.steps, p.ended = make(chan bench.Step), make(chan struct{})
		go p.draw()
	}
	return p
}

func (p *progress) step(s bench.Step) {
	if p.steps != nil {
		p.steps <- s
		return
	}
	fmt.Fprintf(p.w, "measuring: %s (%s)\n", s.Name, s.Expected.Round(time.Millisecond))
}

func (p *progress) stop() {
	if p.steps != nil {
		close(p.steps)
		<-p.ended
	}
}
