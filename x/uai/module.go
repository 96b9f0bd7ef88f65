// Package uai is the module of images: what can be leased, by whom it was published, and what it needs.
package uai

import (
	"context"
	"encoding/json"
	"fmt"

	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"github.com/spf13/cobra"

	"cosmossdk.io/core/appmodule"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/x/uai/client/cli"
	"github.com/isuncoin/isuncoin/x/uai/keeper"
	"github.com/isuncoin/isuncoin/x/uai/simulation"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// ConsensusVersion rises with every change of the state's form.
const ConsensusVersion = 1

var (
	_ appmodule.AppModule        = AppModule{}
	_ module.AppModuleBasic      = AppModule{}
	_ module.HasGenesis          = AppModule{}
	_ module.HasServices         = AppModule{}
	_ module.HasConsensusVersion = AppModule{}
	_ module.AppModuleSimulation = AppModule{}

	_ simsx.HasWeightedOperationsX = AppModule{}
	_ simsx.HasProposalMsgsX       = AppModule{}
)

// AppModule is x/uai as the app's module manager sees it.
type AppModule struct{ keeper keeper.Keeper }

// NewAppModule wraps a keeper.
func NewAppModule(k keeper.Keeper) AppModule { return AppModule{keeper: k} }

// IsAppModule implements appmodule.AppModule.
func (AppModule) IsAppModule() {}

// IsOnePerModuleType implements appmodule.AppModule.
func (AppModule) IsOnePerModuleType() {}

// Name is the module's name.
func (AppModule) Name() string { return types.ModuleName }

// ConsensusVersion implements module.HasConsensusVersion.
func (AppModule) ConsensusVersion() uint64 { return ConsensusVersion }

// RegisterLegacyAminoCodec registers the messages for amino JSON.
func (AppModule) RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	types.RegisterLegacyAminoCodec(cdc)
}

// RegisterInterfaces registers the messages.
func (AppModule) RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	types.RegisterInterfaces(registry)
}

// RegisterGRPCGatewayRoutes registers the REST routes.
func (AppModule) RegisterGRPCGatewayRoutes(clientCtx client.Context, mux *gwruntime.ServeMux) {
	if err := types.RegisterQueryHandlerClient(context.Background(), mux, types.NewQueryClient(clientCtx)); err != nil {
		panic(err)
	}
}

// RegisterServices registers the Msg and Query services.
func (am AppModule) RegisterServices(cfg module.Configurator) {
	types.RegisterMsgServer(cfg.MsgServer(), keeper.NewMsgServer(am.keeper))
	types.RegisterQueryServer(cfg.QueryServer(), keeper.NewQueryServer(am.keeper))
}

// GetTxCmd gives the transactions that AutoCLI cannot make.
func (AppModule) GetTxCmd() *cobra.Command { return cli.NewTxCmd() }

// DefaultGenesis gives the genesis of a new chain.
func (AppModule) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(types.DefaultGenesis())
}

// ValidateGenesis says what is wrong with a genesis.
func (AppModule) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, raw json.RawMessage) error {
	var genesis types.GenesisState
	if err := cdc.UnmarshalJSON(raw, &genesis); err != nil {
		return fmt.Errorf("genesis of x/%s: %w: %w", types.ModuleName, types.ErrInvalidGenesis, err)
	}
	if err := genesis.Validate(); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err)
	}
	return nil
}

// InitGenesis sets the state of a genesis. The interface has no error to return, so a bad one stops the start.
func (am AppModule) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, raw json.RawMessage) {
	var genesis types.GenesisState
	cdc.MustUnmarshalJSON(raw, &genesis)
	if err := am.keeper.InitGenesis(ctx, genesis); err != nil {
		panic(fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err))
	}
}

// ExportGenesis describes the state.
func (am AppModule) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	genesis, err := am.keeper.ExportGenesis(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(genesis)
}

// GenerateGenesisState makes a genesis for a simulation.
func (AppModule) GenerateGenesisState(simState *module.SimulationState) {
	simulation.RandomizedGenState(simState)
}

// RegisterStoreDecoder lets a simulation show what differs between two stores.
func (am AppModule) RegisterStoreDecoder(registry simtypes.StoreDecoderRegistry) {
	registry[types.StoreKey] = simtypes.NewStoreDecoderFuncFromCollectionsSchema(am.keeper.Schema)
}

// WeightedOperations is the older form of WeightedOperationsX.
func (AppModule) WeightedOperations(module.SimulationState) []simtypes.WeightedOperation { return nil }

// WeightedOperationsX registers a factory for each message that anybody may send.
func (am AppModule) WeightedOperationsX(weights simsx.WeightSource, registry simsx.Registry) {
	registry.Add(weights.Get("msg_publish_image", 60), simulation.MsgPublishImageFactory(am.keeper))
	registry.Add(weights.Get("msg_deprecate_image", 5), simulation.MsgDeprecateImageFactory(am.keeper))
	registry.Add(weights.Get("msg_transfer_image", 15), simulation.MsgTransferImageFactory(am.keeper))
	registry.Add(weights.Get("msg_set_access", 5), simulation.MsgSetAccessFactory(am.keeper))
	registry.Add(weights.Get("msg_announce_holding", 30), simulation.MsgAnnounceHoldingFactory(am.keeper))
	registry.Add(weights.Get("msg_drop_holding", 15), simulation.MsgDropHoldingFactory(am.keeper))
	registry.Add(weights.Get("msg_put_object", 20), simulation.MsgPutObjectFactory(am.keeper))
	registry.Add(weights.Get("msg_remove_object", 10), simulation.MsgRemoveObjectFactory(am.keeper))
	registry.Add(weights.Get("msg_set_key_holders", 10), simulation.MsgSetKeyHoldersFactory(am.keeper))
}

// ProposalMsgsX registers a factory for each message of governance.
func (am AppModule) ProposalMsgsX(weights simsx.WeightSource, registry simsx.Registry) {
	registry.Add(weights.Get("msg_update_params", 100), simulation.MsgUpdateParamsFactory())
}
