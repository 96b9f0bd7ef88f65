package keeper

import (
	"context"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/paging"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

type queryServer struct{ keeper Keeper }

// NewQueryServer gives the Query service.
func NewQueryServer(k Keeper) types.QueryServer { return queryServer{keeper: k} }

// Params implements types.QueryServer.
func (q queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	params, err := q.keeper.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	return &types.QueryParamsResponse{Params: params}, nil
}

// Image implements types.QueryServer.
func (q queryServer) Image(ctx context.Context, req *types.QueryImageRequest) (*types.QueryImageResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	image, err := q.keeper.getImage(ctx, types.ImageID{Publisher: req.Publisher, Name: req.Name, Tag: req.Tag})
	if err != nil {
		return nil, err
	}
	return &types.QueryImageResponse{Image: image}, nil
}

// Images implements types.QueryServer.
func (q queryServer) Images(ctx context.Context, req *types.QueryImagesRequest) (*types.QueryImagesResponse, error) {
	switch {
	case req == nil:
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	case req.Publisher != "" && req.Owner != "":
		return nil, types.ErrInvalidRequest.Wrap("name a publisher or an owner, not both")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	if req.Owner != "" {
		return q.imagesOf(ctx, req.Owner, asked)
	}
	var options []func(*query.CollectionsPaginateOptions[types.ImageKey])
	if req.Publisher != "" {
		publisher, err := sdk.AccAddressFromBech32(req.Publisher)
		if err != nil {
			return nil, types.ErrInvalidRequest.Wrapf("publisher %q: %s", req.Publisher, err)
		}
		options = append(options, withPublisher(publisher))
	}
	images, page, err := query.CollectionPaginate(ctx, q.keeper.Images, asked,
		func(_ types.ImageKey, image types.Image) (types.Image, error) { return image, nil }, options...)
	if err != nil {
		return nil, err
	}
	return &types.QueryImagesResponse{Images: images, Pagination: page}, nil
}

// imagesOf lists an owner's images through the index.
func (q queryServer) imagesOf(ctx context.Context, owner string, req *query.PageRequest) (*types.QueryImagesResponse, error) {
	address, err := sdk.AccAddressFromBech32(owner)
	if err != nil {
		return nil, types.ErrInvalidRequest.Wrapf("owner %q: %s", owner, err)
	}
	images, page, err := query.CollectionPaginate(ctx, q.keeper.Images.Indexes.ByOwner, req,
		func(key collections.Pair[sdk.AccAddress, types.ImageKey], _ collections.NoValue) (types.Image, error) {
			return q.keeper.Images.Get(ctx, key.K2())
		},
		query.WithCollectionPaginationPairPrefix[sdk.AccAddress, types.ImageKey](address))
	if err != nil {
		return nil, err
	}
	return &types.QueryImagesResponse{Images: images, Pagination: page}, nil
}

// withPublisher narrows a page to one publisher's images.
func withPublisher(publisher sdk.AccAddress) func(*query.CollectionsPaginateOptions[types.ImageKey]) {
	return func(o *query.CollectionsPaginateOptions[types.ImageKey]) {
		prefix := collections.TriplePrefix[sdk.AccAddress, string, string](publisher)
		o.Prefix = &prefix
	}
}
