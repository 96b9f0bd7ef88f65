package duequeue

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// codespace names the errors, which are the same in every module that keeps a quarantine.
const codespace = "duequeue"

// Errors of putting an item back. Codes are append-only.
var (
	ErrItemNotFound = errorsmod.RegisterWithGRPCCode(codespace, 2, codes.NotFound, "no such item is in quarantine")
	ErrNotRetryable = errorsmod.RegisterWithGRPCCode(codespace, 3, codes.FailedPrecondition, "quarantined work came from no queue that takes it back")
	ErrInvalidKey   = errorsmod.RegisterWithGRPCCode(codespace, 4, codes.Internal, "quarantined item's key is not one of its queue")
)
