package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// AccountKeeper is what x/suns needs of x/auth.
type AccountKeeper interface {
	GetModuleAddress(name string) sdk.AccAddress
	// GetModuleAccount creates the account where there is none, so it is called at genesis only: creating one takes a
	// number from a global sequence.
	GetModuleAccount(ctx context.Context, name string) sdk.ModuleAccountI
}

// BankKeeper is what x/suns needs of x/bank.
type BankKeeper interface {
	// SendCoinsFromAccountToModuleVirtual takes bonds in transactions.
	SendCoinsFromAccountToModuleVirtual(ctx context.Context, sender sdk.AccAddress, module string, amount sdk.Coins) error
	// SendCoins pays bonds and rewards in the end blocker. It pays to blocked addresses too: the account that governance
	// acts for may run nodes.
	SendCoins(ctx context.Context, from, to sdk.AccAddress, amount sdk.Coins) error
	// MintCoins mints the nodes' part of the emission.
	MintCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	GetSupply(ctx context.Context, denom string) sdk.Coin
}
