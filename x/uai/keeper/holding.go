package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// maxCountedHolders bounds what a query of one content walks.
const maxCountedHolders = 1_000

// AnnounceHolding notes that an agent's node has content. What the node announced before counts once.
func (k Keeper) AnnounceHolding(ctx context.Context, agent sdk.AccAddress, digests []string) error {
	parsed, err := types.ParseDigests(digests)
	if err != nil {
		return err
	}
	id, err := k.LiveNode(ctx, agent)
	if err != nil {
		return err
	}
	key, err := id.Key()
	if err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	before, err := orZero(k.HoldingCounts.Get(ctx, key))
	if err != nil {
		return err
	}
	count := before
	for i, digest := range parsed {
		holding := collections.Join(digest, key)
		if known, err := k.Holdings.Has(ctx, holding); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		if count++; count > params.MaxHoldingsPerNode {
			return types.ErrTooManyHoldings.Wrapf("at most %d", params.MaxHoldingsPerNode)
		}
		if err := k.Holdings.Set(ctx, holding, collections.NoValue{}); err != nil {
			return err
		}
		if err := typedevent.Emit(ctx, &types.EventHoldingAnnounced{
			Digest: digests[i], Operator: id.Operator, Number: id.Number,
		}); err != nil {
			return err
		}
	}
	if count == before {
		return nil
	}
	return k.HoldingCounts.Set(ctx, key, count)
}

// LiveNode gives the node that an agent serves, or ErrNodeRetired.
func (k Keeper) LiveNode(ctx context.Context, agent sdk.AccAddress) (sunstypes.NodeID, error) {
	node, err := k.suns.NodeOfAgent(ctx, agent)
	if err == nil && !node.Live() {
		err = types.ErrNodeRetired.Wrapf("node %s", node.ID)
	}
	return node.ID, err
}

// DropHolding notes that a node no longer has content. The node is the signer's, unless another is named: anybody tidies up
// after a node that is retired or gone.
func (k Keeper) DropHolding(ctx context.Context, signer sdk.AccAddress, digests []string, named *sunstypes.NodeID) error {
	parsed, err := types.ParseDigests(digests)
	if err != nil {
		return err
	}
	id, err := k.mayDrop(ctx, signer, named)
	if err != nil {
		return err
	}
	key, err := id.Key()
	if err != nil {
		return err
	}
	before, err := orZero(k.HoldingCounts.Get(ctx, key))
	if err != nil {
		return err
	}
	count := before
	for i, digest := range parsed {
		holding := collections.Join(digest, key)
		if known, err := k.Holdings.Has(ctx, holding); err != nil || !known {
			if err != nil {
				return err
			}
			continue
		}
		if err := k.Holdings.Remove(ctx, holding); err != nil {
			return err
		}
		count--
		if err := typedevent.Emit(ctx, &types.EventHoldingDropped{
			Digest: digests[i], Operator: id.Operator, Number: id.Number,
		}); err != nil {
			return err
		}
	}
	switch count {
	case before:
		return nil
	case 0:
		return k.HoldingCounts.Remove(ctx, key)
	default:
		return k.HoldingCounts.Set(ctx, key, count)
	}
}

// mayDrop gives the node whose holdings a signer may drop.
func (k Keeper) mayDrop(ctx context.Context, signer sdk.AccAddress, named *sunstypes.NodeID) (sunstypes.NodeID, error) {
	if named == nil {
		node, err := k.suns.NodeOfAgent(ctx, signer)
		return node.ID, err
	}
	if _, err := named.Canonical(); err != nil {
		return *named, err
	}
	node, err := k.suns.GetNode(ctx, *named)
	if errors.Is(err, sunstypes.ErrNodeNotFound) {
		return *named, nil
	}
	if err == nil && node.Live() && node.Agent != signer.String() {
		err = types.ErrNodeHolds.Wrapf("node %s is %s", named, node.Status)
	}
	return *named, err
}

// holder gives a node that announced content with how it is reached, or false if the node is gone.
func (k Keeper) holder(ctx context.Context, key sunstypes.NodeKey) (types.Holder, bool, error) {
	id := sunstypes.NodeIDFromKey(key)
	node, err := k.suns.GetNode(ctx, id)
	if errors.Is(err, sunstypes.ErrNodeNotFound) {
		return types.Holder{}, false, nil
	}
	if err != nil {
		return types.Holder{}, false, err
	}
	seen, err := k.suns.LastCheckInMs(ctx, id)
	if err != nil {
		return types.Holder{}, false, err
	}
	contact, err := k.suns.GetContact(ctx, id)
	if err != nil && !errors.Is(err, sunstypes.ErrContactNotFound) {
		return types.Holder{}, false, err
	}
	return types.Holder{
		Node: id, Agent: node.Agent, Status: node.Status, LastSeenMs: seen,
		EncryptionKey: contact.EncryptionKey, Addresses: contact.Addresses,
	}, true, nil
}

// countHolders counts the nodes that have content and are active or drain, of the first maxCountedHolders that announced it.
func (k Keeper) countHolders(ctx context.Context, digest []byte) (holders uint64, err error) {
	looked := 0
	err = k.Holdings.Walk(ctx, collections.NewPrefixedPairRange[[]byte, sunstypes.NodeKey](digest),
		func(key types.HoldingKey, _ collections.NoValue) (bool, error) {
			node, err := k.suns.GetNode(ctx, sunstypes.NodeIDFromKey(key.K2()))
			if err != nil && !errors.Is(err, sunstypes.ErrNodeNotFound) {
				return true, err
			}
			if err == nil && node.Watched() {
				holders++
			}
			looked++
			return looked == maxCountedHolders, nil
		})
	return holders, err
}
