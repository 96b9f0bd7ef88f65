package attester

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Kind is which sign of life is due.
type Kind string

// The signs of life: an attestation counts as a check-in.
const (
	None    Kind = "none"
	CheckIn Kind = "check-in"
	Attest  Kind = "attest"
)

// Plan is what to send now, and why.
type Plan struct {
	Kind    Kind
	Reason  string
	Entries []audittypes.UsageEntry
}

// Situation is all that a plan depends on. Times are chain-clock milliseconds.
type Situation struct {
	View    chain.View
	Records map[leasetypes.PlacementID]journal.Record
	NowMs   uint64
	// SignedMs is the last confirmed sign of life, AttestedMs the last
	// attestation among them; 0 if this worker has sent none yet.
	SignedMs   uint64
	AttestedMs uint64
}

const (
	// edgeMs is how close to an hour's end an attestation is made on either
	// side: the one before it is a safety, the one after it bills the rest.
	edgeMs = 2000
	// settleMs lets the block that ends an hour come before the attestation
	// that bills its last seconds.
	settleMs = 500
)

// Next decides what is due.
func Next(s Situation) Plan {
	entries, closing := s.entries()
	if s.View.Node.Node.Status == sunstypes.NODE_STATUS_RETIRED {
		// The chain expects no sign of life any more, and takes what was
		// served up to the end until the placements have settled.
		if closing {
			return Plan{Kind: Attest, Reason: "the node has retired", Entries: entries}
		}
		return Plan{Kind: None, Reason: "the chain expects nothing of a retired node"}
	}
	if reason := s.attestReason(entries, closing); reason != "" {
		return Plan{Kind: Attest, Reason: reason, Entries: entries}
	}
	if reason := s.checkInReason(); reason != "" {
		if len(entries) > 0 { // the same price, and it says more
			return Plan{Kind: Attest, Reason: reason, Entries: entries}
		}
		return Plan{Kind: CheckIn, Reason: reason}
	}
	return Plan{Kind: None}
}

// entries are the placements with usage that the chain has not confirmed;
// closing is true when one of them has ended.
func (s Situation) entries() (entries []audittypes.UsageEntry, closing bool) {
	for _, p := range s.View.Placements {
		record, ok := s.Records[p.Placement.ID]
		if !ok || record.Usage == record.Attested {
			continue
		}
		switch p.Placement.Status {
		case leasetypes.PLACEMENT_STATUS_ENDED:
			closing = closing || record.Ended
		case leasetypes.PLACEMENT_STATUS_RUNNING:
		default:
			continue
		}
		entries = append(entries, record.Usage.Entry(p.Placement.ID))
	}
	slices.SortFunc(entries, func(a, b audittypes.UsageEntry) int {
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return entries, closing
}

func (s Situation) attestReason(entries []audittypes.UsageEntry, closing bool) string {
	if len(entries) == 0 {
		return ""
	}
	interval := uint64(s.View.Params.Audit.AttestInterval.Milliseconds())
	switch {
	case closing:
		return "a placement ended"
	case s.NowMs >= s.AttestedMs+interval:
		return "the interval has passed"
	}
	lead, settle := min(interval/2, edgeMs), uint64(settleMs)
	if grace := uint64(s.View.Params.Lease.SettleGrace.Milliseconds()); grace > 0 {
		settle = min(settle, grace/4)
	}
	for _, p := range s.View.Placements {
		if p.Placement.Status != leasetypes.PLACEMENT_STATUS_RUNNING {
			continue
		}
		for _, span := range p.Billing.Spans {
			switch end := span.EndMs; {
			case end == 0: // it has not begun
			case s.AttestedMs < end+settle && s.NowMs >= end+settle:
				return "an hour has ended"
			case s.AttestedMs+lead < end && s.NowMs+lead >= end && s.NowMs < end:
				return "an hour is ending"
			}
		}
	}
	return ""
}

func (s Situation) checkInReason() string {
	epoch := s.View.Epoch
	interval := uint64(s.View.Params.Audit.AttestInterval.Milliseconds())
	switch {
	case s.SignedMs == 0:
		return "the worker has started"
	case s.View.Node.Node.Status == sunstypes.NODE_STATUS_UNRESPONSIVE && s.NowMs >= s.SignedMs+edgeMs:
		return "the chain counts this node as unresponsive"
	case len(s.View.Placements) > 0 && s.NowMs >= s.SignedMs+interval:
		return "placements are here and the interval has passed"
	case s.SignedMs < epoch.StartMs && s.NowMs >= epoch.StartMs+Slot(s.View.Node.Node.ID, epoch):
		return "a new epoch"
	}
	return ""
}

// Slot is when in an epoch an idle node checks in, in milliseconds after the
// epoch's start: spread over the first three quarters by the node's id, so
// that nodes do not all come in one block and a late one still comes in time.
func Slot(node sunstypes.NodeID, epoch chain.Epoch) uint64 {
	if epoch.EndsMs <= epoch.StartMs {
		return 0
	}
	hash := fnv.New64a()
	hash.Write([]byte(node.Operator))
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], node.Number)
	hash.Write(number[:])
	window := (epoch.EndsMs - epoch.StartMs) * 3 / 4
	if window == 0 {
		return 0
	}
	// The low bits of FNV are well mixed only after folding the high ones in.
	sum := hash.Sum64()
	return (sum ^ sum>>32) % window
}
