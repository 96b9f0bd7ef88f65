package tenanttest

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

type leaseQueries struct {
	leasetypes.UnimplementedQueryServer
	market *Market
}

// Params gives the default ones.
func (q *leaseQueries) Params(context.Context, *leasetypes.QueryParamsRequest) (*leasetypes.QueryParamsResponse, error) {
	return &leasetypes.QueryParamsResponse{Params: leasetypes.DefaultParams()}, nil
}

// Lease gives a lease and takes it a step further.
func (q *leaseQueries) Lease(_ context.Context, req *leasetypes.QueryLeaseRequest) (*leasetypes.QueryLeaseResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	l, err := q.market.find(req.Tenant, req.Number)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	res := l.response()
	res.Placements = append([]leasetypes.PlacementInfo(nil), res.Placements...)
	q.market.step(l)
	return res, nil
}

// Leases lists a tenant's.
func (q *leaseQueries) Leases(_ context.Context, req *leasetypes.QueryLeasesRequest) (*leasetypes.QueryLeasesResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &leasetypes.QueryLeasesResponse{}
	for _, l := range q.market.leases {
		if req.Tenant == "" || l.info.Lease.ID.Tenant == req.Tenant {
			res.Leases = append(res.Leases, l.info)
		}
	}
	return res, nil
}

// Placements lists the open ones.
func (q *leaseQueries) Placements(
	_ context.Context, req *leasetypes.QueryPlacementsRequest,
) (*leasetypes.QueryPlacementsResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	l, err := q.market.find(req.Tenant, req.Number)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &leasetypes.QueryPlacementsResponse{Placements: l.placements}, nil
}

// Quote gives the nodes within the cap.
func (q *leaseQueries) Quote(_ context.Context, req *leasetypes.QueryQuoteRequest) (*leasetypes.QueryQuoteResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	q.market.quotes = append(q.market.quotes, *req)
	res := &leasetypes.QueryQuoteResponse{}
	for _, o := range q.market.offers {
		if req.Demand != nil {
			o.MilliSuns = req.Demand.MilliSuns()
			o.HourPrice = leasetypes.HourPrice(o.AskPrice, o.MilliSuns, 0).Uint64()
		}
		if (req.MaxPrice == 0 || o.HourPrice <= req.MaxPrice) && (req.Limit == 0 || len(res.Offers) < int(req.Limit)) {
			res.Offers = append(res.Offers, o)
		}
	}
	return res, nil
}

type sunsQueries struct {
	sunstypes.UnimplementedQueryServer
	market *Market
}

// Clock stands still.
func (q *sunsQueries) Clock(context.Context, *sunstypes.QueryClockRequest) (*sunstypes.QueryClockResponse, error) {
	return &sunstypes.QueryClockResponse{Clock: sunstypes.ChainClock{NowMs: NowMs}}, nil
}

// Nodes lists all, or an operator's.
func (q *sunsQueries) Nodes(_ context.Context, req *sunstypes.QueryNodesRequest) (*sunstypes.QueryNodesResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &sunstypes.QueryNodesResponse{}
	for _, n := range q.market.nodes {
		if req.Operator == "" || n.Node.ID.Operator == req.Operator {
			res.Nodes = append(res.Nodes, n)
		}
	}
	return res, nil
}

// Node finds one.
func (q *sunsQueries) Node(_ context.Context, req *sunstypes.QueryNodeRequest) (*sunstypes.QueryNodeResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	for _, n := range q.market.nodes {
		if n.Node.ID == (sunstypes.NodeID{Operator: req.Operator, Number: req.Number}) {
			return &sunstypes.QueryNodeResponse{Node: n}, nil
		}
	}
	return nil, sunstypes.ErrNodeNotFound.Wrapf("%s/%d", req.Operator, req.Number)
}

// Contact finds one.
func (q *sunsQueries) Contact(_ context.Context, req *sunstypes.QueryContactRequest) (*sunstypes.QueryContactResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	for _, c := range q.market.contacts {
		if c.Node == (sunstypes.NodeID{Operator: req.Operator, Number: req.Number}) {
			return &sunstypes.QueryContactResponse{Contact: c}, nil
		}
	}
	return nil, sunstypes.ErrContactNotFound.Wrapf("%s/%d", req.Operator, req.Number)
}

// Contacts lists all.
func (q *sunsQueries) Contacts(context.Context, *sunstypes.QueryContactsRequest) (*sunstypes.QueryContactsResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	return &sunstypes.QueryContactsResponse{Contacts: slices.Clone(q.market.contacts)}, nil
}

type uaiQueries struct {
	uaitypes.UnimplementedQueryServer
	market *Market
}

// Image finds one.
func (q *uaiQueries) Image(_ context.Context, req *uaitypes.QueryImageRequest) (*uaitypes.QueryImageResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	for _, i := range q.market.images {
		if i.Publisher == req.Publisher && i.Name == req.Name && i.Tag == req.Tag {
			return &uaitypes.QueryImageResponse{Image: i}, nil
		}
	}
	return nil, uaitypes.ErrImageNotFound.Wrapf("%s/%s:%s", req.Publisher, req.Name, req.Tag)
}

// Images lists all, or a publisher's.
func (q *uaiQueries) Images(_ context.Context, req *uaitypes.QueryImagesRequest) (*uaitypes.QueryImagesResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	res := &uaitypes.QueryImagesResponse{}
	for _, i := range q.market.images {
		if req.Publisher == "" || i.Publisher == req.Publisher {
			res.Images = append(res.Images, i)
		}
	}
	return res, nil
}

// Access says who may order an image.
func (q *uaiQueries) Access(_ context.Context, req *uaitypes.QueryAccessRequest) (*uaitypes.QueryAccessResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	for _, i := range q.market.images {
		if i.Ref() == req.Image {
			return &uaitypes.QueryAccessResponse{Restricted: i.Restricted, Grantees: slices.Clone(q.market.grants[req.Image])}, nil
		}
	}
	return nil, uaitypes.ErrImageNotFound.Wrap(req.Image)
}

// KeyHolders says who holds the key to a subject.
func (q *uaiQueries) KeyHolders(_ context.Context, req *uaitypes.QueryKeyHoldersRequest) (*uaitypes.QueryKeyHoldersResponse, error) {
	q.market.mu.Lock()
	defer q.market.mu.Unlock()
	holders, ok := q.market.keyHolders[req.Subject]
	if !ok {
		return nil, uaitypes.ErrKeyHoldersNotFound.Wrap(req.Subject)
	}
	return &uaitypes.QueryKeyHoldersResponse{KeyHolders: holders}, nil
}
