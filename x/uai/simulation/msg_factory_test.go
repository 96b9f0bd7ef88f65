package simulation_test

import (
	"context"
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/keeper"
	"github.com/isuncoin/isuncoin/x/uai/simulation"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// Whatever the factories make, the chain accepts: a thousand messages in random order on one chain.
func TestFactoriesMakeValidMessages(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	f := testkit.New(t, testkit.Options{
		StoreKeys:  []string{sunstypes.StoreKey, types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})
	authority := f.Authority.String()
	suns := sunskeeper.NewKeeper(f.Codec, f.Store(sunstypes.StoreKey), f.Accounts, f.Bank, authority)
	k := keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Bank, suns, authority)
	state := module.SimulationState{Rand: r, Cdc: f.Codec, GenState: map[string]json.RawMessage{}}
	simulation.RandomizedGenState(&state)
	var genesis types.GenesisState
	f.Codec.MustUnmarshalJSON(state.GenState[types.ModuleName], &genesis)
	require.NoError(t, k.InitGenesis(f.Ctx, genesis))

	accounts := simtypes.RandomAccounts(r, 5)
	for _, account := range accounts {
		f.Fund(account.Address, 1_000_000)
	}
	for i, agent := range accounts[:2] {
		id := sunstypes.NewNodeID(accounts[4].Address, uint64(i+1))
		key, err := id.Key()
		require.NoError(t, err)
		require.NoError(t, suns.Nodes.Set(f.Ctx, key, sunstypes.Node{
			ID: id, Agent: agent.Address.String(), Status: sunstypes.NODE_STATUS_ACTIVE, Bond: math.ZeroInt(),
		}))
	}
	server := keeper.NewMsgServer(k)
	factories := []simsx.SimMsgFactoryX{
		simulation.MsgPublishImageFactory(k), simulation.MsgPublishImageFactory(k), simulation.MsgTransferImageFactory(k),
		simulation.MsgDeprecateImageFactory(k), simulation.MsgUpdateParamsFactory(), simulation.MsgSetAccessFactory(k),
		simulation.MsgAnnounceHoldingFactory(k), simulation.MsgDropHoldingFactory(k),
		simulation.MsgPutObjectFactory(k), simulation.MsgRemoveObjectFactory(k),
		simulation.MsgSetKeyHoldersFactory(k),
	}
	delivered := map[string]int{}
	for range 1000 {
		data := simsx.NewChainDataSource(f.Ctx, r, f.Accounts, f.Bank, addresscodec.NewBech32Codec(sunstypes.Bech32Prefix), accounts...)
		_, msg := factories[r.Intn(len(factories))].Create()(f.Ctx, data, simsx.NewBasicSimulationReporter())
		name, err := deliver(f.Ctx, server, msg)
		require.NoError(t, err, "%v", msg)
		delivered[name]++
	}
	require.NoError(t, k.AllInvariants(f.Ctx))
	for _, name := range []string{"publish", "deprecate", "transfer", "params", "access", "announce", "drop", "put", "remove", "key holders"} {
		require.Greater(t, delivered[name], 50, name)
	}
}

func deliver(ctx context.Context, server types.MsgServer, msg sdk.Msg) (string, error) {
	var err error
	switch m := msg.(type) {
	case *types.MsgPublishImage:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.PublishImage(ctx, m)
		return "publish", err
	case *types.MsgDeprecateImage:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.DeprecateImage(ctx, m)
		return "deprecate", err
	case *types.MsgTransferImage:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.TransferImage(ctx, m)
		return "transfer", err
	case *types.MsgSetAccess:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.SetAccess(ctx, m)
		return "access", err
	case *types.MsgAnnounceHolding:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.AnnounceHolding(ctx, m)
		return "announce", err
	case *types.MsgDropHolding:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.DropHolding(ctx, m)
		return "drop", err
	case *types.MsgPutObject:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.PutObject(ctx, m)
		return "put", err
	case *types.MsgRemoveObject:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.RemoveObject(ctx, m)
		return "remove", err
	case *types.MsgSetKeyHolders:
		if m == nil {
			return "skipped", nil
		}
		_, err = server.SetKeyHolders(ctx, m)
		return "key holders", err
	case *types.MsgUpdateParams:
		_, err = server.UpdateParams(ctx, m)
		return "params", err
	}
	return "unknown", err
}
