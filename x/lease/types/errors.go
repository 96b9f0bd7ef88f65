package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/lease. Codes are append-only.
var (
	ErrInvalidID           = errorsmod.Register(ModuleName, 2, "invalid id")
	ErrLeaseNotFound       = errorsmod.Register(ModuleName, 3, "lease not found")
	ErrPlacementNotFound   = errorsmod.Register(ModuleName, 4, "placement not found")
	ErrPlacementSettled    = errorsmod.Register(ModuleName, 5, "placement has ended and settled")
	ErrNotThisNode         = errorsmod.Register(ModuleName, 6, "placement is not on the agent's node")
	ErrInvalidParams       = errorsmod.Register(ModuleName, 7, "invalid params")
	ErrUnauthorized        = errorsmod.Register(ModuleName, 8, "not authorised")
	ErrInvalidDemand       = errorsmod.Register(ModuleName, 9, "invalid demand")
	ErrInvalidReplicas     = errorsmod.Register(ModuleName, 10, "invalid number of replicas")
	ErrInvalidRules        = errorsmod.Register(ModuleName, 11, "invalid placement rules")
	ErrInvalidPrice        = errorsmod.Register(ModuleName, 12, "invalid price cap")
	ErrInvalidAmount       = errorsmod.Register(ModuleName, 13, "invalid amount")
	ErrInvalidSpec         = errorsmod.Register(ModuleName, 14, "invalid arguments or environment")
	ErrImageUnavailable    = errorsmod.Register(ModuleName, 15, "image cannot be leased")
	ErrDepositTooSmall     = errorsmod.Register(ModuleName, 16, "deposit is less than one period at the cap")
	ErrLeaseEnded          = errorsmod.Register(ModuleName, 17, "lease is closing or closed")
	ErrNothingToUpdate     = errorsmod.Register(ModuleName, 18, "nothing to update")
	ErrPlacementEnded      = errorsmod.Register(ModuleName, 19, "placement has ended")
	ErrPlacementNotStarted = errorsmod.Register(ModuleName, 20, "placement has not started")
	ErrStartTooLate        = errorsmod.Register(ModuleName, 21, "start deadline has passed")
	ErrInvalidEndpoints    = errorsmod.Register(ModuleName, 22, "invalid endpoints")
	ErrInvalidReason       = errorsmod.Register(ModuleName, 23, "invalid reason")
	ErrNothingToMigrate    = errorsmod.Register(ModuleName, 24, "replica has no placement to migrate")
	ErrInvalidGenesis      = errorsmod.Register(ModuleName, 25, "invalid genesis state")
	ErrInvariantBroken     = errorsmod.Register(ModuleName, 26, "invariant broken")
)
