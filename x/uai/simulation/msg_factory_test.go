package simulation_test

import (
	"context"
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

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
		StoreKeys:  []string{types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})
	k := keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Bank, f.Authority.String())
	state := module.SimulationState{Rand: r, Cdc: f.Codec, GenState: map[string]json.RawMessage{}}
	simulation.RandomizedGenState(&state)
	var genesis types.GenesisState
	f.Codec.MustUnmarshalJSON(state.GenState[types.ModuleName], &genesis)
	require.NoError(t, k.InitGenesis(f.Ctx, genesis))

	accounts := simtypes.RandomAccounts(r, 5)
	for _, account := range accounts {
		f.Fund(account.Address, 1_000_000)
	}
	server := keeper.NewMsgServer(k)
	factories := []simsx.SimMsgFactoryX{
		simulation.MsgPublishImageFactory(k), simulation.MsgPublishImageFactory(k), simulation.MsgTransferImageFactory(k),
		simulation.MsgDeprecateImageFactory(k), simulation.MsgUpdateParamsFactory(),
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
	for _, name := range []string{"publish", "deprecate", "transfer", "params"} {
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
	case *types.MsgUpdateParams:
		_, err = server.UpdateParams(ctx, m)
		return "params", err
	}
	return "unknown", err
}
