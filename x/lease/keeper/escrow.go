package keeper

import (
	"context"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
)

// Every coin that enters or leaves the module account goes through this file.

// deposit takes coins from an account. It runs in transactions: the module account is credited virtually, so that deposits
// of different tenants do not wait for each other.
func (k *Keeper) deposit(ctx context.Context, from sdk.AccAddress, amount math.Int) error {
	return k.bank.SendCoinsFromAccountToModuleVirtual(ctx, from, types.ModuleName, types.Coins(amount))
}

// payAccount pays an operator, an image's owner or a tenant. End blocker only.
func (k *Keeper) payAccount(ctx context.Context, to string, amount math.Int) error {
	if !amount.IsPositive() {
		return nil
	}
	addr, err := sdk.AccAddressFromBech32(to)
	if err != nil {
		return err
	}
	return k.bank.SendCoins(ctx, k.accounts.GetModuleAddress(types.ModuleName), addr, types.Coins(amount))
}

// payAudit pays the audit pool. End blocker only.
func (k *Keeper) payAudit(ctx context.Context, amount math.Int) error {
	if !amount.IsPositive() {
		return nil
	}
	return k.bank.SendCoinsFromModuleToModule(ctx, types.ModuleName, types.AuditPoolName, types.Coins(amount))
}

// payRoyalty pays the owner an image has now. An owner who cannot be paid does not stop the settlement: it returns what was
// paid, and the rest stays with the tenant.
func (k *Keeper) payRoyalty(ctx context.Context, image string, amount math.Int) math.Int {
	if !amount.IsPositive() {
		return amount
	}
	err := duequeue.Isolated(ctx, func(ctx context.Context) error {
		img, err := k.images.GetImage(ctx, image)
		if err != nil {
			return err
		}
		return k.payAccount(ctx, img.Owner, amount)
	})
	if err != nil {
		sdk.UnwrapSDKContext(ctx).Logger().Error("royalty could not be paid", "image", image, "error", err)
		return math.ZeroInt()
	}
	return amount
}
