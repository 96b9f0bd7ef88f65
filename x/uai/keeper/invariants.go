package keeper

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// AllInvariants says what of the state contradicts itself. It reads all images, so only tests and simulations call it.
func (k Keeper) AllInvariants(ctx context.Context) error {
	images := 0
	err := k.Images.Walk(ctx, nil, func(key types.ImageKey, image types.Image) (bool, error) {
		images++
		if image.ID() != types.ImageIDFromKey(key) {
			return true, fmt.Errorf("image %s is stored as %s", image.Ref(), types.ImageIDFromKey(key))
		}
		return false, image.Validate()
	})
	if err != nil {
		return err
	}
	owners, err := k.checkOwnerIndex(ctx)
	if err != nil {
		return err
	}
	digests, err := k.checkDigestIndex(ctx)
	if err != nil {
		return err
	}
	if owners != images || digests != images {
		return fmt.Errorf("%d images, but %d by owner and %d by digest", images, owners, digests)
	}
	return nil
}

// checkOwnerIndex counts the entries by owner, each of which must be true.
func (k Keeper) checkOwnerIndex(ctx context.Context) (entries int, err error) {
	err = k.Images.Indexes.ByOwner.Walk(ctx, nil, func(owner sdk.AccAddress, key types.ImageKey) (bool, error) {
		entries++
		image, err := k.Images.Get(ctx, key)
		if err == nil && image.Owner != owner.String() {
			err = fmt.Errorf("image %s of %s is listed under %s", image.Ref(), image.Owner, owner)
		}
		return err != nil, err
	})
	return entries, err
}

// checkDigestIndex counts the entries by digest, each of which must be true.
func (k Keeper) checkDigestIndex(ctx context.Context) (entries int, err error) {
	err = k.Images.Indexes.ByDigest.Walk(ctx, nil, func(digest string, key types.ImageKey) (bool, error) {
		entries++
		image, err := k.Images.Get(ctx, key)
		if err == nil && image.Digest != digest {
			err = fmt.Errorf("image %s of %s is listed under %s", image.Ref(), image.Digest, digest)
		}
		return err != nil, err
	})
	return entries, err
}
