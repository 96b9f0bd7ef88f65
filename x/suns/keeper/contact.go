package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// SetContact replaces the contact of an agent's node.
func (k *Keeper) SetContact(ctx context.Context, agent sdk.AccAddress, encryptionKey []byte, addresses []string) error {
	node, err := k.NodeOfAgent(ctx, agent)
	if err != nil {
		return err
	}
	if !node.Live() {
		return types.ErrNodeStatus.Wrapf("node %s is retired", node.ID)
	}
	contact := types.Contact{Node: node.ID, EncryptionKey: encryptionKey, Addresses: addresses}
	if err := contact.Validate(); err != nil {
		return err
	}
	key, err := node.ID.Key()
	if err != nil {
		return err
	}
	if err := k.Contacts.Set(ctx, key, contact); err != nil {
		return err
	}
	return emit(ctx, &types.EventContactSet{Operator: node.ID.Operator, Number: node.ID.Number})
}

// GetContact gives a node's contact, or ErrContactNotFound.
func (k *Keeper) GetContact(ctx context.Context, id types.NodeID) (types.Contact, error) {
	key, err := id.Key()
	if err != nil {
		return types.Contact{}, err
	}
	contact, err := k.Contacts.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Contact{}, types.ErrContactNotFound.Wrapf("node %s", id)
	}
	return contact, err
}

// LastCheckInMs is when a node was last heard from, in chain-clock milliseconds; 0 if it is not there or retired.
func (k *Keeper) LastCheckInMs(ctx context.Context, id types.NodeID) (uint64, error) {
	key, err := id.Key()
	if err != nil {
		return 0, err
	}
	return orZero(k.CheckIns.Get(ctx, key))
}

// checkContacts: every contact is valid, stands under its own node, and the node is there.
func (k *Keeper) checkContacts(ctx context.Context, _ sums) error {
	return k.Contacts.Walk(ctx, nil, func(key types.NodeKey, contact types.Contact) (bool, error) {
		id := types.NodeIDFromKey(key)
		if err := contact.Validate(); err != nil || contact.Node != id {
			return true, types.ErrBrokenInvariant.Wrapf("contact of node %s: %v", id, err)
		}
		found, err := k.Nodes.Has(ctx, key)
		if err == nil && !found {
			err = types.ErrBrokenInvariant.Wrapf("node %s is gone and its contact is not", id)
		}
		return err != nil, err
	})
}
