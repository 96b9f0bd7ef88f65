package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// An export imported into a new chain is exported again byte for byte, indexes included.
func TestGenesisRoundTrip(t *testing.T) {
	f := newFixture(t)
	f.publish(alice, "hello", "v2")
	f.publish(alice, "hello", "v1")
	ref := f.publish(bob, "z", "1")
	_, err := f.msg.TransferImage(f.Ctx, &types.MsgTransferImage{Owner: bob, Image: ref, NewOwner: alice})
	require.NoError(t, err)
	_, err = f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: alice, Image: ref})
	require.NoError(t, err)
	f.fillContent(ref)
	exported := uai.NewAppModule(f.keeper).ExportGenesis(f.Ctx, f.Codec)

	other := newFixture(t)
	module := uai.NewAppModule(other.keeper)
	require.NoError(t, module.ValidateGenesis(other.Codec, nil, exported))
	module.InitGenesis(other.Ctx, other.Codec, exported)
	require.Equal(t, string(exported), string(module.ExportGenesis(other.Ctx, other.Codec)))
	require.NoError(t, other.keeper.AllInvariants(other.Ctx))

	response, err := other.query.Images(other.Ctx, &types.QueryImagesRequest{Owner: alice})
	require.NoError(t, err)
	require.Len(t, response.Images, 3)
}

func TestHostileGenesis(t *testing.T) {
	f := newFixture(t)
	module := uai.NewAppModule(f.keeper)
	for name, raw := range map[string]string{
		"empty":            ``,
		"not JSON":         `{`,
		"no params":        `{}`,
		"another type":     `{"params": 5}`,
		"unknown field":    `{"params": {"max_image_bytes": "1048576", "max_royalty": "1"}, "more": 1}`,
		"number too big":   `{"params": {"max_image_bytes": "99999999999999999999999", "max_royalty": "1"}}`,
		"negative number":  `{"params": {"max_image_bytes": "-1", "max_royalty": "1"}}`,
		"image of nothing": `{"params": {"max_image_bytes": "1048576", "max_royalty": "1"}, "images": [{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, module.ValidateGenesis(f.Codec, nil, []byte(raw)), types.ErrInvalidGenesis)
		})
	}
	require.ErrorIs(t, f.keeper.InitGenesis(f.Ctx, types.GenesisState{}), types.ErrInvalidGenesis)
}

// The invariants see an index that lies and a record under another's key.
func TestInvariantsSeeDamage(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "hello", "v1")
	image := f.image(ref)
	key, err := image.ID().Key()
	require.NoError(t, err)
	require.NoError(t, f.keeper.AllInvariants(f.Ctx))

	damaged := f.Ctx
	cache, _ := damaged.CacheContext()
	moved := image
	moved.Tag = "v2"
	require.NoError(t, f.keeper.Images.Set(cache, key, moved))
	require.ErrorContains(t, f.keeper.AllInvariants(cache), "is stored as")

	cache, _ = damaged.CacheContext()
	require.NoError(t, f.keeper.Images.Indexes.ByOwner.Unreference(cache, key, func() (types.Image, error) { return image, nil }))
	require.ErrorContains(t, f.keeper.AllInvariants(cache), "0 by owner")

	f.fillContent(ref)
	for what, damage := range map[string]func(sdk.Context) error{
		"is not there": func(ctx sdk.Context) error {
			stray, err := types.AccessGrant{Image: alice + "/none:1", Grantee: bob}.Key()
			require.NoError(t, err)
			return f.keeper.Access.Set(ctx, stray)
		},
		"are counted": func(ctx sdk.Context) error { return f.keeper.ObjectCounts.Set(ctx, testkit.Addr("bob"), 1) },
		"references": func(ctx sdk.Context) error {
			require.NoError(t, f.keeper.Unreference(ctx, digest("a")))
			return nil
		},
		"not referenced": func(ctx sdk.Context) error { return f.keeper.Unreference(ctx, digest("b")) },
		"by node": func(ctx sdk.Context) error {
			holding, err := types.Holding{Digest: digest("b"), Node: sunstypes.NewNodeID(testkit.Addr("carol"), 1)}.Key()
			require.NoError(t, err)
			return f.keeper.Holdings.Indexes.ByNode.Unreference(ctx, holding, nil)
		},
	} {
		cache, _ := f.Ctx.CacheContext()
		require.NoError(t, damage(cache))
		require.ErrorContains(t, f.keeper.AllInvariants(cache), what)
	}
}
