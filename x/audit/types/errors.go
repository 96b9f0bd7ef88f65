package types

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Errors of x/audit. Codes are append-only.
var (
	ErrUnsupportedVersion = errorsmod.RegisterWithGRPCCode(ModuleName, 2, codes.InvalidArgument, "attestation is of a version the chain does not read")
	ErrTooManyEntries     = errorsmod.RegisterWithGRPCCode(ModuleName, 3, codes.InvalidArgument, "attestation has too many entries, send several")
	ErrDuplicateEntry     = errorsmod.RegisterWithGRPCCode(ModuleName, 4, codes.InvalidArgument, "attestation names a placement twice")
	ErrStaleSequence      = errorsmod.RegisterWithGRPCCode(ModuleName, 5, codes.FailedPrecondition, "sequence is not above the node's last one")
	ErrUsageWentBackwards = errorsmod.RegisterWithGRPCCode(ModuleName, 6, codes.FailedPrecondition, "usage is cumulative and may not fall")
	ErrOutOfBounds        = errorsmod.RegisterWithGRPCCode(ModuleName, 7, codes.InvalidArgument, "figure is above what it may be")
	ErrUsageNotFound      = errorsmod.RegisterWithGRPCCode(ModuleName, 8, codes.NotFound, "no usage was attested of this placement")
	ErrUnauthorized       = errorsmod.RegisterWithGRPCCode(ModuleName, 9, codes.PermissionDenied, "only the authority may do this")
	ErrInvalidParams      = errorsmod.RegisterWithGRPCCode(ModuleName, 10, codes.InvalidArgument, "invalid params")
	ErrInvalidGenesis     = errorsmod.RegisterWithGRPCCode(ModuleName, 11, codes.InvalidArgument, "invalid genesis")
	ErrInvalidRequest     = errorsmod.RegisterWithGRPCCode(ModuleName, 12, codes.InvalidArgument, "invalid request")
	ErrSettledTwice       = errorsmod.RegisterWithGRPCCode(ModuleName, 13, codes.Internal, "node settled two epochs in one block")
	ErrBrokenInvariant    = errorsmod.RegisterWithGRPCCode(ModuleName, 14, codes.Internal, "invariant is broken")
)
