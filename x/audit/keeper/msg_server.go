package keeper

import (
	"context"

	"github.com/isuncoin/isuncoin/x/audit/types"
)

type msgServer struct{ keeper Keeper }

// NewMsgServer gives the Msg service.
func NewMsgServer(k Keeper) types.MsgServer { return msgServer{keeper: k} }

// AttestUsage implements types.MsgServer.
func (m msgServer) AttestUsage(ctx context.Context, msg *types.MsgAttestUsage) (*types.MsgAttestUsageResponse, error) {
	result, err := m.keeper.attest(ctx, msg)
	if err != nil {
		return nil, err
	}
	return &types.MsgAttestUsageResponse{CreditedMs: result.creditedMs, Skipped: result.skipped}, nil
}

// UpdateParams implements types.MsgServer.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := m.keeper.UpdateParams(ctx, msg.Authority, msg.Params); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, nil
}
