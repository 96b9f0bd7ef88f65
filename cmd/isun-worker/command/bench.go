package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/operator"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// measured is a report as bench prints it.
type measured struct {
	bench.Report
	// Digest is the SHA-256 of the report as it is kept: without this field
	// and those below.
	Digest string `json:"digest"`
	// FromChain says that the bundle is the chain's and not the usual one.
	FromChain bool `json:"bundle_from_chain"`
	// Advice says what holds the machine at its SUNS.
	Advice string `json:"advice,omitempty"`
	// TxHash is the transaction that put the report on the chain.
	TxHash string `json:"tx_hash,omitempty"`
}

func benchCommand(o *options) *cobra.Command {
	var m measuring
	var keys keyFlags
	var submit bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine in SUNS",
		Long: `Takes stock of the machine, measures its processor, memory, disk and accelerators and prints
what it is worth in SUNS: the scarcest of processor, memory, disk space and bandwidth decides, and
each accelerator counts by itself. Nothing is sent or stored.

With --submit the report replaces the one of this worker's node on the chain, which the operator's
key signs. Placements go on undisturbed; a report that has less than they hold is refused.`,
		Example: `  isun-worker bench
  isun-worker bench --offer 60% --offer-memory 8GiB --reserve-threads 2
  isun-worker bench --only cpu,memory --measure 20s --output json
  isun-worker bench --submit --operator-key me`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := func() (measured, error) {
				if submit {
					return m.submit(cmd, o, &keys)
				}
				return m.look(cmd, o)
			}()
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error { return writeMeasured(w, result) })
		},
	}
	m.flags(cmd)
	cmd.Flags().StringSliceVar(&m.only, "only", nil, "measure only some of cpu, memory, disk, network, accelerators; no SUNS without cpu")
	cmd.Flags().BoolVar(&submit, "submit", false, "replace the report of this worker's node on the chain")
	keys.flags(cmd)
	cmd.AddCommand(benchInventoryCommand(o), benchServeCommand(o), benchProofCommand(o))
	return cmd
}

// look measures and sends nothing.
func (m *measuring) look(cmd *cobra.Command, o *options) (measured, error) {
	cfg, err := o.load(defaults)
	if err != nil {
		return measured{}, err
	}
	one, fromChain := m.ask(cmd.Context(), o, cfg)
	report, err := m.run(cmd.Context(), cmd, o, cfg, one)
	if err != nil {
		return measured{}, err
	}
	return newMeasured(report, one, fromChain)
}

func newMeasured(report bench.Report, one bench.Bundle, fromChain bool) (measured, error) {
	digest, err := report.Digest()
	if err != nil {
		return measured{}, err
	}
	result := measured{Report: report, Digest: hex.EncodeToString(digest), FromChain: fromChain}
	if report.Complete() {
		result.Advice = report.Advice(one)
	}
	return result, nil
}

// ask learns from the chain what one SUNS is and which devices are rented; if
// no chain answers, one SUNS is the usual bundle.
func (m *measuring) ask(ctx context.Context, o *options, cfg config.Config) (one bench.Bundle, fromChain bool) {
	usual := bench.BundleOf(sunstypes.DefaultParams())
	conn, err := dial(ctx, cfg, cfg.Chain.ID)
	if err != nil {
		return usual, false
	}
	defer conn.Close()
	params, err := chain.ReadParams(ctx, conn)
	if err != nil {
		return usual, false
	}
	var node identity.Node
	if node, err = o.node(); err == nil && node.ChainID == conn.ChainID() {
		// Without an answer a rented device is measured, which harms less
		// than not to measure at all.
		if info, err := operator.Node(ctx, conn, node.ID()); err == nil {
			m.busy = operator.Busy(info)
		}
	}
	return bench.BundleOf(params.Suns), true
}

func writeMeasured(w io.Writer, m measured) error {
	f := m.Host
	out := &lines{w: w}
	out.printf("%s, %d threads, %s; %s offered\n\n", f.CPU.Model, f.CPU.Usable, f.Architecture, m.Offer.Share)
	if m.Complete() {
		out.table(resourceTable(m))
	}
	if len(m.Accelerators) > 0 {
		out.printf("\n")
		out.table(acceleratorTable(m.Accelerators))
	}
	if len(m.Measurements) > 0 {
		out.printf("\n")
		out.table(figureTable(m.Measurements))
	}
	if m.Complete() {
		out.printf("\n%s SUNS, bound by %s\n%s\n", format.SUNS(m.MilliSuns), m.Bottleneck, m.Advice)
	}
	out.printf("report %s\n", m.Digest)
	if !m.FromChain {
		out.printf("note: no chain answers, so one SUNS was taken to be the usual bundle\n")
	}
	for _, note := range m.Notes {
		out.printf("note: %s\n", note)
	}
	if m.TxHash != "" {
		out.printf("on the chain since transaction %s\n", m.TxHash)
	}
	return out.err
}

// lines writes until something fails.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) printf(text string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, text, args...)
	}
}

func (l *lines) table(t *format.Table) {
	if l.err == nil {
		l.err = t.Write(l.w)
	}
}

func resourceTable(m measured) *format.Table {
	table := format.NewTable("resource", ">machine", ">offered", ">one SUNS", ">SUNS")
	for _, r := range m.Resources(m.Bundle.General) {
		number := func(n uint64) string { return strconv.FormatUint(n, 10) + " " + r.Unit }
		name := r.Name
		if name == "bandwidth" {
			name += " (" + m.BandwidthFrom + ")"
		}
		table.Add(name, number(r.Machine), number(r.Offered), number(r.One), format.SUNS(r.MilliSuns))
	}
	return table
}

func acceleratorTable(devices []bench.Accelerator) *format.Table {
	table := format.NewTable("accelerator", "model", ">memory", ">bandwidth", ">fp32", ">SUNS", "")
	for _, a := range devices {
		suns, bandwidth, fp32 := "-", "-", "-" // not measured, where nobody can rent it
		if a.Offered {
			suns = format.SUNS(a.MilliSuns)
		}
		if a.Fp32Gflops > 0 {
			bandwidth, fp32 = fmt.Sprintf("%d MB/s", a.MemoryBandwidthMbs), fmt.Sprintf("%d GFLOP/s", a.Fp32Gflops)
		}
		table.Add(a.DeviceID, a.Model, fmt.Sprintf("%d MiB", a.MemoryMiB), bandwidth, fp32, suns, a.Reason)
	}
	return table
}

func figureTable(figures []measure.Measurement) *format.Table {
	table := format.NewTable("measured", ">can do", ">delivered", "unit", ">spread", ">samples", "")
	for _, f := range figures {
		name, note := f.Name, ""
		if f.Device != "" {
			name += " (" + f.Device + ")"
		}
		if f.Disturbed {
			note = "disturbed"
		}
		table.Add(name, figure(f.Value), figure(f.Delivered), f.Unit, fmt.Sprintf("%.1f%%", 100*f.Spread),
			strconv.Itoa(f.Samples), note)
	}
	return table
}

func figure(value float64) string {
	if value < 100 {
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strconv.FormatFloat(value, 'f', 0, 64)
}
