package keeper

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	defaultOffers = 10
	maxOffers     = 100
)

// Quote names the nodes a demand would be matched with.
func (q queryServer) Quote(ctx context.Context, req *types.QueryQuoteRequest) (*types.QueryQuoteResponse, error) {
	if req == nil {
		return nil, status.Error(codes.InvalidArgument, "empty request")
	}
	s, err := q.quoteSearch(ctx, req)
	if err != nil {
		return nil, statusOf(err)
	}
	limit := min(req.Limit, maxOffers)
	if limit == 0 {
		limit = defaultOffers
	}
	offers, err := s.offers(ctx, int(limit))
	return &types.QueryQuoteResponse{Offers: offers}, statusOf(err)
}

func (q queryServer) quoteSearch(ctx context.Context, req *types.QueryQuoteRequest) (*search, error) {
	params, err := q.k.Params.Get(ctx)
	if err != nil {
		return nil, err
	}
	image := uaitypes.Image{Platforms: []string{"linux/" + sunstypes.ArchAMD64, "linux/" + sunstypes.ArchARM64}}
	if req.Image != "" {
		if image, err = q.k.images.GetImage(ctx, req.Image); err != nil {
			return nil, types.ErrInvalidID.Wrap(err.Error())
		}
	}
	demand := image.Demand
	if req.Demand != nil {
		demand = *req.Demand
	}
	if err := demand.Validate(); err != nil {
		return nil, types.ErrInvalidDemand.Wrap(err.Error())
	}
	if err := req.Rules.Validate(); err != nil {
		return nil, err
	}
	maxPrice := math.NewIntFromUint64(req.MaxPrice)
	if req.MaxPrice == 0 {
		maxPrice = math.NewIntFromUint64(types.MaxPrice)
	}
	s := &search{
		k: q.k, demand: demand, rules: req.Rules, archs: architectures(image, req.Rules), royalty: image.Royalty,
		maxPrice: maxPrice, avoid: map[sunstypes.NodeID]bool{}, operators: map[string]bool{},
		budget: params.MaxCandidates, maxPlacements: params.MaxPlacementsPerNode, refusals: map[string]uint32{},
	}
	for _, node := range req.Rules.Avoid {
		s.avoid[node] = true
	}
	return s, nil
}

// offers lists nodes that fit in the order a match would take them: by country, then by price.
func (s *search) offers(ctx context.Context, limit int) ([]types.Offer, error) {
	var offers []types.Offer
	candidates := s.budget
	for len(offers) < limit {
		// Each offer is a search of its own, which passes over the offers before it.
		s.examined, s.opened, s.budget = 0, 0, candidates+uint32(len(offers))
		found, err := s.run(ctx)
		if err != nil || found == nil {
			return offers, err
		}
		offers = append(offers, types.Offer{
			Node: found.node.ID, HourPrice: found.hourPrice.Uint64(), AskPrice: found.node.AskPrice,
			MilliSuns: found.milliSuns, Country: found.node.Country, Architecture: found.node.Architecture,
		})
		s.avoid[found.node.ID] = true
		if s.rules.SpreadOperators {
			s.operators[found.node.ID.Operator] = true
		}
	}
	return slices.Clip(offers), nil
}
