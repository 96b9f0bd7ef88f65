package keeper_test

import (
	"context"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// What operators do, for tests.

func (f *fixture) operate(work func(ctx context.Context, msgs sunstypes.MsgServer) error) {
	f.T.Helper()
	_, err := f.Deliver(func(ctx sdk.Context) error { return work(ctx, sunskeeper.NewMsgServer(f.suns)) })
	require.NoError(f.T, err)
}

func (f *fixture) changeAsk(node sunstypes.NodeID, price uint64) {
	f.T.Helper()
	f.operate(func(ctx context.Context, msgs sunstypes.MsgServer) error {
		_, err := msgs.UpdateNode(ctx, &sunstypes.MsgUpdateNode{Operator: node.Operator, Number: node.Number, AskPrice: price})
		return err
	})
}

func (f *fixture) drain(node sunstypes.NodeID) {
	f.T.Helper()
	f.operate(func(ctx context.Context, msgs sunstypes.MsgServer) error {
		_, err := msgs.DrainNode(ctx, &sunstypes.MsgDrainNode{Operator: node.Operator, Number: node.Number})
		return err
	})
}

func (f *fixture) resume(node sunstypes.NodeID) {
	f.T.Helper()
	f.operate(func(ctx context.Context, msgs sunstypes.MsgServer) error {
		_, err := msgs.ResumeNode(ctx, &sunstypes.MsgResumeNode{Operator: node.Operator, Number: node.Number})
		return err
	})
}

func (f *fixture) retire(node sunstypes.NodeID) {
	f.T.Helper()
	f.operate(func(ctx context.Context, msgs sunstypes.MsgServer) error {
		_, err := msgs.RetireNode(ctx, &sunstypes.MsgRetireNode{Operator: node.Operator, Number: node.Number})
		return err
	})
}

func (f *fixture) checkIn(node sunstypes.NodeID) {
	f.T.Helper()
	f.operate(func(ctx context.Context, msgs sunstypes.MsgServer) error {
		_, err := msgs.CheckIn(ctx, &sunstypes.MsgCheckIn{Agent: f.agentOf(node)})
		return err
	})
}
