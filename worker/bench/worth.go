package bench

import (
	"fmt"
	"strings"

	"github.com/isuncoin/isuncoin/client/format"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Bundle is what one SUNS is: params of the chain.
type Bundle struct {
	General     sunstypes.Capacity          `json:"general"`
	Accelerator sunstypes.AcceleratorBundle `json:"accelerator"`
}

// BundleOf is the bundle of a chain.
func BundleOf(params sunstypes.Params) Bundle {
	return Bundle{General: params.Bundle, Accelerator: params.AcceleratorBundle}
}

// Worth is the report's worth by the chain's own arithmetic.
type Worth struct {
	// MilliSuns is the sum of the general part and the offered accelerators.
	MilliSuns        uint64 `json:"milli_suns"`
	GeneralMilliSuns uint64 `json:"general_milli_suns"`
	// Bottleneck is the scarcest of the general resources.
	Bottleneck string `json:"bottleneck"`
}

// Suns converts what is offered with a chain's bundle.
func (r Report) Suns(bundle Bundle) Worth {
	general, bottleneck := sunstypes.CapacityMilliSuns(bundle.General, r.Capacity)
	s := Worth{MilliSuns: general, GeneralMilliSuns: general, Bottleneck: bottleneck}
	for _, a := range offeredDevices(r.Accelerators) {
		s.MilliSuns += sunstypes.AcceleratorMilliSuns(bundle.Accelerator, a)
	}
	return s
}

// Resource is one of the general resources beside what one SUNS has of it.
type Resource struct {
	Name string
	Unit string
	// Machine is what there is, Offered what is for rent, One what a SUNS has.
	Machine, Offered, One uint64
	// MilliSuns is what the offer would be worth if nothing else were scarcer.
	MilliSuns uint64
}

// Resources are those of a report, in the order of the chain.
func (r Report) Resources(bundle sunstypes.Capacity) []Resource {
	m, c := r.Machine, r.Capacity
	out := []Resource{
		{Name: "cpu", Unit: "points", Machine: m.CpuPoints, Offered: c.CpuPoints, One: bundle.CpuPoints},
		{Name: "memory", Unit: "MiB", Machine: m.MemoryMiB, Offered: c.MemoryMiB, One: bundle.MemoryMiB},
		{Name: "storage", Unit: "MiB", Machine: m.StorageMiB, Offered: c.StorageMiB, One: bundle.StorageMiB},
		{Name: "bandwidth", Unit: "Mbit/s", Machine: m.BandwidthMbps, Offered: c.BandwidthMbps, One: bundle.BandwidthMbps},
	}
	for i, res := range out {
		if res.One > 0 {
			out[i].MilliSuns = res.Offered * sunstypes.MilliPerSuns / res.One
		}
	}
	return out
}

// nearly is how close to the scarcest, in thousandths, another resource is
// scarce as well: to tell an owner of the last per mille helps nobody.
const nearly = 10

// Advice says what holds the machine at its SUNS and how much more of it would
// lift it to where the next resource holds it: "memory holds you at 11.8 SUNS;
// another 8 GiB would make it 14.2".
func (r Report) Advice(bundle Bundle) string {
	worth := r.Suns(bundle)
	resources := r.Resources(bundle.General)
	bound := worth.GeneralMilliSuns + worth.GeneralMilliSuns*nearly/1000
	var scarce []Resource
	next := uint64(0)
	for _, res := range resources {
		switch {
		case res.MilliSuns <= bound:
			scarce = append(scarce, res)
		case next == 0 || res.MilliSuns < next:
			next = res.MilliSuns
		}
	}
	subject := "you"
	if worth.MilliSuns > worth.GeneralMilliSuns {
		subject = "the general part"
	}
	holds := "hold"
	if len(scarce) == 1 {
		holds = "holds"
	}
	text := fmt.Sprintf("%s %s %s at %s SUNS", names(scarce), holds, subject, format.SUNS(worth.GeneralMilliSuns))
	if next == 0 {
		return text + ": only more of everything would make it more"
	}
	var more []string
	atHand := true
	for _, res := range scarce {
		missing := (res.One*next+sunstypes.MilliPerSuns-1)/sunstypes.MilliPerSuns - res.Offered
		more = append(more, res.amount(missing))
		atHand = atHand && res.Offered+missing <= res.Machine
	}
	text += fmt.Sprintf("; another %s would make it %s", list(more), format.SUNS(next))
	if atHand {
		text += " (this machine has that: offer more of it)"
	}
	return text
}

func names(resources []Resource) string {
	out := make([]string, len(resources))
	for i, res := range resources {
		out[i] = res.Name
	}
	return list(out)
}

func list(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

// amount is a quantity of the resource for people, rounded up.
func (r Resource) amount(n uint64) string {
	switch {
	case r.Unit == "MiB" && n >= 1024:
		tenths := (n*10 + 1023) / 1024
		text := fmt.Sprintf("%d.%d", tenths/10, tenths%10)
		return strings.TrimSuffix(text, ".0") + " GiB"
	case r.Unit == "points":
		return fmt.Sprintf("%d points of processor", n)
	}
	return fmt.Sprintf("%d %s", n, r.Unit)
}
