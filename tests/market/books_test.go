package market

import (
	"fmt"
	"slices"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// books are a second set of accounts and of the market's state. They learn of what happens from accepted messages and from
// events, and compute all money themselves.
type books struct {
	params paramSet
	// now is the chain clock in milliseconds.
	now uint64
	// held is what each account must hold, by address.
	held map[string]int64

	images     map[string]*image
	nodes      []*node
	leases     []*lease
	placements map[leasetypes.PlacementID]*placement
	// tally counts what happened.
	tally *tally
}

type image struct {
	ref     string
	owner   string
	archs   []string
	demand  sunstypes.Demand
	royalty uint64
	retired bool
}

type nodeStatus string

const (
	active   nodeStatus = "active"
	draining nodeStatus = "draining"
	silent   nodeStatus = "silent"
	retired  nodeStatus = "retired"
	gone     nodeStatus = "gone"
)

type node struct {
	id sunstypes.NodeID
	// agent is its agent's address.
	agent  string
	spec   nodeSpec
	ask    uint64
	bond   int64
	status nodeStatus
	// dead nodes say nothing.
	dead bool
	// sequence is that of its last attestation.
	sequence  uint64
	retiredMs uint64
}

type lease struct {
	id       leasetypes.LeaseID
	image    *image
	demand   sunstypes.Demand
	replicas uint32
	rules    leasetypes.PlacementRules
	maxPrice uint64
	balance  int64
	failed   []sunstypes.NodeID
	// closing is when it was closed, closed that its refund was paid.
	closing   uint64
	isClosing bool
	closed    bool

	deposited, toOperators, toAudit, toOwners, refunded int64
}

type span struct {
	start, end        uint64
	reserved, royalty int64
}

type placement struct {
	id        leasetypes.PlacementID
	lease     *lease
	node      *node
	image     *image
	general   uint64
	devices   []string
	milliSuns uint64
	price     uint64
	royalty   uint64
	period    uint64
	deadline  uint64

	started   bool
	startedMs uint64
	trialEnd  uint64
	ended     bool
	endedMs   uint64
	reason    leasetypes.EndReason
	// askedToEnd is when a transaction ended it.
	asked   bool
	askedMs uint64

	spans []span
	// coveredMs is up to when attestations can have counted, claimedMs the most that was claimed, exact that every claim was
	// the time that had truly passed.
	coveredMs, claimedMs uint64
	exact                bool
	paidSeconds          uint64
	// lastPaid is the end of the last settled hour of which anything was paid.
	lastPaid uint64
	// servedLast says whether anything of the last settled hour was served.
	servedLast bool
	drainMs    uint64
}

func (p *placement) live() bool    { return !p.ended }
func (p *placement) running() bool { return p.live() && p.started }
func (p *placement) open() bool    { return p.live() || len(p.spans) > 0 }

func (p *placement) String() string {
	return fmt.Sprintf("%s#%d/%d.%d", nick(p.id.Tenant), p.id.Number, p.id.Replica, p.id.Generation)
}

func (l *lease) String() string { return fmt.Sprintf("%s#%d", nick(l.id.Tenant), l.id.Number) }
func (n *node) String() string  { return fmt.Sprintf("%s/%d", nick(n.id.Operator), n.id.Number) }

// charge is floor(price · milliSuns · seconds ÷ (1000 · 3600)); the test's figures stay within 63 bits.
func charge(price, milliSuns, seconds uint64) int64 {
	return int64(price * milliSuns * seconds / 3_600_000)
}

func royaltyFor(royalty, seconds uint64) int64 { return int64(royalty * seconds / 3600) }

// hour is what a whole period of a placement reserves.
func (p *placement) hour(start uint64) span {
	seconds := p.period / 1000
	return span{
		start: start, end: start + p.period,
		reserved: charge(p.price, p.milliSuns, seconds), royalty: royaltyFor(p.royalty, seconds),
	}
}

func (s span) total() int64 { return s.reserved + s.royalty }

func (b *books) move(from, to string, amount int64) {
	b.held[from] -= amount
	b.held[to] += amount
}

// escrow is what open leases and hours hold.
func (b *books) escrow() (sum int64) {
	for _, l := range b.leases {
		sum += l.balance
	}
	for _, p := range b.placements {
		for _, s := range p.spans {
			sum += s.total()
		}
	}
	return sum
}

func (b *books) lease(id leasetypes.LeaseID) *lease {
	for _, l := range b.leases {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (b *books) node(id sunstypes.NodeID) *node {
	for _, n := range b.nodes {
		if n.id == id && n.status != gone {
			return n
		}
	}
	return nil
}

// openLeases are those a tenant may still change.
func (b *books) openLeases() (open []*lease) {
	for _, l := range b.leases {
		if !l.isClosing {
			open = append(open, l)
		}
	}
	return open
}

// liveNodes are those that are not retired.
func (b *books) liveNodes() (live []*node) {
	for _, n := range b.nodes {
		if n.status != retired && n.status != gone {
			live = append(live, n)
		}
	}
	return live
}

// sortedPlacements are those that match, in a fixed order, so that equal draws do equal things.
func (b *books) sortedPlacements(match func(*placement) bool) (found []*placement) {
	for _, p := range b.placements {
		if match(p) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(x, y *placement) int {
		return comparePlacements(x.id, y.id)
	})
	return found
}

func comparePlacements(a, b leasetypes.PlacementID) int {
	switch {
	case a.Tenant != b.Tenant:
		if a.Tenant < b.Tenant {
			return -1
		}
		return 1
	case a.Number != b.Number:
		return int(a.Number) - int(b.Number)
	default:
		return int(a.Generation) - int(b.Generation) // a lease's generations are all different
	}
}

// hosted are a node's placements that hold it.
func (b *books) hosted(n *node) []*placement {
	return b.sortedPlacements(func(p *placement) bool { return p.live() && p.node == n })
}

// tick moves the clock as a block does that comes gap milliseconds after the one before.
func (b *books) tick(gapMs uint64) {
	b.now += min(gapMs, uint64(b.params.suns.MaxGap.Milliseconds()))
}

// forget drops what is over, so that a sequence costs what it holds and not what it held.
func (b *books) forget() {
	for id, p := range b.placements {
		if !p.open() && p.lease.closed {
			delete(b.placements, id)
		}
	}
	b.leases = slices.DeleteFunc(b.leases, func(l *lease) bool { return l.closed })
	b.nodes = slices.DeleteFunc(b.nodes, func(n *node) bool { return n.status == gone })
}
