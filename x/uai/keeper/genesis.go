package keeper

import (
	"context"

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
	return nil
}

// ExportGenesis describes the state, images in the order of their keys.
func (k Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	genesis := &types.GenesisState{Params: params}
	err = k.Images.Walk(ctx, nil, func(_ types.ImageKey, image types.Image) (bool, error) {
		genesis.Images = append(genesis.Images, image)
		return false, nil
	})
	return genesis, err
}
