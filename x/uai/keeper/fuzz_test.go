package keeper_test

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/grpc"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func FuzzMsg(f *testing.F) {
	publish := publishMsg(alice, "new", "1")
	publish.Demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: sunstypes.KindGPU, Model: "RTX 4090", Count: 1, MilliSuns: 1}
	publish.Health = &types.HealthCheck{
		Kind: types.HealthHTTP, Port: "web", Path: "/", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3, StartPeriodSeconds: 1,
	}
	publish.Volumes = []types.Volume{{Name: "data", Path: "/data", SizeMiB: 1}}
	publish.Reference = "docker.io/library/nginx"
	retired := sunstypes.NewNodeID(testkit.Addr("carol"), 2)
	authority := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	testkit.FuzzMsg(f, []sdk.Msg{
		publish,
		&types.MsgDeprecateImage{Owner: alice, Image: alice + "/web:1"},
		&types.MsgTransferImage{Owner: alice, Image: alice + "/web:1", NewOwner: bob},
		&types.MsgUpdateParams{Authority: authority, Params: types.DefaultParams()},
		&types.MsgSetAccess{
			Owner: alice, Image: alice + "/web:1", Restricted: true, Grant: []string{bob}, Revoke: []string{alice},
		},
		&types.MsgAnnounceHolding{Agent: testkit.Addr("agent of carol/1").String(), Digests: []string{digest("a"), digest("c")}},
		&types.MsgDropHolding{Agent: bob, Digests: []string{digest("b")}, Node: &retired},
		&types.MsgPutObject{Owner: alice, Name: "backups/db", Digest: digest("c"), SizeBytes: 1},
		&types.MsgRemoveObject{Owner: bob, Name: "backups/db"},
		&types.MsgSetKeyHolders{
			Owner: alice, Subject: "image/" + alice + "/web:1", Recipient: recipient, Threshold: 1,
			Shares:      []types.KeyShare{{Node: sunstypes.NewNodeID(testkit.Addr("carol"), 1), Index: 1, Sealed: []byte("sealed")}},
			Commitments: [][]byte{testkit.Digest("commitment")},
		},
	}, func(t *testing.T) testkit.FuzzTarget {
		chain := newFixture(t)
		chain.fillContent(chain.publish(alice, "web", "1"))
		chain.node("carol", 2, sunstypes.NODE_STATUS_RETIRED)
		return testkit.FuzzTarget{Fixture: chain.Fixture, Register: func(router grpc.Server) {
			types.RegisterMsgServer(router, chain.msg)
		}}
	})
}
