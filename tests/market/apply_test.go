package market

import (
	"fmt"
	"slices"
	"strconv"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

var (
	escrowAccount = moduleAddr(leasetypes.ModuleName)
	auditAccount  = moduleAddr(audittypes.ModuleName)
	bondAccount   = moduleAddr(sunstypes.ModuleName)
	rewardAccount = moduleAddr(sunstypes.RewardPoolName)
)

// apply follows one event of a block's end, and says what of it breaks a rule.
func (b *books) apply(event any) error {
	switch e := event.(type) {
	case *leasetypes.EventPlacementMatched:
		return b.matched(e)
	case *leasetypes.EventPlacementDraining:
		b.placementOf(e.Tenant, e.Number, e.Replica, e.Generation).drainMs = e.DeadlineMs
	case *leasetypes.EventPeriodReserved:
		return b.reservedNext(b.placementOf(e.Tenant, e.Number, e.Replica, e.Generation), amount(e.Amount))
	case *leasetypes.EventPlacementEnded:
		return b.placementEnded(b.placementOf(e.Tenant, e.Number, e.Replica, e.Generation), e.Reason, e.EndedMs)
	case *leasetypes.EventPeriodSettled:
		return b.settled(b.placementOf(e.Tenant, e.Number, e.Replica, e.Generation), e)
	case *leasetypes.EventRetryFeePaid:
		return b.retryFee(b.leaseOf(e.Tenant, e.Number), amount(e.Amount))
	case *leasetypes.EventLeaseSuspended:
		b.leaseOf(e.Tenant, e.Number).failed = nil
		b.tally.happened("lease suspended")
	case *leasetypes.EventLeaseUnfunded:
		b.tally.happened("lease unfunded")
	case *leasetypes.EventLeaseClosing:
		l := b.leaseOf(e.Tenant, e.Number)
		l.isClosing, l.closing = true, b.now
		b.tally.happened("lease closed for waiting")
	case *leasetypes.EventLeaseClosed:
		return b.refund(b.leaseOf(e.Tenant, e.Number), amount(e.Refunded))
	case *sunstypes.EventNodeUnresponsive:
		b.node(sunstypes.NodeID{Operator: e.Operator, Number: e.Number}).status = silent
		b.tally.happened("node silent")
	case *sunstypes.EventBondReturned:
		return b.bondReturned(e)
	case *sunstypes.EventRewardsPaid:
		b.move(rewardAccount, e.Operator, amount(e.Amount))
		b.tally.happened("maintenance reward paid")
	case *audittypes.EventAuditRewardsPaid:
		b.move(auditAccount, e.Operator, amount(e.Amount))
		b.tally.happened("audit reward paid")
	case *audittypes.EventPoolShared:
		b.tally.happened("audit pool shared")
	case *sunstypes.EventEpochClosed:
		b.held[rewardAccount] += amount(e.MintedToNodes)
		b.tally.happened("epoch closed")
	}
	return nil
}

// amount reads a figure of an event. A figure that is none becomes one that no account can hold.
func amount(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1 << 62
	}
	return n
}

func (b *books) leaseOf(tenant string, number uint64) *lease {
	return b.lease(leasetypes.LeaseID{Tenant: tenant, Number: number})
}

func (b *books) placementOf(tenant string, number uint64, replica uint32, generation uint64) *placement {
	return b.placements[leasetypes.PlacementID{Tenant: tenant, Number: number, Replica: replica, Generation: generation}]
}

// matched: the node is free, allowed and within the cap, and the first hour is paid for.
func (b *books) matched(e *leasetypes.EventPlacementMatched) error {
	l, n := b.leaseOf(e.Tenant, e.Number), b.node(sunstypes.NodeID{Operator: e.Operator, Number: e.Node})
	p := &placement{
		id:    leasetypes.PlacementID{Tenant: e.Tenant, Number: e.Number, Replica: e.Replica, Generation: e.Generation},
		lease: l, node: n, image: l.image, general: l.demand.GeneralMilliSuns, milliSuns: e.MilliSuns, price: e.Price,
		royalty: l.image.royalty, period: ms(b.params.lease.BillingPeriod),
		deadline: b.now + ms(b.params.lease.StartDeadline), exact: true,
	}
	if b.placements[p.id] != nil {
		return fmt.Errorf("%s exists already", p)
	}
	if err := b.mayMatch(p); err != nil {
		return fmt.Errorf("%s on node %s: %w", p, n, err)
	}
	b.placements[p.id] = p
	p.spans = []span{p.hour(0)}
	l.balance -= p.spans[0].total()
	b.tally.happened("placement matched")
	if l.demand.Accelerator != nil {
		b.tally.happened("device leased")
	}
	if l.balance < 0 {
		return fmt.Errorf("%s: balance %d after its first hour was reserved", l, l.balance)
	}
	return nil
}

func (b *books) mayMatch(p *placement) error {
	l, n, rules := p.lease, p.node, p.lease.rules
	switch {
	case l.isClosing || p.id.Replica >= l.replicas:
		return fmt.Errorf("nobody asked for it")
	case n.status != active:
		return fmt.Errorf("node is %s", n.status)
	case p.price != n.ask:
		return fmt.Errorf("price %d is not the node's ask %d", p.price, n.ask)
	case p.price*p.milliSuns+1000*p.royalty > 1000*l.maxPrice:
		return fmt.Errorf("price %d for %d milli-SUNS and royalty %d are above the cap %d", p.price, p.milliSuns, p.royalty, l.maxPrice)
	case len(rules.Countries) > 0 && !slices.Contains(rules.Countries, n.spec.country),
		len(rules.Zones) > 0 && !slices.Contains(rules.Zones, n.spec.zone),
		!slices.Contains(l.image.archs, n.spec.arch),
		len(rules.Architectures) > 0 && !slices.Contains(rules.Architectures, n.spec.arch),
		rules.Node != nil && *rules.Node != n.id, slices.Contains(rules.Avoid, n.id):
		return fmt.Errorf("rules forbid it")
	case slices.Contains(l.failed, n.id):
		return fmt.Errorf("node failed the lease before")
	}
	for _, other := range b.sortedPlacements(func(o *placement) bool { return o.live() && o.lease == l }) {
		switch {
		case other.id.Replica == p.id.Replica && other.drainMs == 0:
			return fmt.Errorf("replica runs as %s", other)
		case other.id.Replica != p.id.Replica && rules.SpreadOperators && other.node.id.Operator == n.id.Operator:
			return fmt.Errorf("operator runs %s", other)
		}
	}
	return nil
}

// reservedNext: an hour is reserved when the one before ends, at the matched price.
func (b *books) reservedNext(p *placement, reserved int64) error {
	if len(p.spans) == 0 || !p.running() {
		return fmt.Errorf("%s does not run", p)
	}
	last := p.spans[len(p.spans)-1]
	next := p.hour(last.end)
	p.spans = append(p.spans, next)
	p.lease.balance -= reserved
	b.tally.happened("next hour reserved")
	switch {
	case reserved != next.total():
		return fmt.Errorf("%s: %d reserved, an hour is %d", p, reserved, next.total())
	case b.now < last.end:
		return fmt.Errorf("%s: next hour reserved at %d, before %d", p, b.now, last.end)
	case p.lease.balance < 0:
		return fmt.Errorf("%s: balance %d after an hour was reserved", p.lease, p.lease.balance)
	}
	return nil
}

// placementEnded: the node is free again, and what was reserved for after the end is cut.
func (b *books) placementEnded(p *placement, reason leasetypes.EndReason, endedMs uint64) error {
	if p.ended {
		return fmt.Errorf("%s ended twice", p)
	}
	if err := b.endedRightly(p, reason, endedMs); err != nil {
		return fmt.Errorf("%s ended as %s at %d: %w", p, reason, endedMs, err)
	}
	p.ended, p.endedMs, p.reason = true, endedMs, reason
	forfeit := byTenant(reason) && endedMs > p.trialEnd
	var left []span
	for _, s := range p.spans {
		switch {
		case !p.started, s.start >= endedMs:
			p.lease.balance += s.total()
		case s.end > endedMs:
			left = append(left, b.cut(p, s, endedMs, forfeit))
		default:
			left = append(left, s)
		}
	}
	p.spans = left
	if byFault(reason) || reason == leasetypes.END_REASON_MIGRATED {
		if !slices.Contains(p.lease.failed, p.node.id) {
			p.lease.failed = append(p.lease.failed, p.node.id)
		}
	}
	b.tally.happened("ended " + reason.String()[len("END_REASON_"):])
	if p.started && byTenant(reason) && !forfeit {
		b.tally.happened("ended within the trial")
	}
	return nil
}

func (b *books) cut(p *placement, s span, at uint64, forfeit bool) span {
	after := (s.end - at) / 1000
	before := (s.end-s.start)/1000 - after
	left := span{
		start: s.start, end: at,
		reserved: min(charge(p.price, p.milliSuns, before), s.reserved), royalty: min(royaltyFor(p.royalty, before), s.royalty),
	}
	freed := s.total() - left.total()
	if forfeit {
		toAudit := min(charge(p.price, p.milliSuns, after), s.reserved-left.reserved)
		freed -= toAudit
		p.lease.toAudit += toAudit
		b.move(escrowAccount, auditAccount, toAudit)
		b.tally.happened("rest of the hour forfeited")
	}
	p.lease.balance += freed
	return left
}

// settled: every part of a settled hour is what the rules say for the seconds that were attested, and no more seconds are
// paid than the node can have served.
func (b *books) settled(p *placement, e *leasetypes.EventPeriodSettled) error {
	if len(p.spans) == 0 {
		return fmt.Errorf("%s has no hour to settle", p)
	}
	s := p.spans[0]
	if err := b.servedAtMost(p, s, e.Seconds); err != nil {
		return fmt.Errorf("%s, hour %d to %d ms: %w", p, s.start, s.end, err)
	}
	paid := min(charge(p.price, p.milliSuns, e.Seconds), s.reserved)
	royalty := min(royaltyFor(p.royalty, e.Seconds), s.royalty)
	operator := paid * int64(b.params.lease.ProviderShareBps) / 10_000
	want := [4]int64{operator, paid - operator, royalty, s.total() - paid - royalty}
	got := [4]int64{amount(e.Operator), amount(e.Audit), amount(e.Royalty), amount(e.Returned)}
	if got != want {
		return fmt.Errorf("%s, %d s: settled as %v, not %v (operator, audit, royalty, returned)", p, e.Seconds, got, want)
	}
	p.spans = p.spans[1:]
	p.paidSeconds += e.Seconds
	p.servedLast = e.Seconds > 0
	if e.Seconds > 0 {
		p.lastPaid = s.end
	}
	l := p.lease
	l.balance += want[3]
	l.toOperators, l.toAudit, l.toOwners = l.toOperators+want[0], l.toAudit+want[1], l.toOwners+want[2]
	b.move(escrowAccount, p.node.id.Operator, want[0])
	b.move(escrowAccount, auditAccount, want[1])
	b.move(escrowAccount, p.image.owner, want[2])
	b.tallySettlement(s, e.Seconds, want)
	return nil
}

func (b *books) tallySettlement(s span, seconds uint64, parts [4]int64) {
	switch whole := (s.end - s.start) / 1000; {
	case seconds == 0:
		b.tally.happened("hour settled, nothing served")
	case seconds < whole:
		b.tally.happened("hour settled, in part served")
	default:
		b.tally.happened("hour settled in full")
	}
	if parts[2] > 0 {
		b.tally.happened("royalty paid")
	}
}

func (b *books) retryFee(l *lease, fee int64) error {
	l.balance -= fee
	l.toAudit += fee
	b.move(escrowAccount, auditAccount, fee)
	b.tally.happened("retry fee paid")
	if want := int64(b.params.lease.RetryFee); fee != want || l.balance < 0 {
		return fmt.Errorf("%s: retry fee %d, not %d; balance %d", l, fee, want, l.balance)
	}
	return nil
}

// refund: a lease closes with nothing left to settle, and everything comes back.
func (b *books) refund(l *lease, refunded int64) error {
	open := b.sortedPlacements(func(p *placement) bool { return p.lease == l && p.open() })
	if !l.isClosing || l.closed || len(open) > 0 || refunded != l.balance {
		return fmt.Errorf("%s refunded %d, its balance is %d; closing %t, closed %t, %d placements open",
			l, refunded, l.balance, l.isClosing, l.closed, len(open))
	}
	b.move(escrowAccount, l.id.Tenant, refunded)
	l.balance, l.refunded, l.closed = 0, refunded, true
	b.tally.happened("lease refunded")
	if spent := l.toOperators + l.toAudit + l.toOwners + l.refunded; spent != l.deposited {
		return fmt.Errorf("%s: %d paid in, %d paid out", l, l.deposited, spent)
	}
	return nil
}

func (b *books) bondReturned(e *sunstypes.EventBondReturned) error {
	n := b.node(sunstypes.NodeID{Operator: e.Operator, Number: e.Number})
	b.move(bondAccount, e.Operator, amount(e.Amount))
	b.tally.happened("bond returned")
	if n.status != retired || amount(e.Amount) != n.bond || len(b.hosted(n)) > 0 {
		return fmt.Errorf("node %s is %s with bond %d, got %s back", n, n.status, n.bond, e.Amount)
	}
	n.status = gone
	return nil
}
