package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// GetKeyHolders says who holds the key to an image or a lease, or gives ErrKeyHoldersNotFound.
func (k Keeper) GetKeyHolders(ctx context.Context, subject string) (types.KeyHolders, error) {
	if _, err := types.ParseSubject(subject); err != nil {
		return types.KeyHolders{}, err
	}
	holders, err := k.KeyHolders.Get(ctx, subject)
	if errors.Is(err, collections.ErrNotFound) {
		return holders, types.ErrKeyHoldersNotFound.Wrap(subject)
	}
	return holders, err
}

// SetKeyHolders says who holds the key to an image or a lease, or that nobody does.
func (k Keeper) SetKeyHolders(ctx context.Context, msg *types.MsgSetKeyHolders) error {
	if err := k.mayLock(ctx, msg.Subject, msg.Owner); err != nil {
		return err
	}
	before, err := k.GetKeyHolders(ctx, msg.Subject)
	if err != nil && (msg.Recipient == "" || !errors.Is(err, types.ErrKeyHoldersNotFound)) {
		return err
	}
	if msg.Recipient == "" {
		return k.removeKeyHolders(ctx, msg)
	}
	holders := types.KeyHolders{
		Subject: msg.Subject, Owner: msg.Owner, Recipient: msg.Recipient, Threshold: msg.Threshold, Shares: msg.Shares,
		Commitments: msg.Commitments, Revision: before.Revision + 1,
	}
	if err := holders.Validate(); err != nil {
		return err
	}
	for _, share := range holders.Shares {
		if err := k.MayHoldKeys(ctx, share.Node); err != nil {
			return err
		}
	}
	if err := k.KeyHolders.Set(ctx, msg.Subject, holders); err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventKeyHoldersSet{
		Subject: msg.Subject, Owner: msg.Owner, Revision: holders.Revision,
	})
}

func (k Keeper) removeKeyHolders(ctx context.Context, msg *types.MsgSetKeyHolders) error {
	if msg.Threshold != 0 || len(msg.Shares) > 0 || len(msg.Commitments) > 0 {
		return types.ErrInvalidKeyHolders.Wrap("without a recipient the record is removed: give neither threshold nor shares")
	}
	if err := k.KeyHolders.Remove(ctx, msg.Subject); err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventKeyHoldersRemoved{Subject: msg.Subject, Owner: msg.Owner})
}

// mayLock says whether a signer may say who holds the key to something. Leases are above this module, so it goes by their
// name: a tenant may prepare the key to a lease that is not there yet, and nobody to another's.
func (k Keeper) mayLock(ctx context.Context, subject, signer string) error {
	parsed, err := types.ParseSubject(subject)
	if err != nil {
		return err
	}
	if parsed.Image != "" {
		_, err := k.ownedImage(ctx, parsed.Image, signer)
		return err
	}
	if parsed.Tenant != signer {
		return types.ErrNotTenant.Wrapf("%s is %s's", subject, parsed.Tenant)
	}
	return nil
}

// MayHoldKeys says whether a share can be sealed to a node: one that is there for good and has said with which key.
func (k Keeper) MayHoldKeys(ctx context.Context, id sunstypes.NodeID) error {
	node, err := k.suns.GetNode(ctx, id)
	if err != nil {
		return err
	}
	if !node.Live() {
		return types.ErrInvalidKeyHolders.Wrapf("node %s is retired", id)
	}
	_, err = k.suns.GetContact(ctx, id)
	return err
}

// checkKeyHolders: every record is valid and stands under its own subject.
func (k Keeper) checkKeyHolders(ctx context.Context) error {
	return k.KeyHolders.Walk(ctx, nil, func(subject string, holders types.KeyHolders) (bool, error) {
		if holders.Subject != subject {
			return true, fmt.Errorf("holders of the key to %s are stored as %s", holders.Subject, subject)
		}
		return false, holders.Validate()
	})
}

func (k Keeper) exportKeyHolders(ctx context.Context, genesis *types.GenesisState) error {
	return k.KeyHolders.Walk(ctx, nil, func(_ string, holders types.KeyHolders) (bool, error) {
		genesis.KeyHolders = append(genesis.KeyHolders, holders)
		return false, nil
	})
}
