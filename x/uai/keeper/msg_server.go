package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

type msgServer struct{ keeper Keeper }

// NewMsgServer gives the Msg service.
func NewMsgServer(k Keeper) types.MsgServer { return msgServer{keeper: k} }

// PublishImage implements types.MsgServer.
func (m msgServer) PublishImage(ctx context.Context, msg *types.MsgPublishImage) (*types.MsgPublishImageResponse, error) {
	image := types.NewImage(msg, sdk.UnwrapSDKContext(ctx).BlockHeight())
	if err := m.keeper.Publish(ctx, image); err != nil {
		return nil, err
	}
	return &types.MsgPublishImageResponse{Image: image.Ref()}, nil
}

// DeprecateImage implements types.MsgServer.
func (m msgServer) DeprecateImage(ctx context.Context, msg *types.MsgDeprecateImage) (*types.MsgDeprecateImageResponse, error) {
	if err := m.keeper.Deprecate(ctx, msg.Image, msg.Owner); err != nil {
		return nil, err
	}
	return &types.MsgDeprecateImageResponse{}, nil
}

// TransferImage implements types.MsgServer.
func (m msgServer) TransferImage(ctx context.Context, msg *types.MsgTransferImage) (*types.MsgTransferImageResponse, error) {
	if err := m.keeper.Transfer(ctx, msg.Image, msg.Owner, msg.NewOwner); err != nil {
		return nil, err
	}
	return &types.MsgTransferImageResponse{}, nil
}

// SetAccess implements types.MsgServer.
func (m msgServer) SetAccess(ctx context.Context, msg *types.MsgSetAccess) (*types.MsgSetAccessResponse, error) {
	if err := m.keeper.SetAccess(ctx, msg); err != nil {
		return nil, err
	}
	return &types.MsgSetAccessResponse{}, nil
}

// AnnounceHolding implements types.MsgServer.
func (m msgServer) AnnounceHolding(
	ctx context.Context, msg *types.MsgAnnounceHolding,
) (*types.MsgAnnounceHoldingResponse, error) {
	agent, err := signer(msg.Agent)
	if err != nil {
		return nil, err
	}
	if err := m.keeper.AnnounceHolding(ctx, agent, msg.Digests); err != nil {
		return nil, err
	}
	return &types.MsgAnnounceHoldingResponse{}, nil
}

// DropHolding implements types.MsgServer.
func (m msgServer) DropHolding(ctx context.Context, msg *types.MsgDropHolding) (*types.MsgDropHoldingResponse, error) {
	agent, err := signer(msg.Agent)
	if err != nil {
		return nil, err
	}
	if err := m.keeper.DropHolding(ctx, agent, msg.Digests, msg.Node); err != nil {
		return nil, err
	}
	return &types.MsgDropHoldingResponse{}, nil
}

// PutObject implements types.MsgServer.
func (m msgServer) PutObject(ctx context.Context, msg *types.MsgPutObject) (*types.MsgPutObjectResponse, error) {
	object := types.Object{
		Owner: msg.Owner, Name: msg.Name, Digest: msg.Digest, SizeBytes: msg.SizeBytes,
		CreatedHeight: sdk.UnwrapSDKContext(ctx).BlockHeight(),
	}
	if err := m.keeper.PutObject(ctx, object); err != nil {
		return nil, err
	}
	return &types.MsgPutObjectResponse{}, nil
}

// RemoveObject implements types.MsgServer.
func (m msgServer) RemoveObject(ctx context.Context, msg *types.MsgRemoveObject) (*types.MsgRemoveObjectResponse, error) {
	if err := m.keeper.RemoveObject(ctx, msg.Owner, msg.Name); err != nil {
		return nil, err
	}
	return &types.MsgRemoveObjectResponse{}, nil
}

// SetKeyHolders implements types.MsgServer.
func (m msgServer) SetKeyHolders(ctx context.Context, msg *types.MsgSetKeyHolders) (*types.MsgSetKeyHoldersResponse, error) {
	if err := m.keeper.SetKeyHolders(ctx, msg); err != nil {
		return nil, err
	}
	return &types.MsgSetKeyHoldersResponse{}, nil
}

// signer reads the address that signed.
func signer(address string) (sdk.AccAddress, error) {
	parsed, err := sdk.AccAddressFromBech32(address)
	if err != nil {
		return nil, types.ErrInvalidRequest.Wrapf("signer %.100q: %s", address, err)
	}
	return parsed, nil
}

// UpdateParams implements types.MsgServer.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.keeper.UpdateParams(ctx, msg.Authority, msg.Params); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, nil
}
