// Package tenanttest is a market in memory on a chaintest chain: it takes orders and lets them run, without consensus,
// matching or time. A lease takes one step, from waiting to assigned to running, whenever it is looked at.
package tenanttest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// NowMs is where the chain clock stands.
const NowMs uint64 = 100_000_000

// Market is the state behind the chain's queries and messages.
type Market struct {
	Chain *chaintest.Chain
	// Node is the chain's RPC.
	Node *chaintest.Node

	mu     sync.Mutex
	leases []*lease
	images []uaitypes.Image
	nodes  []sunstypes.NodeInfo
	// contacts of nodes, holders of keys and grants, as the chain would have them.
	contacts   []sunstypes.Contact
	keyHolders map[string]uaitypes.KeyHolders
	grants     map[string][]string
	content    content
	offers     []leasetypes.Offer
	// endpoints are those of every placement that runs.
	endpoints []leasetypes.Endpoint
	// status that new leases get instead of running.
	status  leasetypes.LeaseStatus
	quotes  []leasetypes.QueryQuoteRequest
	created []leasetypes.MsgCreateLease
	stuck   bool
	detail  string
}

type lease struct {
	info       leasetypes.LeaseInfo
	placements []leasetypes.PlacementInfo
	requests   []leasetypes.Request
}

// New starts a market with one RPC node; it ends with the test.
func New(t testing.TB) *Market {
	t.Helper()
	m := &Market{
		Chain: chaintest.NewChain("isun-test"), keyHolders: map[string]uaitypes.KeyHolders{}, grants: map[string][]string{},
	}
	leasetypes.RegisterQueryServer(m.Chain, &leaseQueries{market: m})
	sunstypes.RegisterQueryServer(m.Chain, &sunsQueries{market: m})
	uaitypes.RegisterQueryServer(m.Chain, &uaiQueries{market: m})
	m.Chain.Handle(m.handle)
	m.Node = chaintest.NewNode(t, m.Chain)
	return m
}

// Publish puts an image on the chain.
func (m *Market) Publish(image uaitypes.Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.images = append(m.images, image)
}

// AddNode puts a machine on the market that takes everything at its ask.
func (m *Market) AddNode(node sunstypes.NodeInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = append(m.nodes, node)
	m.offers = append(m.offers, leasetypes.Offer{
		Node: node.Node.ID, HourPrice: node.Node.AskPrice, AskPrice: node.Node.AskPrice, MilliSuns: 1_000,
		Country: node.Node.Country, Architecture: node.Node.Architecture,
	})
}

// SetKeyHolders says who holds the key to a subject.
func (m *Market) SetKeyHolders(holders uaitypes.KeyHolders) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keyHolders[holders.Subject] = holders
}

// KeyHolders are those of a subject.
func (m *Market) KeyHolders(subject string) uaitypes.KeyHolders {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keyHolders[subject]
}

// SetStatus changes the status of a machine.
func (m *Market) SetStatus(id sunstypes.NodeID, status sunstypes.NodeStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.nodes {
		if m.nodes[i].Node.ID == id {
			m.nodes[i].Node.Status = status
		}
	}
}

// AddContact has a node take part in iSunCloud.
func (m *Market) AddContact(contact sunstypes.Contact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contacts = append(m.contacts, contact)
}

// SetEndpoints says where running placements are reached.
func (m *Market) SetEndpoints(endpoints ...leasetypes.Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endpoints = endpoints
}

// EndIn lets new leases come to a status, such as suspended, instead of running.
func (m *Market) EndIn(status leasetypes.LeaseStatus, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status, m.detail = status, detail
}

// SetStuck lets leases take no steps.
func (m *Market) SetStuck(stuck bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stuck = stuck
}

// Created are the orders that were taken.
func (m *Market) Created() []leasetypes.MsgCreateLease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]leasetypes.MsgCreateLease(nil), m.created...)
}

// Quotes are the quotes that were asked for.
func (m *Market) Quotes() []leasetypes.QueryQuoteRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]leasetypes.QueryQuoteRequest(nil), m.quotes...)
}

// Images are the published images.
func (m *Market) Images() []uaitypes.Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]uaitypes.Image(nil), m.images...)
}

func (m *Market) handle(msg sdk.Msg) (proto.Message, []proto.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch msg := msg.(type) {
	case *leasetypes.MsgCreateLease:
		return m.create(msg)
	case *leasetypes.MsgFundLease:
		l, err := m.find(msg.Tenant, msg.Number)
		if err != nil {
			return nil, nil, err
		}
		l.info.Money.Balance = l.info.Money.Balance.Add(msg.Amount.Amount)
		l.info.Money.Totals.Deposited = l.info.Money.Totals.Deposited.Add(msg.Amount.Amount)
		return &leasetypes.MsgFundLeaseResponse{Balance: l.info.Money.Balance}, nil, nil
	case *leasetypes.MsgUpdateLease:
		return m.update(msg)
	case *leasetypes.MsgMigratePlacement:
		l, err := m.find(msg.Tenant, msg.Number)
		if err != nil {
			return nil, nil, err
		}
		if msg.Replica >= l.info.Lease.Replicas {
			return nil, nil, leasetypes.ErrNothingToMigrate.Wrapf("replica %d", msg.Replica)
		}
		return &leasetypes.MsgMigratePlacementResponse{}, nil, nil
	case *leasetypes.MsgCloseLease:
		return m.closeLease(msg)
	case *uaitypes.MsgPublishImage:
		image := uaitypes.NewImage(msg, m.heightLocked())
		m.images = append(m.images, image)
		return &uaitypes.MsgPublishImageResponse{Image: image.Ref()}, nil, nil
	case *uaitypes.MsgDeprecateImage:
		return &uaitypes.MsgDeprecateImageResponse{}, nil, nil
	case *uaitypes.MsgSetAccess:
		return m.setAccess(msg)
	case *uaitypes.MsgSetKeyHolders:
		return m.setKeyHolders(msg)
	default:
		return m.handleContent(msg)
	}
}

func (m *Market) setAccess(msg *uaitypes.MsgSetAccess) (proto.Message, []proto.Message, error) {
	for i, image := range m.images {
		if image.Ref() != msg.Image {
			continue
		}
		if image.Owner != msg.Owner {
			return nil, nil, uaitypes.ErrNotOwner.Wrap(msg.Image)
		}
		m.images[i].Restricted = msg.Restricted
		granted := slices.DeleteFunc(m.grants[msg.Image], func(a string) bool { return slices.Contains(msg.Revoke, a) })
		m.grants[msg.Image] = append(granted, msg.Grant...)
		return &uaitypes.MsgSetAccessResponse{}, nil, nil
	}
	return nil, nil, uaitypes.ErrImageNotFound.Wrap(msg.Image)
}

func (m *Market) setKeyHolders(msg *uaitypes.MsgSetKeyHolders) (proto.Message, []proto.Message, error) {
	holders := uaitypes.KeyHolders{
		Subject: msg.Subject, Owner: msg.Owner, Recipient: msg.Recipient, Threshold: msg.Threshold, Shares: msg.Shares,
		Commitments: msg.Commitments, Revision: m.keyHolders[msg.Subject].Revision + 1,
	}
	if err := holders.Validate(); err != nil {
		return nil, nil, err
	}
	m.keyHolders[msg.Subject] = holders
	return &uaitypes.MsgSetKeyHoldersResponse{}, nil, nil
}

// heightLocked is a block's height; the chain calls handle while it makes one.
func (m *Market) heightLocked() int64 { return int64(len(m.images)) + 1 }

func (m *Market) create(msg *leasetypes.MsgCreateLease) (proto.Message, []proto.Message, error) {
	if msg.Deposit.Amount.LT(leasetypes.PeriodAtCap(msg.MaxPrice, leasetypes.Ms(time.Hour)).MulRaw(int64(msg.Replicas))) {
		return nil, nil, leasetypes.ErrDepositTooSmall
	}
	m.created = append(m.created, *msg)
	id := leasetypes.LeaseID{Tenant: msg.Tenant, Number: uint64(len(m.leases) + 1)}
	l := &lease{info: leasetypes.LeaseInfo{
		Lease: leasetypes.Lease{
			ID: id, Image: msg.Image, Demand: *msg.Demand, Replicas: msg.Replicas, Rules: msg.Rules, MaxPrice: msg.MaxPrice,
			Args: msg.Args, Env: msg.Env, Status: leasetypes.LEASE_STATUS_ACTIVE, CreatedMs: NowMs - 5_000, Revision: 1,
			SnapshotEverySeconds: msg.SnapshotEverySeconds, SnapshotKeep: msg.SnapshotKeep,
		},
		Money: leasetypes.NewMoney(msg.Deposit.Amount),
	}}
	m.leases = append(m.leases, l)
	l.queue()
	event := &leasetypes.EventLeaseCreated{Tenant: id.Tenant, Number: id.Number, Image: msg.Image, Replicas: msg.Replicas}
	return &leasetypes.MsgCreateLeaseResponse{Number: id.Number}, []proto.Message{event}, nil
}

func (m *Market) update(msg *leasetypes.MsgUpdateLease) (proto.Message, []proto.Message, error) {
	l, err := m.find(msg.Tenant, msg.Number)
	if err != nil {
		return nil, nil, err
	}
	if msg.Replicas > 0 {
		l.info.Lease.Replicas = msg.Replicas
	}
	if msg.MaxPrice > 0 {
		l.info.Lease.MaxPrice = msg.MaxPrice
	}
	if msg.SnapshotEverySeconds > 0 || msg.ClearSnapshotSchedule {
		l.info.Lease.SnapshotEverySeconds = msg.SnapshotEverySeconds
	}
	if msg.Demand != nil || msg.Image != "" {
		l.drop(func(leasetypes.Placement) bool { return true })
	}
	if msg.Demand != nil {
		l.info.Lease.Demand = *msg.Demand
	}
	if msg.Image != "" {
		l.info.Lease.Image = msg.Image
	}
	l.info.Lease.Revision++
	l.queue()
	return &leasetypes.MsgUpdateLeaseResponse{Revision: l.info.Lease.Revision}, nil, nil
}

func (m *Market) closeLease(msg *leasetypes.MsgCloseLease) (proto.Message, []proto.Message, error) {
	l, err := m.find(msg.Tenant, msg.Number)
	if err != nil {
		return nil, nil, err
	}
	if !l.info.Lease.Open() {
		return nil, nil, leasetypes.ErrLeaseEnded.Wrapf("lease %s", l.info.Lease.ID)
	}
	l.info.Lease.Status = leasetypes.LEASE_STATUS_CLOSING
	l.info.Lease.CloseReason = "closed by its tenant"
	return &leasetypes.MsgCloseLeaseResponse{}, nil, nil
}

// drop ends placements as within the trial: what was reserved goes back.
func (l *lease) drop(which func(leasetypes.Placement) bool) {
	var kept []leasetypes.PlacementInfo
	for _, p := range l.placements {
		if which(p.Placement) {
			l.info.Money.Balance = l.info.Money.Balance.Add(p.Billing.Reserved())
		} else {
			kept = append(kept, p)
		}
	}
	l.placements = kept
}

// queue makes requests of the replicas that have no placement, and drops placements beyond the replicas.
func (l *lease) queue() {
	l.drop(func(p leasetypes.Placement) bool { return p.ID.Replica >= l.info.Lease.Replicas })
	have := make(map[uint32]bool)
	for _, p := range l.placements {
		have[p.Placement.ID.Replica] = true
	}
	l.requests = nil
	for replica := range l.info.Lease.Replicas {
		if !have[replica] {
			l.requests = append(l.requests, leasetypes.Request{Lease: l.info.Lease.ID, Replica: replica, QueuedMs: NowMs})
		}
	}
}

// step takes a lease one step further.
func (m *Market) step(l *lease) {
	switch {
	case m.stuck:
	case l.info.Lease.Status == leasetypes.LEASE_STATUS_CLOSING:
		m.settle(l)
	case l.info.Lease.Status != leasetypes.LEASE_STATUS_ACTIVE:
	case len(l.requests) > 0 && m.status != leasetypes.LEASE_STATUS_UNSPECIFIED:
		l.info.Lease.Status = m.status
		l.info.Lease.CloseReason = m.detail
	case len(l.requests) > 0:
		m.match(l)
	default:
		for i := range l.placements {
			p := &l.placements[i].Placement
			if p.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED {
				p.Status, p.StartedMs, p.Endpoints = leasetypes.PLACEMENT_STATUS_RUNNING, NowMs-2_000, m.endpoints
			}
		}
	}
}

// match gives every request the first node and reserves its first hour.
func (m *Market) match(l *lease) {
	for _, r := range l.requests {
		l.info.Lease.NextGeneration++
		p := leasetypes.Placement{
			ID: leasetypes.PlacementID{
				Tenant: r.Lease.Tenant, Number: r.Lease.Number, Replica: r.Replica, Generation: l.info.Lease.NextGeneration,
			},
			Node: m.offers[0].Node, Status: leasetypes.PLACEMENT_STATUS_ASSIGNED, Image: l.info.Lease.Image,
			Price: m.offers[0].AskPrice, GeneralMilliSuns: l.info.Lease.Demand.GeneralMilliSuns,
			MilliSuns: l.info.Lease.Demand.GeneralMilliSuns, PeriodMs: leasetypes.Ms(time.Hour),
		}
		span := p.Rate().Reserve(NowMs, NowMs+p.PeriodMs)
		l.info.Money.Balance = l.info.Money.Balance.Sub(span.Total())
		l.placements = append(l.placements, leasetypes.PlacementInfo{Placement: p, Billing: leasetypes.NewBilling(span)})
	}
	l.requests = nil
}

// settle pays every placement a second of service and refunds the rest.
func (m *Market) settle(l *lease) {
	money := &l.info.Money
	for _, info := range l.placements {
		span := info.Billing.Spans[0]
		span.AttestedMs = 1_000
		s := info.Placement.Rate().Settle(span, 9_000)
		money.Totals.PaidOperators = money.Totals.PaidOperators.Add(s.Operator)
		money.Totals.PaidAudit = money.Totals.PaidAudit.Add(s.Audit)
		money.Totals.BilledSeconds += s.Seconds
		money.Totals.Periods++
		money.Balance = money.Balance.Add(s.Returned)
	}
	l.placements = nil
	money.Totals.Refunded, money.Balance = money.Balance, math.ZeroInt()
	l.info.Lease.Status = leasetypes.LEASE_STATUS_CLOSED
}

func (m *Market) find(tenant string, number uint64) (*lease, error) {
	for _, l := range m.leases {
		if l.info.Lease.ID.Tenant == tenant && l.info.Lease.ID.Number == number {
			return l, nil
		}
	}
	return nil, leasetypes.ErrLeaseNotFound.Wrapf("%s/%d", tenant, number)
}

func (l *lease) response() *leasetypes.QueryLeaseResponse {
	reserved := math.ZeroInt()
	for _, p := range l.placements {
		reserved = reserved.Add(p.Billing.Reserved())
	}
	return &leasetypes.QueryLeaseResponse{Lease: l.info, Placements: l.placements, Requests: l.requests, Reserved: reserved}
}
