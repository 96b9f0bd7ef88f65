package types

import (
	"slices"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

const (
	// AttestationVersion is the form of entries the chain reads.
	AttestationVersion uint32 = 1
	// MaxEntries bounds the placements of one attestation, and with it the work of one message. A node with more sends
	// several.
	MaxEntries = 512
	// MaxSequence is 2^62: it stays in the range of signed integers of clients.
	MaxSequence uint64 = 1 << 62
	// MaxServedMs is 2^42 ms, 139 years: longer than any placement runs, and sums over MaxEntries stay far from 64 bits.
	MaxServedMs uint64 = 1 << 42
	// MaxComputeMs is 2^55 ms, for CPU and accelerators: 8,192 cores for MaxServedMs.
	MaxComputeMs uint64 = 1 << 55
	// MaxMemoryMiBSeconds is 2^62: a PiB of memory for MaxServedMs.
	MaxMemoryMiBSeconds uint64 = 1 << 62
	// MaxBytes is 2^62, 4 EiB in either direction.
	MaxBytes uint64 = 1 << 62
)

// Validate holds a message to what can be said of it without state, and gives its entries' keys in order: version, number of
// entries, sequence, each placement once, figures in bounds.
func (m *MsgAttestUsage) Validate() ([]leasetypes.PlacementKey, error) {
	if m.Version != AttestationVersion {
		return nil, ErrUnsupportedVersion.Wrapf("version %d, not %d", m.Version, AttestationVersion)
	}
	if len(m.Entries) > MaxEntries {
		return nil, ErrTooManyEntries.Wrapf("%d entries, above %d", len(m.Entries), MaxEntries)
	}
	if m.Sequence > MaxSequence {
		return nil, ErrOutOfBounds.Wrapf("sequence %d is above %d", m.Sequence, MaxSequence)
	}
	keys := make([]leasetypes.PlacementKey, 0, len(m.Entries))
	seen := make(map[leasetypes.PlacementID]struct{}, len(m.Entries))
	for _, entry := range m.Entries {
		key, err := entry.Key()
		if err != nil {
			return nil, err
		}
		if _, ok := seen[entry.ID]; ok {
			return nil, ErrDuplicateEntry.Wrapf("placement %s", entry.ID)
		}
		seen[entry.ID] = struct{}{}
		if err := entry.ValidateBounds(); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Key is the entry's placement as a key of state.
func (e UsageEntry) Key() (leasetypes.PlacementKey, error) { return e.ID.Key() }

// NewUsage is an entry as a node's record keeps it.
func NewUsage(key leasetypes.PlacementKey, entry UsageEntry) Usage {
	return Usage{
		Placement: leasetypes.NewPlacementRef(key),
		ServedMs:  entry.ServedMs, CpuMs: entry.CpuMs, AcceleratorMs: entry.AcceleratorMs,
		MemoryMiBSeconds: entry.MemoryMiBSeconds, BytesIn: entry.BytesIn, BytesOut: entry.BytesOut,
	}
}

// Entry is the entry that was kept.
func (u Usage) Entry() UsageEntry {
	return UsageEntry{
		ID:       leasetypes.PlacementIDFromKey(u.Placement.Key()),
		ServedMs: u.ServedMs, CpuMs: u.CpuMs, AcceleratorMs: u.AcceleratorMs,
		MemoryMiBSeconds: u.MemoryMiBSeconds, BytesIn: u.BytesIn, BytesOut: u.BytesOut,
	}
}

// Find says where a placement stands in the record, or where it would.
func (n NodeUsage) Find(key leasetypes.PlacementKey) (int, bool) {
	return slices.BinarySearchFunc(n.Usages, leasetypes.NewPlacementRef(key),
		func(u Usage, ref leasetypes.PlacementRef) int { return u.Placement.Compare(ref) })
}

// figure is one of an entry's numbers with the most it may be.
type figure struct {
	name       string
	value, max uint64
}

func (e UsageEntry) figures() [6]figure {
	return [6]figure{
		{"served_ms", e.ServedMs, MaxServedMs},
		{"cpu_ms", e.CpuMs, MaxComputeMs},
		{"accelerator_ms", e.AcceleratorMs, MaxComputeMs},
		{"memory_mib_seconds", e.MemoryMiBSeconds, MaxMemoryMiBSeconds},
		{"bytes_in", e.BytesIn, MaxBytes},
		{"bytes_out", e.BytesOut, MaxBytes},
	}
}

// ValidateBounds holds every figure to the most it may be.
func (e UsageEntry) ValidateBounds() error {
	for _, f := range e.figures() {
		if f.value > f.max {
			return ErrOutOfBounds.Wrapf("placement %s: %s %d is above %d", e.ID, f.name, f.value, f.max)
		}
	}
	return nil
}

// ValidateAfter holds every figure to what was attested before.
func (e UsageEntry) ValidateAfter(before UsageEntry) error {
	was := before.figures()
	for i, f := range e.figures() {
		if f.value < was[i].value {
			return ErrUsageWentBackwards.Wrapf("placement %s: %s %d is below %d", e.ID, f.name, f.value, was[i].value)
		}
	}
	return nil
}
