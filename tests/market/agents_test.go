package market

import (
	"github.com/stretchr/testify/require"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// talking are nodes whose machines run; retired ones may have something left to attest.
func (w *world) talking() (nodes []*node) {
	for _, n := range w.nodes {
		if !n.dead && n.status != gone {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (w *world) talkingNode() *node {
	nodes := w.talking()
	if len(nodes) == 0 {
		return nil
	}
	return nodes[w.pick(len(nodes), "node that talks")]
}

func (n *node) heard() {
	if n.status == silent {
		n.status = active
	}
}

func (w *world) checkIn() {
	n := w.talkingNode()
	if n == nil {
		return
	}
	if _, err := send(w, "check in", w.nodeMsgs.CheckIn, &sunstypes.MsgCheckIn{Agent: n.agent}, "%s", n); err == nil {
		n.heard()
	}
}

// startAll is what honest agents do: start whatever was assigned to them.
func (w *world) startAll() {
	for _, n := range w.talking() {
		for _, p := range w.hosted(n) {
			if !p.started {
				w.start(p, n)
			}
		}
	}
}

// startAny starts a placement that may run, have ended, or be another node's.
func (w *world) startAny() {
	n := w.talkingNode()
	all := w.sortedPlacements(func(*placement) bool { return true })
	if n == nil || len(all) == 0 {
		return
	}
	p := all[w.pick(len(all), "placement")]
	if !w.chance(5, "another's") {
		n = p.node
	}
	if !n.dead {
		w.start(p, n)
	}
}

func (w *world) start(p *placement, n *node) {
	_, err := send(w, "start placement", w.leaseMsgs.StartPlacement,
		&leasetypes.MsgStartPlacement{Agent: n.agent, ID: p.id}, "%s by %s", p, n)
	if p.live() && !p.started && !p.asked && w.now <= p.deadline && n == p.node {
		require.NoError(w.T, err, "an agent may start what it was assigned")
	}
	if err != nil {
		return
	}
	require.True(w.T, p.live() && !p.asked && n == p.node, "%s must not start", p)
	if p.started {
		w.tally.happened("started twice")
		return
	}
	require.LessOrEqual(w.T, w.now, p.deadline, "%s started too late", p)
	w.tally.happened("placement started")
	p.started, p.startedMs, p.coveredMs = true, w.now, w.now
	p.trialEnd = w.now + ms(w.params.lease.TrialPeriod)
	p.spans[0] = p.hour(w.now)
}

func (w *world) rejectPlacement() {
	hosted := w.sortedPlacements(func(p *placement) bool { return p.live() && !p.node.dead })
	if len(hosted) == 0 {
		return
	}
	p := hosted[w.pick(len(hosted), "placement")]
	kind := "reject unstarted"
	if p.started {
		kind = "reject running"
	}
	_, err := send(w, kind, w.leaseMsgs.RejectPlacement,
		&leasetypes.MsgRejectPlacement{Agent: p.node.agent, ID: p.id, Reason: "no"}, "%s", p)
	if err == nil {
		p.asked, p.askedMs = true, w.now
	}
}

// attestAll is what honest agents do: say how long everything ran.
func (w *world) attestAll() {
	for _, n := range w.talking() {
		if claims := w.truth(n); len(claims) > 0 {
			w.attest("attest truly", n, n.sequence+1, claims)
		}
	}
}

type claim struct {
	p      *placement
	ms     uint64
	honest bool
}

// truth is how long each unsettled placement of a node has run by now: a worker runs it until it sees its end.
func (w *world) truth(n *node) (claims []claim) {
	for _, p := range w.sortedPlacements(func(p *placement) bool { return p.node == n && p.open() && p.started }) {
		claims = append(claims, claim{p, w.now - p.startedMs, true})
	}
	return claims
}

// attestOddly is what other agents do.
func (w *world) attestOddly() {
	n := w.talkingNode()
	if n == nil {
		return
	}
	claims, sequence := w.truth(n), n.sequence+1
	kind := oneOf(w, "how",
		"late", "too much", "part", "backwards", "same sequence", "another's", "unstarted", "settled", "unknown", "nothing")
	switch kind {
	case "late", "too much", "backwards":
		for i := range claims {
			claims[i] = w.bend(claims[i], kind)
		}
	case "part":
		if len(claims) > 1 {
			claims = claims[:1]
		}
	case "same sequence":
		sequence = n.sequence
	case "another's":
		others := w.sortedPlacements(func(p *placement) bool { return p.node != n })
		if len(others) == 0 {
			return
		}
		claims = append(claims, claim{p: others[w.pick(len(others), "another's placement")], ms: 1_000})
	case "unstarted":
		for _, p := range w.hosted(n) {
			if !p.started {
				claims = append(claims, claim{p: p, ms: 1_000})
			}
		}
	case "settled":
		settled := w.sortedPlacements(func(p *placement) bool { return p.node == n && !p.open() })
		for _, p := range settled[:min(len(settled), 2)] {
			claims = append(claims, claim{p: p, ms: p.claimedMs})
		}
	case "unknown":
		stranger := &placement{id: leasetypes.PlacementID{Tenant: w.leaseID(nil).Tenant, Number: 999, Generation: 1}, node: n}
		claims = append(claims, claim{p: stranger, ms: 1})
	case "nothing":
		claims = nil
	}
	w.attest("attest "+kind, n, sequence, claims)
}

// bend makes a true claim a little too small, far too big, or less than was said before.
func (w *world) bend(c claim, kind string) claim {
	c.honest = false
	switch kind {
	case "late":
		lag := oneOf[uint64](w, "lag ms", 500, 1, 2_000, 2_001, 7_777)
		c.ms = max(c.p.claimedMs, c.ms-min(c.ms, lag))
	case "too much":
		c.ms += oneOf[uint64](w, "too many ms", 1, 1_999, 2_001, 60_000, 1_000_000_000)
	case "backwards":
		c.ms = c.p.claimedMs - min(c.p.claimedMs, 1)
	}
	return c
}

func (w *world) attest(kind string, n *node, sequence uint64, claims []claim) {
	msg := &audittypes.MsgAttestUsage{Agent: n.agent, Version: audittypes.AttestationVersion, Sequence: sequence}
	lawful := sequence > n.sequence && n.status != retired
	for _, c := range claims {
		msg.Entries = append(msg.Entries, audittypes.UsageEntry{
			ID: c.p.id, ServedMs: c.ms, CpuMs: c.ms, AcceleratorMs: c.ms, MemoryMiBSeconds: c.ms, BytesIn: c.ms, BytesOut: c.ms,
		})
		lawful = lawful && c.p.open() && c.p.node == n && c.p.started && c.ms >= c.p.claimedMs
	}
	response, err := send(w, kind, w.usageMsgs.AttestUsage, msg, "by %s: %s", n, describe(claims))
	if lawful {
		require.NoError(w.T, err, "a lawful attestation is taken")
	}
	if err != nil {
		return
	}
	n.sequence = sequence
	if n.status != retired {
		n.heard()
	}
	w.tally.events["entries skipped"] += int(response.Skipped)
	for _, c := range claims {
		w.noteClaim(c)
	}
}

// noteClaim: an attestation counts up to now, the placement's end, or the end of the last hour that is reserved.
func (w *world) noteClaim(c claim) {
	p := c.p
	if !p.open() {
		return
	}
	require.True(w.T, p.started, "%s was attested and never started", p)
	until := min(w.now, p.spans[len(p.spans)-1].end)
	if p.ended {
		until = min(until, p.endedMs)
	}
	p.coveredMs = max(p.coveredMs, until)
	p.claimedMs = max(p.claimedMs, c.ms)
	p.exact = p.exact && c.honest
}

func describe(claims []claim) string {
	text := ""
	for _, c := range claims {
		text += c.p.String() + " " + seconds(c.ms) + ", "
	}
	return text
}
