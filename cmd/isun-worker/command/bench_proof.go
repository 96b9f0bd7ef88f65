package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/matproof"
	"github.com/isuncoin/isuncoin/worker/accel/opencl"
)

// maxProofFile is above the longest proof there is, some 17 MB.
const maxProofFile = 32 << 20

func benchProofCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proof",
		Short: "Do work that anybody can check in a small part of the time, or check it",
		Long: `Multiplies two matrices over a prime field, both drawn from a seed, commits to the product and opens
some of its rows; or checks such a proof. The product is the same on every processor and device.
matproof/README.md derives what a proof shows.`,
		Example: `  isun-worker bench proof prove --size 1024 --seed "beacon 7" --out proof.bin
  isun-worker bench proof verify proof.bin --seed "beacon 7"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(proveCommand(o), verifyCommand(o))
	return cmd
}

// proofFlags say which product is meant and how it is opened.
type proofFlags struct {
	size, rounds, rows    int
	seed, context, beacon string
}

func (f *proofFlags) add(cmd *cobra.Command, d proofFlags) {
	cmd.Flags().IntVar(&f.size, "size", d.size, "rows and columns of the matrices, at most "+strconv.Itoa(matproof.MaxSize))
	cmd.Flags().StringVar(&f.seed, "seed", d.seed, "text whose SHA-256 the matrices are drawn from")
	cmd.Flags().StringVar(&f.context, "context", d.context, "whose work it is and when, such as a node and an epoch")
	cmd.Flags().StringVar(&f.beacon, "beacon", d.beacon, "text drawn after the root was published; none is weaker")
	cmd.Flags().IntVar(&f.rounds, "rounds", d.rounds, "random vectors that rows are checked with")
	cmd.Flags().IntVar(&f.rows, "rows", d.rows, "rows to open")
}

// apply puts what flags say into a claim and a challenge: all of them, or only
// those that were given.
func (f *proofFlags) apply(cmd *cobra.Command, all bool, s *matproof.Statement, c *matproof.Challenge) {
	for name, set := range map[string]func(){
		"size":    func() { s.Size = f.size },
		"seed":    func() { s.Seed = sha256.Sum256([]byte(f.seed)) },
		"context": func() { s.Context = []byte(f.context) },
		"beacon":  func() { c.Beacon = []byte(f.beacon) },
		"rounds":  func() { c.Rounds = f.rounds },
		"rows":    func() { c.Rows = f.rows },
	} {
		if all || cmd.Flags().Changed(name) {
			set()
		}
	}
}

// proofReport is what prove and verify print. Times are in milliseconds.
type proofReport struct {
	Size    int    `json:"size"`
	Seed    string `json:"seed"`
	Context string `json:"context,omitempty"`
	Root    string `json:"root"`
	Beacon  string `json:"beacon,omitempty"`
	Rounds  int    `json:"rounds"`
	Rows    int    `json:"rows"`
	// By is what multiplied.
	By        string  `json:"by,omitempty"`
	ExpandMs  float64 `json:"expand_ms,omitempty"`
	ProductMs float64 `json:"product_ms,omitempty"`
	CommitMs  float64 `json:"commit_ms,omitempty"`
	OpenMs    float64 `json:"open_ms,omitempty"`
	VerifyMs  float64 `json:"verify_ms"`
	// WholeMs is the check of the whole product.
	WholeMs float64 `json:"verify_whole_ms,omitempty"`
	// MegaProducts is 10^6 multiplications and additions a second.
	MegaProducts float64          `json:"mega_products_per_second,omitempty"`
	ProofBytes   int              `json:"proof_bytes"`
	Soundness    []proofSoundness `json:"soundness"`
	// WholeAccepted is the most likely a false product passes the check of the
	// whole.
	WholeAccepted float64 `json:"whole_false_accepted"`
	File          string  `json:"file,omitempty"`
}

// proofSoundness is how likely a product passes of which a part of the rows is
// false.
type proofSoundness struct {
	FalsePart float64 `json:"false_part"`
	Accepted  float64 `json:"accepted"`
}

func newProofReport(proof matproof.Proof, bytes int) proofReport {
	s, c := proof.Claim.Statement, proof.Challenge
	oneRow := math.Pow(float64(matproof.P), -float64(c.Rounds))
	report := proofReport{
		Size: s.Size, Seed: hex.EncodeToString(s.Seed[:]), Context: string(s.Context),
		Root: hex.EncodeToString(proof.Claim.Root[:]), Beacon: string(c.Beacon), Rounds: c.Rounds, Rows: c.Rows,
		ProofBytes: bytes, WholeAccepted: oneRow,
	}
	for _, part := range []float64{1 / float64(s.Size), 0.01, 0.1, 0.5} {
		report.Soundness = append(report.Soundness, proofSoundness{part, min(1, math.Pow(1-part, float64(c.Rows))+oneRow)})
	}
	return report
}

func proveCommand(o *options) *cobra.Command {
	var f proofFlags
	var out string
	var by multiplierFlags
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Compute a product, commit to it and write a proof",
		Long: `Draws two matrices from a seed, multiplies them, commits to the product and opens rows. It then checks
its own proof, and the whole product, and says what each step took. Three matrices of 4 bytes a value
are held in memory: 12 MiB for size 1024, 3 GiB for 16384.`,
		Example: `  isun-worker bench proof prove --size 2048 --seed "beacon 7" --context "isun1.../1 epoch 7" --out proof.bin`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s matproof.Statement
			var c matproof.Challenge
			f.apply(cmd, true, &s, &c)
			m, name, err := by.multiplier()
			if err != nil {
				return err
			}
			report, raw, err := proveOnce(cmd.Context(), s, c, m)
			if err != nil {
				return err
			}
			report.By = name
			if out != "" {
				report.File = out
				if err := os.WriteFile(out, raw, 0o644); err != nil {
					return fmt.Errorf("--out: %w", err)
				}
			}
			return o.print(cmd.OutOrStdout(), report, report.write)
		},
	}
	f.add(cmd, proofFlags{size: 1024, seed: "isuncoin", rounds: 2, rows: 64})
	by.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "file to write the proof to")
	return cmd
}

// multiplierFlags choose what multiplies.
type multiplierFlags struct {
	threads int
	device  string
}

func (f *multiplierFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.threads, "threads", 0, "threads of the processor; 0 is all")
	cmd.Flags().StringVar(&f.device, "device", "", "OpenCL device that multiplies, by the id that `accelerator-source opencl inventory` lists")
	cmd.MarkFlagsMutuallyExclusive("threads", "device")
}

func (f *multiplierFlags) multiplier() (matproof.Multiplier, string, error) {
	if f.device != "" {
		return clDevice(f.device), "OpenCL device " + f.device, nil
	}
	if f.threads < 0 || f.threads > 4096 {
		return nil, "", fmt.Errorf("--threads %d: want 0 to 4096", f.threads)
	}
	threads := f.threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return matproof.CPU{Threads: threads}, fmt.Sprintf("processor, %d threads", threads), nil
}

// clDevice multiplies on an OpenCL device, in this process: the command ends
// with the work, so a driver that crashes takes nothing else with it.
type clDevice string

// Product implements matproof.Multiplier.
func (d clDevice) Product(ctx context.Context, n int, a, b []uint32) ([]uint32, error) {
	return opencl.Product(ctx, string(d), n, a, b)
}

// proveOnce does all the work and times it.
func proveOnce(
	ctx context.Context, s matproof.Statement, c matproof.Challenge, m matproof.Multiplier,
) (report proofReport, raw []byte, err error) {
	var a, b, product []uint32
	var prover *matproof.Prover
	var proof matproof.Proof
	var took [6]float64
	for i, step := range []func() error{
		func() (err error) { a, b, err = s.Matrices(); return err },
		func() (err error) { product, err = m.Product(ctx, s.Size, a, b); return err },
		func() (err error) { prover, err = matproof.Commit(s, product); return err },
		func() (err error) {
			if proof, err = prover.Open(c); err == nil {
				raw, err = proof.MarshalBinary()
			}
			return err
		},
		func() error { return proof.Verify(prover.Claim(), c) },
		func() error { return matproof.CheckProduct(prover.Claim(), c, product) },
	} {
		if err := ctx.Err(); err != nil {
			return report, nil, err
		}
		began := time.Now()
		if err := step(); err != nil {
			return report, nil, err
		}
		took[i] = milliseconds(time.Since(began))
	}
	report = newProofReport(proof, len(raw))
	report.ExpandMs, report.ProductMs, report.CommitMs, report.OpenMs = took[0], took[1], took[2], took[3]
	report.VerifyMs, report.WholeMs = took[4], took[5]
	n := float64(s.Size)
	report.MegaProducts = n * n * n / 1000 / max(report.ProductMs, 1e-6)
	return report, raw, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func verifyCommand(o *options) *cobra.Command {
	var f proofFlags
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a proof",
		Long: `Checks that the opened rows are those that were committed to and that they are the product's. Give what
the proof should be of, as flags: what is not given is taken as the proof says, and then only what
is printed tells whose work it is.`,
		Example: `  isun-worker bench proof verify proof.bin --size 2048 --seed "beacon 7" --beacon "beacon 8"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := readProof(args[0])
			if err != nil {
				return err
			}
			began := time.Now()
			proof, err := matproof.ParseProof(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			claim, challenge := proof.Claim, proof.Challenge
			f.apply(cmd, false, &claim.Statement, &challenge)
			if err := proof.Verify(claim, challenge); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			report := newProofReport(proof, len(raw))
			report.VerifyMs, report.File = milliseconds(time.Since(began)), args[0]
			return o.print(cmd.OutOrStdout(), report, report.write)
		},
	}
	f.add(cmd, proofFlags{})
	return cmd
}

func readProof(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxProofFile+1))
	if err == nil && len(raw) > maxProofFile {
		err = fmt.Errorf("%s is longer than %s: that is no proof", name, format.Bytes(maxProofFile))
	}
	return raw, err
}

// write shows a report to people.
func (r proofReport) write(w io.Writer) error {
	fmt.Fprintf(w, "size     %d\nseed     %s\ncontext  %s\nroot     %s\n", r.Size, r.Seed, format.Plain(r.Context), r.Root)
	beacon := format.Plain(r.Beacon)
	if r.Beacon == "" {
		beacon = "none: rows could be chosen by trying roots"
	}
	fmt.Fprintf(w, "beacon   %s\nproof    %s, %d rows, %d rounds\n\n", beacon, format.Bytes(uint64(r.ProofBytes)), r.Rows, r.Rounds)
	times := format.NewTable("step", ">ms")
	for _, row := range []struct {
		name string
		ms   float64
	}{
		{"draw both matrices", r.ExpandMs},
		{"multiply, " + r.By, r.ProductMs},
		{"commit", r.CommitMs},
		{"open", r.OpenMs},
		{"verify the opened rows", r.VerifyMs},
		{"verify the whole product", r.WholeMs},
	} {
		if row.ms > 0 {
			times.Add(row.name, strconv.FormatFloat(row.ms, 'f', 2, 64))
		}
	}
	if err := times.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	sound := format.NewTable("rows that are false", ">accepted at most")
	for _, s := range r.Soundness {
		sound.Add(fmt.Sprintf("%.3g %%", 100*s.FalsePart), fmt.Sprintf("%.2g", s.Accepted))
	}
	sound.Add("any, whole product", fmt.Sprintf("%.2g", r.WholeAccepted))
	if err := sound.Write(w); err != nil {
		return err
	}
	if r.File != "" {
		fmt.Fprintf(w, "\nthe proof in %s holds\n", r.File)
	}
	return nil
}
