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

// RetryQuarantined implements types.MsgServer.
func (m msgServer) RetryQuarantined(
	ctx context.Context, msg *types.MsgRetryQuarantined,
) (*types.MsgRetryQuarantinedResponse, error) {
	if msg.Authority != m.keeper.authority {
		return nil, types.ErrUnauthorized.Wrapf("%.100q is not %s", msg.Authority, m.keeper.authority)
	}
	item, err := m.keeper.Quarantine.Retry(ctx, msg.Number, m.keeper.PayoutQueue)
	if err != nil {
		return nil, err
	}
	return &types.MsgRetryQuarantinedResponse{}, emit(ctx, &types.EventQuarantinedItemRetried{
		Number: item.Number, Queue: item.Queue, Item: item.Item,
	})
}
