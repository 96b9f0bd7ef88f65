package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

func refs(images []types.Image) []string {
	refs := []string{}
	for _, image := range images {
		refs = append(refs, image.Ref())
	}
	return refs
}

func TestQueryImage(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "hello", "v1")

	response, err := f.query.Image(f.Ctx, &types.QueryImageRequest{Publisher: alice, Name: "hello", Tag: "v1"})
	require.NoError(t, err)
	require.Equal(t, f.image(ref), response.Image)

	_, err = f.query.Image(f.Ctx, &types.QueryImageRequest{Publisher: alice, Name: "hello", Tag: "v2"})
	require.ErrorIs(t, err, types.ErrImageNotFound)
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = f.query.Image(f.Ctx, &types.QueryImageRequest{Publisher: alice, Name: "hel\x00lo", Tag: "v1"})
	require.ErrorIs(t, err, types.ErrInvalidImageID)
	_, err = f.query.Image(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}

func TestQueryImages(t *testing.T) {
	f := newFixture(t)
	a1, a2, b1 := f.publish(alice, "a", "1"), f.publish(alice, "a", "2"), f.publish(bob, "b", "1")
	_, err := f.msg.TransferImage(f.Ctx, &types.MsgTransferImage{Owner: alice, Image: a2, NewOwner: bob})
	require.NoError(t, err)

	list := func(req *types.QueryImagesRequest) []string {
		response, err := f.query.Images(f.Ctx, req)
		require.NoError(t, err)
		return refs(response.Images)
	}
	require.ElementsMatch(t, []string{a1, a2, b1}, list(&types.QueryImagesRequest{}))
	require.Equal(t, []string{a1, a2}, list(&types.QueryImagesRequest{Publisher: alice}))
	require.Equal(t, []string{b1}, list(&types.QueryImagesRequest{Publisher: bob}))
	require.Equal(t, []string{a1}, list(&types.QueryImagesRequest{Owner: alice}))
	require.ElementsMatch(t, []string{a2, b1}, list(&types.QueryImagesRequest{Owner: bob}))
	require.Empty(t, list(&types.QueryImagesRequest{Owner: f.Authority.String()}))

	for _, by := range []types.QueryImagesRequest{{Publisher: alice}, {Owner: bob}} {
		first := by
		first.Pagination = &query.PageRequest{Limit: 1}
		response, err := f.query.Images(f.Ctx, &first)
		require.NoError(t, err)
		require.Len(t, response.Images, 1)
		second := by
		second.Pagination = &query.PageRequest{Key: response.Pagination.NextKey, Limit: 5}
		rest, err := f.query.Images(f.Ctx, &second)
		require.NoError(t, err)
		require.Len(t, rest.Images, 1)
		require.Empty(t, rest.Pagination.NextKey)
		require.NotEqual(t, response.Images, rest.Images)
	}

	for _, req := range []*types.QueryImagesRequest{nil, {Publisher: alice, Owner: bob}, {Publisher: "x"}, {Owner: "x"}} {
		_, err := f.query.Images(f.Ctx, req)
		require.ErrorIs(t, err, types.ErrInvalidRequest)
	}
}

func TestQueryParams(t *testing.T) {
	f := newFixture(t)
	response, err := f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.NoError(t, err)
	require.Equal(t, types.DefaultParams(), response.Params)

	require.NoError(t, f.keeper.Params.Remove(f.Ctx))
	_, err = f.query.Params(f.Ctx, &types.QueryParamsRequest{})
	require.Error(t, err, "unset params are an error")
}
