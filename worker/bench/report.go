package bench

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Version of the benchmark. Points of different versions are not compared.
const Version uint32 = 2

// Report is everything that was measured. Its SHA-256 goes on the chain; the
// report itself stays with the node.
type Report struct {
	Version uint32      `json:"version"`
	Host    probe.Facts `json:"host"`
	// Capacity is what is offered of the machine.
	Capacity     sunstypes.Capacity `json:"capacity"`
	Accelerators []Accelerator      `json:"accelerators"`
	// Worth is what is offered by the bundle below; all zero if the processor
	// was not measured.
	Worth
	Measurements []measure.Measurement `json:"measurements"`
	CPU          CPUResult             `json:"cpu"`
	// Machine is all there is, before reserves and shares.
	Machine sunstypes.Capacity `json:"machine"`
	// BandwidthFrom is Declared or Measured.
	BandwidthFrom string       `json:"bandwidth_from"`
	Offer         config.Offer `json:"offer"`
	Bundle        Bundle       `json:"bundle"`
	// Notes say what an owner should know of these figures.
	Notes []string `json:"notes"`
}

// PointsPerThread is what one thread of the machine is worth, at least 1.
func (r Report) PointsPerThread() uint64 {
	return max(r.CPU.Points/uint64(max(r.CPU.Threads, 1)), 1)
}

// Outdated says that the figures are of an earlier benchmark: they serve what
// was rented by them, and are not comparable with others' any more.
func (r Report) Outdated() bool { return r.Version < Version }

// Complete says whether the report can go on the chain.
func (r Report) Complete() bool { return r.CPU.Points > 0 }

// Disturbed are the names of the figures that something else disturbed.
func (r Report) Disturbed() []string {
	var out []string
	for _, m := range r.Measurements {
		if m.Disturbed {
			out = append(out, m.Name)
		}
	}
	return out
}

// noise is how far two runs on one machine lie apart at most, in percent.
const noise = 5

// Hold keeps the earlier points of the processor where the new ones are lower
// within the noise and placements need them: a machine that did not change
// must not lose its placements, or its owner the way to update it.
func (r *Report) Hold(node sunstypes.Node, reservedMilliSuns uint64) {
	was := node.Capacity.CpuPoints
	if node.ReportVersion != r.Version || r.Capacity.CpuPoints >= was || r.Capacity.CpuPoints < was*(100-noise)/100 ||
		r.Suns(r.Bundle).GeneralMilliSuns >= reservedMilliSuns {
		return
	}
	r.Notes = append(r.Notes, fmt.Sprintf("the processor keeps its earlier %d points: placements hold them, and the %d of this time are within the noise",
		was, r.Capacity.CpuPoints))
	r.Capacity.CpuPoints = was
	r.Worth = r.Suns(r.Bundle)
}

// OnChain is the part of the report that goes on the chain, by the chain's
// bundle of the moment.
func (r Report) OnChain(bundle Bundle) (sunstypes.BenchmarkReport, error) {
	if !r.Complete() {
		return sunstypes.BenchmarkReport{}, errors.New("the report has no figures of the processor: measure all of the machine")
	}
	digest, err := r.Digest()
	if err != nil {
		return sunstypes.BenchmarkReport{}, err
	}
	return sunstypes.BenchmarkReport{
		Version: r.Version, Digest: digest, Architecture: r.Host.Architecture,
		Capacity: r.Capacity, Accelerators: offeredDevices(r.Accelerators), MilliSuns: r.Suns(bundle).MilliSuns,
	}, nil
}

// Canonical is the report as JSON with its fields in the order of their
// declaration and no white space: equal reports give equal bytes.
func (r Report) Canonical() ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return raw, nil
}

// Digest is the SHA-256 of the canonical report.
func (r Report) Digest() ([]byte, error) {
	raw, err := r.Canonical()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(raw)
	return digest[:], nil
}
