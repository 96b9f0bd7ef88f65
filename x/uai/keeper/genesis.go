package keeper

import (
	"context"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// InitGenesis sets the state a genesis describes.
func (k Keeper) InitGenesis(ctx context.Context, genesis types.GenesisState) error {
	if err := genesis.Validate(); err != nil {
		return err
	}
	if err := k.Params.Set(ctx, genesis.Params); err != nil {
		return err
	}
	for _, image := range genesis.Images {
		if err := k.setImage(ctx, image); err != nil {
			return err
		}
	}
	for _, grant := range genesis.Access {
		key, err := grant.Key()
		if err != nil {
			return err
		}
		if err := k.Access.Set(ctx, key); err != nil {
			return err
		}
	}
	for _, content := range genesis.Contents {
		digest, err := types.ParseDigest(content.Digest)
		if err != nil {
			return err
		}
		if err := k.Contents.Set(ctx, digest, content.References); err != nil {
			return err
		}
	}
	if err := k.importObjects(ctx, genesis.Objects); err != nil {
		return err
	}
	for _, holders := range genesis.KeyHolders {
		if err := k.KeyHolders.Set(ctx, holders.Subject, holders); err != nil {
			return err
		}
	}
	return k.importHoldings(ctx, genesis.Holdings)
}

// importObjects sets objects and counts them.
func (k Keeper) importObjects(ctx context.Context, objects []types.Object) error {
	for _, object := range objects {
		key, err := object.Key()
		if err != nil {
			return err
		}
		if err := k.Objects.Set(ctx, key, object); err != nil {
			return err
		}
		count, err := orZero(k.ObjectCounts.Get(ctx, key.K1()))
		if err != nil {
			return err
		}
		if err := k.ObjectCounts.Set(ctx, key.K1(), count+1); err != nil {
			return err
		}
	}
	return nil
}

// importHoldings sets holdings and counts them.
func (k Keeper) importHoldings(ctx context.Context, holdings []types.Holding) error {
	for _, holding := range holdings {
		key, err := holding.Key()
		if err != nil {
			return err
		}
		if err := k.Holdings.Set(ctx, key, collections.NoValue{}); err != nil {
			return err
		}
		count, err := orZero(k.HoldingCounts.Get(ctx, key.K2()))
		if err != nil {
			return err
		}
		if err := k.HoldingCounts.Set(ctx, key.K2(), count+1); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis describes the state, each list in the order of its keys.
func (k Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	genesis := &types.GenesisState{Params: params}
	for _, export := range []func(context.Context, *types.GenesisState) error{
		k.exportImages, k.exportObjects, k.exportContents, k.exportHoldings,
		k.exportKeyHolders,
	} {
		if err := export(ctx, genesis); err != nil {
			return nil, err
		}
	}
	return genesis, nil
}

func (k Keeper) exportImages(ctx context.Context, genesis *types.GenesisState) error {
	err := k.Images.Walk(ctx, nil, func(_ types.ImageKey, image types.Image) (bool, error) {
		genesis.Images = append(genesis.Images, image)
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.Access.Walk(ctx, nil, func(key types.AccessKey) (bool, error) {
		genesis.Access = append(genesis.Access, accessGrant(key))
		return false, nil
	})
}

func accessGrant(key collections.Pair[types.ImageKey, sdk.AccAddress]) types.AccessGrant {
	return types.AccessGrant{Image: types.ImageIDFromKey(key.K1()).String(), Grantee: key.K2().String()}
}

func (k Keeper) exportObjects(ctx context.Context, genesis *types.GenesisState) error {
	return k.Objects.Walk(ctx, nil, func(_ types.ObjectKey, object types.Object) (bool, error) {
		genesis.Objects = append(genesis.Objects, object)
		return false, nil
	})
}

func (k Keeper) exportContents(ctx context.Context, genesis *types.GenesisState) error {
	return k.Contents.Walk(ctx, nil, func(digest []byte, references types.References) (bool, error) {
		genesis.Contents = append(genesis.Contents, types.Content{
			Digest: types.DigestString(digest), References: references,
		})
		return false, nil
	})
}

func (k Keeper) exportHoldings(ctx context.Context, genesis *types.GenesisState) error {
	return k.Holdings.Walk(ctx, nil, func(key types.HoldingKey, _ collections.NoValue) (bool, error) {
		genesis.Holdings = append(genesis.Holdings, types.HoldingFromKey(key))
		return false, nil
	})
}
