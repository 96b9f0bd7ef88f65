package keeper_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func TestPublishImage(t *testing.T) {
	f := newFixture(t)
	f.Ctx = f.Ctx.WithBlockHeight(42)
	msg := publishMsg(alice, "hello", "v1")
	events, err := f.Deliver(func(ctx sdk.Context) error {
		response, err := f.msg.PublishImage(ctx, msg)
		require.NoError(t, err)
		require.Equal(t, alice+"/hello:v1", response.Image)
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventImagePublished{{Image: alice + "/hello:v1", Digest: msg.Digest, Owner: alice}},
		testkit.EventsOf[types.EventImagePublished](t, events))

	image := f.image(alice + "/hello:v1")
	require.Equal(t, types.NewImage(msg, 42), image)
	require.Equal(t, types.IMAGE_STATUS_PUBLISHED, image.Status)
	require.Equal(t, alice, image.Owner)
}

func TestPublishImageRefused(t *testing.T) {
	gov := authtypes.NewModuleAddress("lease").String()
	cases := []struct {
		name   string
		change func(*types.MsgPublishImage)
		err    error
	}{
		{"empty", func(m *types.MsgPublishImage) { *m = types.MsgPublishImage{} }, types.ErrInvalidImageID},
		{"name taken", func(m *types.MsgPublishImage) { m.Digest = "sha256:" + strings.Repeat("0b", 32) }, types.ErrImageExists},
		{"publisher in upper case", func(m *types.MsgPublishImage) { m.Publisher = strings.ToUpper(alice) }, types.ErrInvalidImageID},
		{"not an image", func(m *types.MsgPublishImage) { m.Tag, m.Digest = "v2", "" }, types.ErrInvalidImage},
		{"too big", func(m *types.MsgPublishImage) { m.Tag, m.SizeBytes = "v2", types.DefaultMaxImageBytes+1 }, types.ErrInvalidImage},
		{"royalty too high", func(m *types.MsgPublishImage) { m.Tag, m.Royalty = "v2", types.DefaultMaxRoyalty+1 }, types.ErrInvalidImage},
		{"publisher cannot be paid", func(m *types.MsgPublishImage) { m.Publisher = gov }, types.ErrBlockedAddress},
		{"biggest", func(m *types.MsgPublishImage) {
			m.Tag, m.SizeBytes, m.Royalty = "v2", types.DefaultMaxImageBytes, types.DefaultMaxRoyalty
		}, nil},
		{"same name of another publisher", func(m *types.MsgPublishImage) { m.Publisher = bob }, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.publish(alice, "hello", "v1")
			before, err := f.keeper.ExportGenesis(f.Ctx)
			require.NoError(t, err)

			msg := publishMsg(alice, "hello", "v1")
			c.change(msg)
			_, err = f.msg.PublishImage(f.Ctx, msg)
			if c.err == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.err)
			after, err := f.keeper.ExportGenesis(f.Ctx)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

// What governance lowers binds new images, not those there are.
func TestLoweredLimits(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "hello", "v1")
	lowered := types.DefaultParams()
	lowered.MaxImageBytes, lowered.MaxRoyalty = types.LowestMaxImageBytes, 6
	_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{
		Authority: f.Authority.String(),
		Params:    lowered,
	})
	require.NoError(t, err)
	_, err = f.msg.PublishImage(f.Ctx, publishMsg(alice, "hello", "v2"))
	require.ErrorIs(t, err, types.ErrInvalidImage)
	_, err = f.msg.TransferImage(f.Ctx, &types.MsgTransferImage{Owner: alice, Image: ref, NewOwner: bob})
	require.NoError(t, err)
}

func TestDeprecateImage(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "hello", "v1")

	_, err := f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: bob, Image: ref})
	require.ErrorIs(t, err, types.ErrNotOwner)
	_, err = f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: alice, Image: alice + "/hello:v2"})
	require.ErrorIs(t, err, types.ErrImageNotFound)
	_, err = f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: alice, Image: "hello"})
	require.ErrorIs(t, err, types.ErrInvalidImageID)

	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.DeprecateImage(ctx, &types.MsgDeprecateImage{Owner: alice, Image: ref})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventImageDeprecated{{Image: ref, Owner: alice}},
		testkit.EventsOf[types.EventImageDeprecated](t, events))
	require.Equal(t, types.IMAGE_STATUS_DEPRECATED, f.image(ref).Status)

	_, err = f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: alice, Image: ref})
	require.ErrorIs(t, err, types.ErrImageDeprecated)
	_, err = f.msg.PublishImage(f.Ctx, publishMsg(alice, "hello", "v1"))
	require.ErrorIs(t, err, types.ErrImageExists, "a name is not freed")
}

func TestTransferImage(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "hello", "v1")
	transfer := func(owner, to string) error {
		_, err := f.msg.TransferImage(f.Ctx, &types.MsgTransferImage{Owner: owner, Image: ref, NewOwner: to})
		return err
	}
	require.ErrorIs(t, transfer(bob, bob), types.ErrNotOwner)
	require.ErrorIs(t, transfer(alice, alice), types.ErrInvalidNewOwner)
	require.ErrorIs(t, transfer(alice, ""), types.ErrInvalidNewOwner)
	require.ErrorIs(t, transfer(alice, strings.ToUpper(bob)), types.ErrInvalidNewOwner)
	require.ErrorIs(t, transfer(alice, "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du"), types.ErrInvalidNewOwner)
	require.ErrorIs(t, transfer(alice, authtypes.NewModuleAddress("audit").String()), types.ErrBlockedAddress)

	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.TransferImage(ctx, &types.MsgTransferImage{Owner: alice, Image: ref, NewOwner: bob})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventImageTransferred{{Image: ref, From: alice, To: bob}},
		testkit.EventsOf[types.EventImageTransferred](t, events))
	image := f.image(ref)
	require.Equal(t, bob, image.Owner)
	require.Equal(t, alice, image.Publisher)

	require.ErrorIs(t, transfer(alice, bob), types.ErrNotOwner, "the publisher owns it no more")
	_, err = f.msg.PublishImage(f.Ctx, publishMsg(bob, "hello", "v1"))
	require.NoError(t, err, "the name under the new owner is another one")
	require.NoError(t, transfer(bob, alice))
}

func TestUpdateParams(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.MaxImageBytes, params.MaxRoyalty = types.HighestMaxImageBytes, 1

	_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: alice, Params: params})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	_, err = f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: f.Authority.String()})
	require.ErrorIs(t, err, types.ErrInvalidParams)

	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.UpdateParams(ctx, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
		return err
	})
	require.NoError(t, err)
	require.Len(t, testkit.EventsOf[types.EventParamsUpdated](t, events), 1)
	got, err := f.keeper.GetParams(f.Ctx)
	require.NoError(t, err)
	require.Equal(t, params, got)
}
