package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/keeper"
	"github.com/isuncoin/isuncoin/x/audit/types"
	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

var (
	_ types.SunsKeeper  = (*sunskeeper.Keeper)(nil)
	_ types.LeaseKeeper = (*leasekeeper.Keeper)(nil)
)

// nodeChain is a chain with the real x/suns below x/audit, hooks and blockers in the app's order.
type nodeChain struct {
	*testkit.Fixture
	suns   *sunskeeper.Keeper
	audit  keeper.Keeper
	leases *fakeLeases
	nodes  sunstypes.MsgServer
	usage  types.MsgServer
}

func newNodeChain(t *testing.T) *nodeChain {
	t.Helper()
	c := &nodeChain{
		Fixture: testkit.New(t, testkit.Options{
			StoreKeys:  []string{sunstypes.StoreKey, types.StoreKey},
			Interfaces: []func(codectypes.InterfaceRegistry){sunstypes.RegisterInterfaces, types.RegisterInterfaces},
		}),
		leases: &fakeLeases{errors: map[leasetypes.PlacementID]error{}, served: map[leasetypes.PlacementID]uint64{}},
	}
	authority := c.Authority.String()
	c.suns = sunskeeper.NewKeeper(c.Codec, c.Store(sunstypes.StoreKey), c.Accounts, c.Bank, authority)
	c.audit = keeper.NewKeeper(c.Codec, c.Store(types.StoreKey), c.Accounts, c.Bank, c.suns, c.leases, authority)
	c.suns.SetHooks(sunstypes.MultiHooks{c.audit.Hooks()})
	c.nodes, c.usage = sunskeeper.NewMsgServer(c.suns), keeper.NewMsgServer(c.audit)
	c.OnBeginBlock(c.suns.BeginBlock)
	c.OnEndBlock(c.audit.EndBlock, c.suns.EndBlock)
	c.OnBlockDone(c.audit.AllInvariants, c.suns.AllInvariants)

	genesis := sunstypes.DefaultGenesis()
	genesis.Params.MaxGap = time.Hour
	genesis.Params.UnbondingPeriod = time.Second
	require.NoError(t, c.suns.InitGenesis(c.Ctx, genesis))
	require.NoError(t, c.audit.InitGenesis(c.Ctx, *types.DefaultGenesis()))
	c.BeginBlock()
	return c
}

// register registers a node of 2 SUNS with a bond of 10 ISC.
func (c *nodeChain) register(operator string) sunstypes.NodeID {
	c.T.Helper()
	address := testkit.Addr(operator)
	agent := testkit.Key(operator + " agent")
	signature, err := agent.Sign(sunstypes.AgentSignBytes(testkit.ChainID, address.String(), 1))
	require.NoError(c.T, err)
	c.Fund(address, 10_000_000)
	_, err = c.Deliver(func(ctx sdk.Context) error {
		_, err := c.nodes.RegisterNode(ctx, &sunstypes.MsgRegisterNode{
			Operator: address.String(), Number: 1, Moniker: "attic", AskPrice: 1_000_000, Country: "TW",
			Report: sunstypes.BenchmarkReport{
				Version: 1, Digest: testkit.Digest("report"), Architecture: sunstypes.ArchAMD64, MilliSuns: 2000,
				Capacity: sunstypes.Capacity{CpuPoints: 2000, MemoryMiB: 4096, StorageMiB: 32768, BandwidthMbps: 40},
			},
			Bond: testkit.Coin(10_000_000), AgentPubKey: agent.PubKey().Bytes(), AgentSignature: signature,
		})
		return err
	})
	require.NoError(c.T, err)
	return sunstypes.NewNodeID(address, 1)
}

func (c *nodeChain) attest(operator string, sequence uint64, entries ...types.UsageEntry) error {
	_, err := c.Deliver(func(ctx sdk.Context) error {
		_, err := c.usage.AttestUsage(ctx, &types.MsgAttestUsage{
			Agent: testkit.Addr(operator + " agent").String(), Version: types.AttestationVersion, Sequence: sequence, Entries: entries,
		})
		return err
	})
	return err
}

func (c *nodeChain) send(send func(ctx sdk.Context) error) {
	c.T.Helper()
	_, err := c.Deliver(send)
	require.NoError(c.T, err)
}

// From attestation to money: attestations count as check-ins, the epochs of x/suns divide the pool, its withdrawal pays both
// rewards, and a node that retires takes what is its own and leaves the rest.
func TestAuditRewardWithRealNodes(t *testing.T) {
	c := newNodeChain(t)
	a, b := c.register("a"), c.register("b")
	require.NoError(t, c.attest("a", 1))
	require.NoError(t, c.attest("b", 1))
	c.FundModule(types.ModuleName, 1_000)
	c.NextBlock(time.Hour)
	c.NextBlock(time.Second)
	pool, err := c.audit.Pool.Get(c.Ctx)
	require.NoError(t, err)
	require.True(t, pool.Owed.IsZero(), "nobody was there before the first epoch began")

	require.NoError(t, c.attest("a", 2, usage(1, 10)))
	require.NoError(t, c.attest("b", 2))
	require.ErrorIs(t, c.attest("b", 2), types.ErrStaleSequence)
	c.NextBlock(time.Second)
	epoch, err := c.suns.CurrentEpoch(c.Ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, epoch.Nodes, "an attestation is a check-in")
	c.NextBlock(time.Hour)
	c.NextBlock(time.Second)
	pool, err = c.audit.Pool.Get(c.Ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1_000, pool.Owed.Int64())

	before := c.Balance(testkit.Addr("a"))
	var maintenance math.Int
	c.send(func(ctx sdk.Context) error {
		response, err := c.nodes.WithdrawRewards(ctx, &sunstypes.MsgWithdrawRewards{Operator: a.Operator, Number: 1})
		if err == nil {
			maintenance = response.Maintenance
		}
		return err
	})
	c.NextBlock(time.Second)
	require.EqualValues(t, before+maintenance.Int64()+500, c.Balance(testkit.Addr("a")))

	// b retires: what it earned is paid, its bond returns and its records go.
	c.send(func(ctx sdk.Context) error {
		_, err := c.nodes.RetireNode(ctx, &sunstypes.MsgRetireNode{Operator: b.Operator, Number: 1})
		return err
	})
	c.Advance(5*time.Second, time.Second)
	require.Greater(t, c.Balance(testkit.Addr("b")), int64(10_000_500), "bond, maintenance and audit rewards")
	_, err = c.suns.GetNode(c.Ctx, b)
	require.ErrorIs(t, err, sunstypes.ErrNodeNotFound)
	genesis, err := c.audit.ExportGenesis(c.Ctx)
	require.NoError(t, err)
	require.Len(t, genesis.Nodes, 1)
	require.Equal(t, a, genesis.Nodes[0].Node)
	require.EqualValues(t, 1_000, genesis.Pool.Distributed.Int64())
	require.Zero(t, c.ModuleBalance(types.ModuleName))
}

// A node that retires under a placement attests what it served up to its end, and nothing else is expected of it.
func TestRetiredNodeAttestsItsLastService(t *testing.T) {
	c := newNodeChain(t)
	a := c.register("a")
	require.NoError(t, c.suns.Reserve(c.Ctx, a, 1_000, nil))
	require.NoError(t, c.attest("a", 1, usage(1, 10)))
	c.send(func(ctx sdk.Context) error {
		_, err := c.nodes.RetireNode(ctx, &sunstypes.MsgRetireNode{Operator: a.Operator, Number: 1})
		return err
	})
	require.NoError(t, c.attest("a", 2, usage(1, 20)))
	require.ErrorIs(t, c.attest("a", 2, usage(1, 20)), types.ErrStaleSequence)
	require.NoError(t, c.suns.Release(c.Ctx, a, 1_000, nil))
	c.NextBlock(time.Second)
}
