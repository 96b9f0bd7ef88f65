package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// SunsKeeper is what x/audit needs of x/suns.
type SunsKeeper interface {
	// NowMs is the chain clock.
	NowMs(ctx context.Context) (uint64, error)
	// CurrentEpoch is the running epoch.
	CurrentEpoch(ctx context.Context) (sunstypes.Epoch, error)
	// GetParams gives the silence limit, below which attestations must come.
	GetParams(ctx context.Context) (sunstypes.Params, error)
	// GetNode gives a node.
	GetNode(ctx context.Context, id sunstypes.NodeID) (sunstypes.Node, error)
	// NodeOfAgent gives the node that an agent signs for.
	NodeOfAgent(ctx context.Context, agent sdk.AccAddress) (sunstypes.Node, error)
	// RecordCheckIn counts an attestation as a check-in.
	RecordCheckIn(ctx context.Context, id sunstypes.NodeID) error
}

// LeaseKeeper is what x/audit needs of x/lease.
type LeaseKeeper interface {
	// CreditServices credits service to placements of a node and says how much of it counted: served, clamped to elapsed
	// chain time. A credit that is settled belongs to a placement that was this node's, has ended and is settled.
	CreditServices(ctx context.Context, node sunstypes.NodeID, claims []leasetypes.Claim) ([]leasetypes.Credit, error)
	// GetPlacement gives a placement that is not settled, or ErrPlacementSettled, or ErrPlacementNotFound.
	GetPlacement(ctx context.Context, id leasetypes.PlacementID) (leasetypes.PlacementKey, leasetypes.Placement, error)
}

// BankKeeper is what x/audit needs of x/bank.
type BankKeeper interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	// SendCoins pays rewards in the end blocker. It pays to blocked addresses too: the account that governance acts for may
	// run nodes.
	SendCoins(ctx context.Context, from, to sdk.AccAddress, amount sdk.Coins) error
}

// AccountKeeper is what x/audit needs of x/auth.
type AccountKeeper interface {
	GetModuleAddress(name string) sdk.AccAddress
	// GetModuleAccount creates the account where there is none, so it is called at genesis only.
	GetModuleAccount(ctx context.Context, name string) sdk.ModuleAccountI
}
