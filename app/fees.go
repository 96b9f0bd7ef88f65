package app

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
)

// virtualFeeBank is the bank as the ante handler sees it. Every transaction pays the same account, so an ordinary send would
// make every transaction of a block wait for the one before it; a virtual send is summed up in the bank's end blocker.
type virtualFeeBank struct {
	bankkeeper.Keeper
}

// SendCoinsFromAccountToModule sends virtually.
func (b virtualFeeBank) SendCoinsFromAccountToModule(
	ctx context.Context, sender sdk.AccAddress, module string, coins sdk.Coins,
) error {
	return b.SendCoinsFromAccountToModuleVirtual(ctx, sender, module, coins)
}
