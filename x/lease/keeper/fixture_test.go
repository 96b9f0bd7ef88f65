package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	tenantFunds   = 1_000_000_000
	operatorFunds = 1_000_000_000
	// ask is every node's price unless a test says otherwise: with it a replica of 1 SUNS costs 3,600 uisc an hour, 1 uisc a
	// second.
	ask = 3_600
)

// fixture is a chain with x/suns, x/uai and x/lease. Every block ends with the invariants.
type fixture struct {
	*testkit.Fixture
	k      *keeper.Keeper
	suns   *sunskeeper.Keeper
	images uaikeeper.Keeper
	msgs   types.MsgServer
	tenant sdk.AccAddress
	query  types.QueryServer
	image  string
	served map[types.PlacementID]uint64
	// pruned are the placements the hooks were told of.
	pruned []types.PlacementID
	// refusePruned makes the hooks fail.
	refusePruned bool
	// broken lets a test have items set aside on purpose.
	broken bool
}

// AfterPlacementSettled implements types.Hooks.
func (f *fixture) AfterPlacementSettled(context.Context, types.PlacementKey, sunstypes.NodeID) error {
	return nil
}

// AfterPlacementPruned implements types.Hooks.
func (f *fixture) AfterPlacementPruned(_ context.Context, id types.PlacementID) error {
	if f.refusePruned {
		return errors.New("the module above fails")
	}
	f.pruned = append(f.pruned, id)
	return nil
}

// testParams have hours of a minute, so that worked examples fit in few blocks.
func testParams() types.Params {
	params := types.DefaultParams()
	params.BillingPeriod = time.Minute
	params.SettleGrace = 10 * time.Second
	params.StartDeadline = 20 * time.Second
	params.DrainGrace = 40 * time.Second
	params.TrialPeriod = 5 * time.Second
	params.MaxWait = 5 * time.Minute
	params.Retention = time.Hour
	params.RetryBackoffMin = 2 * time.Second
	params.RetryBackoffMax = 8 * time.Second
	params.NodeBackoffMin = 30 * time.Second
	params.RetryFee = 7
	return params
}

// newEmptyFixture is a chain whose modules have no state yet.
func newEmptyFixture(t *testing.T) *fixture {
	t.Helper()
	base := testkit.New(t, testkit.Options{
		StoreKeys: []string{sunstypes.StoreKey, uaitypes.StoreKey, types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){
			sunstypes.RegisterInterfaces, uaitypes.RegisterInterfaces, types.RegisterInterfaces,
		},
	})
	f := &fixture{Fixture: base, tenant: testkit.Addr("tenant"), served: map[types.PlacementID]uint64{}}
	authority := base.Authority.String()
	f.suns = sunskeeper.NewKeeper(base.Codec, base.Store(sunstypes.StoreKey), base.Accounts, base.Bank, authority)
	f.images = uaikeeper.NewKeeper(base.Codec, base.Store(uaitypes.StoreKey), base.Bank, f.suns, authority)
	f.k = keeper.NewKeeper(base.Codec, base.Store(types.StoreKey), authority, f.suns, f.images, base.Bank, base.Accounts)
	f.suns.SetHooks(f.k.SunsHooks())
	f.k.SetHooks(f)
	f.msgs, f.query = keeper.NewMsgServer(f.k), keeper.NewQueryServer(f.k)

	base.OnBeginBlock(f.suns.BeginBlock)
	base.OnEndBlock(f.k.EndBlocker, f.suns.EndBlock)
	base.OnBlockDone(f.k.AllInvariants, f.suns.AllInvariants, f.nothingQuarantined)
	return f
}

// newFixture is a chain with testParams, a tenant with money and an image, in its first block.
func newFixture(t *testing.T, change ...func(*types.Params)) *fixture {
	t.Helper()
	f := newEmptyFixture(t)
	sunsGenesis := sunstypes.DefaultGenesis()
	sunsGenesis.Params.SilenceLimit = 30 * time.Second
	require.NoError(t, f.suns.InitGenesis(f.Ctx, sunsGenesis))
	require.NoError(t, f.images.InitGenesis(f.Ctx, *uaitypes.DefaultGenesis()))
	params := testParams()
	for _, c := range change {
		c(&params)
	}
	require.NoError(t, f.k.InitGenesis(f.Ctx, types.GenesisState{Params: params}))
	f.Fund(f.tenant, tenantFunds)
	f.image = f.publish("web", 0, sunstypes.Demand{GeneralMilliSuns: 1_000})
	f.BeginBlock()
	return f
}

func (f *fixture) nothingQuarantined(ctx context.Context) error {
	items, _, err := f.k.Quarantine.Export(ctx)
	if err == nil && len(items) > 0 && !f.broken {
		err = fmt.Errorf("quarantined: %v", items)
	}
	return err
}

func (f *fixture) now() uint64 {
	f.T.Helper()
	now, err := f.suns.NowMs(f.Ctx)
	require.NoError(f.T, err)
	return now
}

// publish publishes an image and gives its name.
func (f *fixture) publish(name string, royalty uint64, demand sunstypes.Demand) string {
	f.T.Helper()
	image := uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: testkit.Addr("publisher").String(), Name: name, Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", testkit.Digest(name)), SizeBytes: 1, Platforms: []string{"linux/amd64"},
		Demand: demand, Licence: "MIT", Royalty: royalty,
	}, f.Ctx.BlockHeight())
	require.NoError(f.T, f.images.Publish(f.Ctx, image))
	return image.Ref()
}

// nodeSpec is a node to register; zero fields take what most tests want: 4 SUNS at ask.
type nodeSpec struct {
	operator string
	number   uint64
	suns     uint64
	ask      uint64
	country  string
	zone     string
	devices  []sunstypes.Accelerator
}

// addNode registers a node and gives its id. It can be matched in the block's end.
func (f *fixture) addNode(spec nodeSpec) sunstypes.NodeID {
	f.T.Helper()
	if spec.number == 0 {
		spec.number = 1
	}
	if spec.suns == 0 {
		spec.suns = 4
	}
	if spec.ask == 0 {
		spec.ask = ask
	}
	if spec.country == "" {
		spec.country = "TW"
	}
	operator := testkit.Addr(spec.operator)
	f.Fund(operator, operatorFunds)
	bundle := sunstypes.DefaultParams()
	capacity := sunstypes.ResourcesOf(bundle.Bundle, spec.suns*1_000)
	milli, _ := sunstypes.CapacityMilliSuns(bundle.Bundle, capacity)
	for _, device := range spec.devices {
		milli += sunstypes.AcceleratorMilliSuns(bundle.AcceleratorBundle, device)
	}
	agent := agentKey(spec.operator, spec.number)
	signature, err := agent.Sign(sunstypes.AgentSignBytes(testkit.ChainID, operator.String(), spec.number))
	require.NoError(f.T, err)
	_, err = f.Deliver(func(ctx sdk.Context) error {
		_, err := sunskeeper.NewMsgServer(f.suns).RegisterNode(ctx, &sunstypes.MsgRegisterNode{
			Operator: operator.String(), Number: spec.number, Moniker: "node", AskPrice: spec.ask, Country: spec.country,
			Zone: spec.zone, Bond: testkit.Coin(10_000_000), AgentPubKey: agent.PubKey().Bytes(), AgentSignature: signature,
			Report: sunstypes.BenchmarkReport{
				Version: 1, Digest: testkit.Digest("report"), Architecture: "amd64", Capacity: capacity,
				Accelerators: spec.devices, MilliSuns: milli,
			},
		})
		return err
	})
	require.NoError(f.T, err)
	return sunstypes.NewNodeID(operator, spec.number)
}

func agentKey(operator string, number uint64) *secp256k1.PrivKey {
	return testkit.Key(fmt.Sprintf("agent of %s/%d", operator, number))
}

// order is a lease of one replica of the fixture's image, with plenty of money.
func (f *fixture) order(change ...func(*types.MsgCreateLease)) *types.MsgCreateLease {
	msg := &types.MsgCreateLease{
		Tenant: f.tenant.String(), Image: f.image, Replicas: 1, MaxPrice: 10_000, Deposit: testkit.Coin(100_000),
	}
	for _, c := range change {
		c(msg)
	}
	return msg
}

// lease creates a lease.
func (f *fixture) lease(change ...func(*types.MsgCreateLease)) types.LeaseID {
	f.T.Helper()
	msg := f.order(change...)
	var number uint64
	_, err := f.Deliver(func(ctx sdk.Context) error {
		response, err := f.msgs.CreateLease(ctx, msg)
		if err == nil {
			number = response.Number
		}
		return err
	})
	require.NoError(f.T, err)
	return types.LeaseID{Tenant: msg.Tenant, Number: number}
}

// deliver runs a message's handler as a transaction.
func deliver[M, R any](f *fixture, handler func(context.Context, M) (R, error), msg M) error {
	_, _, err := call(f, handler, msg)
	return err
}

// call is deliver with the handler's response and events.
func call[M, R any](f *fixture, handler func(context.Context, M) (R, error), msg M) (response R, events sdk.Events, err error) {
	events, err = f.Deliver(func(ctx sdk.Context) error {
		response, err = handler(ctx, msg)
		return err
	})
	return response, events, err
}

func (f *fixture) close(id types.LeaseID) {
	f.T.Helper()
	require.NoError(f.T, deliver(f, f.msgs.CloseLease, &types.MsgCloseLease{Tenant: id.Tenant, Number: id.Number}))
}

// get is a lease with its money and placements.
func (f *fixture) get(id types.LeaseID) *types.QueryLeaseResponse {
	f.T.Helper()
	response, err := keeper.NewQueryServer(f.k).Lease(f.Ctx, &types.QueryLeaseRequest{Tenant: id.Tenant, Number: id.Number})
	require.NoError(f.T, err)
	return response
}

// live are a lease's placements that hold a node.
func (f *fixture) live(id types.LeaseID) []types.Placement {
	f.T.Helper()
	var live []types.Placement
	for _, p := range f.get(id).Placements {
		if p.Placement.Live() {
			live = append(live, p.Placement)
		}
	}
	return live
}

// placement is the only live placement of a lease.
func (f *fixture) placement(id types.LeaseID) types.Placement {
	f.T.Helper()
	live := f.live(id)
	require.Len(f.T, live, 1)
	return live[0]
}

// known is a placement with its money, settled or not.
func (f *fixture) known(id types.PlacementID) types.PlacementInfo {
	f.T.Helper()
	response, err := keeper.NewQueryServer(f.k).Placement(f.Ctx, &types.QueryPlacementRequest{
		Tenant: id.Tenant, Number: id.Number, Replica: id.Replica, Generation: id.Generation,
	})
	require.NoError(f.T, err)
	return response.Placement
}

func (f *fixture) agentOf(node sunstypes.NodeID) string {
	f.T.Helper()
	n, err := f.suns.GetNode(f.Ctx, node)
	require.NoError(f.T, err)
	return n.Agent
}

// start starts a placement as its node's agent.
func (f *fixture) start(p types.Placement) {
	f.T.Helper()
	require.NoError(f.T, deliver(f, f.msgs.StartPlacement, &types.MsgStartPlacement{Agent: f.agentOf(p.Node), ID: p.ID}))
}

// run creates a lease, has it matched and starts all its placements in the next block.
func (f *fixture) run(change ...func(*types.MsgCreateLease)) types.LeaseID {
	f.T.Helper()
	id := f.lease(change...)
	f.NextBlock(time.Second)
	live := f.live(id)
	require.NotEmpty(f.T, live)
	for _, p := range live {
		f.start(p)
	}
	return id
}

// attest credits a placement with more service, as its node's agent would, and counts as a check-in.
func (f *fixture) attest(p types.Placement, more time.Duration) (uint64, error) {
	f.served[p.ID] += types.Ms(more)
	var credited uint64
	_, err := f.Deliver(func(ctx sdk.Context) error {
		if err := f.suns.RecordCheckIn(ctx, p.Node); err != nil {
			return err
		}
		var err error
		credited, err = f.credit(ctx, p.Node, p.ID, f.served[p.ID])
		return err
	})
	return credited, err
}

// credit claims service of one placement; a settled one is an error here.
func (f *fixture) credit(ctx context.Context, node sunstypes.NodeID, id types.PlacementID, servedMs uint64) (uint64, error) {
	key, err := id.Key()
	if err != nil {
		return 0, err
	}
	credits, err := f.k.CreditServices(ctx, node, []types.Claim{{Placement: key, ServedMs: servedMs}})
	if err == nil && credits[0].Settled {
		err = types.ErrPlacementSettled
	}
	if err != nil {
		return 0, err
	}
	return credits[0].Ms, nil
}

// serve passes time in blocks of 5 s, in which the live and started placements of a lease are served and attested in full.
func (f *fixture) serve(id types.LeaseID, total time.Duration) {
	f.T.Helper()
	const step = 5 * time.Second
	for ; total > 0; total -= min(step, total) {
		f.NextBlock(min(step, total))
		for _, p := range f.live(id) {
			if p.StartedMs != 0 {
				_, err := f.attest(p, min(step, total))
				require.NoError(f.T, err)
			}
		}
	}
}

// pool is what the audit pool holds.
func (f *fixture) pool() int64 { return f.ModuleBalance(types.AuditPoolName) }

// earned is what an operator has above its funds less the bond.
func (f *fixture) earned(operator string, nodes int64) int64 {
	return f.Balance(testkit.Addr(operator)) - nodes*(operatorFunds-10_000_000)
}

func requireInt(t *testing.T, want int64, got math.Int) {
	t.Helper()
	require.Equal(t, math.NewInt(want).String(), got.String())
}
