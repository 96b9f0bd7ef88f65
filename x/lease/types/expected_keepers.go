package types

import (
	"context"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// SunsKeeper is what x/lease needs of x/suns.
type SunsKeeper interface {
	NowMs(ctx context.Context) (uint64, error)
	GetNode(ctx context.Context, id sunstypes.NodeID) (sunstypes.Node, error)
	NodeOfAgent(ctx context.Context, agent sdk.AccAddress) (sunstypes.Node, error)
	GetNodeLoad(ctx context.Context, id sunstypes.NodeID) (sunstypes.NodeLoad, error)
	Reserve(ctx context.Context, id sunstypes.NodeID, generalMilliSuns uint64, deviceIDs []string) error
	Release(ctx context.Context, id sunstypes.NodeID, generalMilliSuns uint64, deviceIDs []string) error
	IterateNodes(ctx context.Context, visit func(sunstypes.Node, sunstypes.NodeLoad) (stop bool)) error
}

// ImageKeeper is what x/lease needs of x/uai.
type ImageKeeper interface {
	// GetImage finds an image by "publisher/name:tag".
	GetImage(ctx context.Context, ref string) (uaitypes.Image, error)
	// MayRun gives x/uai's ErrNotAllowed if an address may not order an image.
	MayRun(ctx context.Context, image uaitypes.Image, address sdk.AccAddress) error
	// Reference counts one more that wants some content, of so many bytes; Unreference one less.
	Reference(ctx context.Context, digest string, size uint64) error
	Unreference(ctx context.Context, digest string) error
	// CheckReferences says whether content is referenced as often as x/uai and what is given name it: for invariants.
	CheckReferences(ctx context.Context, above map[string]uint64) error
}

// BankKeeper is what x/lease needs of x/bank.
type BankKeeper interface {
	SendCoinsFromAccountToModuleVirtual(ctx context.Context, sender sdk.AccAddress, module string, amount sdk.Coins) error
	// SendCoins pays in the end blocker. It pays to blocked addresses too: the account that governance acts for may rent and
	// run nodes, and an hour that cannot be paid could never be settled.
	SendCoins(ctx context.Context, from, to sdk.AccAddress, amount sdk.Coins) error
	SendCoinsFromModuleToModule(ctx context.Context, sender, recipient string, amount sdk.Coins) error
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
}

// AccountKeeper is what x/lease needs of x/auth.
type AccountKeeper interface {
	GetModuleAddress(name string) sdk.AccAddress
}

// Coins are an amount of uisc.
func Coins(amount math.Int) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(sunstypes.BaseDenom, amount))
}
