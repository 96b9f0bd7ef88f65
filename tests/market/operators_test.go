package market

import (
	"fmt"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// maxNodes keeps a sequence's state small.
const maxNodes = 10

func (w *world) machine() nodeSpec {
	spec := nodeSpec{
		suns: uint64(2 + w.pick(7, "SUNS less two")), arch: "amd64", country: oneOf(w, "country", "TW", "TW", "DE", "US"),
		zone: oneOf(w, "zone", "east", "west", ""),
	}
	if w.chance(5, "arm") {
		spec.arch = "arm64"
	}
	spec.gpus = oneOf(w, "gpus", []uint64(nil), nil, []uint64{5}, []uint64{5, 5}, []uint64{5, 8, 8})
	return spec
}

func (w *world) ask() uint64 {
	return oneOf[uint64](w, "ask", 3_600, 1_000, 1_001, 3_599, 2_002, 7_919, 1_000_003)
}

// agentKey is what a node's agent signs with.
type agentKey struct {
	pubKey    []byte
	signature []byte
	address   string
}

// newAgent is a key nobody used before, with its signature that it serves the node.
func (w *world) newAgent(id sunstypes.NodeID) agentKey {
	w.named++
	key := testkit.Key(fmt.Sprintf("agent %d", w.named))
	signature, err := key.Sign(sunstypes.AgentSignBytes(testkit.ChainID, id.Operator, id.Number))
	require.NoError(w.T, err)
	public := key.PubKey()
	return agentKey{pubKey: public.Bytes(), signature: signature, address: sdk.AccAddress(public.Address()).String()}
}

func (w *world) registerNode() {
	if len(w.liveNodes()) >= maxNodes {
		w.retireNode()
		return
	}
	name := oneOf(w, "operator", operators...)
	operator := people[name]
	last, err := w.sunsKeeper.Operators.Get(w.Ctx, operator)
	if err != nil {
		last = 0
	}
	n := &node{id: sunstypes.NewNodeID(operator, last+1), spec: w.machine(), ask: w.ask(), status: active}
	if w.chance(15, "wrong number") {
		n.id.Number++
	}
	agent := w.newAgent(n.id)
	n.agent = agent.address
	n.bond = oneOf[int64](w, "bond", 2_000_000, 1_000_000, 10_000_000, 999_999)
	_, err = send(w, "register node", w.nodeMsgs.RegisterNode, &sunstypes.MsgRegisterNode{
		Operator: n.id.Operator, Number: n.id.Number, Moniker: "node", AskPrice: n.ask, Country: n.spec.country,
		Zone: n.spec.zone, Bond: testkit.Coin(n.bond), Report: n.spec.report(w.params.suns),
		AgentPubKey: agent.pubKey, AgentSignature: agent.signature,
	}, "%s: %d SUNS %s %s/%s, gpus %v, ask %d, bond %d",
		n, n.spec.suns, n.spec.arch, n.spec.country, n.spec.zone, n.spec.gpus, n.ask, n.bond)
	if err != nil {
		return
	}
	w.nodes = append(w.nodes, n)
	w.move(n.id.Operator, bondAccount, n.bond)
}

// anyNode is mostly a live one; nil when there is none.
func (w *world) anyNode() *node {
	nodes := w.liveNodes()
	if w.chance(20, "any node") {
		nodes = w.nodes
	}
	if len(nodes) == 0 {
		return nil
	}
	return nodes[w.pick(len(nodes), "node")]
}

func (w *world) updateNode() {
	n := w.anyNode()
	if n == nil {
		return
	}
	msg := &sunstypes.MsgUpdateNode{Operator: n.id.Operator, Number: n.id.Number}
	after := n.spec
	agent := agentKey{address: n.agent}
	kind := oneOf(w, "what", "ask", "ask", "bond", "place", "report", "agent")
	switch kind {
	case "ask":
		msg.AskPrice = w.ask()
	case "bond":
		bond := testkit.Coin(oneOf[int64](w, "more", 1, 1_000_000, 2*funds))
		msg.AddBond = &bond
	case "place":
		msg.Country, msg.Zone = oneOf(w, "country", "TW", "DE", "US"), oneOf(w, "zone", "east", "west")
		after.country, after.zone = msg.Country, msg.Zone
	case "report":
		grown := w.machine()
		after.suns, after.gpus, after.arch = grown.suns, grown.gpus, grown.arch
		report := after.report(w.params.suns)
		msg.Report = &report
	case "agent":
		agent = w.newAgent(n.id)
		msg.AgentPubKey, msg.AgentSignature = agent.pubKey, agent.signature
	}
	if _, err := send(w, "update node "+kind, w.nodeMsgs.UpdateNode, msg, "%s: %v", n, msg); err != nil {
		return
	}
	n.spec, n.agent = after, agent.address
	if msg.AskPrice != 0 {
		n.ask = msg.AskPrice
	}
	if msg.AddBond != nil {
		n.bond += msg.AddBond.Amount.Int64()
		w.move(n.id.Operator, bondAccount, msg.AddBond.Amount.Int64())
	}
}

func (w *world) drainNode() {
	if n := w.anyNode(); n != nil {
		_, err := send(w, "drain node", w.nodeMsgs.DrainNode,
			&sunstypes.MsgDrainNode{Operator: n.id.Operator, Number: n.id.Number}, "%s", n)
		if err == nil {
			n.status = draining
		}
	}
}

func (w *world) resumeNode() {
	for _, n := range w.nodes {
		if n.status == draining {
			w.resume(n)
			return
		}
	}
	if n := w.anyNode(); n != nil {
		w.resume(n)
	}
}

func (w *world) resume(n *node) {
	_, err := send(w, "resume node", w.nodeMsgs.ResumeNode,
		&sunstypes.MsgResumeNode{Operator: n.id.Operator, Number: n.id.Number}, "%s", n)
	if err == nil {
		n.status = active
	}
}

func (w *world) retireNode() {
	if n := w.anyNode(); n != nil {
		w.retire(n)
	}
}

func (w *world) retire(n *node) {
	_, err := send(w, "retire node", w.nodeMsgs.RetireNode,
		&sunstypes.MsgRetireNode{Operator: n.id.Operator, Number: n.id.Number}, "%s", n)
	if err == nil {
		n.status, n.retiredMs = retired, w.now
	}
}

func (w *world) withdrawRewards() {
	if n := w.anyNode(); n != nil {
		_, _ = send(w, "withdraw rewards", w.nodeMsgs.WithdrawRewards,
			&sunstypes.MsgWithdrawRewards{Operator: n.id.Operator, Number: n.id.Number}, "%s", n)
	}
}

// die makes a machine fall silent, or brings one back.
func (w *world) die() {
	if n := w.anyNode(); n != nil && !n.dead {
		n.dead = true
		w.tally.happened("machine died")
		w.rt.Logf("%d ms: machine of %s dies", w.now, n)
	}
}

func (w *world) comeBack() {
	for _, n := range w.nodes {
		if n.dead {
			n.dead = false
			w.tally.happened("machine came back")
			w.rt.Logf("%d ms: machine of %s comes back", w.now, n)
			return
		}
	}
}

func (w *world) strangerDrains() {
	n := w.anyNode()
	if n == nil {
		return
	}
	stranger := people[tenants[0]].String()
	_, err := send(w, "drain another's node", w.nodeMsgs.DrainNode,
		&sunstypes.MsgDrainNode{Operator: stranger, Number: n.id.Number}, "%s", n)
	require.Error(w.T, err)
}
