package types

import (
	"google.golang.org/grpc/codes"

	errorsmod "cosmossdk.io/errors"
)

// Errors of x/uai. Codes are append-only.
var (
	ErrInvalidImageID  = errorsmod.RegisterWithGRPCCode(ModuleName, 2, codes.InvalidArgument, "invalid image id")
	ErrInvalidImage    = errorsmod.RegisterWithGRPCCode(ModuleName, 3, codes.InvalidArgument, "invalid image")
	ErrImageNotFound   = errorsmod.RegisterWithGRPCCode(ModuleName, 4, codes.NotFound, "image not found")
	ErrImageExists     = errorsmod.RegisterWithGRPCCode(ModuleName, 5, codes.AlreadyExists, "image exists: a tag is immutable, publish another tag")
	ErrImageDeprecated = errorsmod.RegisterWithGRPCCode(ModuleName, 6, codes.FailedPrecondition, "image is deprecated")
	ErrNotOwner        = errorsmod.RegisterWithGRPCCode(ModuleName, 7, codes.PermissionDenied, "signer does not own the image")
	ErrInvalidNewOwner = errorsmod.RegisterWithGRPCCode(ModuleName, 8, codes.InvalidArgument, "invalid new owner")
	ErrUnauthorized    = errorsmod.RegisterWithGRPCCode(ModuleName, 9, codes.PermissionDenied, "signer is not the authority")
	ErrInvalidParams   = errorsmod.RegisterWithGRPCCode(ModuleName, 10, codes.InvalidArgument, "invalid params")
	ErrInvalidGenesis  = errorsmod.RegisterWithGRPCCode(ModuleName, 11, codes.InvalidArgument, "invalid genesis")
	ErrInvalidRequest  = errorsmod.RegisterWithGRPCCode(ModuleName, 12, codes.InvalidArgument, "invalid request")
	ErrBlockedAddress  = errorsmod.RegisterWithGRPCCode(ModuleName, 13, codes.InvalidArgument, "address may not receive coins")
)
