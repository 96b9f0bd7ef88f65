package keeper_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/keeper"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// fixture is a chain with x/suns, whose invariants are checked at the end of every block and of the test.
type fixture struct {
	*testkit.Fixture
	keeper *keeper.Keeper
	msgs   types.MsgServer
	query  types.QueryServer
	hooks  *hooks
}

// testGenesis emits a million uisc an hour, 800,000 of it to nodes, so that figures can be worked out by hand.
func testGenesis() *types.GenesisState {
	genesis := types.DefaultGenesis()
	genesis.EmissionSchedule.InitialPerHour = math.NewInt(1_000_000)
	// A gap of an hour lets tests pass one in a block.
	genesis.Params.MaxGap = time.Hour
	return genesis
}

func newFixture(t *testing.T, change ...func(*types.GenesisState)) *fixture {
	t.Helper()
	f := newEmptyFixture(t)
	genesis := testGenesis()
	for _, c := range change {
		c(genesis)
	}
	require.NoError(t, f.keeper.InitGenesis(f.Ctx, genesis))
	f.BeginBlock()
	t.Cleanup(func() {
		if !t.Failed() {
			f.NextBlock(time.Second)
		}
	})
	return f
}

func newEmptyFixture(t *testing.T) *fixture {
	t.Helper()
	kit := testkit.New(t, testkit.Options{
		StoreKeys:  []string{types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})
	k := keeper.NewKeeper(kit.Codec, kit.Store(types.StoreKey), kit.Accounts, kit.Bank, kit.Authority.String())
	f := &fixture{Fixture: kit, keeper: k, msgs: keeper.NewMsgServer(k), query: keeper.NewQueryServer(k), hooks: &hooks{}}
	k.SetHooks(f.hooks)
	f.OnBeginBlock(k.BeginBlock)
	f.OnEndBlock(k.EndBlock)
	f.OnBlockDone(k.AllInvariants)
	return f
}

// hour passes an hour of the chain clock in one block, which ends it.
func (f *fixture) hour() sdk.Events { f.T.Helper(); return f.NextBlock(time.Hour) }

func (f *fixture) now() uint64 {
	f.T.Helper()
	now, err := f.keeper.NowMs(f.Ctx)
	require.NoError(f.T, err)
	return now
}

func agentName(operator string, number uint64) string {
	return fmt.Sprintf("agent of %s/%d", operator, number)
}

// registration is a valid message: 4 SUNS, bond 4 ISC, so a weight of 4000.
func registration(operator string, number uint64) *types.MsgRegisterNode {
	addr := testkit.Addr(operator).String()
	agent := testkit.Key(agentName(operator, number))
	signature, err := agent.Sign(types.AgentSignBytes(testkit.ChainID, addr, number))
	if err != nil {
		panic(err)
	}
	return &types.MsgRegisterNode{
		Operator: addr, Number: number, Moniker: "attic", AskPrice: 1_000_000, Country: "TW", Zone: "home",
		Gateways: []string{"203.0.113.7:8443"}, Report: report(4), Bond: testkit.Coin(4_000_000),
		AgentPubKey: agent.PubKey().Bytes(), AgentSignature: signature,
	}
}

// report is of a machine of whole SUNS.
func report(suns uint64) types.BenchmarkReport {
	return types.BenchmarkReport{
		Version: 1, Digest: testkit.Digest("report"), Architecture: types.ArchAMD64,
		Capacity:  types.Capacity{CpuPoints: 1000 * suns, MemoryMiB: 2048 * suns, StorageMiB: 16384 * suns, BandwidthMbps: 20 * suns},
		MilliSuns: 1000 * suns,
	}
}

// withCards adds cards of 30 SUNS each.
func withCards(r types.BenchmarkReport, ids ...string) types.BenchmarkReport {
	for _, id := range ids {
		r.Accelerators = append(r.Accelerators, rtx4090(id))
		r.MilliSuns += 30_000
	}
	return r
}

func rtx4090(id string) types.Accelerator {
	return types.Accelerator{
		DeviceID: id, Kind: types.KindGPU, Vendor: "nvidia", Model: "NVIDIA GeForce RTX 4090",
		MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
	}
}

// register funds an operator with exactly the bond and registers a node.
func (f *fixture) register(operator string, number uint64, change ...func(*types.MsgRegisterNode)) types.NodeID {
	f.T.Helper()
	msg := registration(operator, number)
	for _, c := range change {
		c(msg)
	}
	f.Fund(testkit.Addr(operator), msg.Bond.Amount.Int64())
	_, err := deliver(f, f.msgs.RegisterNode, msg)
	require.NoError(f.T, err)
	return types.NodeID{Operator: msg.Operator, Number: number}
}

func withReport(r types.BenchmarkReport) func(*types.MsgRegisterNode) {
	return func(m *types.MsgRegisterNode) { m.Report = r }
}

func withBond(uisc int64) func(*types.MsgRegisterNode) {
	return func(m *types.MsgRegisterNode) { m.Bond = testkit.Coin(uisc) }
}

// deliver runs a message as a transaction.
func deliver[Req, Res any](f *fixture, handle func(context.Context, Req) (Res, error), msg Req) (Res, error) {
	res, _, err := deliverEvents(f, handle, msg)
	return res, err
}

func deliverEvents[Req, Res any](f *fixture, handle func(context.Context, Req) (Res, error), msg Req) (Res, sdk.Events, error) {
	f.T.Helper()
	var res Res
	events, err := f.Deliver(func(ctx sdk.Context) (err error) {
		res, err = handle(ctx, msg)
		return err
	})
	return res, events, err
}

func (f *fixture) checkIn(id types.NodeID) {
	f.T.Helper()
	_, err := deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: f.node(id).Agent})
	require.NoError(f.T, err)
}

func (f *fixture) withdraw(id types.NodeID) int64 {
	f.T.Helper()
	res, err := deliver(f, f.msgs.WithdrawRewards, &types.MsgWithdrawRewards{Operator: id.Operator, Number: id.Number})
	require.NoError(f.T, err)
	return res.Maintenance.Int64()
}

func (f *fixture) retire(id types.NodeID) uint64 {
	f.T.Helper()
	res, err := deliver(f, f.msgs.RetireNode, &types.MsgRetireNode{Operator: id.Operator, Number: id.Number})
	require.NoError(f.T, err)
	return res.BondReturnsMs
}

func (f *fixture) node(id types.NodeID) types.Node {
	f.T.Helper()
	node, err := f.keeper.GetNode(f.Ctx, id)
	require.NoError(f.T, err)
	return node
}

func (f *fixture) info(id types.NodeID) types.NodeInfo {
	f.T.Helper()
	res, err := f.query.Node(f.Ctx, &types.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	require.NoError(f.T, err)
	return res.Node
}

func (f *fixture) epoch() types.Epoch {
	f.T.Helper()
	epoch, err := f.keeper.CurrentEpoch(f.Ctx)
	require.NoError(f.T, err)
	return epoch
}

func (f *fixture) emission() types.EmissionState {
	f.T.Helper()
	state, err := f.keeper.Emission.Get(f.Ctx)
	require.NoError(f.T, err)
	return state
}

func (f *fixture) quarantine() []string {
	f.T.Helper()
	res, err := f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{})
	require.NoError(f.T, err)
	var items []string
	for _, item := range res.Items {
		items = append(items, item.Queue+": "+item.Item+": "+item.Error)
	}
	return items
}

// hooks notes what it is told, and fails or panics where a test wants it to.
type hooks struct {
	calls []string
	fail  map[string]error
	panic string
}

var _ types.Hooks = (*hooks)(nil)

func (h *hooks) note(name string, of any) error {
	if h.panic == name {
		panic("hook " + name)
	}
	if err := h.fail[name]; err != nil {
		return err
	}
	h.calls = append(h.calls, fmt.Sprintf("%s %v", name, of))
	return nil
}

// take gives the calls noted since the last take.
func (h *hooks) take() []string {
	calls := h.calls
	h.calls = nil
	return calls
}

func (h *hooks) BeforeParamsChanged(_ context.Context, params types.Params) error {
	return h.note("params", params.SilenceLimit)
}

func (h *hooks) AfterNodeChanged(_ context.Context, id types.NodeID) error {
	return h.note("changed", id.Number)
}

func (h *hooks) AfterNodeLost(_ context.Context, id types.NodeID, reason types.LossReason) error {
	return h.note("lost", fmt.Sprintf("%d %d", id.Number, reason))
}

func (h *hooks) AfterNodeDraining(_ context.Context, id types.NodeID) error {
	return h.note("draining", id.Number)
}

func (h *hooks) AfterNodeResumed(_ context.Context, id types.NodeID) error {
	return h.note("resumed", id.Number)
}

func (h *hooks) AfterNodeCheckedIn(_ context.Context, node types.Node, epoch uint64) error {
	return h.note("checked in", fmt.Sprintf("%d %d", node.ID.Number, epoch))
}

func (h *hooks) AfterRewardsWithdrawn(_ context.Context, id types.NodeID) error {
	return h.note("withdrawn", id.Number)
}

func (h *hooks) AfterEpochClosed(_ context.Context, epoch uint64) error {
	return h.note("closed", epoch)
}

func (h *hooks) AfterNodeRemoved(_ context.Context, id types.NodeID) error {
	return h.note("removed", id.Number)
}
