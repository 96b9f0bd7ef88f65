package simulation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/simulation"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// chain is a small chain whose accounts are tenants, operators and agents at once.
type chain struct {
	*testkit.Fixture
	suns     *sunskeeper.Keeper
	images   uaikeeper.Keeper
	leases   *keeper.Keeper
	accounts []simtypes.Account
}

func newChain(t *testing.T, r *rand.Rand) *chain {
	t.Helper()
	f := testkit.New(t, testkit.Options{
		StoreKeys: []string{sunstypes.StoreKey, uaitypes.StoreKey, types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){
			sunstypes.RegisterInterfaces, uaitypes.RegisterInterfaces, types.RegisterInterfaces,
		},
	})
	authority := f.Authority.String()
	c := &chain{Fixture: f, accounts: simtypes.RandomAccounts(r, 8)}
	c.suns = sunskeeper.NewKeeper(f.Codec, f.Store(sunstypes.StoreKey), f.Accounts, f.Bank, authority)
	c.images = uaikeeper.NewKeeper(f.Codec, f.Store(uaitypes.StoreKey), f.Bank, c.suns, authority)
	c.leases = keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), authority, c.suns, c.images, f.Bank, f.Accounts)
	c.suns.SetHooks(c.leases.SunsHooks())

	sunsGenesis := sunstypes.DefaultGenesis()
	sunsGenesis.Params.MaxGap = time.Hour
	require.NoError(t, c.suns.InitGenesis(f.Ctx, sunsGenesis))
	require.NoError(t, c.images.InitGenesis(f.Ctx, *uaitypes.DefaultGenesis()))
	state := module.SimulationState{Rand: r, Cdc: f.Codec, GenState: map[string]json.RawMessage{}}
	simulation.RandomizedGenState(&state)
	var genesis types.GenesisState
	f.Codec.MustUnmarshalJSON(state.GenState[types.ModuleName], &genesis)
	require.NoError(t, c.leases.InitGenesis(f.Ctx, genesis))

	f.OnBeginBlock(c.suns.BeginBlock)
	f.OnEndBlock(c.leases.EndBlocker, c.suns.EndBlock)
	f.OnBlockDone(c.leases.AllInvariants, c.suns.AllInvariants, c.nothingQuarantined)
	for i, account := range c.accounts {
		f.Fund(account.Address, 100_000_000_000)
		c.publish(account, uint64(i)*1_000)
	}
	f.BeginBlock()
	for i, account := range c.accounts {
		c.register(account, c.accounts[(i+1)%len(c.accounts)])
	}
	return c
}

func (c *chain) nothingQuarantined(ctx context.Context) error {
	items, _, err := c.leases.Quarantine.Export(ctx)
	if err == nil && len(items) > 0 {
		err = fmt.Errorf("quarantined: %v", items)
	}
	return err
}

func (c *chain) publish(owner simtypes.Account, royalty uint64) {
	c.T.Helper()
	require.NoError(c.T, c.images.Publish(c.Ctx, uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: owner.Address.String(), Name: "web", Tag: "1", Digest: fmt.Sprintf("sha256:%x", testkit.Digest("web")),
		SizeBytes: 1, Platforms: []string{"linux/amd64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 500}, Royalty: royalty,
	}, 1)))
}

// register makes an operator's node, served by another account.
func (c *chain) register(operator, agent simtypes.Account) {
	c.T.Helper()
	signature, err := agent.PrivKey.Sign(sunstypes.AgentSignBytes(testkit.ChainID, operator.Address.String(), 1))
	require.NoError(c.T, err)
	bundle := sunstypes.DefaultParams().Bundle
	capacity := sunstypes.ResourcesOf(bundle, 8_000)
	milli, _ := sunstypes.CapacityMilliSuns(bundle, capacity)
	_, err = sunskeeper.NewMsgServer(c.suns).RegisterNode(c.Ctx, &sunstypes.MsgRegisterNode{
		Operator: operator.Address.String(), Number: 1, Moniker: "node", AskPrice: 3_600, Country: "TW",
		Bond: testkit.Coin(10_000_000), AgentPubKey: agent.PubKey.Bytes(), AgentSignature: signature,
		Report: sunstypes.BenchmarkReport{
			Version: 1, Digest: testkit.Digest("report"), Architecture: "amd64", Capacity: capacity, MilliSuns: milli,
		},
	})
	require.NoError(c.T, err)
}

// Whatever the factories make, the chain accepts, and whatever comes of it, the invariants hold: thousands of messages in
// random order, with blocks that are seconds to minutes apart, nodes that fall silent and placements that are half served.
func TestFactoriesMakeValidMessages(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	c := newChain(t, r)
	k := c.leases
	server := keeper.NewMsgServer(k)
	create, start := simulation.MsgCreateLeaseFactory(k, c.images, c.suns), simulation.MsgStartPlacementFactory(k, c.suns)
	factories := []simsx.SimMsgFactoryX{
		create, create, create, start, start, start, start, simulation.MsgFundLeaseFactory(k), simulation.MsgUpdateLeaseFactory(k),
		simulation.MsgCloseLeaseFactory(k), simulation.MsgRejectPlacementFactory(k, c.suns), simulation.MsgMigratePlacementFactory(k),
		simulation.MsgUpdateParamsFactory(), simulation.MsgRequestSnapshotFactory(k),
		simulation.MsgRecordSnapshotFactory(k, c.suns), simulation.MsgRecordSnapshotFactory(k, c.suns),
		simulation.MsgRemoveSnapshotFactory(k), simulation.MsgRestoreSnapshotFactory(k),
	}
	delivered := map[string]int{}
	for range 150 {
		for range 6 {
			data := simsx.NewChainDataSource(c.Ctx, r, c.Accounts, c.Bank,
				addresscodec.NewBech32Codec(sunstypes.Bech32Prefix), c.accounts...)
			factory := factories[r.Intn(len(factories))]
			reporter := simsx.NewBasicSimulationReporter()
			_, msg := factory.Create()(c.Ctx, data, reporter)
			if reporter.IsSkipped() {
				delivered["skipped"]++
				continue
			}
			_, err := c.Deliver(func(ctx sdk.Context) error { return deliver(ctx, server, msg) })
			require.NoError(t, err, "%v", msg)
			delivered[sdk.MsgTypeURL(msg)]++
		}
		c.serveSome(r)
		c.NextBlock(time.Duration(1+r.Intn(300)) * time.Second)
	}
	for _, msg := range []sdk.Msg{
		&types.MsgCreateLease{}, &types.MsgFundLease{}, &types.MsgUpdateLease{}, &types.MsgCloseLease{},
		&types.MsgStartPlacement{}, &types.MsgRejectPlacement{}, &types.MsgMigratePlacement{}, &types.MsgUpdateParams{},
		&types.MsgRequestSnapshot{}, &types.MsgRecordSnapshot{}, &types.MsgRemoveSnapshot{}, &types.MsgRestoreSnapshot{},
	} {
		require.Greater(t, delivered[sdk.MsgTypeURL(msg)], 10, "%s of %v", sdk.MsgTypeURL(msg), delivered)
	}
	require.Positive(t, c.ModuleBalance(types.AuditPoolName))
	c.requireExportable()
}

// serveSome attests some of the placements, and lets some nodes be heard of.
func (c *chain) serveSome(r *rand.Rand) {
	c.T.Helper()
	now, err := c.suns.NowMs(c.Ctx)
	require.NoError(c.T, err)
	var running []types.Placement
	require.NoError(c.T, c.leases.Placements.Walk(c.Ctx, nil, func(_ types.PlacementKey, p types.Placement) (bool, error) {
		if p.StartedMs != 0 && r.Intn(10) > 0 {
			running = append(running, p)
		}
		return false, nil
	}))
	for _, p := range running {
		_, err := c.Deliver(func(ctx sdk.Context) error {
			key, err := p.ID.Key()
			if err != nil {
				return err
			}
			_, err = c.leases.CreditServices(ctx, p.Node, []types.Claim{
				{Placement: key, ServedMs: uint64(r.Int63n(int64(now-p.StartedMs) + 1))},
			})
			return err
		})
		require.NoError(c.T, err)
	}
	for _, account := range c.accounts {
		if r.Intn(20) > 0 {
			require.NoError(c.T, c.suns.RecordCheckIn(c.Ctx, sunstypes.NewNodeID(account.Address, 1)))
		}
	}
}

// requireExportable says that what the messages made is a valid genesis.
func (c *chain) requireExportable() {
	c.T.Helper()
	genesis, err := c.leases.ExportGenesis(c.Ctx)
	require.NoError(c.T, err)
	require.NotEmpty(c.T, genesis.Leases)
	require.NoError(c.T, genesis.Validate())
}

func deliver(ctx context.Context, server types.MsgServer, msg sdk.Msg) error {
	var err error
	switch m := msg.(type) {
	case *types.MsgCreateLease:
		_, err = server.CreateLease(ctx, m)
	case *types.MsgFundLease:
		_, err = server.FundLease(ctx, m)
	case *types.MsgUpdateLease:
		_, err = server.UpdateLease(ctx, m)
	case *types.MsgCloseLease:
		_, err = server.CloseLease(ctx, m)
	case *types.MsgStartPlacement:
		_, err = server.StartPlacement(ctx, m)
	case *types.MsgRejectPlacement:
		_, err = server.RejectPlacement(ctx, m)
	case *types.MsgMigratePlacement:
		_, err = server.MigratePlacement(ctx, m)
	case *types.MsgRequestSnapshot:
		_, err = server.RequestSnapshot(ctx, m)
	case *types.MsgRecordSnapshot:
		_, err = server.RecordSnapshot(ctx, m)
	case *types.MsgRemoveSnapshot:
		_, err = server.RemoveSnapshot(ctx, m)
	case *types.MsgRestoreSnapshot:
		_, err = server.RestoreSnapshot(ctx, m)
	case *types.MsgUpdateParams:
		_, err = server.UpdateParams(ctx, m)
	default:
		err = fmt.Errorf("no factory makes %T", msg)
	}
	return err
}

func TestRandomParamsAreValid(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 1_000 {
		require.NoError(t, simulation.RandomParams(r).Validate())
	}
}
