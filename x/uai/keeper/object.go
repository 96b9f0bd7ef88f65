package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// GetObject gives an owner's object: ErrInvalidObject or ErrObjectNotFound otherwise.
func (k Keeper) GetObject(ctx context.Context, owner, name string) (types.Object, error) {
	key, err := types.NewObjectKey(owner, name)
	if err != nil {
		return types.Object{}, err
	}
	return k.object(ctx, key)
}

func (k Keeper) object(ctx context.Context, key types.ObjectKey) (types.Object, error) {
	object, err := k.Objects.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Object{}, types.ErrObjectNotFound.Wrapf("%s of %s", key.K2(), key.K1())
	}
	return object, err
}

// PutObject stores an object, in place of the one of its name.
func (k Keeper) PutObject(ctx context.Context, object types.Object) error {
	if err := object.Validate(); err != nil {
		return err
	}
	key, err := object.Key()
	if err != nil {
		return err
	}
	previous, err := k.object(ctx, key)
	switch {
	case errors.Is(err, types.ErrObjectNotFound):
		err = k.countObject(ctx, key.K1())
	case err == nil && previous.Digest != object.Digest:
		err = k.Unreference(ctx, previous.Digest)
	}
	if err != nil {
		return err
	}
	if previous.Digest != object.Digest {
		if err := k.Reference(ctx, object.Digest, object.SizeBytes); err != nil {
			return err
		}
	}
	if err := k.Objects.Set(ctx, key, object); err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventObjectPut{
		Owner: object.Owner, Name: object.Name, Digest: object.Digest, SizeBytes: object.SizeBytes,
	})
}

// countObject makes room for one more object of an owner.
func (k Keeper) countObject(ctx context.Context, owner sdk.AccAddress) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	count, err := orZero(k.ObjectCounts.Get(ctx, owner))
	if err != nil {
		return err
	}
	if count >= params.MaxObjectsPerOwner {
		return types.ErrTooManyObjects.Wrapf("%d of %d", count, params.MaxObjectsPerOwner)
	}
	return k.ObjectCounts.Set(ctx, owner, count+1)
}

// RemoveObject ends that an object is kept. Nodes drop its content once nothing else names it.
func (k Keeper) RemoveObject(ctx context.Context, owner, name string) error {
	key, err := types.NewObjectKey(owner, name)
	if err != nil {
		return err
	}
	object, err := k.object(ctx, key)
	if err != nil {
		return err
	}
	if err := k.Objects.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.Unreference(ctx, object.Digest); err != nil {
		return err
	}
	count, err := k.ObjectCounts.Get(ctx, key.K1())
	if err != nil {
		return err
	}
	if count > 1 {
		err = k.ObjectCounts.Set(ctx, key.K1(), count-1)
	} else {
		err = k.ObjectCounts.Remove(ctx, key.K1())
	}
	if err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventObjectRemoved{Owner: owner, Name: name, Digest: object.Digest})
}
