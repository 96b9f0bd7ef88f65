package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/lease. Codes are append-only.
var (
	ErrInvalidID         = errorsmod.Register(ModuleName, 2, "invalid id")
	ErrLeaseNotFound     = errorsmod.Register(ModuleName, 3, "lease not found")
	ErrPlacementNotFound = errorsmod.Register(ModuleName, 4, "placement not found")
	ErrPlacementSettled  = errorsmod.Register(ModuleName, 5, "placement has ended and settled")
	ErrNotThisNode       = errorsmod.Register(ModuleName, 6, "placement is not on the agent's node")
)
