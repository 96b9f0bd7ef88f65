package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/suns. Codes are append-only.
var (
	ErrInvalidNodeID       = errorsmod.Register(ModuleName, 2, "invalid node id")
	ErrNodeNotFound        = errorsmod.Register(ModuleName, 3, "node not found")
	ErrAgentUnknown        = errorsmod.Register(ModuleName, 4, "no node has this agent")
	ErrAgentTaken          = errorsmod.Register(ModuleName, 5, "agent serves another node")
	ErrAgentSignature      = errorsmod.Register(ModuleName, 6, "agent's key or signature is not valid for this node")
	ErrNotNextNumber       = errorsmod.Register(ModuleName, 7, "number is not the operator's next")
	ErrInvalidReport       = errorsmod.Register(ModuleName, 8, "benchmark report is not valid")
	ErrReportContradicts   = errorsmod.Register(ModuleName, 9, "benchmark report contradicts itself: it claims less than its vector gives")
	ErrClaimTooHigh        = errorsmod.Register(ModuleName, 10, "benchmark report claims more than its vector gives")
	ErrNodeTooSmall        = errorsmod.Register(ModuleName, 11, "node has fewer SUNS than the least that may register")
	ErrInvalidNode         = errorsmod.Register(ModuleName, 12, "node is not described validly")
	ErrInvalidAsk          = errorsmod.Register(ModuleName, 13, "ask price is out of bounds")
	ErrInvalidBond         = errorsmod.Register(ModuleName, 14, "bond is not valid")
	ErrNodeStatus          = errorsmod.Register(ModuleName, 15, "node's status does not allow this")
	ErrBelowReserved       = errorsmod.Register(ModuleName, 16, "node would have less than placements hold of it")
	ErrInsufficientRoom    = errorsmod.Register(ModuleName, 17, "node has not enough free")
	ErrDeviceUnknown       = errorsmod.Register(ModuleName, 18, "node has no such device")
	ErrDeviceBusy          = errorsmod.Register(ModuleName, 19, "device is held by another placement")
	ErrNotReserved         = errorsmod.Register(ModuleName, 20, "more would be released than is reserved")
	ErrInvalidDemand       = errorsmod.Register(ModuleName, 21, "demand is not valid")
	ErrInvalidParams       = errorsmod.Register(ModuleName, 22, "params are not valid")
	ErrInvalidGenesis      = errorsmod.Register(ModuleName, 23, "genesis is not valid")
	ErrUnauthorized        = errorsmod.Register(ModuleName, 24, "only the authority may do this")
	ErrInvalidAmount       = errorsmod.Register(ModuleName, 25, "amount is not valid")
	ErrBrokenInvariant     = errorsmod.Register(ModuleName, 26, "invariant is broken")
	ErrSettledTwice        = errorsmod.Register(ModuleName, 27, "node settled two epochs in one block")
	ErrCapacityOutOfBounds = errorsmod.Register(ModuleName, 28, "resources are out of bounds")
)
