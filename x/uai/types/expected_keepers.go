package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// BankKeeper is what x/uai needs of x/bank.
type BankKeeper interface {
	// BlockedAddr says whether an address may not receive coins: royalties could never be paid to it.
	BlockedAddr(addr sdk.AccAddress) bool
}

// SunsKeeper is what x/uai needs of x/suns: who holds content, and how to reach it.
type SunsKeeper interface {
	// GetNode gives a node, or x/suns' ErrNodeNotFound.
	GetNode(ctx context.Context, id sunstypes.NodeID) (sunstypes.Node, error)
	// NodeOfAgent gives the node an agent serves, or x/suns' ErrAgentUnknown.
	NodeOfAgent(ctx context.Context, agent sdk.AccAddress) (sunstypes.Node, error)
	// GetContact gives a node's contact, or x/suns' ErrContactNotFound.
	GetContact(ctx context.Context, id sunstypes.NodeID) (sunstypes.Contact, error)
	// LastCheckInMs is when a node was last heard from, 0 if it is not.
	LastCheckInMs(ctx context.Context, id sunstypes.NodeID) (uint64, error)
}
