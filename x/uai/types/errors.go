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
	ErrInvalidDigest   = errorsmod.RegisterWithGRPCCode(ModuleName, 14, codes.InvalidArgument, "invalid digest")
	ErrInvalidAccess   = errorsmod.RegisterWithGRPCCode(ModuleName, 15, codes.InvalidArgument, "invalid list of addresses")
	ErrNotAllowed      = errorsmod.RegisterWithGRPCCode(ModuleName, 16, codes.PermissionDenied, "image is restricted: ask its owner for access")
	ErrInvalidHolding  = errorsmod.RegisterWithGRPCCode(ModuleName, 17, codes.InvalidArgument, "invalid list of digests")
	ErrTooManyHoldings = errorsmod.RegisterWithGRPCCode(ModuleName, 18, codes.ResourceExhausted, "node has announced as much as it may: drop something first")
	ErrNodeHolds       = errorsmod.RegisterWithGRPCCode(ModuleName, 19, codes.PermissionDenied, "node is neither retired nor gone: its agent alone drops its holdings")
	ErrNodeRetired     = errorsmod.RegisterWithGRPCCode(ModuleName, 20, codes.FailedPrecondition, "node is retired: it announces nothing new")
	ErrInvalidObject   = errorsmod.RegisterWithGRPCCode(ModuleName, 21, codes.InvalidArgument, "invalid object")
	ErrObjectNotFound  = errorsmod.RegisterWithGRPCCode(ModuleName, 22, codes.NotFound, "object not found")
	ErrTooManyObjects  = errorsmod.RegisterWithGRPCCode(ModuleName, 23, codes.ResourceExhausted, "owner keeps as many objects as it may: remove one first")
	ErrNotReferenced   = errorsmod.RegisterWithGRPCCode(ModuleName, 24, codes.Internal, "content is not referenced")

	ErrInvalidSubject     = errorsmod.RegisterWithGRPCCode(ModuleName, 25, codes.InvalidArgument, "invalid subject of a key")
	ErrInvalidKeyHolders  = errorsmod.RegisterWithGRPCCode(ModuleName, 26, codes.InvalidArgument, "invalid holders of a key")
	ErrKeyHoldersNotFound = errorsmod.RegisterWithGRPCCode(ModuleName, 27, codes.NotFound, "nobody was named to hold the key")
	ErrNotTenant          = errorsmod.RegisterWithGRPCCode(ModuleName, 28, codes.PermissionDenied, "signer is not the lease's tenant")
)
