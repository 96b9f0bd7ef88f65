package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/suns. Codes are append-only.
var (
	ErrInvalidNodeID = errorsmod.Register(ModuleName, 2, "invalid node id")
	ErrNodeNotFound  = errorsmod.Register(ModuleName, 3, "node not found")
)
