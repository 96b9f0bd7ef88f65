package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func TestFundLease(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	response, events, err := call(f, f.msgs.FundLease, &types.MsgFundLease{
		Funder: f.tenant.String(), Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(5),
	})
	require.NoError(t, err)
	requireInt(t, 100_005, response.Balance)
	require.Equal(t, []types.EventLeaseFunded{{Tenant: id.Tenant, Number: 1, Funder: f.tenant.String(), Amount: "5"}},
		testkit.EventsOf[types.EventLeaseFunded](t, events))
	require.EqualValues(t, tenantFunds-100_005, f.Balance(f.tenant))
	f.NextBlock(time.Second)
	require.EqualValues(t, 100_005, f.ModuleBalance(types.ModuleName))
}

func TestFundLeaseRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*types.MsgFundLease)
		err    error
	}{
		{"all one has", func(m *types.MsgFundLease) { m.Amount = testkit.Coin(tenantFunds - 100_000) }, nil},
		{"one more", func(m *types.MsgFundLease) { m.Amount = testkit.Coin(tenantFunds - 99_999) }, sdkerrors.ErrInsufficientFunds},
		{"least", func(m *types.MsgFundLease) { m.Amount = testkit.Coin(1) }, nil},
		{"nothing", func(m *types.MsgFundLease) { m.Amount = testkit.Coin(0) }, types.ErrInvalidAmount},
		{"negative", func(m *types.MsgFundLease) { m.Amount.Amount = math.NewInt(-1) }, types.ErrInvalidAmount},
		{"unset", func(m *types.MsgFundLease) { m.Amount = sdk.Coin{} }, types.ErrInvalidAmount},
		{"other coins", func(m *types.MsgFundLease) { m.Amount.Denom = "uatom" }, types.ErrInvalidAmount},
		{"above the most", func(m *types.MsgFundLease) { m.Amount.Amount = types.MaxAmount.AddRaw(1) }, types.ErrInvalidAmount},
		{"unknown lease", func(m *types.MsgFundLease) { m.Number = 2 }, types.ErrLeaseNotFound},
		{"number beyond all", func(m *types.MsgFundLease) { m.Number = ^uint64(0) }, types.ErrLeaseNotFound},
		{"number 0", func(m *types.MsgFundLease) { m.Number = 0 }, types.ErrInvalidID},
		{"tenant without leases", func(m *types.MsgFundLease) { m.Tenant = testkit.Addr("nobody").String() }, types.ErrLeaseNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			id := f.lease()
			msg := &types.MsgFundLease{Funder: f.tenant.String(), Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(5)}
			tc.change(msg)
			require.ErrorIs(t, deliver(f, f.msgs.FundLease, msg), tc.err)
			f.NextBlock(time.Second)
		})
	}
	f := newFixture(t)
	id := f.lease()
	for name, address := range badAddresses {
		msg := types.MsgFundLease{Funder: f.tenant.String(), Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(5)}
		funder, tenant := msg, msg
		funder.Funder, tenant.Tenant = address, address
		require.ErrorIs(t, deliver(f, f.msgs.FundLease, &funder), types.ErrInvalidID, name)
		require.ErrorIs(t, deliver(f, f.msgs.FundLease, &tenant), types.ErrInvalidID, name)
	}
}

func TestUpdateLease(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	image := f.publish("web2", 0, sunstypes.Demand{GeneralMilliSuns: 700})
	response, events, err := call(f, f.msgs.UpdateLease, &types.MsgUpdateLease{
		Tenant: id.Tenant, Number: id.Number, Replicas: 3, Image: image, MaxPrice: 9_000,
		Demand: &sunstypes.Demand{GeneralMilliSuns: 800},
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, response.Revision)
	require.Equal(t, []types.EventLeaseUpdated{{Tenant: id.Tenant, Number: 1, Revision: 2}},
		testkit.EventsOf[types.EventLeaseUpdated](t, events))
	lease, err := f.k.GetLease(f.Ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 3, lease.Replicas)
	require.Equal(t, image, lease.Image)
	require.EqualValues(t, 9_000, lease.MaxPrice)
	require.EqualValues(t, 800, lease.Demand.GeneralMilliSuns)
	require.EqualValues(t, 2, lease.SpecRevision)

	f.update(id, func(m *types.MsgUpdateLease) { m.MaxPrice = 9_001 })
	lease, err = f.k.GetLease(f.Ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 3, lease.Revision)
	require.EqualValues(t, 2, lease.SpecRevision, "the cap alone replaces nothing")
	f.update(id, func(m *types.MsgUpdateLease) { m.Image, m.Demand = image, &sunstypes.Demand{GeneralMilliSuns: 800} })
	lease, err = f.k.GetLease(f.Ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 2, lease.SpecRevision, "the same image and demand replace nothing")
}

func TestUpdateLeaseRefusals(t *testing.T) {
	demand := func(milliSuns uint64) func(*fixture, *types.MsgUpdateLease) {
		return func(_ *fixture, m *types.MsgUpdateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: milliSuns} }
	}
	for _, tc := range []struct {
		name   string
		change func(*fixture, *types.MsgUpdateLease)
		err    error
	}{
		{"nothing", func(*fixture, *types.MsgUpdateLease) {}, types.ErrNothingToUpdate},
		{"most replicas", func(_ *fixture, m *types.MsgUpdateLease) { m.Replicas = 100 }, nil},
		{"too many replicas", func(_ *fixture, m *types.MsgUpdateLease) { m.Replicas = 101 }, types.ErrInvalidReplicas},
		{"replicas beyond counting", func(_ *fixture, m *types.MsgUpdateLease) { m.Replicas = ^uint32(0) }, types.ErrInvalidReplicas},
		{"highest cap", func(_ *fixture, m *types.MsgUpdateLease) { m.MaxPrice = types.MaxPrice }, nil},
		{"cap too high", func(_ *fixture, m *types.MsgUpdateLease) { m.MaxPrice = types.MaxPrice + 1 }, types.ErrInvalidPrice},
		{"the image's demand", demand(1_000), nil},
		{"below the image's demand", demand(999), types.ErrInvalidDemand},
		{"most demand", demand(sunstypes.MaxNodeMilliSuns), nil},
		{"too much demand", demand(sunstypes.MaxNodeMilliSuns + 1), types.ErrInvalidDemand},
		{"an empty demand", demand(0), types.ErrInvalidDemand},
		{"unknown image", func(_ *fixture, m *types.MsgUpdateLease) { m.Image = testkit.Addr("publisher").String() + "/no:1" }, uaitypes.ErrImageNotFound},
		{"no image's name", func(_ *fixture, m *types.MsgUpdateLease) { m.Image = "web" }, uaitypes.ErrInvalidImageID},
		{"an image that needs more", func(f *fixture, m *types.MsgUpdateLease) {
			m.Image = f.publish("big", 0, sunstypes.Demand{GeneralMilliSuns: 1_001})
		}, types.ErrInvalidDemand},
		{"an image that needs more, with more", func(f *fixture, m *types.MsgUpdateLease) {
			m.Image = f.publish("big", 0, sunstypes.Demand{GeneralMilliSuns: 1_001})
			m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_001}
		}, nil},
		{"an image whose royalty is above the cap", func(f *fixture, m *types.MsgUpdateLease) {
			m.Image = f.publish("dear", 10_001, sunstypes.Demand{GeneralMilliSuns: 1_000})
		}, types.ErrInvalidPrice},
		{"unknown lease", func(_ *fixture, m *types.MsgUpdateLease) { m.Number, m.Replicas = 2, 2 }, types.ErrLeaseNotFound},
		{"number 0", func(_ *fixture, m *types.MsgUpdateLease) { m.Number, m.Replicas = 0, 2 }, types.ErrInvalidID},
		{"another's lease", func(_ *fixture, m *types.MsgUpdateLease) { m.Tenant, m.Replicas = testkit.Addr("thief").String(), 2 }, types.ErrLeaseNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			id := f.lease()
			before := f.get(id)
			msg := &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number}
			tc.change(f, msg)
			require.ErrorIs(t, deliver(f, f.msgs.UpdateLease, msg), tc.err)
			if tc.err != nil {
				require.Equal(t, before, f.get(id))
			}
			f.NextBlock(time.Second)
		})
	}
	f := newFixture(t)
	for name, address := range badAddresses {
		require.ErrorIs(t, deliver(f, f.msgs.UpdateLease,
			&types.MsgUpdateLease{Tenant: address, Number: 1, Replicas: 2}), types.ErrInvalidID, name)
	}
}

// Rules bind an update too: the new image must run where the lease may.
// Governance tightens the bounds under an order: it may stay as it was, shrink or be repriced, and not grow.
func TestOlderOrdersKeepTheirBounds(t *testing.T) {
	demand := func(milliSuns uint64) *sunstypes.Demand { return &sunstypes.Demand{GeneralMilliSuns: milliSuns} }
	for _, tc := range []struct {
		name   string
		change types.MsgUpdateLease
		err    error
	}{
		{"fewer replicas", types.MsgUpdateLease{Replicas: 3}, nil},
		{"fewer replicas, within the new bounds", types.MsgUpdateLease{Replicas: 1}, nil},
		{"another cap", types.MsgUpdateLease{MaxPrice: 12_000}, nil},
		{"the same demand", types.MsgUpdateLease{Demand: demand(1_500)}, nil},
		{"more demand", types.MsgUpdateLease{Demand: demand(1_501)}, nil},
		{"less demand", types.MsgUpdateLease{Demand: demand(1_499)}, types.ErrInvalidDemand},
		{"more replicas", types.MsgUpdateLease{Replicas: 5}, types.ErrInvalidDemand},
		{"more replicas of the new least demand", types.MsgUpdateLease{Replicas: 5, Demand: demand(2_000)}, types.ErrInvalidReplicas},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			id := f.lease(func(m *types.MsgCreateLease) { m.Replicas, m.Demand = 4, demand(1_500) })
			params := testParams()
			params.MinDemandMilliSuns, params.MaxReplicas = 2_000, 2
			require.NoError(t, deliver(f, f.msgs.UpdateParams,
				&types.MsgUpdateParams{Authority: f.Authority.String(), Params: params}))
			tc.change.Tenant, tc.change.Number = id.Tenant, id.Number
			require.ErrorIs(t, deliver(f, f.msgs.UpdateLease, &tc.change), tc.err)
			f.NextBlock(time.Second)
			f.close(id)
			f.NextBlock(time.Second)
		})
	}
}

func TestUpdateToAnImageThatRunsNowhereAllowed(t *testing.T) {
	f := newFixture(t)
	id := f.lease(func(m *types.MsgCreateLease) { m.Rules.Architectures = []string{"amd64"} })
	arm := uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: testkit.Addr("publisher").String(), Name: "arm", Tag: "1", Digest: "sha256:" + hex(testkit.Digest("arm")),
		SizeBytes: 1, Platforms: []string{"linux/arm64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 1_000},
	}, 1)
	require.NoError(t, f.images.Publish(f.Ctx, arm))
	require.ErrorIs(t, deliver(f, f.msgs.UpdateLease,
		&types.MsgUpdateLease{Tenant: id.Tenant, Number: 1, Image: arm.Ref()}), types.ErrInvalidRules)
}

func TestCloseLease(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	_, events, err := call(f, f.msgs.CloseLease, &types.MsgCloseLease{Tenant: id.Tenant, Number: id.Number})
	require.NoError(t, err)
	closing := testkit.EventsOf[types.EventLeaseClosing](t, events)
	require.Len(t, closing, 1)
	lease := f.get(id).Lease.Lease
	require.Equal(t, types.LEASE_STATUS_CLOSING, lease.Status)
	require.Equal(t, f.now(), lease.ClosingMs)
	require.Equal(t, closing[0].Reason, lease.CloseReason)

	events = f.NextBlock(time.Second)
	require.Equal(t, []types.EventLeaseClosed{{Tenant: id.Tenant, Number: 1, Refunded: "100000"}},
		testkit.EventsOf[types.EventLeaseClosed](t, events))
	lease = f.get(id).Lease.Lease
	require.Equal(t, lease.ClosedMs+types.Ms(testParams().Retention), lease.PruneMs)
}

func TestCloseAndMigrateRefusals(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	for _, tc := range []struct {
		name   string
		tenant string
		number uint64
		err    error
	}{
		{"unknown", id.Tenant, 2, types.ErrLeaseNotFound},
		{"beyond all", id.Tenant, ^uint64(0), types.ErrLeaseNotFound},
		{"number 0", id.Tenant, 0, types.ErrInvalidID},
		{"another's", testkit.Addr("thief").String(), id.Number, types.ErrLeaseNotFound},
		{"no address", badAddresses["words"], id.Number, types.ErrInvalidID},
		{"huge address", badAddresses["huge"], id.Number, types.ErrInvalidID},
	} {
		require.ErrorIs(t, deliver(f, f.msgs.CloseLease,
			&types.MsgCloseLease{Tenant: tc.tenant, Number: tc.number}), tc.err, tc.name)
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: tc.tenant, Number: tc.number}), tc.err, tc.name)
	}
	for _, replica := range []uint32{1, ^uint32(0)} {
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number, Replica: replica}), types.ErrNothingToMigrate)
	}
	require.Len(t, f.live(id), 1)
}

func TestMigrateRefusals(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		f, _ := failoverFixture(t)
		id := f.run()
		f.migrate(id, 0)
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number}), types.ErrNothingToMigrate)
		f.NextBlock(time.Second)
		f.requireMoved(id, "spare")
	})
	t.Run("what waits", func(t *testing.T) {
		f := newFixture(t)
		id := f.lease()
		f.NextBlock(time.Second)
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number}), types.ErrNothingToMigrate)
	})
	t.Run("what drains already", func(t *testing.T) {
		f := newFixture(t)
		node := f.addNode(nodeSpec{operator: "op"})
		id := f.run()
		f.drain(node)
		f.NextBlock(time.Second)
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number}), types.ErrNothingToMigrate)
	})
	t.Run("bound to a node", func(t *testing.T) {
		f, node := failoverFixture(t)
		id := f.run(func(m *types.MsgCreateLease) { m.Rules.Node = &node })
		require.ErrorIs(t, deliver(f, f.msgs.MigratePlacement,
			&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number}), types.ErrNothingToMigrate)
	})
}
