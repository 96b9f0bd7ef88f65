package keeper_test

import (
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/grpc"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// Lease 1 runs, lease 2 is assigned, lease 3 waits for a node that is big enough.
func FuzzMsg(f *testing.F) {
	tenant, image := testkit.Addr("tenant").String(), testkit.Addr("publisher").String()+"/web:1"
	agent := sdk.AccAddress(agentKey("op", 1).PubKey().Address()).String()
	node := sunstypes.NewNodeID(testkit.Addr("op"), 1)
	demand := sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{
		Kind: sunstypes.KindGPU, Model: "RTX 4090", Count: 1, MilliSuns: 1,
	}}
	assigned := types.PlacementID{Tenant: tenant, Number: 2, Generation: 1}
	authority := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	testkit.FuzzMsg(f, []sdk.Msg{
		&types.MsgCreateLease{
			Tenant: tenant, Image: image, Demand: &demand, Replicas: 2, MaxPrice: 10_000, Deposit: testkit.Coin(1_000_000),
			Rules: types.PlacementRules{
				Countries: []string{"TW"}, Zones: []string{"home"}, Architectures: []string{"amd64"}, SpreadOperators: true,
				Avoid: []sunstypes.NodeID{{Operator: node.Operator, Number: 2}}, Node: &node,
			},
			Args: []string{"--serve"}, Env: []types.EnvVar{{Name: "A", Value: "1"}},
		},
		&types.MsgFundLease{Funder: tenant, Tenant: tenant, Number: 1, Amount: testkit.Coin(1_000)},
		&types.MsgUpdateLease{Tenant: tenant, Number: 1, Replicas: 2, Demand: &demand, Image: image, MaxPrice: 20_000},
		&types.MsgCloseLease{Tenant: tenant, Number: 1},
		&types.MsgStartPlacement{Agent: agent, ID: assigned, Endpoints: []types.Endpoint{
			{Name: "http", Protocol: "http", Address: "127.0.0.1:8080", ContainerPort: 80},
		}},
		&types.MsgRejectPlacement{Agent: agent, ID: assigned, Reason: "no disk"},
		&types.MsgMigratePlacement{Tenant: tenant, Number: 1},
		&types.MsgUpdateParams{Authority: authority, Params: testParams()},
		&types.MsgRetryQuarantined{Authority: authority, Number: 1},
		&types.MsgRequestSnapshot{Tenant: tenant, Number: 1},
		&types.MsgRecordSnapshot{
			Agent: agent, Placement: types.PlacementID{Tenant: tenant, Number: 1, Generation: 1}, Digest: contentOf("fuzzed"),
			SizeBytes: 1, TakenMs: 2_000,
		},
		&types.MsgRemoveSnapshot{Tenant: tenant, Number: 1, Sequence: 1},
		&types.MsgRestoreSnapshot{Tenant: tenant, Number: 1, Sequence: 2},
	}, func(t *testing.T) testkit.FuzzTarget {
		chain := newFixture(t)
		chain.addNode(nodeSpec{operator: "op"})
		chain.addNode(nodeSpec{operator: "spare", ask: 2 * ask})
		chain.run()
		chain.lease()
		chain.lease(func(m *types.MsgCreateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: 64_000} })
		chain.NextBlock(time.Second)
		running := chain.placement(types.LeaseID{Tenant: tenant, Number: 1})
		chain.record(running, "a")
		chain.record(running, "b")
		return testkit.FuzzTarget{Fixture: chain.Fixture, Register: func(router grpc.Server) {
			types.RegisterMsgServer(router, chain.msgs)
		}}
	})
}
