package keeper

import (
	"context"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/paging"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// Access implements types.QueryServer.
func (q queryServer) Access(ctx context.Context, req *types.QueryAccessRequest) (*types.QueryAccessResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	image, err := q.keeper.GetImage(ctx, req.Image)
	if err != nil {
		return nil, err
	}
	key, err := image.ID().Key()
	if err != nil {
		return nil, err
	}
	grantees, page, err := query.CollectionPaginate(ctx, q.keeper.Access, asked,
		func(key types.AccessKey, _ collections.NoValue) (string, error) { return key.K2().String(), nil },
		query.WithCollectionPaginationPairPrefix[types.ImageKey, sdk.AccAddress](key))
	if err != nil {
		return nil, err
	}
	return &types.QueryAccessResponse{Restricted: image.Restricted, Grantees: grantees, Pagination: page}, nil
}

// Content implements types.QueryServer.
func (q queryServer) Content(ctx context.Context, req *types.QueryContentRequest) (*types.QueryContentResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	digest, err := types.ParseDigest(req.Digest)
	if err != nil {
		return nil, err
	}
	content, err := orZero(q.keeper.Contents.Get(ctx, digest))
	if err != nil {
		return nil, err
	}
	holders, err := q.keeper.countHolders(ctx, digest)
	if err != nil {
		return nil, err
	}
	return &types.QueryContentResponse{
		Digest: req.Digest, References: content.References, SizeBytes: content.SizeBytes, Holders: holders,
	}, nil
}

// Holders implements types.QueryServer.
func (q queryServer) Holders(ctx context.Context, req *types.QueryHoldersRequest) (*types.QueryHoldersResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	digest, err := types.ParseDigest(req.Digest)
	if err != nil {
		return nil, err
	}
	keys, page, err := query.CollectionPaginate(ctx, q.keeper.Holdings, asked,
		func(key types.HoldingKey, _ collections.NoValue) (sunstypes.NodeKey, error) { return key.K2(), nil },
		query.WithCollectionPaginationPairPrefix[[]byte, sunstypes.NodeKey](digest))
	if err != nil {
		return nil, err
	}
	res := &types.QueryHoldersResponse{Pagination: page}
	for _, key := range keys {
		holder, found, err := q.keeper.holder(ctx, key)
		if err != nil {
			return nil, err
		}
		if found {
			res.Holders = append(res.Holders, holder)
		}
	}
	return res, nil
}

// Holdings implements types.QueryServer.
func (q queryServer) Holdings(ctx context.Context, req *types.QueryHoldingsRequest) (*types.QueryHoldingsResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	node, err := sunstypes.NodeID{Operator: req.Operator, Number: req.Number}.Key()
	if err != nil {
		return nil, types.ErrInvalidRequest.Wrap(err.Error())
	}
	digests, page, err := query.CollectionPaginate(ctx, q.keeper.Holdings.Indexes.ByNode, asked,
		func(key collections.Pair[sunstypes.NodeKey, []byte], _ collections.NoValue) (string, error) {
			return types.DigestString(key.K2()), nil
		},
		query.WithCollectionPaginationPairPrefix[sunstypes.NodeKey, []byte](node))
	if err != nil {
		return nil, err
	}
	return &types.QueryHoldingsResponse{Digests: digests, Pagination: page}, nil
}

// KeyHolders implements types.QueryServer.
func (q queryServer) KeyHolders(ctx context.Context, req *types.QueryKeyHoldersRequest) (*types.QueryKeyHoldersResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	holders, err := q.keeper.GetKeyHolders(ctx, req.Subject)
	if err != nil {
		return nil, err
	}
	return &types.QueryKeyHoldersResponse{KeyHolders: holders}, nil
}

// Object implements types.QueryServer.
func (q queryServer) Object(ctx context.Context, req *types.QueryObjectRequest) (*types.QueryObjectResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	object, err := q.keeper.GetObject(ctx, req.Owner, req.Name)
	if err != nil {
		return nil, err
	}
	return &types.QueryObjectResponse{Object: object}, nil
}

// Objects implements types.QueryServer.
func (q queryServer) Objects(ctx context.Context, req *types.QueryObjectsRequest) (*types.QueryObjectsResponse, error) {
	if req == nil {
		return nil, types.ErrInvalidRequest.Wrap("empty request")
	}
	asked, err := paging.Bounded(req.Pagination)
	if err != nil {
		return nil, err
	}
	owner, err := sdk.AccAddressFromBech32(req.Owner)
	if err != nil {
		return nil, types.ErrInvalidRequest.Wrapf("owner %.100q: %s", req.Owner, err)
	}
	objects, page, err := query.CollectionPaginate(ctx, q.keeper.Objects, asked,
		func(_ types.ObjectKey, object types.Object) (types.Object, error) { return object, nil },
		query.WithCollectionPaginationPairPrefix[sdk.AccAddress, string](owner))
	if err != nil {
		return nil, err
	}
	return &types.QueryObjectsResponse{Objects: objects, Pagination: page}, nil
}
