package keeper

import (
	"context"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// SetAccess says who may order an image of the signer's. It binds orders from now on; what runs goes on.
func (k Keeper) SetAccess(ctx context.Context, msg *types.MsgSetAccess) error {
	image, err := k.ownedImage(ctx, msg.Image, msg.Owner)
	if err != nil {
		return err
	}
	granted, revoked, err := types.ParseAccess(msg.Grant, msg.Revoke)
	if err != nil {
		return err
	}
	key, err := image.ID().Key()
	if err != nil {
		return err
	}
	if image.Restricted != msg.Restricted {
		image.Restricted = msg.Restricted
		if err := k.Images.Set(ctx, key, image); err != nil {
			return err
		}
	}
	if err := typedevent.Emit(ctx, &types.EventAccessSet{Image: msg.Image, Restricted: msg.Restricted}); err != nil {
		return err
	}
	for _, grantee := range granted {
		if err := k.Access.Set(ctx, collections.Join(key, grantee)); err != nil {
			return err
		}
		if err := typedevent.Emit(ctx, &types.EventAccessGranted{Image: msg.Image, Grantee: grantee.String()}); err != nil {
			return err
		}
	}
	for _, grantee := range revoked {
		if err := k.Access.Remove(ctx, collections.Join(key, grantee)); err != nil {
			return err
		}
		if err := typedevent.Emit(ctx, &types.EventAccessRevoked{Image: msg.Image, Grantee: grantee.String()}); err != nil {
			return err
		}
	}
	return nil
}

// MayRun gives ErrNotAllowed if an address may not order an image. It reads the store for restricted images of others alone.
func (k Keeper) MayRun(ctx context.Context, image types.Image, address sdk.AccAddress) error {
	if !image.Restricted || image.Owner == address.String() {
		return nil
	}
	key, err := image.ID().Key()
	if err != nil {
		return err
	}
	granted, err := k.Access.Has(ctx, collections.Join(key, address))
	if err == nil && !granted {
		err = types.ErrNotAllowed.Wrapf("%s belongs to %s", image.Ref(), image.Owner)
	}
	return err
}
