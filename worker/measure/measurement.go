// Package measure says how a figure of a machine is taken and written down.
//
// A machine that shares its host with others is disturbed in ways it cannot
// see, so one long run says little. Figures come from many short slices of
// equal work: the best slice is what the machine can do, the mean is what was
// delivered, and how far apart they are says how much it was disturbed.
package measure

// Measurement is one figure of a machine.
type Measurement struct {
	// Name is resource and what of it, such as "cpu.integer",
	// "disk.sequential_read" or "accelerator.fp32".
	Name string `json:"name"`
	// Device is the accelerator's id, or the disk or endpoint measured; empty
	// where there is one of it only.
	Device string `json:"device,omitempty"`
	// Value is the capability: the best slice's figure, in Unit.
	Value float64 `json:"value"`
	// Delivered is the mean over the whole run, in Unit.
	Delivered float64 `json:"delivered"`
	// Unit is such as "points", "MB/s" (10^6 bytes a second), "GFLOP/s",
	// "IOPS", "Mbit/s" or "us". For a time less is better, for all else more.
	Unit string `json:"unit"`
	// Spread is how far the slices lie apart: the interquartile range over the
	// median, as a fraction.
	Spread float64 `json:"spread"`
	// Samples is how many slices there were.
	Samples int `json:"samples"`
	// Disturbed says that much less was delivered than the machine can do:
	// something else ran meanwhile.
	Disturbed bool `json:"disturbed"`
	// Seed chose the work; Digest is the SHA-256 of its result, in hex, which
	// is the same on every machine. Empty where the work has no result.
	Seed   uint64 `json:"seed,omitempty"`
	Digest string `json:"digest,omitempty"`
}
