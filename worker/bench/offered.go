package bench

import (
	"errors"
	"fmt"
	"math"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/measure"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// ErrTooLittle: nothing is left of the machine once the reserves are taken.
var ErrTooLittle = errors.New("the machine has too little to offer")

// Where the figure of the line's bandwidth is from.
const (
	Declared = "declared"
	Measured = "measured"
)

// machine is all that this process may use of the machine, before anything is
// set aside.
func machine(facts probe.Facts, points, heldMiB, bandwidth uint64) sunstypes.Capacity {
	threads := uint64(max(facts.CPU.Usable, 1))
	return sunstypes.Capacity{
		// A quota below the number of threads scales what they measured.
		CpuPoints:     points * uint64(max(facts.CPU.MilliCPU, 0)) / (threads * 1000),
		MemoryMiB:     facts.Memory.UsableMiB,
		StorageMiB:    facts.Disk.FreeMiB + heldMiB,
		BandwidthMbps: bandwidth,
	}
}

// bandwidth is what the owner declares, or less if less was measured: the
// slower direction, each at the endpoint it was faster with, since a slow
// endpoint says nothing of this line.
func bandwidth(declared uint64, measurements []measure.Measurement) (mbps uint64, from string) {
	fastest := map[string]float64{}
	for _, m := range measurements {
		if m.Unit == "Mbit/s" {
			fastest[m.Name] = max(fastest[m.Name], m.Value)
		}
	}
	if len(fastest) == 0 {
		return declared, Declared
	}
	slower := math.Inf(1)
	for _, value := range fastest {
		slower = min(slower, value)
	}
	if slower < float64(declared) {
		return uint64(slower), Measured
	}
	return declared, Declared
}

// offered is the part of the machine that is for rent.
func offered(facts probe.Facts, all sunstypes.Capacity, offer config.Offer) (sunstypes.Capacity, error) {
	var c sunstypes.Capacity
	milliCPU := uint64(max(facts.CPU.MilliCPU, 0))
	for _, r := range []struct {
		name       string
		part       config.Part
		unit       config.Unit
		totalMilli uint64
		keepMilli  uint64
		to         *uint64
		spent      string
	}{
		{
			"cpu", offer.CPU, config.Threads, milliCPU, offer.ReserveThreads * 1000, &c.CpuPoints,
			fmt.Sprintf("%g threads, of which %d are reserved", float64(milliCPU)/1000, offer.ReserveThreads),
		},
		{
			"memory", offer.Memory, config.Bytes, all.MemoryMiB * 1000, offer.ReserveMemory * 1000, &c.MemoryMiB,
			fmt.Sprintf("%d MiB of memory, of which %d are reserved", all.MemoryMiB, offer.ReserveMemory),
		},
		{
			"storage", offer.Storage, config.Bytes, all.StorageMiB * 1000, offer.ReserveDisk * 1000, &c.StorageMiB,
			fmt.Sprintf("%d MiB are free on %s, of which %d are reserved", all.StorageMiB, facts.Disk.Path, offer.ReserveDisk),
		},
		{
			"bandwidth", offer.Bandwidth, config.Speed, all.BandwidthMbps * 1000, 0, &c.BandwidthMbps,
			fmt.Sprintf("the line has %d Mbit/s (offer.bandwidth_mbps is %d)", all.BandwidthMbps, offer.BandwidthMbps),
		},
	} {
		if r.keepMilli >= r.totalMilli {
			return c, fmt.Errorf("%w: %s", ErrTooLittle, r.spent)
		}
		taken, err := r.part.Of(r.totalMilli-r.keepMilli, offer.Share, r.unit)
		if err != nil {
			return c, fmt.Errorf("offer.%s: %w, once what is reserved is taken off", r.name, err)
		}
		*r.to = taken / 1000
		if r.name == "cpu" {
			*r.to = uint64(float64(all.CpuPoints) * float64(taken) / float64(milliCPU))
		}
		if *r.to == 0 {
			return c, fmt.Errorf("%w: %s; of the rest %s is offered", ErrTooLittle, r.spent, said(r.part, offer.Share))
		}
	}
	return c, nil
}

// said is how a part was asked for.
func said(part config.Part, share config.Share) string {
	if part == "" {
		return share.String()
	}
	return string(part)
}
