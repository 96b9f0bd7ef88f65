package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// GetImage gives the image that a reference "publisher/name:tag" names: ErrInvalidImageID or ErrImageNotFound otherwise.
func (k Keeper) GetImage(ctx context.Context, ref string) (types.Image, error) {
	id, err := types.ParseImageID(ref)
	if err != nil {
		return types.Image{}, err
	}
	return k.getImage(ctx, id)
}

func (k Keeper) getImage(ctx context.Context, id types.ImageID) (types.Image, error) {
	key, err := id.Key()
	if err != nil {
		return types.Image{}, err
	}
	image, err := k.Images.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Image{}, types.ErrImageNotFound.Wrap(id.String())
	}
	return image, err
}

func (k Keeper) setImage(ctx context.Context, image types.Image) error {
	key, err := image.ID().Key()
	if err != nil {
		return err
	}
	return k.Images.Set(ctx, key, image)
}

// Publish stores a new image. Its name must be free: what a lease was ordered with may not change under it. Its content is
// referenced for good, as the name is taken for good: leases that run a deprecated image move to nodes that must fetch it.
func (k Keeper) Publish(ctx context.Context, image types.Image) error {
	if err := image.Validate(); err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	if err := image.ValidateLimits(params); err != nil {
		return err
	}
	if err := k.checkReceiver(image.Owner); err != nil {
		return err
	}
	key, err := image.ID().Key()
	if err != nil {
		return err
	}
	exists, err := k.Images.Has(ctx, key)
	if err != nil {
		return err
	}
	if exists {
		return types.ErrImageExists.Wrap(image.Ref())
	}
	if err := k.Images.Set(ctx, key, image); err != nil {
		return err
	}
	if err := k.Reference(ctx, image.Digest, image.SizeBytes); err != nil {
		return err
	}
	return typedevent.Emit(ctx,
		&types.EventImagePublished{Image: image.Ref(), Digest: image.Digest, Owner: image.Owner})
}

// Deprecate ends new leases of an image. There is no way back: tenants who saw it go rely on another.
func (k Keeper) Deprecate(ctx context.Context, ref, signer string) error {
	image, err := k.ownedImage(ctx, ref, signer)
	if err != nil {
		return err
	}
	if image.Status == types.IMAGE_STATUS_DEPRECATED {
		return types.ErrImageDeprecated.Wrap(ref)
	}
	image.Status = types.IMAGE_STATUS_DEPRECATED
	if err := k.setImage(ctx, image); err != nil {
		return err
	}
	return typedevent.Emit(ctx,
		&types.EventImageDeprecated{Image: ref, Owner: image.Owner})
}

// Transfer gives an image to a new owner, who earns its royalty from then on. Its name keeps the publisher.
func (k Keeper) Transfer(ctx context.Context, ref, signer, newOwner string) error {
	image, err := k.ownedImage(ctx, ref, signer)
	if err != nil {
		return err
	}
	if newOwner == image.Owner {
		return types.ErrInvalidNewOwner.Wrapf("%s owns the image already", newOwner)
	}
	from := image.Owner
	image.Owner = newOwner
	if _, err := image.OwnerAddress(); err != nil {
		return types.ErrInvalidNewOwner.Wrap(err.Error())
	}
	if err := k.checkReceiver(newOwner); err != nil {
		return err
	}
	if err := k.setImage(ctx, image); err != nil {
		return err
	}
	return typedevent.Emit(ctx,
		&types.EventImageTransferred{Image: ref, From: from, To: newOwner})
}

// ownedImage gives an image if the signer owns it.
func (k Keeper) ownedImage(ctx context.Context, ref, signer string) (types.Image, error) {
	image, err := k.GetImage(ctx, ref)
	if err != nil {
		return types.Image{}, err
	}
	if image.Owner != signer {
		return types.Image{}, types.ErrNotOwner.Wrapf("%s belongs to %s", ref, image.Owner)
	}
	return image, nil
}

// checkReceiver refuses owners whom the bank would never pay: their royalty would fail every settlement.
func (k Keeper) checkReceiver(owner string) error {
	address, err := sdk.AccAddressFromBech32(owner)
	if err != nil {
		return types.ErrBlockedAddress.Wrapf("%q: %s", owner, err)
	}
	if k.bank.BlockedAddr(address) {
		return types.ErrBlockedAddress.Wrap(owner)
	}
	return nil
}
