package types

import (
	"bytes"
	"cmp"
	"slices"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// MaxNodeServices is how many placements a node's record takes: twice what a node runs at once by default. Beyond it each
// attestation would read and write more than a transaction may, and each settlement in the end blocker as much; placements
// that find no room are attested in records of their own.
const MaxNodeServices = 512

// Claim is what an agent says it has served of a placement since its start.
type Claim struct {
	Placement PlacementKey
	ServedMs  uint64
}

// Credit is what came of a claim.
type Credit struct {
	// Ms is the service that counted.
	Ms uint64
	// Settled is true when nothing can count any more: the placement was this node's, has ended and is settled.
	Settled bool
}

// NewPlacementRef names a placement in a node's record.
func NewPlacementRef(key PlacementKey) PlacementRef {
	return PlacementRef{Tenant: key.K1(), Number: key.K2(), Replica: key.K3(), Generation: key.K4()}
}

// Key is the placement's key of state.
func (r PlacementRef) Key() PlacementKey {
	return collections.Join4(sdk.AccAddress(r.Tenant), r.Number, r.Replica, r.Generation)
}

// Compare orders placements as their keys of state: an address of a key begins with its length.
func (r PlacementRef) Compare(other PlacementRef) int {
	return cmp.Or(
		cmp.Compare(len(r.Tenant), len(other.Tenant)),
		bytes.Compare(r.Tenant, other.Tenant),
		cmp.Compare(r.Number, other.Number),
		cmp.Compare(r.Replica, other.Replica),
		cmp.Compare(r.Generation, other.Generation),
	)
}

// Find says where a placement stands in the record, or where it would.
func (n NodeServices) Find(ref PlacementRef) (int, bool) {
	return slices.BinarySearchFunc(n.Services, ref, func(s Service, ref PlacementRef) int { return s.Placement.Compare(ref) })
}

// Begin gives the first hour of a placement that has started its times. A start writes the placement alone.
func (b *PlacementBilling) Begin(p Placement) {
	if p.StartedMs != 0 && len(b.Spans) == 1 && b.Spans[0].EndMs == 0 {
		b.Spans[0].StartMs, b.Spans[0].EndMs = p.StartedMs, p.StartedMs+p.PeriodMs
		b.AttestedUntilMs = p.StartedMs
	}
}

// Unbegin takes from a billing what Begin gives it, if that is all that has happened since the start.
func (b *PlacementBilling) Unbegin(p Placement) {
	begun := PlacementBilling{Spans: []Span{{}}}
	begun.Begin(p)
	if p.StartedMs == 0 || len(b.Spans) != 1 || b.ServedMs != 0 || b.AttestedUntilMs != begun.AttestedUntilMs {
		return
	}
	span := &b.Spans[0]
	if span.StartMs == begun.Spans[0].StartMs && span.EndMs == begun.Spans[0].EndMs && span.AttestedMs == 0 {
		span.StartMs, span.EndMs, b.AttestedUntilMs = 0, 0, 0
	}
}

// ServiceOf is what a placement's billing says of its service. An end that a transaction asked for counts once it had its turn
// in the queue: the transaction writes no record of the node, and what is attested must not depend on when one is made.
func ServiceOf(key PlacementKey, p Placement, billing PlacementBilling) Service {
	service := Service{
		Placement: NewPlacementRef(key), ServedMs: billing.ServedMs, AttestedUntilMs: billing.AttestedUntilMs,
	}
	if !p.Live() {
		service.EndedMs = p.EndedMs
	}
	for _, span := range billing.Spans {
		service.Spans = append(service.Spans, ServiceSpan{StartMs: span.StartMs, EndMs: span.EndMs, AttestedMs: span.AttestedMs})
	}
	return service
}

// FillIn writes into a billing what its service says was served. Both have the same open hours.
func (s Service) FillIn(billing *PlacementBilling) {
	billing.ServedMs, billing.AttestedUntilMs = s.ServedMs, s.AttestedUntilMs
	for i := range billing.Spans {
		billing.Spans[i].AttestedMs = s.Spans[i].AttestedMs
	}
}

// Matches says whether a service has the open hours of a billing.
func (s Service) Matches(billing PlacementBilling) bool {
	return slices.EqualFunc(s.Spans, billing.Spans, func(a ServiceSpan, b Span) bool {
		return a.StartMs == b.StartMs && a.EndMs == b.EndMs
	})
}

// Credit counts service that an agent claims: claimedMs since the start of the placement, up to untilMs on the chain clock
// or the placement's end. The part not credited yet is clamped to the chain time that has passed since the last
// attestation and laid backwards from untilMs, so nothing is counted twice and a claim about the future or the past gains
// nothing. Up to AttestJitterMs is carried over on either side. Service of the hour that the block's end has yet to reserve
// waits for the next attestation. It returns the milliseconds credited.
func (s *Service) Credit(claimedMs, untilMs uint64) uint64 {
	if s.EndedMs != 0 {
		untilMs = min(untilMs, s.EndedMs)
	}
	if open := len(s.Spans); open > 0 && untilMs > s.Spans[open-1].EndMs {
		end := s.Spans[open-1].EndMs
		claimedMs, untilMs = floorSub(claimedMs, untilMs-end), end
	}
	if untilMs <= s.AttestedUntilMs {
		return 0
	}
	elapsed := untilMs - s.AttestedUntilMs
	var claim uint64
	if claimedMs > s.ServedMs {
		claim = claimedMs - s.ServedMs
	}
	credit := min(claim, elapsed)
	until := max(s.AttestedUntilMs+credit, floorSub(untilMs, AttestJitterMs))
	s.lay(until-credit, until)
	s.AttestedUntilMs = until
	s.ServedMs = max(s.ServedMs+credit, floorSub(claimedMs, AttestJitterMs))
	return credit
}

// lay adds the service of [fromMs, toMs) to the open spans; what falls into settled ones is lost.
func (s *Service) lay(fromMs, toMs uint64) {
	for i := range s.Spans {
		span := &s.Spans[i]
		from, to := max(fromMs, span.StartMs), min(toMs, span.EndMs)
		if from < to {
			span.AttestedMs += to - from
		}
	}
}

// floorSub is a − b, or 0.
func floorSub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
