package keeper

import (
	"context"
	"fmt"

	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
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
	if err := params.Validate(); err != nil {
		return err
	}
	if err := k.Params.Set(ctx, params); err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventParamsUpdated{Authority: authority})
}
