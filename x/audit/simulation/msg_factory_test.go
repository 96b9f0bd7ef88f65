package simulation_test

import (
	"context"
	"encoding/json"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/x/audit/keeper"
	"github.com/isuncoin/isuncoin/x/audit/simulation"
	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunssimulation "github.com/isuncoin/isuncoin/x/suns/simulation"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// onePlacement gives every node the same placement, started, and credits all that is claimed.
type onePlacement struct {
	id   leasetypes.PlacementID
	node sunstypes.NodeID
}

func (p *onePlacement) NodePlacements(
	context.Context, *leasetypes.QueryNodePlacementsRequest,
) (*leasetypes.QueryNodePlacementsResponse, error) {
	waiting := p.id
	waiting.Replica = 1
	return &leasetypes.QueryNodePlacementsResponse{Placements: []leasetypes.NodePlacement{
		{Placement: leasetypes.Placement{ID: p.id, StartedMs: 1}},
		{Placement: leasetypes.Placement{ID: waiting}},
	}}, nil
}

func (p *onePlacement) CreditServices(
	_ context.Context, node sunstypes.NodeID, claims []leasetypes.Claim,
) ([]leasetypes.Credit, error) {
	p.node = node
	var credits []leasetypes.Credit
	for _, claim := range claims {
		if id := leasetypes.PlacementIDFromKey(claim.Placement); id != p.id {
			return nil, leasetypes.ErrPlacementNotStarted.Wrap(id.String())
		}
		credits = append(credits, leasetypes.Credit{Ms: claim.ServedMs})
	}
	return credits, nil
}

func (p *onePlacement) GetPlacement(
	_ context.Context, id leasetypes.PlacementID,
) (leasetypes.PlacementKey, leasetypes.Placement, error) {
	key, err := id.Key()
	if p.node.Number == 0 {
		return key, leasetypes.Placement{}, leasetypes.ErrPlacementNotFound
	}
	return key, leasetypes.Placement{ID: id, Node: p.node}, err
}

// Whatever the factories make, the chain accepts: random nodes of x/suns attest in random order over many epochs.
func TestFactoriesMakeValidMessages(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	f := testkit.New(t, testkit.Options{
		StoreKeys:  []string{sunstypes.StoreKey, types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){sunstypes.RegisterInterfaces, types.RegisterInterfaces},
	})
	placements := &onePlacement{id: leasetypes.PlacementID{Tenant: testkit.Addr("tenant").String(), Number: 1, Generation: 1}}
	suns := sunskeeper.NewKeeper(f.Codec, f.Store(sunstypes.StoreKey), f.Accounts, f.Bank, f.Authority.String())
	k := keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Accounts, f.Bank, suns, placements, f.Authority.String())
	suns.SetHooks(sunstypes.MultiHooks{k.Hooks()})
	f.OnBeginBlock(suns.BeginBlock)
	f.OnEndBlock(k.EndBlock, suns.EndBlock)
	f.OnBlockDone(k.AllInvariants)

	state := module.SimulationState{Rand: r, Cdc: f.Codec, GenState: map[string]json.RawMessage{}}
	simulation.RandomizedGenState(&state)
	var genesis types.GenesisState
	f.Codec.MustUnmarshalJSON(state.GenState[types.ModuleName], &genesis)
	require.NoError(t, suns.InitGenesis(f.Ctx, sunstypes.DefaultGenesis()))
	require.NoError(t, k.InitGenesis(f.Ctx, genesis))
	f.BeginBlock()

	accounts := simtypes.RandomAccounts(r, 10)
	for _, account := range accounts {
		f.Fund(account.Address, 1_000_000_000)
	}
	next := func(factory simsx.SimMsgFactoryX) any {
		data := simsx.NewChainDataSource(f.Ctx, r, f.Accounts, f.Bank, addresscodec.NewBech32Codec(sunstypes.Bech32Prefix), accounts...)
		_, msg := factory.Create()(f.Ctx, data, simsx.NewBasicSimulationReporter())
		return msg
	}
	register, attest := sunssimulation.MsgRegisterNodeFactory(suns), simulation.MsgAttestUsageFactory(k, suns, placements)
	require.Nil(t, next(attest), "there are no nodes yet")
	nodes, server := sunskeeper.NewMsgServer(suns), keeper.NewMsgServer(k)
	delivered := 0
	for i := range 300 {
		if msg, ok := next(register).(*sunstypes.MsgRegisterNode); ok && msg != nil && i%10 == 0 {
			_, err := nodes.RegisterNode(f.Ctx, msg)
			require.NoError(t, err)
		}
		if msg, ok := next(attest).(*types.MsgAttestUsage); ok && msg != nil {
			require.Len(t, msg.Entries, 1, "placements that did not start are not attested")
			_, err := server.AttestUsage(f.Ctx, msg)
			require.NoError(t, err)
			delivered++
		}
		if msg, ok := next(simulation.MsgUpdateParamsFactory()).(*types.MsgUpdateParams); ok && i%20 == 0 {
			_, err := server.UpdateParams(f.Ctx, msg)
			require.NoError(t, err)
		}
		f.FundModule(types.ModuleName, 1_000)
		f.NextBlock(10 * time.Minute)
	}
	require.Greater(t, delivered, 250)
}
