package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
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
	for _, check := range []func(context.Context) error{k.checkAccess, k.checkObjects, k.checkHoldings, k.checkKeyHolders} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return k.checkReferences(ctx, nil, false)
}

// checkAccess: every grant is to an image that is there.
func (k Keeper) checkAccess(ctx context.Context) error {
	return k.Access.Walk(ctx, nil, func(key types.AccessKey) (bool, error) {
		found, err := k.Images.Has(ctx, key.K1())
		if err == nil && !found {
			err = fmt.Errorf("access is granted to image %s, which is not there", types.ImageIDFromKey(key.K1()))
		}
		return err != nil, err
	})
}

// checkObjects: every object is valid, stands under its own name and is counted.
func (k Keeper) checkObjects(ctx context.Context) error {
	counts := map[string]uint64{}
	err := k.Objects.Walk(ctx, nil, func(key types.ObjectKey, object types.Object) (bool, error) {
		counts[key.K1().String()]++
		if object.Owner != key.K1().String() || object.Name != key.K2() {
			return true, fmt.Errorf("object %s of %s is stored as %s of %s", object.Name, object.Owner, key.K2(), key.K1())
		}
		return false, object.Validate()
	})
	if err != nil {
		return err
	}
	counted := 0
	err = k.ObjectCounts.Walk(ctx, nil, func(owner sdk.AccAddress, count uint64) (bool, error) {
		counted++
		if count == 0 || counts[owner.String()] != count {
			return true, fmt.Errorf("%s keeps %d objects, %d are counted", owner, counts[owner.String()], count)
		}
		return false, nil
	})
	if err == nil && counted != len(counts) {
		err = fmt.Errorf("%d owners keep objects, %d are counted", len(counts), counted)
	}
	return err
}

// checkHoldings: every holding is listed once by its node, and counted.
func (k Keeper) checkHoldings(ctx context.Context) error {
	counts, holdings := map[sunstypes.NodeID]uint64{}, 0
	err := k.Holdings.Walk(ctx, nil, func(key types.HoldingKey, _ collections.NoValue) (bool, error) {
		holdings++
		if len(key.K1()) != types.DigestBytes {
			return true, fmt.Errorf("a digest has %d bytes", len(key.K1()))
		}
		counts[sunstypes.NodeIDFromKey(key.K2())]++
		return false, nil
	})
	if err != nil {
		return err
	}
	listed := 0
	err = k.Holdings.Indexes.ByNode.Walk(ctx, nil, func(node sunstypes.NodeKey, digest []byte) (bool, error) {
		listed++
		found, err := k.Holdings.Has(ctx, collections.Join(digest, node))
		if err == nil && !found {
			err = fmt.Errorf("node %s is listed with %x, which it does not hold", sunstypes.NodeIDFromKey(node), digest)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	counted := 0
	err = k.HoldingCounts.Walk(ctx, nil, func(node sunstypes.NodeKey, count uint64) (bool, error) {
		counted++
		id := sunstypes.NodeIDFromKey(node)
		if count == 0 || counts[id] != count {
			return true, fmt.Errorf("node %s holds %d, %d are counted", id, counts[id], count)
		}
		return false, nil
	})
	if err == nil && (listed != holdings || counted != len(counts)) {
		err = fmt.Errorf("%d holdings of %d nodes, but %d by node and %d counted", holdings, len(counts), listed, counted)
	}
	return err
}

// CheckReferences says whether each content is referenced exactly as often as images, objects and what the module above
// counted name it: for that module's invariants.
func (k Keeper) CheckReferences(ctx context.Context, above map[string]uint64) error {
	return k.checkReferences(ctx, above, true)
}

// checkReferences: no content is referenced less often than it is named, and if exact, none more often.
func (k Keeper) checkReferences(ctx context.Context, above map[string]uint64, exact bool) error {
	var genesis types.GenesisState
	for _, export := range []func(context.Context, *types.GenesisState) error{
		k.exportImages, k.exportObjects, k.exportContents,
	} {
		if err := export(ctx, &genesis); err != nil {
			return err
		}
	}
	named := genesis.OwnReferences()
	for digest, count := range above { //consensus:ok each digest is added by itself
		named[digest] += count
	}
	for _, content := range genesis.Contents {
		if err := content.References.Validate(); err != nil {
			return err
		}
		count := content.References.References
		if count < named[content.Digest] || exact && count > named[content.Digest] {
			return fmt.Errorf("%s has %d references and is named %d times", content.Digest, count, named[content.Digest])
		}
		delete(named, content.Digest)
	}
	if len(named) > 0 {
		return fmt.Errorf("%d contents are named and not referenced", len(named))
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
