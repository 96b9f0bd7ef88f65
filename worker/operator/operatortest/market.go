// Package operatortest is a chain in memory that knows nodes: it registers
// them as x/suns does, keeps fee grants, and answers what a worker asks.
package operatortest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// ChainID of the chain.
const ChainID = "isun-test-1"

// Market is the chain with its state.
type Market struct {
	Chain *chaintest.Chain
	Node  *chaintest.Node

	mu         sync.Mutex
	nodes      []sunstypes.Node
	last       map[string]uint64
	grants     map[string]feegrant.Grant
	placements []leasetypes.NodePlacement
	images     map[string]uaitypes.Image
	usage      map[leasetypes.PlacementID]audittypes.UsageEntry
	refuse     error
	load       sunstypes.NodeLoad
}

// New starts a market with one endpoint; it ends with the test.
func New(t testing.TB) *Market {
	t.Helper()
	m := &Market{
		Chain: chaintest.NewChain(ChainID), last: map[string]uint64{}, grants: map[string]feegrant.Grant{},
		images: map[string]uaitypes.Image{}, usage: map[leasetypes.PlacementID]audittypes.UsageEntry{},
	}
	sunstypes.RegisterQueryServer(m.Chain, &suns{m: m})
	leasetypes.RegisterQueryServer(m.Chain, &lease{m: m})
	audittypes.RegisterQueryServer(m.Chain, &audit{m: m})
	uaitypes.RegisterQueryServer(m.Chain, &uai{m: m})
	feegrant.RegisterQueryServer(m.Chain, &grants{m: m})
	m.Chain.Handle(m.handle)
	m.Node = chaintest.NewNode(t, m.Chain)
	return m
}

// Params of x/suns on this chain.
func Params() sunstypes.Params {
	p := sunstypes.DefaultParams()
	p.MinNodeMilliSuns = 1 // a test's machine may be a small one
	return p
}

// Nodes are the registered nodes.
func (m *Market) Nodes() []sunstypes.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.nodes)
}

// Add puts a node on the chain without asking.
func (m *Market) Add(node sunstypes.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if node.Bond.IsNil() {
		node.Bond = math.ZeroInt()
	}
	m.nodes = append(m.nodes, node)
	m.last[node.ID.Operator] = max(m.last[node.ID.Operator], node.ID.Number)
}

// Placement is one that runs, with its money at zero.
func Placement(id leasetypes.PlacementID) leasetypes.NodePlacement {
	return leasetypes.NodePlacement{
		Placement: leasetypes.Placement{ID: id, Status: leasetypes.PLACEMENT_STATUS_RUNNING},
		Billing: leasetypes.PlacementBilling{
			PaidOperator: math.ZeroInt(), PaidAudit: math.ZeroInt(), PaidRoyalty: math.ZeroInt(),
		},
	}
}

// Forget removes all nodes, as the chain does after unbonding; numbers are
// not used again.
func (m *Market) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = nil
}

// Revoke drops a fee grant.
func (m *Market) Revoke(granter, grantee string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.grants, granter+grantee)
}

// Grant returns a fee grant.
func (m *Market) Grant(granter, grantee string) (feegrant.Grant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.grants[granter+grantee]
	return g, ok
}

// Refuse makes every message fail with an error; nil ends that.
func (m *Market) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

// Place puts a placement on the market's nodes.
func (m *Market) Place(p leasetypes.NodePlacement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.placements = append(m.placements, p)
}

// Publish adds an image.
func (m *Market) Publish(image uaitypes.Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.images[image.Publisher+image.Name+image.Tag] = image
}

func (m *Market) handle(msg sdk.Msg) (proto.Message, []proto.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return nil, nil, m.refuse
	}
	switch msg := msg.(type) {
	case *sunstypes.MsgRegisterNode:
		return m.register(msg)
	case *sunstypes.MsgUpdateNode:
		return m.update(msg)
	case *feegrant.MsgGrantAllowance:
		if _, ok := m.grants[msg.Granter+msg.Grantee]; ok {
			return nil, nil, feegrant.ErrFeeLimitExceeded.Wrap("fee allowance already exists")
		}
		m.grants[msg.Granter+msg.Grantee] = feegrant.Grant{Granter: msg.Granter, Grantee: msg.Grantee, Allowance: msg.Allowance}
		return &feegrant.MsgGrantAllowanceResponse{}, nil, nil
	case *sunstypes.MsgDrainNode:
		return &sunstypes.MsgDrainNodeResponse{}, nil, m.setStatus(msg.Operator, msg.Number, sunstypes.NODE_STATUS_DRAINING)
	case *sunstypes.MsgResumeNode:
		return &sunstypes.MsgResumeNodeResponse{}, nil, m.setStatus(msg.Operator, msg.Number, sunstypes.NODE_STATUS_ACTIVE)
	case *sunstypes.MsgRetireNode:
		return &sunstypes.MsgRetireNodeResponse{}, nil, m.setStatus(msg.Operator, msg.Number, sunstypes.NODE_STATUS_RETIRED)
	case *sunstypes.MsgCheckIn:
		return &sunstypes.MsgCheckInResponse{}, nil, nil
	case *audittypes.MsgAttestUsage:
		for _, e := range msg.Entries {
			m.usage[e.ID] = e
		}
		return &audittypes.MsgAttestUsageResponse{}, nil, nil
	}
	return nil, nil, sunstypes.ErrNodeNotFound.Wrapf("no handler for %T", msg)
}

func (m *Market) register(msg *sunstypes.MsgRegisterNode) (proto.Message, []proto.Message, error) {
	if next := m.last[msg.Operator] + 1; msg.Number != next {
		return nil, nil, sunstypes.ErrNotNextNumber.Wrapf("%d: the next one is %d", msg.Number, next)
	}
	id := sunstypes.NodeID{Operator: msg.Operator, Number: msg.Number}
	agent, err := sunstypes.VerifyAgent(ChainID, id, msg.AgentPubKey, msg.AgentSignature)
	if err != nil {
		return nil, nil, err
	}
	measured, err := msg.Report.Measure(Params())
	if err != nil {
		return nil, nil, err
	}
	m.last[msg.Operator] = msg.Number
	m.nodes = append(m.nodes, sunstypes.Node{
		ID: id, Agent: agent.String(), Moniker: msg.Moniker, Architecture: msg.Report.Architecture, Capacity: msg.Report.Capacity,
		GeneralMilliSuns: measured.GeneralMilliSuns, MilliSuns: measured.MilliSuns, AskPrice: msg.AskPrice,
		Country: msg.Country, Zone: msg.Zone, Bond: msg.Bond.Amount, Accelerators: measured.Accelerators,
		ReportVersion: msg.Report.Version, ReportDigest: msg.Report.Digest, Status: sunstypes.NODE_STATUS_ACTIVE,
	})
	return &sunstypes.MsgRegisterNodeResponse{MilliSuns: measured.MilliSuns}, nil, nil
}

// update takes a new report; what placements hold is not looked at.
func (m *Market) update(msg *sunstypes.MsgUpdateNode) (proto.Message, []proto.Message, error) {
	for i, n := range m.nodes {
		if n.ID.Operator != msg.Operator || n.ID.Number != msg.Number {
			continue
		}
		measured, err := msg.Report.Measure(Params())
		if err != nil {
			return nil, nil, err
		}
		n.Architecture, n.Capacity, n.Accelerators = msg.Report.Architecture, msg.Report.Capacity, measured.Accelerators
		n.GeneralMilliSuns, n.MilliSuns = measured.GeneralMilliSuns, measured.MilliSuns
		n.ReportVersion, n.ReportDigest = msg.Report.Version, msg.Report.Digest
		m.nodes[i] = n
		return &sunstypes.MsgUpdateNodeResponse{}, nil, nil
	}
	return nil, nil, sunstypes.ErrNodeNotFound.Wrapf("%s/%d", msg.Operator, msg.Number)
}

// Load says what placements hold of every node.
func (m *Market) Load(load sunstypes.NodeLoad) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load = load
}

func (m *Market) setStatus(operator string, number uint64, to sunstypes.NodeStatus) error {
	for i, n := range m.nodes {
		if n.ID.Operator == operator && n.ID.Number == number {
			m.nodes[i].Status = to
			return nil
		}
	}
	return sunstypes.ErrNodeNotFound.Wrapf("%s/%d", operator, number)
}

// info finds a node by whatever matches.
func (m *Market) info(match func(sunstypes.Node) bool) (*sunstypes.QueryNodeResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		if match(n) {
			return &sunstypes.QueryNodeResponse{Node: sunstypes.NodeInfo{
				Node: n, Load: m.load, FreeGeneralMilliSuns: n.FreeGeneralMilliSuns(m.load),
			}}, nil
		}
	}
	return nil, status.Error(codes.NotFound, sunstypes.ErrNodeNotFound.Error())
}

type suns struct {
	sunstypes.UnimplementedQueryServer
	m *Market
}

func (*suns) Params(context.Context, *sunstypes.QueryParamsRequest) (*sunstypes.QueryParamsResponse, error) {
	return &sunstypes.QueryParamsResponse{Params: Params()}, nil
}

func (*suns) Clock(context.Context, *sunstypes.QueryClockRequest) (*sunstypes.QueryClockResponse, error) {
	return &sunstypes.QueryClockResponse{Clock: sunstypes.ChainClock{NowMs: NowMs, LastBlockTime: time.Unix(0, 0).UTC()}}, nil
}

// NowMs is what the chain clock always shows.
const NowMs = 5_000

func (*suns) Epoch(context.Context, *sunstypes.QueryEpochRequest) (*sunstypes.QueryEpochResponse, error) {
	return &sunstypes.QueryEpochResponse{
		Epoch: sunstypes.Epoch{Number: 2, StartMs: 4_000, TotalWeight: math.ZeroInt()}, EndsMs: 9_000,
	}, nil
}

func (q *suns) Node(_ context.Context, r *sunstypes.QueryNodeRequest) (*sunstypes.QueryNodeResponse, error) {
	return q.m.info(func(n sunstypes.Node) bool { return n.ID.Operator == r.Operator && n.ID.Number == r.Number })
}

func (q *suns) NodeByAgent(_ context.Context, r *sunstypes.QueryNodeByAgentRequest) (*sunstypes.QueryNodeResponse, error) {
	res, err := q.m.info(func(n sunstypes.Node) bool { return n.Agent == r.Agent })
	if err != nil {
		return nil, sunstypes.ErrAgentUnknown.Wrap(r.Agent)
	}
	return res, nil
}

func (q *suns) Nodes(_ context.Context, r *sunstypes.QueryNodesRequest) (*sunstypes.QueryNodesResponse, error) {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	res := &sunstypes.QueryNodesResponse{}
	for _, n := range q.m.nodes {
		if n.ID.Operator == r.Operator {
			res.Nodes = append(res.Nodes, sunstypes.NodeInfo{Node: n})
		}
	}
	return res, nil
}

func (*suns) Rewards(context.Context, *sunstypes.QueryRewardsRequest) (*sunstypes.QueryRewardsResponse, error) {
	return &sunstypes.QueryRewardsResponse{
		Maintenance: math.NewInt(2_500_000), Reward: sunstypes.NodeReward{Accrued: math.ZeroInt()},
	}, nil
}

type lease struct {
	leasetypes.UnimplementedQueryServer
	m *Market
}

func (*lease) Params(context.Context, *leasetypes.QueryParamsRequest) (*leasetypes.QueryParamsResponse, error) {
	return &leasetypes.QueryParamsResponse{Params: leasetypes.DefaultParams()}, nil
}

func (q *lease) NodePlacements(context.Context, *leasetypes.QueryNodePlacementsRequest) (*leasetypes.QueryNodePlacementsResponse, error) {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	return &leasetypes.QueryNodePlacementsResponse{Placements: slices.Clone(q.m.placements), NowMs: NowMs}, nil
}

type audit struct {
	audittypes.UnimplementedQueryServer
	m *Market
}

func (*audit) Params(context.Context, *audittypes.QueryParamsRequest) (*audittypes.QueryParamsResponse, error) {
	return &audittypes.QueryParamsResponse{Params: audittypes.DefaultParams()}, nil
}

func (q *audit) Usage(_ context.Context, r *audittypes.QueryUsageRequest) (*audittypes.QueryUsageResponse, error) {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	id := leasetypes.PlacementID{Tenant: r.Tenant, Number: r.Number, Replica: r.Replica, Generation: r.Generation}
	usage, ok := q.m.usage[id]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "usage of %s not found", id)
	}
	return &audittypes.QueryUsageResponse{Usage: usage}, nil
}

func (q *audit) Attestation(context.Context, *audittypes.QueryAttestationRequest) (*audittypes.QueryAttestationResponse, error) {
	return &audittypes.QueryAttestationResponse{Attestation: audittypes.NodeAttestation{Sequence: 7, AttestedMs: NowMs}}, nil
}

func (*audit) Rewards(context.Context, *audittypes.QueryRewardsRequest) (*audittypes.QueryRewardsResponse, error) {
	return &audittypes.QueryRewardsResponse{Audit: math.NewInt(1)}, nil
}

type uai struct {
	uaitypes.UnimplementedQueryServer
	m *Market
}

func (q *uai) Image(_ context.Context, r *uaitypes.QueryImageRequest) (*uaitypes.QueryImageResponse, error) {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	image, ok := q.m.images[r.Publisher+r.Name+r.Tag]
	if !ok {
		return nil, uaitypes.ErrImageNotFound.Wrapf("%s/%s:%s", r.Publisher, r.Name, r.Tag)
	}
	return &uaitypes.QueryImageResponse{Image: image}, nil
}

type grants struct {
	feegrant.UnimplementedQueryServer
	m *Market
}

func (q *grants) Allowance(_ context.Context, r *feegrant.QueryAllowanceRequest) (*feegrant.QueryAllowanceResponse, error) {
	grant, ok := q.m.Grant(r.Granter, r.Grantee)
	if !ok {
		return nil, status.Error(codes.NotFound, "fee-grant not found: not found")
	}
	return &feegrant.QueryAllowanceResponse{Allowance: &grant}, nil
}
