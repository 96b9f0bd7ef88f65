package config

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Offer says how much of the machine is for rent: of each resource first what
// the machine keeps is set aside, then the part of the rest is taken.
type Offer struct {
	Share          Share    `toml:"share" json:"share" comment:"Part of the machine to rent out, 1% to 100%, of every resource that has no part of its own below."`
	CPU            Part     `toml:"cpu" json:"cpu,omitempty" comment:"Processor time to rent out: a part such as '50%' or threads such as '4 threads'; empty takes the share."`
	Memory         Part     `toml:"memory" json:"memory,omitempty" comment:"Memory to rent out: '50%' or '8GiB'; empty takes the share."`
	Storage        Part     `toml:"storage" json:"storage,omitempty" comment:"Disk space to rent out: '50%' or '200GiB'; empty takes the share."`
	Bandwidth      Part     `toml:"bandwidth" json:"bandwidth,omitempty" comment:"Bandwidth to rent out: '50%' or '50Mbit/s'; empty takes the share."`
	ReserveThreads uint64   `toml:"reserve_threads" json:"reserve_threads" comment:"Processor threads kept for the machine itself, before the share is taken."`
	ReserveMemory  uint64   `toml:"reserve_memory_mib" json:"reserve_memory_mib" comment:"Memory kept for the machine itself, in MiB, before the share is taken."`
	ReserveDisk    uint64   `toml:"reserve_disk_mib" json:"reserve_disk_mib" comment:"Free disk space kept for the machine itself, in MiB, before the share is taken."`
	BandwidthMbps  uint64   `toml:"bandwidth_mbps" json:"bandwidth_mbps" comment:"Bandwidth of the machine's line in Mbit/s, the slower direction; what was measured counts if it is less."`
	KeepDevices    []string `toml:"keep_devices" json:"keep_devices" comment:"Accelerators that are not for rent, by the ids that isun-worker bench shows; 'all' keeps every one."`
}

// AllDevices in KeepDevices keeps every accelerator.
const AllDevices = "all"

// Keeps says whether an accelerator is not for rent.
func (o Offer) Keeps(device string) bool {
	for _, kept := range o.KeepDevices {
		if kept == device || kept == AllDevices {
			return true
		}
	}
	return false
}

// Part is how much of one resource is for rent: a part in percent, a quantity
// in the resource's own unit, or nothing, which takes the offer's share.
type Part string

// ErrMoreThanThere: a quantity is offered that the machine has not got.
var ErrMoreThanThere = errors.New("more is offered than there is")

// Unit is what quantities of a resource are written in.
type Unit struct {
	// Example shows how; name is the base, which capacities count.
	Example string
	name    string
	// milli is what each spelling, in lower case, is in thousandths of it.
	milli map[string]int64
}

// The units of the resources: threads, MiB and Mbit/s.
var (
	Threads = Unit{"4 threads", "threads", map[string]int64{"": 1000, "thread": 1000, "threads": 1000}}
	Bytes   = Unit{"8GiB", "MiB", map[string]int64{"mib": 1000, "gib": 1000 << 10, "tib": 1000 << 20}}
	Speed   = Unit{"50Mbit/s", "Mbit/s", map[string]int64{"": 1000, "mbit/s": 1000, "mbps": 1000, "gbit/s": 1000 * 1000}}
)

// Of is the part of a total, both in thousandths of the unit's base: thousandths
// of a thread, of a MiB, of a Mbit/s. Errors: ErrMoreThanThere.
func (p Part) Of(totalMilli uint64, share Share, unit Unit) (uint64, error) {
	percent, quantity, err := p.parse(unit)
	switch {
	case err != nil:
		return 0, err
	case p == "":
		return share.Of(totalMilli), nil
	case percent > 0:
		return percent.Of(totalMilli), nil
	case quantity > totalMilli:
		return 0, fmt.Errorf("%w: %q of %s", ErrMoreThanThere, string(p), unit.write(totalMilli))
	}
	return quantity, nil
}

// Check says whether the part can be read.
func (p Part) Check(unit Unit) error {
	_, _, err := p.parse(unit)
	return err
}

func (p Part) parse(unit Unit) (percent Share, milli uint64, err error) {
	text := strings.TrimSpace(string(p))
	if text == "" {
		return 0, 0, nil
	}
	if strings.HasSuffix(text, "%") {
		percent, err = ParseShare(text)
		return percent, 0, err
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	factor, known := unit.milli[strings.ToLower(strings.TrimSpace(text[end:]))]
	number, ok := new(big.Rat).SetString(text[:end])
	if !known || !ok || end > 20 {
		return 0, 0, fmt.Errorf("%q: want a part such as 50%% or a quantity such as %s", text, unit.Example)
	}
	number.Mul(number, new(big.Rat).SetInt64(factor))
	whole := new(big.Int).Quo(number.Num(), number.Denom())
	if whole.Sign() <= 0 || !whole.IsUint64() {
		return 0, 0, fmt.Errorf("%q: want more than nothing and less than everything", text)
	}
	return 0, whole.Uint64(), nil
}

// write is a quantity for people.
func (u Unit) write(milli uint64) string {
	return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) + " " + u.name
}

// Validate says which value cannot be.
func (o Offer) Validate() error {
	if o.Share < 1 || o.Share > 100 {
		return fmt.Errorf("offer.share is %s, want 1%% to 100%%", o.Share)
	}
	for _, part := range []struct {
		name string
		part Part
		unit Unit
	}{
		{"cpu", o.CPU, Threads}, {"memory", o.Memory, Bytes}, {"storage", o.Storage, Bytes}, {"bandwidth", o.Bandwidth, Speed},
	} {
		if err := part.part.Check(part.unit); err != nil {
			return fmt.Errorf("offer.%s: %w", part.name, err)
		}
	}
	return nil
}
