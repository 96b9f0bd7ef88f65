package command

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// measuring are the flags of commands that measure.
type measuring struct {
	offer    string
	duration time.Duration
}

func (m *measuring) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.offer, "offer", "", "part of the machine to rent out, such as 60%; the config's when empty")
	cmd.Flags().DurationVar(&m.duration, "measure", bench.DefaultDuration, "how long to measure the processor")
}

// run measures this machine.
func (m *measuring) run(ctx context.Context, home config.Home, cfg config.Config, progress io.Writer) (bench.Report, error) {
	offer := cfg.Offer
	if m.offer != "" {
		share, err := config.ParseShare(m.offer)
		if err != nil {
			return bench.Report{}, fmt.Errorf("--offer: %w", err)
		}
		offer.Share = share
	}
	if m.duration < 0 || m.duration > time.Hour {
		return bench.Report{}, fmt.Errorf("--measure %s: want at most an hour", m.duration)
	}
	stop := showProgress(progress, m.duration)
	defer stop()
	return bench.Run(ctx, probe.Host{
		Proc: cfg.Host.Proc, Sys: cfg.Host.Sys, DataDir: home.Data(cfg),
	}, offer, m.duration)
}

// showProgress moves a bar while the processor is measured, or says so once
// where nobody watches.
func showProgress(w io.Writer, d time.Duration) (stop func()) {
	if !terminal(w) {
		fmt.Fprintf(w, "measuring the processor for %s\n", d)
		return func() {}
	}
	const step = 100 * time.Millisecond
	bar := progressbar.NewOptions64(max(int64(d/step), 1), progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("measuring the processor"), progressbar.OptionClearOnFinish())
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				_ = bar.Finish() // a bar that cannot be drawn is no loss
				return
			case <-ticker.C:
				_ = bar.Add64(1)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// measured is a report with its worth, as commands print it.
type measured struct {
	Report bench.Report `json:"report"`
	bench.Suns
	OnChain sunstypes.BenchmarkReport `json:"on_chain"`
	// Bundle is what one SUNS was taken to be.
	Bundle     sunstypes.Capacity `json:"bundle"`
	FromChain  bool               `json:"bundle_from_chain"`
	BundleNote string             `json:"note,omitempty"`
}

func benchCommand(o *options) *cobra.Command {
	var m measuring
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine in SUNS",
		Long: `Takes stock of the machine, measures its processor and prints what it is worth in SUNS: the
scarcest of processor, memory, disk and bandwidth decides. Nothing is sent or stored.`,
		Example: `  isun-worker bench
  isun-worker bench --offer 100% --measure 10s --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(defaults)
			if err != nil {
				return err
			}
			result := measured{}
			result.Bundle, result.BundleNote = bundle(cmd.Context(), cfg)
			result.FromChain = result.BundleNote == ""
			if result.Report, err = m.run(cmd.Context(), o.dir(), cfg, cmd.ErrOrStderr()); err != nil {
				return err
			}
			result.Suns = result.Report.Suns(result.Bundle)
			if result.OnChain, err = result.Report.OnChain(result.Bundle); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error { return writeMeasured(w, result) })
		},
	}
	m.flags(cmd)
	cmd.AddCommand(benchInventoryCommand(o), benchServeCommand(o), benchProofCommand(o))
	return cmd
}

// bundle is one SUNS by the chain's params, or the network's usual one when
// no chain answers.
func bundle(ctx context.Context, cfg config.Config) (sunstypes.Capacity, string) {
	conn, err := dial(ctx, cfg, cfg.Chain.ID)
	if err == nil {
		defer conn.Close()
		var params chain.Params
		if params, err = chain.ReadParams(ctx, conn); err == nil {
			return params.Suns.Bundle, ""
		}
	}
	return sunstypes.DefaultParams().Bundle, "no chain answers, so one SUNS was taken to be the usual bundle"
}

func writeMeasured(w io.Writer, m measured) error {
	f, c := m.Report.Facts, m.Report.Capacity
	table := format.NewTable("resource", ">machine", ">offered", ">one SUNS", ">SUNS")
	row := func(name string, machine, offered, one uint64, unit string) {
		suns := "-"
		if one > 0 {
			suns = format.SUNS(offered * sunstypes.MilliPerSuns / one)
		}
		number := func(n uint64) string { return strconv.FormatUint(n, 10) + " " + unit }
		table.Add(name, number(machine), number(offered), number(one), suns)
	}
	row("cpu", m.Report.CPU.Points, c.CpuPoints, m.Bundle.CpuPoints, "points")
	row("memory", f.Memory.UsableMiB, c.MemoryMiB, m.Bundle.MemoryMiB, "MiB")
	row("storage", f.Disk.FreeMiB, c.StorageMiB, m.Bundle.StorageMiB, "MiB")
	row("bandwidth", m.Report.Offer.BandwidthMbps, c.BandwidthMbps, m.Bundle.BandwidthMbps, "Mbit/s")
	if _, err := fmt.Fprintf(w, "%s, %d threads, %s; %s offered\n\n", f.CPU.Model, f.CPU.Usable, f.Architecture, m.Report.Offer.Share); err != nil {
		return err
	}
	if err := table.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s SUNS, bound by %s\n", format.SUNS(m.MilliSuns), m.Bottleneck)
	if m.BundleNote != "" {
		_, err = fmt.Fprintf(w, "note: %s\n", m.BundleNote)
	}
	return err
}
