// Package operator does what a machine's owner does on the chain with the
// operator's key: register the machine, drain it, resume it, retire it. The
// worker itself never holds that key.
package operator

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/identity"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// feePeriod is how often the agent's allowance for fees begins anew.
const feePeriod = 24 * time.Hour

// agentMessages are all that the operator pays the agent's fees for: the hot
// key can do nothing else at the operator's cost.
func agentMessages() []string {
	return []string{
		sdk.MsgTypeURL(&sunstypes.MsgCheckIn{}),
		sdk.MsgTypeURL(&sunstypes.MsgSetContact{}),
		sdk.MsgTypeURL(&leasetypes.MsgStartPlacement{}),
		sdk.MsgTypeURL(&leasetypes.MsgRejectPlacement{}),
		sdk.MsgTypeURL(&leasetypes.MsgRecordSnapshot{}),
		sdk.MsgTypeURL(&audittypes.MsgAttestUsage{}),
		sdk.MsgTypeURL(&uaitypes.MsgAnnounceHolding{}),
		sdk.MsgTypeURL(&uaitypes.MsgDropHolding{}),
	}
}

// Operator signs for one operator account.
type Operator struct {
	conn      *chainclient.Conn
	broadcast *chainclient.Broadcaster
	signer    chainclient.Signer
}

// New speaks to a chain with an operator's key.
func New(conn *chainclient.Conn, signer chainclient.Signer) *Operator {
	return &Operator{conn: conn, broadcast: chainclient.NewBroadcaster(conn), signer: signer}
}

// Address is the operator's account.
func (o *Operator) Address() string { return o.signer.Address().String() }

// Registration is what an owner says of a machine.
type Registration struct {
	Moniker string
	// AskPrice is in uisc per SUNS-hour; 0 means the chain's least.
	AskPrice uint64
	Country  string
	Zone     string
	// Bond in uisc; nil means what lets all of the node's SUNS count.
	Bond *math.Int
	// FeeLimit is what the agent may spend on fees a day, in uisc.
	FeeLimit math.Int
}

// Joined is a node that is on the chain.
type Joined struct {
	Node sunstypes.Node
	// Already is true when it was there before.
	Already bool
	// TxHash is empty when nothing had to be sent.
	TxHash string
}

// ErrOtherOperator: the agent's key serves a node of somebody else.
var ErrOtherOperator = errors.New("the agent's key serves another operator's node")

// Find returns the agent's node; ok is false if it has none. A retired one keeps its agent for a last attestation and does
// not count.
func Find(ctx context.Context, conn *chainclient.Conn, agent sdk.AccAddress) (node sunstypes.Node, ok bool, err error) {
	res, err := conn.Suns().NodeByAgent(ctx, &sunstypes.QueryNodeByAgentRequest{Agent: agent.String()})
	if errors.Is(err, sunstypes.ErrAgentUnknown) || chainclient.IsNotFound(err) {
		return sunstypes.Node{}, false, nil
	}
	if err != nil {
		return sunstypes.Node{}, false, fmt.Errorf("node of agent %s: %w", agent, err)
	}
	return res.Node.Node, res.Node.Node.Live(), nil
}

// Bond is what a machine of so many milli-SUNS needs to be rewarded for all
// of them, and at least what the chain asks of any node.
func Bond(params sunstypes.Params, milliSuns uint64) math.Int {
	full := math.NewIntFromUint64(milliSuns).Mul(params.BondPerSuns).AddRaw(sunstypes.MilliPerSuns - 1).QuoRaw(sunstypes.MilliPerSuns)
	return math.MaxInt(full, params.MinBond)
}

// Join registers the machine and grants the agent its fees in one
// transaction. Joining again finds the node that is there, also when the
// answer to the first attempt was lost on its way.
func (o *Operator) Join(ctx context.Context, params sunstypes.Params, agent identity.Key, report bench.Report, reg Registration) (Joined, error) {
	joined, err := o.rejoin(ctx, agent, reg)
	if err != nil || joined.Already {
		return joined, err
	}
	onChain, err := report.OnChain(bench.BundleOf(params))
	if err != nil {
		return Joined{}, err
	}
	// The chain's own check, before anything is paid for.
	if _, err := onChain.Measure(params); err != nil {
		return Joined{}, err
	}
	number, err := o.nextNumber(ctx)
	if err != nil {
		return Joined{}, err
	}
	hash, err := o.register(ctx, params, agent, onChain, reg, number)
	if next, ok := nextAfter(err); ok {
		hash, err = o.register(ctx, params, agent, onChain, reg, next)
	}
	var refused *chainclient.TxError
	if err != nil && errors.As(err, &refused) {
		return Joined{}, err
	}
	// Whatever became of the answer, the chain knows.
	node, ok, findErr := Find(ctx, o.conn, agent.Address())
	switch {
	case findErr != nil:
		return Joined{}, errors.Join(err, findErr)
	case !ok && err != nil:
		return Joined{}, err
	case !ok:
		return Joined{}, fmt.Errorf("transaction %s is in a block, yet the chain knows no node of agent %s", hash, agent.Address())
	}
	return Joined{Node: node, TxHash: hash}, nil
}

// register sends the registration and the agent's fee grant together.
func (o *Operator) register(
	ctx context.Context, params sunstypes.Params, agent identity.Key, report sunstypes.BenchmarkReport, reg Registration, number uint64,
) (hash string, err error) {
	register, err := o.registration(params, agent, report, reg, number)
	if err != nil {
		return "", err
	}
	msgs := []sdk.Msg{register}
	granted, err := o.granted(ctx, agent)
	if err != nil {
		return "", err
	}
	if !granted { // a key that served a node since removed still has its grant
		grant, err := o.grant(agent, reg.FeeLimit)
		if err != nil {
			return "", err
		}
		msgs = append(msgs, grant)
	}
	sent, err := o.broadcast.Send(ctx, o.signer, msgs, chainclient.Options{})
	return sent.Hash, err
}

var nextNumberIs = regexp.MustCompile(`the next one is (\d+)`)

// nextAfter reads the number the chain wants from its refusal. Removed nodes
// are listed nowhere, so an operator who had some learns it this way.
func nextAfter(err error) (uint64, bool) {
	if !errors.Is(err, sunstypes.ErrNotNextNumber) {
		return 0, false
	}
	match := nextNumberIs.FindStringSubmatch(err.Error())
	if match == nil {
		return 0, false
	}
	n, parseErr := strconv.ParseUint(match[1], 10, 64)
	return n, parseErr == nil
}

// rejoin recognises a node that is there, and renews its fee grant if that
// has gone.
func (o *Operator) rejoin(ctx context.Context, agent identity.Key, reg Registration) (Joined, error) {
	node, ok, err := Find(ctx, o.conn, agent.Address())
	if err != nil || !ok {
		return Joined{}, err
	}
	if node.ID.Operator != o.Address() {
		return Joined{}, fmt.Errorf("%w: %s", ErrOtherOperator, node.ID)
	}
	joined := Joined{Node: node, Already: true}
	granted, err := o.granted(ctx, agent)
	if err != nil || granted {
		return joined, err
	}
	grant, err := o.grant(agent, reg.FeeLimit)
	if err != nil {
		return joined, err
	}
	sent, err := o.broadcast.Send(ctx, o.signer, []sdk.Msg{grant}, chainclient.Options{})
	joined.TxHash = sent.Hash
	return joined, err
}

func (o *Operator) granted(ctx context.Context, agent identity.Key) (bool, error) {
	_, err := o.conn.FeeGrant().Allowance(ctx, &feegrant.QueryAllowanceRequest{
		Granter: o.Address(), Grantee: agent.Address().String(),
	})
	if chainclient.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("fee grant: %w", err)
	}
	return true, nil
}

func (o *Operator) registration(
	params sunstypes.Params, agent identity.Key, report sunstypes.BenchmarkReport, reg Registration, number uint64,
) (*sunstypes.MsgRegisterNode, error) {
	signature, err := agent.Sign(sunstypes.AgentSignBytes(o.conn.ChainID(), o.Address(), number))
	if err != nil {
		return nil, err
	}
	bond := Bond(params, report.MilliSuns)
	if reg.Bond != nil {
		bond = *reg.Bond
	}
	price := reg.AskPrice
	if price == 0 {
		price = params.MinAsk
	}
	return &sunstypes.MsgRegisterNode{
		Operator: o.Address(), Number: number, Moniker: reg.Moniker, AskPrice: price,
		Country: reg.Country, Zone: reg.Zone, Report: report,
		Bond:        sdk.NewCoin(sunstypes.BaseDenom, bond),
		AgentPubKey: agent.PubKey(), AgentSignature: signature,
	}, nil
}

// grant pays the agent's fees, for its own messages, up to a sum a day.
func (o *Operator) grant(agent identity.Key, limit math.Int) (*feegrant.MsgGrantAllowance, error) {
	coins := sdk.NewCoins(sdk.NewCoin(sunstypes.BaseDenom, limit))
	periodic := &feegrant.PeriodicAllowance{
		Basic: feegrant.BasicAllowance{}, Period: feePeriod, PeriodSpendLimit: coins, PeriodCanSpend: coins,
	}
	allowance, err := feegrant.NewAllowedMsgAllowance(periodic, agentMessages())
	if err != nil {
		return nil, fmt.Errorf("fee grant: %w", err)
	}
	packed, err := codectypes.NewAnyWithValue(allowance)
	if err != nil {
		return nil, fmt.Errorf("fee grant: %w", err)
	}
	return &feegrant.MsgGrantAllowance{Granter: o.Address(), Grantee: agent.Address().String(), Allowance: packed}, nil
}

// nextNumber is one above the operator's highest node; see nextAfter.
func (o *Operator) nextNumber(ctx context.Context) (uint64, error) {
	var last uint64
	page := &query.PageRequest{Limit: 100}
	for {
		res, err := o.conn.Suns().Nodes(ctx, &sunstypes.QueryNodesRequest{Operator: o.Address(), Pagination: page})
		if err != nil {
			return 0, fmt.Errorf("nodes of %s: %w", o.Address(), err)
		}
		for _, n := range res.Nodes {
			last = max(last, n.Node.ID.Number)
		}
		if res.Pagination == nil || len(res.Pagination.NextKey) == 0 {
			return last + 1, nil
		}
		page = &query.PageRequest{Key: res.Pagination.NextKey, Limit: 100}
	}
}

// Drain moves the node's placements away and gives it no new ones.
func (o *Operator) Drain(ctx context.Context, id sunstypes.NodeID) (string, error) {
	return o.send(ctx, id, &sunstypes.MsgDrainNode{Operator: id.Operator, Number: id.Number})
}

// Resume ends a drain.
func (o *Operator) Resume(ctx context.Context, id sunstypes.NodeID) (string, error) {
	return o.send(ctx, id, &sunstypes.MsgResumeNode{Operator: id.Operator, Number: id.Number})
}

// Retire takes the node off the market for good.
func (o *Operator) Retire(ctx context.Context, id sunstypes.NodeID) (string, error) {
	return o.send(ctx, id, &sunstypes.MsgRetireNode{Operator: id.Operator, Number: id.Number})
}

func (o *Operator) send(ctx context.Context, id sunstypes.NodeID, msg sdk.Msg) (string, error) {
	if id.Operator != o.Address() {
		return "", fmt.Errorf("node %s belongs to %s, the key given is %s's", id, id.Operator, o.Address())
	}
	sent, err := o.broadcast.Send(ctx, o.signer, []sdk.Msg{msg}, chainclient.Options{})
	return sent.Hash, err
}
