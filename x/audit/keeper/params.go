package keeper

import (
	"context"
	"fmt"

	"github.com/isuncoin/isuncoin/x/audit/types"
)

// GetParams gives the params; a chain without them is broken, so that is an error.
func (k Keeper) GetParams(ctx context.Context) (types.Params, error) {
	params, err := k.Params.Get(ctx)
	if err != nil {
		return types.Params{}, fmt.Errorf("params of x/%s: %w", types.ModuleName, err)
	}
	return params, nil
}

// UpdateParams changes the params if the authority asks.
func (k Keeper) UpdateParams(ctx context.Context, authority string, params types.Params) error {
	if authority != k.authority {
		return types.ErrUnauthorized.Wrapf("%.100q, not %s", authority, k.authority)
	}
	if err := k.setParams(ctx, params); err != nil {
		return err
	}
	return emit(ctx, &types.EventParamsUpdated{Authority: authority})
}

// setParams stores params that are valid by themselves and beside those of x/suns.
func (k Keeper) setParams(ctx context.Context, params types.Params) error {
	if err := params.Validate(); err != nil {
		return err
	}
	suns, err := k.suns.GetParams(ctx)
	if err != nil {
		return err
	}
	if err := params.ValidateWith(suns); err != nil {
		return err
	}
	return k.Params.Set(ctx, params)
}
