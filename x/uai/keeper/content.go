package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// Reference counts one more that wants some content. size is in bytes; what the first said of it stays. The record is shared
// by all who name the same digest, and by nobody else.
func (k Keeper) Reference(ctx context.Context, digest string, size uint64) error {
	key, err := types.ParseDigest(digest)
	if err != nil {
		return err
	}
	if err := types.ValidateSize(size); err != nil {
		return err
	}
	content, err := orZero(k.Contents.Get(ctx, key))
	if err != nil {
		return err
	}
	if content.References == 0 {
		content.SizeBytes = size
	}
	content.References++
	return k.Contents.Set(ctx, key, content)
}

// Unreference counts one less, and forgets content that nobody wants. ErrNotReferenced if nobody did.
func (k Keeper) Unreference(ctx context.Context, digest string) error {
	key, err := types.ParseDigest(digest)
	if err != nil {
		return err
	}
	content, err := k.Contents.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ErrNotReferenced.Wrap(digest)
	}
	if err != nil {
		return err
	}
	if content.References--; content.References == 0 {
		return k.Contents.Remove(ctx, key)
	}
	return k.Contents.Set(ctx, key, content)
}

// orZero turns not found into the zero value.
func orZero[T any](value T, err error) (T, error) {
	if errors.Is(err, collections.ErrNotFound) {
		var zero T
		return zero, nil
	}
	return value, err
}
