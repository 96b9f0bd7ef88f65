package market

import (
	"errors"
	"fmt"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

func byTenant(reason leasetypes.EndReason) bool {
	switch reason {
	case leasetypes.END_REASON_CLOSED, leasetypes.END_REASON_SCALED_DOWN, leasetypes.END_REASON_MIGRATED,
		leasetypes.END_REASON_UPDATED:
		return true
	default:
		return false
	}
}

func byFault(reason leasetypes.EndReason) bool {
	switch reason {
	case leasetypes.END_REASON_NOT_STARTED, leasetypes.END_REASON_REJECTED, leasetypes.END_REASON_NODE_SILENT,
		leasetypes.END_REASON_NOT_SERVED:
		return true
	default:
		return false
	}
}

// servedAtMost bounds the seconds paid of an hour by the time that passed, by what was attested and, where every claim was
// true, holds them to exactly that.
func (b *books) servedAtMost(p *placement, s span, seconds uint64) error {
	served := within(p.coveredMs, s.start, s.end) - s.start
	grace := min(ms(b.params.lease.SettleGrace), p.period)
	switch {
	case !p.started:
		return errors.New("settled without a start")
	case b.now < s.end+grace:
		return fmt.Errorf("settled at %d, before its grace of %d ms was over", b.now, grace)
	case seconds*1000 > served:
		return fmt.Errorf("%d s paid, attested up to %d ms of it", seconds, served)
	case (p.paidSeconds+seconds)*1000 > p.claimedMs:
		return fmt.Errorf("%d s paid in all, %d ms claimed", p.paidSeconds+seconds, p.claimedMs)
	case p.exact && seconds != served/1000:
		return fmt.Errorf("%d s paid, truly served and attested were %d ms", seconds, served)
	}
	return nil
}

func within(at, from, to uint64) uint64 { return min(max(at, from), to) }

// endedRightly holds an end to its cause, and what was paid to the time before it.
func (b *books) endedRightly(p *placement, reason leasetypes.EndReason, at uint64) error {
	begin := p.startedMs
	if !p.started {
		begin = 0
	}
	switch {
	case at > b.now || at < begin:
		return fmt.Errorf("not between its start %d and now %d", begin, b.now)
	case p.paidSeconds*1000 > at-begin:
		return fmt.Errorf("%d s were paid of %d ms", p.paidSeconds, at-begin)
	case p.lastPaid > at:
		return fmt.Errorf("an hour was paid that ended at %d", p.lastPaid)
	}
	for _, other := range b.placements {
		if other.lease == p.lease && other.id.Replica == p.id.Replica && other.id.Generation > p.id.Generation &&
			other.started && other.startedMs < at {
			return fmt.Errorf("%s ran beside it from %d", other, other.startedMs)
		}
	}
	return b.endedForCause(p, reason, at)
}

func (b *books) endedForCause(p *placement, reason leasetypes.EndReason, at uint64) error {
	want := at
	ok := true
	switch reason {
	case leasetypes.END_REASON_CLOSED:
		ok, want = p.lease.isClosing, max(p.lease.closing, p.startedMs)
		if !p.started {
			want = at
		}
	case leasetypes.END_REASON_MIGRATED, leasetypes.END_REASON_REJECTED:
		ok, want = p.asked, p.askedMs
	case leasetypes.END_REASON_SCALED_DOWN:
		ok = p.id.Replica >= p.lease.replicas
	case leasetypes.END_REASON_UNFUNDED:
		last := p.spans[len(p.spans)-1]
		ok, want = p.lease.balance < p.hour(last.end).total() && b.now >= last.end, last.end
	case leasetypes.END_REASON_NOT_STARTED:
		ok = !p.started && b.now >= p.deadline
	case leasetypes.END_REASON_NODE_RETIRED:
		ok, want = p.node.status == retired, max(p.node.retiredMs, p.startedMs) // it may start before its turn to end comes
	case leasetypes.END_REASON_NOT_SERVED:
		ok = p.started && !p.servedLast
	case leasetypes.END_REASON_NODE_DRAINED:
		// One that started when the drain was over already ran for no time.
		ok = !p.started || at == max(p.drainMs, p.startedMs) || b.replacedAt(p, at)
	case leasetypes.END_REASON_NODE_SILENT:
	default:
		ok = reason == leasetypes.END_REASON_UPDATED
	}
	if p.asked && reason != leasetypes.END_REASON_MIGRATED && reason != leasetypes.END_REASON_REJECTED {
		return fmt.Errorf("a transaction had ended it at %d", p.askedMs)
	}
	if !ok || want != at {
		return fmt.Errorf("cause holds: %t, it should end at %d", ok, want)
	}
	return nil
}

// replacedAt says whether another placement of the replica started at that time.
func (b *books) replacedAt(p *placement, at uint64) bool {
	for _, other := range b.placements {
		if other.lease == p.lease && other.id.Replica == p.id.Replica && other.started && other.startedMs == at && other != p {
			return true
		}
	}
	return false
}

// oversold says which node's placements take more than it has.
func (b *books) oversold() error {
	for _, n := range b.nodes {
		var taken uint64
		devices := map[string]bool{}
		for _, p := range b.hosted(n) {
			taken += p.general
			for _, id := range p.devices {
				if devices[id] || n.spec.devices[id] == 0 {
					return fmt.Errorf("node %s: device %s of %s is held twice or is none of its own", n, id, p)
				}
				devices[id] = true
			}
		}
		if general := n.spec.generalMilliSuns; taken > general {
			return fmt.Errorf("node %s: %d milli-SUNS taken of %d", n, taken, general)
		}
	}
	return nil
}
