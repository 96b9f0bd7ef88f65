package simulation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/x/suns/keeper"
	"github.com/isuncoin/isuncoin/x/suns/simulation"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

type chain struct {
	*testkit.Fixture
	keeper   *keeper.Keeper
	accounts []simtypes.Account
	random   *rand.Rand
}

func newChain(t *testing.T, seed int64) *chain {
	t.Helper()
	f := testkit.New(t, testkit.Options{
		StoreKeys:  []string{types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})
	r := rand.New(rand.NewSource(seed))
	k := keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Accounts, f.Bank, f.Authority.String())
	state := module.SimulationState{Rand: r, Cdc: f.Codec, GenState: map[string]json.RawMessage{}}
	simulation.RandomizedGenState(&state)
	var genesis types.GenesisState
	f.Codec.MustUnmarshalJSON(state.GenState[types.ModuleName], &genesis)
	require.NoError(t, k.InitGenesis(f.Ctx, &genesis))
	f.OnBeginBlock(k.BeginBlock)
	f.OnEndBlock(k.EndBlock)
	f.OnBlockDone(k.AllInvariants)
	f.BeginBlock()

	c := &chain{Fixture: f, keeper: k, accounts: simtypes.RandomAccounts(r, 20), random: r}
	for _, account := range c.accounts {
		f.Fund(account.Address, 1_000_000)
	}
	return c
}

// Whatever the factories make, the chain accepts, and at the end of each block every account holds what is owed: fifteen
// messages a block in random order, blocks up to an hour apart, placements coming and going.
func TestFactoriesMakeValidMessages(t *testing.T) {
	for seed := range int64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := newChain(t, seed)
			factories := []simsx.SimMsgFactoryX{
				simulation.MsgRegisterNodeFactory(c.keeper), simulation.MsgRegisterNodeFactory(c.keeper),
				simulation.MsgUpdateNodeFactory(c.keeper), simulation.MsgCheckInFactory(c.keeper),
				simulation.MsgCheckInFactory(c.keeper), simulation.MsgDrainNodeFactory(c.keeper),
				simulation.MsgSetContactFactory(c.keeper),
				simulation.MsgResumeNodeFactory(c.keeper), simulation.MsgRetireNodeFactory(c.keeper),
				simulation.MsgWithdrawRewardsFactory(c.keeper), simulation.MsgUpdateParamsFactory(),
			}
			delivered := map[string]int{}
			for range 150 {
				for range 15 {
					delivered[c.one(factories[c.random.Intn(len(factories))])]++
				}
				c.place()
				c.NextBlock(time.Duration(c.random.Intn(3600)) * time.Second)
			}
			for _, name := range []string{
				"RegisterNode", "UpdateNode", "CheckIn", "SetContact", "DrainNode", "ResumeNode", "RetireNode", "WithdrawRewards", "UpdateParams",
			} {
				require.Positive(t, delivered["Msg"+name], name)
			}
			items, _, err := c.keeper.Quarantine.Export(c.Ctx)
			require.NoError(t, err)
			require.Empty(t, items)
			c.roundTrip()
		})
	}
}

// one makes and delivers one message and gives its name, or "skipped".
func (c *chain) one(factory simsx.SimMsgFactoryX) string {
	data := simsx.NewChainDataSource(c.Ctx, c.random, c.Accounts, c.Bank, addresscodec.NewBech32Codec(types.Bech32Prefix), c.accounts...)
	_, msg := factory.Create()(c.Ctx, data, simsx.NewBasicSimulationReporter())
	if msg == nil || reflect.ValueOf(msg).IsNil() {
		return "skipped"
	}
	_, err := c.Deliver(func(ctx sdk.Context) error { return handle(ctx, keeper.NewMsgServer(c.keeper), msg) })
	require.NoError(c.T, err, "%v", msg)
	return reflect.TypeOf(msg).Elem().Name()
}

func handle(ctx context.Context, server types.MsgServer, msg sdk.Msg) (err error) {
	switch m := msg.(type) {
	case *types.MsgRegisterNode:
		_, err = server.RegisterNode(ctx, m)
	case *types.MsgUpdateNode:
		_, err = server.UpdateNode(ctx, m)
	case *types.MsgCheckIn:
		_, err = server.CheckIn(ctx, m)
	case *types.MsgSetContact:
		_, err = server.SetContact(ctx, m)
	case *types.MsgDrainNode:
		_, err = server.DrainNode(ctx, m)
	case *types.MsgResumeNode:
		_, err = server.ResumeNode(ctx, m)
	case *types.MsgRetireNode:
		_, err = server.RetireNode(ctx, m)
	case *types.MsgWithdrawRewards:
		_, err = server.WithdrawRewards(ctx, m)
	case *types.MsgUpdateParams:
		_, err = server.UpdateParams(ctx, m)
	default:
		err = fmt.Errorf("unknown message %T", msg)
	}
	return err
}

// place does what x/lease's end blocker does: it reserves and releases parts of nodes.
func (c *chain) place() {
	type busy struct {
		id   types.NodeID
		load types.NodeLoad
	}
	var idle []types.Node
	var running []busy
	require.NoError(c.T, c.keeper.IterateNodes(c.Ctx, func(node types.Node, load types.NodeLoad) bool {
		switch {
		case load.Placements > 0:
			running = append(running, busy{node.ID, load})
		case node.Status == types.NODE_STATUS_ACTIVE:
			idle = append(idle, node)
		}
		return false
	}))
	if len(idle) > 0 {
		node := idle[c.random.Intn(len(idle))]
		var devices []string
		for _, device := range node.Accelerators {
			devices = append(devices, device.Accelerator.DeviceID)
		}
		require.NoError(c.T, c.keeper.Reserve(c.Ctx, node.ID, uint64(c.random.Int63n(int64(node.GeneralMilliSuns)+1)), devices))
	}
	if len(running) > 2 {
		b := running[c.random.Intn(len(running))]
		require.NoError(c.T, c.keeper.Release(c.Ctx, b.id, b.load.ReservedGeneralMilliSuns, b.load.BusyDevices))
	}
}

// roundTrip: what is exported is valid.
func (c *chain) roundTrip() {
	genesis, err := c.keeper.ExportGenesis(c.Ctx)
	require.NoError(c.T, err)
	// A block's own check-ins are counted at its end, which has been.
	require.NoError(c.T, genesis.Validate())
}
