package keeper_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/keeper"
	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// fakeSuns is x/suns as x/audit sees it: nodes by agent, a clock and an epoch that tests set.
type fakeSuns struct {
	now      uint64
	epoch    uint64
	params   sunstypes.Params
	nodes    map[sunstypes.NodeID]sunstypes.Node
	checkIns map[sunstypes.NodeID]int
	refuse   error
}

func (s *fakeSuns) NowMs(context.Context) (uint64, error) { return s.now, nil }

func (s *fakeSuns) CurrentEpoch(context.Context) (sunstypes.Epoch, error) {
	return sunstypes.Epoch{Number: s.epoch, TotalWeight: math.ZeroInt()}, nil
}

func (s *fakeSuns) GetParams(context.Context) (sunstypes.Params, error) { return s.params, nil }

func (s *fakeSuns) GetNode(_ context.Context, id sunstypes.NodeID) (sunstypes.Node, error) {
	node, ok := s.nodes[id]
	if !ok {
		return sunstypes.Node{}, sunstypes.ErrNodeNotFound.Wrap(id.String())
	}
	return node, nil
}

func (s *fakeSuns) NodeOfAgent(_ context.Context, agent sdk.AccAddress) (sunstypes.Node, error) {
	for _, node := range s.nodes {
		if node.Agent == agent.String() {
			return node, nil
		}
	}
	return sunstypes.Node{}, sunstypes.ErrAgentUnknown.Wrap(agent.String())
}

func (s *fakeSuns) RecordCheckIn(_ context.Context, id sunstypes.NodeID) error {
	s.checkIns[id]++
	return s.refuse
}

// credit is a call to the fake lease keeper.
type credit struct {
	node     sunstypes.NodeID
	id       leasetypes.PlacementID
	servedMs uint64
}

// fakeLeases credits what is served beyond the last call, unless a placement has an error of its own.
type fakeLeases struct {
	calls  []credit
	errors map[leasetypes.PlacementID]error
	served map[leasetypes.PlacementID]uint64
}

func (l *fakeLeases) CreditServices(
	_ context.Context, node sunstypes.NodeID, claims []leasetypes.Claim,
) ([]leasetypes.Credit, error) {
	credits := make([]leasetypes.Credit, len(claims))
	for i, claim := range claims {
		ms, err := l.credit(node, leasetypes.PlacementIDFromKey(claim.Placement), claim.ServedMs)
		if credits[i].Settled = errors.Is(err, leasetypes.ErrPlacementSettled); err != nil && !credits[i].Settled {
			return nil, err
		}
		credits[i].Ms = ms
	}
	return credits, nil
}

// GetPlacement says on which node a placement was credited.
func (l *fakeLeases) GetPlacement(
	_ context.Context, id leasetypes.PlacementID,
) (leasetypes.PlacementKey, leasetypes.Placement, error) {
	key, err := id.Key()
	if err != nil {
		return key, leasetypes.Placement{}, err
	}
	for _, call := range l.calls {
		if call.id == id {
			return key, leasetypes.Placement{ID: id, Node: call.node}, l.errors[id]
		}
	}
	return key, leasetypes.Placement{}, leasetypes.ErrPlacementNotFound
}

func (l *fakeLeases) credit(node sunstypes.NodeID, id leasetypes.PlacementID, servedMs uint64) (uint64, error) {
	l.calls = append(l.calls, credit{node, id, servedMs})
	if err := l.errors[id]; err != nil {
		return 0, err
	}
	if servedMs < l.served[id] {
		return 0, nil
	}
	credited := servedMs - l.served[id]
	l.served[id] = servedMs
	return credited, nil
}

type fixture struct {
	*testkit.Fixture
	keeper keeper.Keeper
	suns   *fakeSuns
	leases *fakeLeases
	msg    types.MsgServer
	query  types.QueryServer
	hooks  keeper.Hooks
}

// newFixture is a chain with x/audit in its default state in epoch 5, whose invariants are checked after every block and at
// the end.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := newBareFixture(t)
	require.NoError(t, f.keeper.InitGenesis(f.Ctx, *types.DefaultGenesis()))
	return f
}

func newBareFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		Fixture: testkit.New(t, testkit.Options{
			StoreKeys:  []string{types.StoreKey},
			Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
		}),
		suns: &fakeSuns{
			now: 1_000, epoch: 5, params: sunstypes.DefaultParams(),
			nodes: map[sunstypes.NodeID]sunstypes.Node{}, checkIns: map[sunstypes.NodeID]int{},
		},
		leases: &fakeLeases{errors: map[leasetypes.PlacementID]error{}, served: map[leasetypes.PlacementID]uint64{}},
	}
	f.keeper = keeper.NewKeeper(
		f.Codec, f.Store(types.StoreKey), f.Accounts, f.Bank, f.suns, f.leases, f.Authority.String())
	f.msg = keeper.NewMsgServer(f.keeper)
	f.query = keeper.NewQueryServer(f.keeper)
	f.hooks = f.keeper.Hooks()
	f.OnEndBlock(f.keeper.EndBlock)
	f.OnBlockDone(f.keeper.AllInvariants)
	t.Cleanup(func() {
		if !t.Failed() {
			require.NoError(t, f.keeper.AllInvariants(f.Ctx))
		}
	})
	return f
}

// addNode registers a node that qualifies, run by an operator and an agent of that name.
func (f *fixture) addNode(name string) sunstypes.Node {
	node := sunstypes.Node{
		ID:              sunstypes.NewNodeID(testkit.Addr(name), 1),
		Agent:           testkit.Addr(name + " agent").String(),
		MilliSuns:       1000,
		Bond:            math.NewInt(10_000_000),
		Status:          sunstypes.NODE_STATUS_ACTIVE,
		RegisteredEpoch: 1,
	}
	f.suns.nodes[node.ID] = node
	return node
}

// checkIn is the node's first check-in of the running epoch, as one transaction.
func (f *fixture) checkIn(node sunstypes.Node) {
	f.T.Helper()
	_, err := f.Deliver(func(ctx sdk.Context) error { return f.hooks.AfterNodeCheckedIn(ctx, node, f.suns.epoch) })
	require.NoError(f.T, err)
}

// withdraw asks for the node's rewards, as one transaction.
func (f *fixture) withdraw(node sunstypes.Node) {
	f.T.Helper()
	_, err := f.Deliver(func(ctx sdk.Context) error { return f.hooks.AfterRewardsWithdrawn(ctx, node.ID) })
	require.NoError(f.T, err)
}

// closeEpoch ends the block and in it, after x/audit's own end, the epoch; the next block is in the next epoch.
func (f *fixture) closeEpoch() sdk.Events {
	f.T.Helper()
	f.EndBlock()
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager())
	require.NoError(f.T, f.hooks.AfterEpochClosed(ctx, f.suns.epoch))
	f.suns.epoch++
	require.NoError(f.T, f.keeper.AllInvariants(f.Ctx))
	f.suns.now += 3_600_000
	f.Commit(time.Second)
	return ctx.EventManager().Events()
}

func (f *fixture) endBlock() sdk.Events {
	f.T.Helper()
	f.suns.now += 1_000
	return f.NextBlock(time.Second)
}

func (f *fixture) pool() types.PoolState {
	f.T.Helper()
	pool, err := f.keeper.Pool.Get(f.Ctx)
	require.NoError(f.T, err)
	return pool
}

func (f *fixture) owed() int64 { return f.pool().Owed.Int64() }

// rewards is what a query says can be withdrawn.
func (f *fixture) rewards(node sunstypes.Node) int64 {
	f.T.Helper()
	response, err := f.query.Rewards(f.Ctx, &types.QueryRewardsRequest{Operator: node.ID.Operator, Node: node.ID.Number})
	require.NoError(f.T, err)
	return response.Audit.Int64()
}

func (f *fixture) operatorBalance(node sunstypes.Node) int64 {
	f.T.Helper()
	return f.Balance(sdk.MustAccAddressFromBech32(node.ID.Operator))
}

func placement(number uint64) leasetypes.PlacementID {
	return leasetypes.PlacementID{Tenant: testkit.Addr("tenant").String(), Number: number, Generation: 1}
}
