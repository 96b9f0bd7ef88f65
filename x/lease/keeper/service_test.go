package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func (f *fixture) services(node sunstypes.NodeID) []types.Service {
	f.T.Helper()
	key, err := node.Key()
	require.NoError(f.T, err)
	record, err := f.k.Services.Get(f.Ctx, key)
	if err != nil {
		require.ErrorIs(f.T, err, collections.ErrNotFound)
	}
	return record.Services
}

// A placement stands in its node's record from its first attestation until it is settled.
func TestNodeRecordHoldsWhatIsAttestedAndNotSettled(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	require.Empty(t, f.services(node), "a start does not write it")
	f.serve(id, 75*time.Second)
	services := f.services(node)
	require.Len(t, services, 1)
	require.EqualValues(t, 75_000, services[0].ServedMs)
	require.Len(t, services[0].Spans, 1, "the first hour is settled")
	require.EqualValues(t, 15_000, services[0].Spans[0].AttestedMs)
	require.EqualValues(t, 15_000, f.get(id).Placements[0].Billing.Spans[0].AttestedMs, "a query shows it")

	f.close(id)
	f.NextBlock(time.Second)
	require.NotZero(t, f.services(node)[0].EndedMs)
	f.Advance(15*time.Second, 5*time.Second)
	require.Empty(t, f.services(node))
	requireInt(t, 67, f.get(id).Lease.Money.Totals.PaidOperators)
}

// What finds no room in its node's record is attested and paid just the same.
func TestPlacementWithoutRoomInItsNodesRecordIsPaid(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.fillRecord(node)
	f.broken = true // the invariant notices what fills the record
	p := f.placement(id)
	for range 6 {
		f.Ctx = f.Ctx.WithBlockTime(f.Ctx.BlockTime().Add(10 * time.Second))
		require.NoError(t, f.suns.BeginBlock(f.Ctx))
		credited, err := f.attest(p, 10*time.Second)
		require.NoError(t, err)
		require.EqualValues(t, 10_000, credited)
	}
	require.Len(t, f.services(node), types.MaxNodeServices)
	require.EqualValues(t, 60_000, f.get(id).Placements[0].Billing.Spans[0].AttestedMs)
}

// fillRecord puts as many services of others into a node's record as it takes.
func (f *fixture) fillRecord(node sunstypes.NodeID) {
	f.T.Helper()
	key, err := node.Key()
	require.NoError(f.T, err)
	var record types.NodeServices
	for i := range types.MaxNodeServices {
		record.Services = append(record.Services, types.Service{Placement: types.NewPlacementRef(
			collections.Join4(sdk.AccAddress("stranger"), uint64(i+1), uint32(0), uint64(1)))})
	}
	require.NoError(f.T, f.k.Services.Set(f.Ctx, key, record))
}

// A record and a billing that disagree are an error that sets the placement aside, never a panic or a payment.
func TestRecordThatDisagreesIsAnError(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.serve(id, 20*time.Second)
	key, err := node.Key()
	require.NoError(t, err)
	record, err := f.k.Services.Get(f.Ctx, key)
	require.NoError(t, err)
	record.Services[0].Spans = nil
	require.NoError(t, f.k.Services.Set(f.Ctx, key, record))
	require.ErrorIs(t, f.k.AllInvariants(f.Ctx), types.ErrInvariantBroken)
	_, err = f.query.Lease(f.Ctx, &types.QueryLeaseRequest{Tenant: id.Tenant, Number: id.Number})
	require.ErrorContains(t, err, "open hours differ")
}

// The order of a record is that of the placements' keys in the store, whatever the length of an address.
func TestRecordsAreOrderedAsTheStoreIs(t *testing.T) {
	keys := []types.PlacementKey{
		collections.Join4(sdk.AccAddress("a"), uint64(9), uint32(9), uint64(9)),
		collections.Join4(sdk.AccAddress("b"), uint64(1), uint32(0), uint64(1)),
		collections.Join4(sdk.AccAddress("aa"), uint64(1), uint32(0), uint64(1)),
		collections.Join4(sdk.AccAddress("aa"), uint64(1), uint32(0), uint64(300)),
		collections.Join4(sdk.AccAddress("aa"), uint64(1), uint32(2), uint64(1)),
		collections.Join4(sdk.AccAddress("aa"), uint64(256), uint32(0), uint64(1)),
	}
	for i := 1; i < len(keys); i++ {
		require.Negative(t, types.NewPlacementRef(keys[i-1]).Compare(types.NewPlacementRef(keys[i])))
		before, err := collections.EncodeKeyWithPrefix(nil, types.PlacementKeyCodec, keys[i-1])
		require.NoError(t, err)
		after, err := collections.EncodeKeyWithPrefix(nil, types.PlacementKeyCodec, keys[i])
		require.NoError(t, err)
		require.Less(t, string(before), string(after))
		require.Equal(t, keys[i], types.NewPlacementRef(keys[i]).Key())
	}
}
