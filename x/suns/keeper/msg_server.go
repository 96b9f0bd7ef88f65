package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer answers the messages of x/suns.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// RegisterNode implements types.MsgServer.
func (m msgServer) RegisterNode(ctx context.Context, msg *types.MsgRegisterNode) (*types.MsgRegisterNodeResponse, error) {
	node, err := m.k.RegisterNode(ctx, msg)
	if err != nil {
		return nil, err
	}
	return &types.MsgRegisterNodeResponse{MilliSuns: node.MilliSuns}, nil
}

// UpdateNode implements types.MsgServer.
func (m msgServer) UpdateNode(ctx context.Context, msg *types.MsgUpdateNode) (*types.MsgUpdateNodeResponse, error) {
	node, err := m.k.UpdateNode(ctx, msg)
	if err != nil {
		return nil, err
	}
	return &types.MsgUpdateNodeResponse{MilliSuns: node.MilliSuns}, nil
}

// CheckIn implements types.MsgServer.
func (m msgServer) CheckIn(ctx context.Context, msg *types.MsgCheckIn) (*types.MsgCheckInResponse, error) {
	agent, err := sdk.AccAddressFromBech32(msg.Agent)
	if err != nil {
		return nil, types.ErrAgentUnknown.Wrapf("agent %.100q: %s", msg.Agent, err)
	}
	node, err := m.k.NodeOfAgent(ctx, agent)
	if err != nil {
		return nil, err
	}
	return &types.MsgCheckInResponse{}, m.k.RecordCheckIn(ctx, node.ID)
}

// SetContact implements types.MsgServer.
func (m msgServer) SetContact(ctx context.Context, msg *types.MsgSetContact) (*types.MsgSetContactResponse, error) {
	agent, err := sdk.AccAddressFromBech32(msg.Agent)
	if err != nil {
		return nil, types.ErrAgentUnknown.Wrapf("agent %.100q: %s", msg.Agent, err)
	}
	return &types.MsgSetContactResponse{}, m.k.SetContact(ctx, agent, msg.EncryptionKey, msg.Addresses)
}

// DrainNode implements types.MsgServer.
func (m msgServer) DrainNode(ctx context.Context, msg *types.MsgDrainNode) (*types.MsgDrainNodeResponse, error) {
	id := types.NodeID{Operator: msg.Operator, Number: msg.Number}
	return &types.MsgDrainNodeResponse{}, m.k.DrainNode(ctx, id)
}

// ResumeNode implements types.MsgServer.
func (m msgServer) ResumeNode(ctx context.Context, msg *types.MsgResumeNode) (*types.MsgResumeNodeResponse, error) {
	id := types.NodeID{Operator: msg.Operator, Number: msg.Number}
	return &types.MsgResumeNodeResponse{}, m.k.ResumeNode(ctx, id)
}

// RetireNode implements types.MsgServer.
func (m msgServer) RetireNode(ctx context.Context, msg *types.MsgRetireNode) (*types.MsgRetireNodeResponse, error) {
	returnsMs, err := m.k.RetireNode(ctx, types.NodeID{Operator: msg.Operator, Number: msg.Number})
	if err != nil {
		return nil, err
	}
	return &types.MsgRetireNodeResponse{BondReturnsMs: returnsMs}, nil
}

// WithdrawRewards implements types.MsgServer.
func (m msgServer) WithdrawRewards(ctx context.Context, msg *types.MsgWithdrawRewards) (*types.MsgWithdrawRewardsResponse, error) {
	amount, err := m.k.WithdrawRewards(ctx, types.NodeID{Operator: msg.Operator, Number: msg.Number})
	if err != nil {
		return nil, err
	}
	return &types.MsgWithdrawRewardsResponse{Maintenance: amount}, nil
}

// UpdateParams implements types.MsgServer.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("%.100q is not %s", msg.Authority, m.k.authority)
	}
	if err := msg.Params.Validate(); err != nil {
		return nil, err
	}
	if err := m.k.hooks.BeforeParamsChanged(ctx, msg.Params); err != nil {
		return nil, err
	}
	if err := m.k.Params.Set(ctx, msg.Params); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, emit(ctx, &types.EventParamsUpdated{Authority: msg.Authority})
}

// RetryQuarantined implements types.MsgServer.
func (m msgServer) RetryQuarantined(
	ctx context.Context, msg *types.MsgRetryQuarantined,
) (*types.MsgRetryQuarantinedResponse, error) {
	if msg.Authority != m.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("%.100q is not %s", msg.Authority, m.k.authority)
	}
	item, err := m.k.Quarantine.Retry(ctx, msg.Number, m.k.DeadlineQueue, m.k.UnbondingQueue, m.k.PayoutQueue)
	if err != nil {
		return nil, err
	}
	return &types.MsgRetryQuarantinedResponse{}, emit(ctx, &types.EventQuarantinedItemRetried{
		Number: item.Number, Queue: item.Queue, Item: item.Item,
	})
}
