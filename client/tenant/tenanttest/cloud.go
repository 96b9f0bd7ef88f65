package tenanttest

import (
	"context"
	"slices"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// content is what the network keeps, as far as the chain knows.
type content struct {
	objects   []uaitypes.Object
	snapshots []leasetypes.Snapshot
	// holders by the digest of what they hold.
	holders map[string][]uaitypes.Holder
	// asked are the messages about snapshots that were taken.
	asked []sdk.Msg
}

// Hold has a node announce content.
func (m *Market) Hold(digest string, holder uaitypes.Holder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.content.holders == nil {
		m.content.holders = map[string][]uaitypes.Holder{}
	}
	m.content.holders[digest] = append(m.content.holders[digest], holder)
}

// Objects are those that are stored.
func (m *Market) Objects() []uaitypes.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.content.objects)
}

// PutObject puts an object on the chain.
func (m *Market) PutObject(o uaitypes.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.content.put(o)
}

// AddSnapshot records a snapshot.
func (m *Market) AddSnapshot(s leasetypes.Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.content.snapshots = append(m.content.snapshots, s)
}

// SnapshotMessages are those that asked for something about snapshots.
func (m *Market) SnapshotMessages() []sdk.Msg {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.content.asked)
}

func (c *content) put(o uaitypes.Object) {
	c.remove(o.Owner, o.Name)
	c.objects = append(c.objects, o)
}

func (c *content) remove(owner, name string) bool {
	before := len(c.objects)
	c.objects = slices.DeleteFunc(c.objects, func(o uaitypes.Object) bool { return o.Owner == owner && o.Name == name })
	return len(c.objects) < before
}

// handleContent takes the messages about what the network keeps.
func (m *Market) handleContent(msg sdk.Msg) (proto.Message, []proto.Message, error) {
	switch msg := msg.(type) {
	case *uaitypes.MsgPutObject:
		o := uaitypes.Object{Owner: msg.Owner, Name: msg.Name, Digest: msg.Digest, SizeBytes: msg.SizeBytes, CreatedHeight: 7}
		if err := o.Validate(); err != nil {
			return nil, nil, err
		}
		m.content.put(o)
		return &uaitypes.MsgPutObjectResponse{}, nil, nil
	case *uaitypes.MsgRemoveObject:
		if !m.content.remove(msg.Owner, msg.Name) {
			return nil, nil, uaitypes.ErrObjectNotFound.Wrap(msg.Name)
		}
		return &uaitypes.MsgRemoveObjectResponse{}, nil, nil
	case *leasetypes.MsgRequestSnapshot:
		m.content.asked = append(m.content.asked, msg)
		return &leasetypes.MsgRequestSnapshotResponse{}, nil, nil
	case *leasetypes.MsgRestoreSnapshot:
		m.content.asked = append(m.content.asked, msg)
		return &leasetypes.MsgRestoreSnapshotResponse{}, nil, nil
	case *leasetypes.MsgRemoveSnapshot:
		m.content.asked = append(m.content.asked, msg)
		m.content.snapshots = slices.DeleteFunc(m.content.snapshots, func(s leasetypes.Snapshot) bool {
			return s.Lease.Tenant == msg.Tenant && s.Lease.Number == msg.Number && s.Replica == msg.Replica && s.Sequence == msg.Sequence
		})
		return &leasetypes.MsgRemoveSnapshotResponse{}, nil, nil
	}
	return nil, nil, sdkerrors.ErrUnknownRequest.Wrapf("%T", msg)
}

// Params gives the default ones.
func (q *uaiQueries) Params(context.Context, *uaitypes.QueryParamsRequest) (*uaitypes.QueryParamsResponse, error) {
	return &uaitypes.QueryParamsResponse{Params: uaitypes.DefaultParams()}, nil
}

// Object finds one.
func (q *uaiQueries) Object(_ context.Context, req *uaitypes.QueryObjectRequest) (*uaitypes.QueryObjectResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	for _, o := range q.market.content.objects {
		if o.Owner == req.Owner && o.Name == req.Name {
			return &uaitypes.QueryObjectResponse{Object: o}, nil
		}
	}
	return nil, uaitypes.ErrObjectNotFound.Wrapf("%s of %s", req.Name, req.Owner)
}

// Objects lists an owner's.
func (q *uaiQueries) Objects(_ context.Context, req *uaitypes.QueryObjectsRequest) (*uaitypes.QueryObjectsResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &uaitypes.QueryObjectsResponse{}
	for _, o := range q.market.content.objects {
		if o.Owner == req.Owner {
			res.Objects = append(res.Objects, o)
		}
	}
	return res, nil
}

// Holders lists those of a digest.
func (q *uaiQueries) Holders(_ context.Context, req *uaitypes.QueryHoldersRequest) (*uaitypes.QueryHoldersResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	return &uaitypes.QueryHoldersResponse{Holders: slices.Clone(q.market.content.holders[req.Digest])}, nil
}

// Snapshots lists those of a lease.
func (q *leaseQueries) Snapshots(_ context.Context, req *leasetypes.QuerySnapshotsRequest) (*leasetypes.QuerySnapshotsResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &leasetypes.QuerySnapshotsResponse{}
	for _, s := range q.market.content.snapshots {
		if s.Lease.Tenant == req.Tenant && s.Lease.Number == req.Number && (!req.OfReplica || s.Replica == req.Replica) {
			res.Snapshots = append(res.Snapshots, s)
		}
	}
	return res, nil
}

// NodePlacements lists those of a node, each with what the tenant chose to restore, or the replica's newest.
func (q *leaseQueries) NodePlacements(
	_ context.Context, req *leasetypes.QueryNodePlacementsRequest,
) (*leasetypes.QueryNodePlacementsResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &leasetypes.QueryNodePlacementsResponse{NowMs: NowMs}
	for _, l := range q.market.leases {
		for _, info := range l.placements {
			if p := info.Placement; p.Node.Operator == req.Operator && p.Node.Number == req.Node {
				res.Placements = append(res.Placements, leasetypes.NodePlacement{Placement: p, Restore: q.market.content.restores(p.ID)})
			}
		}
	}
	return res, nil
}

func (c *content) restores(p leasetypes.PlacementID) *leasetypes.Snapshot {
	var chosen uint64
	for _, msg := range c.asked {
		if m, ok := msg.(*leasetypes.MsgRestoreSnapshot); ok && m.Tenant == p.Tenant && m.Number == p.Number && m.Replica == p.Replica {
			chosen = m.Sequence
		}
	}
	var newest *leasetypes.Snapshot
	for _, s := range c.snapshots {
		if s.Lease.Tenant != p.Tenant || s.Lease.Number != p.Number || s.Replica != p.Replica {
			continue
		}
		if newest = &s; s.Sequence == chosen {
			break
		}
	}
	return newest
}
