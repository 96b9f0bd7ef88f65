package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Version of the benchmark. Reports of different versions are not compared.
const Version uint32 = 1

// DefaultDuration gives each thread the 500 slices that make the best one
// stable.
const DefaultDuration = 3 * time.Second

// Report is everything that was measured. Its SHA-256 goes on the chain; the
// report itself stays with the node.
type Report struct {
	Version uint32       `json:"version"`
	Facts   probe.Facts  `json:"facts"`
	CPU     CPUResult    `json:"cpu"`
	Offer   config.Offer `json:"offer"`
	// Capacity is what is offered of the machine.
	Capacity sunstypes.Capacity `json:"capacity"`
}

// ErrTooLittle: nothing is left of the machine once the reserves are taken.
var ErrTooLittle = errors.New("the machine has too little to offer")

// Run probes and measures the machine.
func Run(ctx context.Context, host probe.Host, offer config.Offer, d time.Duration) (Report, error) {
	facts, err := probe.Probe(ctx, host)
	if err != nil {
		return Report{}, err
	}
	if failed := facts.Failures(); len(failed) > 0 {
		return Report{}, fmt.Errorf("inventory: %s could not be read: %s", failed[0].Fact, failed[0].Detail)
	}
	cpu, err := CPU(ctx, facts.CPU.Usable, d)
	if err != nil {
		return Report{}, err
	}
	report := Report{Version: Version, Facts: facts, CPU: cpu, Offer: offer}
	report.Capacity, err = offered(facts, cpu, offer)
	return report, err
}

// offered is the share of the machine that is for rent: first what the
// machine needs itself is set aside, then the share of the rest is taken.
func offered(facts probe.Facts, cpu CPUResult, offer config.Offer) (sunstypes.Capacity, error) {
	// A quota below the number of threads scales what they measured.
	points := cpu.Points * uint64(facts.CPU.MilliCPU) / (uint64(facts.CPU.Usable) * 1000)
	memory := less(facts.Memory.UsableMiB, offer.ReserveMemory)
	disk := less(facts.Disk.FreeMiB, offer.ReserveDisk)
	c := sunstypes.Capacity{
		CpuPoints:     offer.Share.Of(points),
		MemoryMiB:     offer.Share.Of(memory),
		StorageMiB:    offer.Share.Of(disk),
		BandwidthMbps: offer.Share.Of(offer.BandwidthMbps),
	}
	switch {
	case c.CpuPoints == 0:
		return c, fmt.Errorf("%w: no processor time is left at a share of %s", ErrTooLittle, offer.Share)
	case c.MemoryMiB == 0:
		return c, fmt.Errorf("%w: %d MiB of memory, of which %d are reserved", ErrTooLittle,
			facts.Memory.UsableMiB, offer.ReserveMemory)
	case c.StorageMiB == 0:
		return c, fmt.Errorf("%w: %d MiB are free on %s, of which %d are reserved", ErrTooLittle,
			facts.Disk.FreeMiB, facts.Disk.Path, offer.ReserveDisk)
	case c.BandwidthMbps == 0:
		return c, fmt.Errorf("%w: offer.bandwidth_mbps is %d", ErrTooLittle, offer.BandwidthMbps)
	}
	return c, nil
}

func less(quantity, reserve uint64) uint64 {
	if quantity <= reserve {
		return 0
	}
	return quantity - reserve
}

// PointsPerThread is what one thread of the machine is worth, at least 1.
func (r Report) PointsPerThread() uint64 {
	if len(r.CPU.Threads) == 0 {
		return 1
	}
	return max(r.CPU.Points/uint64(len(r.CPU.Threads)), 1)
}

// Suns is the report's worth by the chain's own arithmetic.
type Suns struct {
	MilliSuns  uint64 `json:"milli_suns"`
	Bottleneck string `json:"bottleneck"`
}

// Suns converts the offered capacity with the chain's bundle.
func (r Report) Suns(bundle sunstypes.Capacity) Suns {
	milli, bottleneck := sunstypes.CapacityMilliSuns(bundle, r.Capacity)
	return Suns{MilliSuns: milli, Bottleneck: bottleneck}
}

// OnChain is the part of the report that goes on the chain.
func (r Report) OnChain(bundle sunstypes.Capacity) (sunstypes.BenchmarkReport, error) {
	raw, err := r.Canonical()
	if err != nil {
		return sunstypes.BenchmarkReport{}, err
	}
	digest := sha256.Sum256(raw)
	return sunstypes.BenchmarkReport{
		Version: r.Version, Digest: digest[:], Architecture: r.Facts.Architecture,
		Capacity: r.Capacity, MilliSuns: r.Suns(bundle).MilliSuns,
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

// Save keeps the report, exactly the bytes whose digest is on the chain.
func (r Report) Save(path string) error {
	raw, err := r.Canonical()
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write report %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Load reads a report that Save wrote; fs.ErrNotExist if there is none.
func Load(path string) (Report, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, fmt.Errorf("benchmark report: %w", err)
	}
	if err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return Report{}, fmt.Errorf("report %s: %w", path, err)
	}
	return r, nil
}
