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

// UpdateParams implements types.MsgServer.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.keeper.UpdateParams(ctx, msg.Authority, msg.Params); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, nil
}
