package keeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const foreign = "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du"

// badAddresses are what no signer or tenant can be.
var badAddresses = map[string]string{
	"empty": "", "words": "tenant", "another chain's": foreign, "NUL": "isun\x00", "huge": strings.Repeat("q", 1<<16),
}

func TestCreateLease(t *testing.T) {
	f := newFixture(t)
	demand := sunstypes.Demand{GeneralMilliSuns: 1_500}
	msg := f.order(func(m *types.MsgCreateLease) {
		m.Demand, m.Replicas, m.Args = &demand, 2, []string{"serve"}
		m.Env = []types.EnvVar{{Name: "MODE", Value: "test"}}
		m.Rules = types.PlacementRules{Countries: []string{"TW"}, SpreadOperators: true}
	})
	response, events, err := call(f, f.msgs.CreateLease, msg)
	require.NoError(t, err)
	require.EqualValues(t, 1, response.Number)
	require.Equal(t, []types.EventLeaseCreated{{
		Tenant: f.tenant.String(), Number: 1, Image: f.image, Replicas: 2, MaxPrice: 10_000, Deposit: "100000",
	}}, testkit.EventsOf[types.EventLeaseCreated](t, events))

	require.Len(t, testkit.EventsOf[types.EventRequestQueued](t, events), 2)

	id := types.NewLeaseID(f.tenant, 1)
	lease, err := f.k.GetLease(f.Ctx, id)
	require.NoError(t, err)
	require.Equal(t, types.Lease{
		ID: id, Image: f.image, Demand: demand, Replicas: 2, Rules: msg.Rules, MaxPrice: 10_000, Args: msg.Args, Env: msg.Env,
		Status: types.LEASE_STATUS_ACTIVE, CreatedMs: f.now(), WaitingReplicas: 2, NextGeneration: 1, Revision: 1, SpecRevision: 1,
		ReconciledReplicas: 2, WaitDeadlineMs: f.now() + types.Ms(testParams().MaxWait),
	}, lease)
	require.EqualValues(t, tenantFunds-100_000, f.Balance(f.tenant))
	require.Zero(t, f.ModuleBalance(types.ModuleName), "credited at the block's end")

	events = f.NextBlock(time.Second)
	require.EqualValues(t, 100_000, f.ModuleBalance(types.ModuleName))
	postponed := testkit.EventsOf[types.EventRequestPostponed](t, events)
	require.Len(t, postponed, 2)
	require.NotEmpty(t, postponed[0].Reason)
}

func TestCreateLeaseTakesTheImagesDemand(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	require.Equal(t, sunstypes.Demand{GeneralMilliSuns: 1_000}, f.get(id).Lease.Lease.Demand)
}

// gpuDemand asks for devices beside 1 SUNS.
func gpuDemand(change func(*sunstypes.AcceleratorDemand)) func(*types.MsgCreateLease) {
	return func(m *types.MsgCreateLease) {
		d := sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 1_000}
		change(&d)
		m.Demand = &sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &d}
	}
}

func general(milliSuns uint64) func(*types.MsgCreateLease) {
	return func(m *types.MsgCreateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: milliSuns} }
}

func deposit(coin sdk.Coin) func(*types.MsgCreateLease) {
	return func(m *types.MsgCreateLease) { m.Deposit = coin }
}

// Of each bound the value that still passes and the first that does not. Bounds of lists and texts in full are in the tests
// of types; here each check is seen to be made.
func TestCreateLeaseRefusals(t *testing.T) {
	big := func(change func(*types.MsgCreateLease)) func(*types.MsgCreateLease) {
		return func(m *types.MsgCreateLease) { m.Deposit = testkit.Coin(tenantFunds); change(m) }
	}
	cases := []struct {
		name   string
		change func(*types.MsgCreateLease)
		err    error
	}{
		{"one replica", func(m *types.MsgCreateLease) { m.Replicas = 1 }, nil},
		{"no replica", func(m *types.MsgCreateLease) { m.Replicas = 0 }, types.ErrInvalidReplicas},
		{"most replicas", big(func(m *types.MsgCreateLease) { m.Replicas = 100 }), nil},
		{"too many replicas", big(func(m *types.MsgCreateLease) { m.Replicas = 101 }), types.ErrInvalidReplicas},
		{"replicas beyond counting", func(m *types.MsgCreateLease) { m.Replicas = ^uint32(0) }, types.ErrInvalidReplicas},

		{"the image's demand", general(1_000), nil},
		{"below the image's demand", general(999), types.ErrInvalidDemand},
		{"no demand", general(0), types.ErrInvalidDemand},
		{"most demand", general(sunstypes.MaxNodeMilliSuns), nil},
		{"too much demand", general(sunstypes.MaxNodeMilliSuns + 1), types.ErrInvalidDemand},
		{"demand beyond counting", general(^uint64(0)), types.ErrInvalidDemand},
		{"a device", gpuDemand(func(*sunstypes.AcceleratorDemand) {}), nil},
		{"most devices", gpuDemand(func(d *sunstypes.AcceleratorDemand) { d.Count = sunstypes.MaxDemandDevices }), nil},
		{"too many devices", gpuDemand(func(d *sunstypes.AcceleratorDemand) { d.Count = sunstypes.MaxDemandDevices + 1 }), types.ErrInvalidDemand},
		{"no device", gpuDemand(func(d *sunstypes.AcceleratorDemand) { d.Count = 0 }), types.ErrInvalidDemand},
		{"unknown kind", gpuDemand(func(d *sunstypes.AcceleratorDemand) { d.Kind = "abacus" }), types.ErrInvalidDemand},
		{"model too long", gpuDemand(func(d *sunstypes.AcceleratorDemand) { d.Model = strings.Repeat("m", 65) }), types.ErrInvalidDemand},

		{"least cap", func(m *types.MsgCreateLease) { m.MaxPrice = 1 }, nil},
		{"no cap", func(m *types.MsgCreateLease) { m.MaxPrice = 0 }, types.ErrInvalidPrice},
		{"cap too high", func(m *types.MsgCreateLease) { m.MaxPrice = types.MaxPrice + 1 }, types.ErrInvalidPrice},
		{"cap beyond counting", func(m *types.MsgCreateLease) { m.MaxPrice = ^uint64(0) }, types.ErrInvalidPrice},
		{"highest cap with too little", func(m *types.MsgCreateLease) { m.MaxPrice = types.MaxPrice }, types.ErrDepositTooSmall},

		{"a deposit of exactly a period", func(m *types.MsgCreateLease) { m.MaxPrice, m.Replicas, m.Deposit = ask, 2, testkit.Coin(120) }, nil},
		{"one less", func(m *types.MsgCreateLease) { m.MaxPrice, m.Replicas, m.Deposit = ask, 2, testkit.Coin(119) }, types.ErrDepositTooSmall},
		{"no deposit", deposit(testkit.Coin(0)), types.ErrInvalidAmount},
		{"a negative deposit", deposit(sdk.Coin{Denom: sunstypes.BaseDenom, Amount: math.NewInt(-5)}), types.ErrInvalidAmount},
		{"an unset deposit", deposit(sdk.Coin{}), types.ErrInvalidAmount},
		{"other coins", deposit(sdk.NewInt64Coin("uatom", 100_000)), types.ErrInvalidAmount},
		{"all that one has", deposit(testkit.Coin(tenantFunds)), nil},
		{"more than one has", deposit(testkit.Coin(tenantFunds + 1)), sdkerrors.ErrInsufficientFunds},
		{"the most there may be, which nobody has", deposit(sdk.NewCoin(sunstypes.BaseDenom, types.MaxAmount)), sdkerrors.ErrInsufficientFunds},
		{"above it", deposit(sdk.NewCoin(sunstypes.BaseDenom, types.MaxAmount.AddRaw(1))), types.ErrInvalidAmount},
		{"beyond counting", deposit(sdk.NewCoin(sunstypes.BaseDenom, math.NewIntWithDecimal(1, 77))), types.ErrInvalidAmount},

		{"unknown image", func(m *types.MsgCreateLease) { m.Image = strings.Replace(m.Image, "web", "other", 1) }, uaitypes.ErrImageNotFound},
		{"no image", func(m *types.MsgCreateLease) { m.Image = "" }, uaitypes.ErrInvalidImageID},
		{"huge image", func(m *types.MsgCreateLease) { m.Image = strings.Repeat("x", 1<<16) }, uaitypes.ErrInvalidImageID},
		{"too many zones", func(m *types.MsgCreateLease) { m.Rules.Zones = make([]string, types.MaxListed+1) }, types.ErrInvalidRules},
		{"an architecture the image has not", func(m *types.MsgCreateLease) { m.Rules.Architectures = []string{"arm64"} }, types.ErrInvalidRules},
		{"too many arguments", func(m *types.MsgCreateLease) { m.Args = make([]string, types.MaxArgs+1) }, types.ErrInvalidSpec},
		{"variable without name", func(m *types.MsgCreateLease) { m.Env = []types.EnvVar{{Value: "x"}} }, types.ErrInvalidSpec},
	}
	for name, address := range badAddresses {
		cases = append(cases, struct {
			name   string
			change func(*types.MsgCreateLease)
			err    error
		}{"tenant: " + name, func(m *types.MsgCreateLease) { m.Tenant = address }, types.ErrInvalidID})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			_, err := f.msgs.CreateLease(f.Ctx, f.order(tc.change))
			require.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				f.NextBlock(time.Second)
			}
		})
	}
}

func TestLeastDemand(t *testing.T) {
	for milliSuns, want := range map[uint64]error{250: nil, 249: types.ErrInvalidDemand} {
		f := newFixture(t, func(p *types.Params) { p.MinDemandMilliSuns = 250 })
		f.image = f.publish("tiny", 0, sunstypes.Demand{GeneralMilliSuns: 10})
		require.ErrorIs(t, deliver(f, f.msgs.CreateLease, f.order(general(milliSuns))), want)
	}
}

func TestCapBelowTheRoyaltyIsRefused(t *testing.T) {
	for maxPrice, want := range map[uint64]error{600: nil, 599: types.ErrInvalidPrice} {
		f := newFixture(t)
		f.image = f.publish("paid", 600, sunstypes.Demand{GeneralMilliSuns: 1_000})
		require.ErrorIs(t, deliver(f, f.msgs.CreateLease,
			f.order(func(m *types.MsgCreateLease) { m.MaxPrice = maxPrice })), want)
	}
}

// deprecate ends new leases of an image, as its owner would.
func (f *fixture) deprecate(ref string) {
	f.T.Helper()
	image, err := f.images.GetImage(f.Ctx, ref)
	require.NoError(f.T, err)
	_, err = f.Deliver(func(ctx sdk.Context) error {
		_, err := uaikeeper.NewMsgServer(f.images).DeprecateImage(ctx, &uaitypes.MsgDeprecateImage{Owner: image.Owner, Image: ref})
		return err
	})
	require.NoError(f.T, err)
}

func TestDeprecatedImageTakesNoNewLeases(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	old := f.image
	newer := f.publish("web2", 0, sunstypes.Demand{GeneralMilliSuns: 1_000})
	f.deprecate(old)
	require.ErrorIs(t, deliver(f, f.msgs.CreateLease, f.order()), types.ErrImageUnavailable)

	// A lease that has it goes on, scales and comes back from a failure, but none changes to it.
	f.update(id, replicas(2))
	f.NextBlock(time.Second)
	require.Len(t, f.live(id), 2)
	other := f.lease(func(m *types.MsgCreateLease) { m.Image = newer })
	require.ErrorIs(t, deliver(f, f.msgs.UpdateLease,
		&types.MsgUpdateLease{Tenant: other.Tenant, Number: other.Number, Image: old}), types.ErrImageUnavailable)
}

func TestUpdateParams(t *testing.T) {
	f := newFixture(t)
	params := testParams()
	params.RetryFee = 11
	_, events, err := call(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	require.Equal(t, []types.EventParamsUpdated{{Authority: f.Authority.String()}},
		testkit.EventsOf[types.EventParamsUpdated](t, events))
	stored, err := f.k.Params.Get(f.Ctx)
	require.NoError(t, err)
	require.Equal(t, params, stored)

	for name, authority := range badAddresses {
		require.ErrorIs(t, deliver(f, f.msgs.UpdateParams,
			&types.MsgUpdateParams{Authority: authority, Params: params}), types.ErrUnauthorized, name)
	}
	require.ErrorIs(t, deliver(f, f.msgs.UpdateParams,
		&types.MsgUpdateParams{Authority: f.tenant.String(), Params: params}), types.ErrUnauthorized)
	require.ErrorIs(t, deliver(f, f.msgs.UpdateParams,
		&types.MsgUpdateParams{Authority: f.Authority.String()}), types.ErrInvalidParams)
	params.Budgets.Matches = types.MaxBudget + 1
	require.ErrorIs(t, deliver(f, f.msgs.UpdateParams,
		&types.MsgUpdateParams{Authority: f.Authority.String(), Params: params}), types.ErrInvalidParams)
	require.Equal(t, f.Authority.String(), f.k.GetAuthority())
}

func TestKeeperNeedsItsAccountsAndOneSetOfHooks(t *testing.T) {
	f := newFixture(t)
	require.Panics(t, func() { f.k.SetHooks(f) })
	bare := testkit.New(t, testkit.Options{StoreKeys: []string{types.StoreKey}})
	require.Panics(t, func() {
		keeper.NewKeeper(bare.Codec, bare.Store(types.StoreKey), "", f.suns, f.images, bare.Bank, noAccounts{})
	})
}

type noAccounts struct{}

// GetModuleAddress implements types.AccountKeeper.
func (noAccounts) GetModuleAddress(string) sdk.AccAddress { return nil }
