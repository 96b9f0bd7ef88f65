package typedevent_test

import (
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// requireAsSDK says that an event comes out as the SDK would have made it, and can be read back.
func requireAsSDK(t testing.TB, event proto.Message) {
	t.Helper()
	want, err := sdk.TypedEventToEvent(event)
	require.NoError(t, err)
	manager := sdk.NewEventManager()
	require.NoError(t, typedevent.Emit(sdk.Context{}.WithEventManager(manager), event))
	require.Equal(t, sdk.Events{want}, manager.Events())
}

func TestEventsAreThoseOfTheSDK(t *testing.T) {
	for _, event := range []proto.Message{
		&leasetypes.EventLeaseCreated{Tenant: "isun1tenant", Number: 1<<64 - 1, Image: "a/b:1", Replicas: 7, MaxPrice: 5, Deposit: "9"},
		&leasetypes.EventLeaseCreated{},
		&leasetypes.EventPlacementEnded{Tenant: "isun1tenant", Reason: leasetypes.END_REASON_NODE_SILENT, EndedMs: 3},
		&leasetypes.EventPlacementMatched{Replica: 1<<32 - 1, Operator: "o", Node: 2},
		&leasetypes.EventItemQuarantined{Error: "quotes \" and \\, <tags> & ampersands,\nlines, \x00, \u2028 and \xff"},
		&sunstypes.EventParamsUpdated{Authority: "gov"},
		&audittypes.EventUsageAttested{Operator: "o", Node: 1, Sequence: 2, Entries: 3, CreditedMs: 4},
		&uaitypes.EventImagePublished{},
		// Not ours, and with a list: the SDK writes it.
		&banktypes.MsgSend{FromAddress: "a", Amount: sdk.NewCoins(sdk.NewInt64Coin("uisc", 1))},
	} {
		requireAsSDK(t, event)
	}
}

func FuzzEventIsThatOfTheSDK(f *testing.F) {
	f.Add("isun1tenant", uint64(7), uint32(1), "reason")
	f.Add("\xf0\x28\x8c\x28", ^uint64(0), ^uint32(0), "<\u2029>\t")
	f.Fuzz(func(t *testing.T, tenant string, number uint64, replica uint32, reason string) {
		requireAsSDK(t, &leasetypes.EventPlacementRejected{
			Tenant: tenant, Number: number, Replica: replica, Generation: number, Reason: reason,
		})
	})
}

func BenchmarkEmit(b *testing.B) {
	event := &leasetypes.EventPlacementMatched{
		Tenant: "isun1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", Number: 1, Operator: "isun1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
		Node: 1, Price: 3_600, MilliSuns: 1_000,
	}
	for name, emit := range map[string]func(sdk.Context) error{
		"ours": func(ctx sdk.Context) error { return typedevent.Emit(ctx, event) },
		"sdk":  func(ctx sdk.Context) error { return ctx.EventManager().EmitTypedEvent(event) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := emit(sdk.Context{}.WithEventManager(sdk.NewEventManager())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
