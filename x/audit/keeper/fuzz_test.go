package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/grpc"

	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func FuzzMsg(f *testing.F) {
	authority := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	testkit.FuzzMsg(f, []sdk.Msg{
		&types.MsgAttestUsage{
			Agent: testkit.Addr("a agent").String(), Version: types.AttestationVersion, Sequence: 2,
			Entries: []types.UsageEntry{
				{
					ID:       leasetypes.PlacementID{Tenant: testkit.Addr("tenant").String(), Number: 1, Generation: 1},
					ServedMs: 5_000, CpuMs: 500, AcceleratorMs: 500, MemoryMiBSeconds: 500, BytesIn: 500, BytesOut: 500,
				},
				usage(2, 3_000),
			},
		},
		&types.MsgUpdateParams{Authority: authority, Params: types.DefaultParams()},
		&types.MsgRetryQuarantined{Authority: authority, Number: 1},
	}, func(t *testing.T) testkit.FuzzTarget {
		chain := newNodeChain(t)
		chain.register("a")
		chain.register("b")
		require.NoError(t, chain.attest("a", 1, usage(1, 10)))
		chain.FundModule(types.ModuleName, 1_000)
		chain.NextBlock(time.Hour)
		chain.NextBlock(time.Second)
		return testkit.FuzzTarget{Fixture: chain.Fixture, Register: func(router grpc.Server) {
			types.RegisterMsgServer(router, chain.usage)
		}}
	})
}
