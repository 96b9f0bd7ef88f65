package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// unbondingRetryMs is how long the bond of a node waits that still has placements to settle when its time is over.
const unbondingRetryMs = 60_000

// takeBond moves a bond from the operator to the module, virtually: it is credited at the end of the block.
func (k *Keeper) takeBond(ctx context.Context, operator sdk.AccAddress, bond sdk.Coin) error {
	return k.bank.SendCoinsFromAccountToModuleVirtual(ctx, operator, types.ModuleName, sdk.NewCoins(bond))
}

// removeNode returns a retired node's bond with the last of its reward and forgets the node. While it has placements to
// settle, or the epoch it checked in to last is open and may still owe it, it waits.
func (k *Keeper) removeNode(ctx context.Context, key types.NodeKey) error {
	node, err := k.Nodes.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	wait, err := k.mustWait(ctx, key)
	if err != nil {
		return err
	}
	if wait > 0 {
		return k.UnbondingQueue.Push(ctx, wait, key)
	}
	if err := k.settleAndPay(ctx, key); err != nil {
		return err
	}
	if err := k.bank.SendCoins(ctx, k.accounts.GetModuleAddress(types.ModuleName), key.K1(), types.Coins(node.Bond)); err != nil {
		return err
	}
	if err := k.forget(ctx, key); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventBondReturned{
		Operator: node.ID.Operator, Number: node.ID.Number, Amount: node.Bond.String(),
	}); err != nil {
		return err
	}
	return k.hooks.AfterNodeRemoved(ctx, node.ID)
}

// mustWait gives until when a retired node must stay, or 0.
func (k *Keeper) mustWait(ctx context.Context, key types.NodeKey) (uint64, error) {
	now, err := k.NowMs(ctx)
	if err != nil {
		return 0, err
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return 0, err
	}
	if load.Placements > 0 {
		return now + unbondingRetryMs, nil
	}
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return 0, err
	}
	reward, err := k.reward(ctx, key)
	if err != nil {
		return 0, err
	}
	if reward.Epoch < epoch.Number || reward.Weight == 0 {
		return 0, nil
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return 0, err
	}
	return max(now+1, epoch.StartMs+types.Ms(params.EpochDuration)), nil
}

func (k *Keeper) settleAndPay(ctx context.Context, key types.NodeKey) error {
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	reward, err := k.reward(ctx, key)
	if err != nil {
		return err
	}
	settled, err := k.settle(ctx, &reward, epoch)
	if err != nil {
		return err
	}
	if settled.SettledEpoch > 0 {
		if err := k.claim(ctx, settled.SettledEpoch, settled.SettledAmount); err != nil {
			return err
		}
	}
	if err := k.Rewards.Set(ctx, key, reward); err != nil {
		return err
	}
	return k.pay(ctx, key)
}

// forget removes every record of a node. What may still stand in the payout queue finds nothing to pay.
func (k *Keeper) forget(ctx context.Context, key types.NodeKey) error {
	if err := k.Nodes.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.Loads.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.CheckIns.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.PayoutPlaces.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.Contacts.Remove(ctx, key); err != nil {
		return err
	}
	return k.Rewards.Remove(ctx, key)
}
