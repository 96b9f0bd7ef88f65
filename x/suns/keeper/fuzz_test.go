package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/grpc"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func FuzzMsg(f *testing.F) {
	operator := testkit.Addr("alice").String()
	register := registration("alice", 3)
	register.Report = withCards(register.Report, "gpu-0")
	replaced := registration("alice", 1)
	machine, bond := withCards(report(5), "gpu-1"), testkit.Coin(1)
	authority := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	testkit.FuzzMsg(f, []sdk.Msg{
		register,
		&types.MsgUpdateNode{
			Operator: operator, Number: 1, Moniker: "cellar", AskPrice: 2_000, Country: "DE", Zone: "south", Report: &machine,
			Gateways: []string{"gw.example:443"}, AddBond: &bond,
			AgentPubKey: replaced.AgentPubKey, AgentSignature: replaced.AgentSignature,
		},
		&types.MsgCheckIn{Agent: sdk.AccAddress(testkit.Key(agentName("alice", 1)).PubKey().Address()).String()},
		&types.MsgDrainNode{Operator: operator, Number: 1},
		&types.MsgResumeNode{Operator: operator, Number: 2},
		&types.MsgRetireNode{Operator: operator, Number: 1},
		&types.MsgWithdrawRewards{Operator: operator, Number: 1},
		&types.MsgUpdateParams{Authority: authority, Params: types.DefaultParams()},
		&types.MsgRetryQuarantined{Authority: authority, Number: 1},
		&types.MsgSetContact{
			Agent:         sdk.AccAddress(testkit.Key(agentName("alice", 1)).PubKey().Address()).String(),
			EncryptionKey: testkit.Digest("key"), Addresses: []string{"/ip4/203.0.113.7/tcp/8444"},
		},
	}, func(t *testing.T) testkit.FuzzTarget {
		chain := newFixture(t)
		chain.register("alice", 1)
		chain.register("alice", 2)
		chain.register("bob", 1)
		_, err := deliver(chain, chain.msgs.DrainNode, &types.MsgDrainNode{Operator: operator, Number: 2})
		require.NoError(t, err)
		chain.hour() // what is checked in from now on counts
		chain.Fund(testkit.Addr("alice"), 1_000_000_000)
		return testkit.FuzzTarget{Fixture: chain.Fixture, Register: func(router grpc.Server) {
			types.RegisterMsgServer(router, chain.msgs)
		}}
	})
}
