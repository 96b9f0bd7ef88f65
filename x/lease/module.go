// Package lease is the market: tenants order replicas of an image, the chain matches them with nodes, bills their hours and
// moves them when a node fails.
package lease

import (
	"context"
	"encoding/json"
	"fmt"

	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/simulation"
	"github.com/isuncoin/isuncoin/x/lease/types"
)

// ConsensusVersion rises with every change of state that needs a migration.
const ConsensusVersion = 1

var (
	_ module.AppModuleBasic      = AppModule{}
	_ module.HasGenesis          = AppModule{}
	_ module.AppModuleSimulation = AppModule{}
	_ appmodule.AppModule        = AppModule{}
	_ appmodule.HasServices      = AppModule{}
	_ appmodule.HasEndBlocker    = AppModule{}
	_ module.HasConsensusVersion = AppModule{}
)

// AppModule is x/lease.
type AppModule struct {
	keeper *keeper.Keeper
	nodes  simulation.Nodes
	images simulation.Images
}

// NewAppModule makes the module. Nodes and images are what simulations draw from.
func NewAppModule(k *keeper.Keeper, nodes simulation.Nodes, images simulation.Images) AppModule {
	return AppModule{keeper: k, nodes: nodes, images: images}
}

// IsAppModule implements appmodule.AppModule.
func (AppModule) IsAppModule() {}

// IsOnePerModuleType implements appmodule.AppModule.
func (AppModule) IsOnePerModuleType() {}

// Name is the module's name.
func (AppModule) Name() string { return types.ModuleName }

// ConsensusVersion is the version of the module's state.
func (AppModule) ConsensusVersion() uint64 { return ConsensusVersion }

// RegisterLegacyAminoCodec registers the messages for amino JSON.
func (AppModule) RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	types.RegisterLegacyAminoCodec(cdc)
}

// RegisterInterfaces registers the messages.
func (AppModule) RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	types.RegisterInterfaces(registry)
}

// RegisterGRPCGatewayRoutes serves the queries over REST.
func (AppModule) RegisterGRPCGatewayRoutes(clientCtx client.Context, mux *gwruntime.ServeMux) {
	if err := types.RegisterQueryHandlerClient(context.Background(), mux, types.NewQueryClient(clientCtx)); err != nil {
		panic(err)
	}
}

// RegisterServices registers the message and query servers.
func (m AppModule) RegisterServices(registrar grpc.ServiceRegistrar) error {
	types.RegisterMsgServer(registrar, keeper.NewMsgServer(m.keeper))
	types.RegisterQueryServer(registrar, keeper.NewQueryServer(m.keeper))
	return nil
}

// DefaultGenesis is the state of a new chain.
func (AppModule) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(types.DefaultGenesis())
}

// ValidateGenesis checks a genesis.
func (AppModule) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var genesis types.GenesisState
	if err := cdc.UnmarshalJSON(bz, &genesis); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err)
	}
	if err := genesis.Validate(); err != nil {
		return fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err)
	}
	return nil
}

// InitGenesis sets the state.
func (m AppModule) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var genesis types.GenesisState
	cdc.MustUnmarshalJSON(bz, &genesis)
	if err := m.keeper.InitGenesis(ctx, genesis); err != nil {
		panic(fmt.Errorf("genesis of x/%s: %w", types.ModuleName, err))
	}
}

// ExportGenesis is the whole state.
func (m AppModule) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	genesis, err := m.keeper.ExportGenesis(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(genesis)
}

// EndBlock does the block's shared work.
func (m AppModule) EndBlock(ctx context.Context) error { return m.keeper.EndBlocker(ctx) }

// GenerateGenesisState makes a genesis for a simulation.
func (AppModule) GenerateGenesisState(simState *module.SimulationState) {
	simulation.RandomizedGenState(simState)
}

// RegisterStoreDecoder lets a simulation show what differs between two stores.
func (m AppModule) RegisterStoreDecoder(registry simtypes.StoreDecoderRegistry) {
	registry[types.StoreKey] = simtypes.NewStoreDecoderFuncFromCollectionsSchema(m.keeper.Schema)
}

// WeightedOperations is the older form of WeightedOperationsX.
func (AppModule) WeightedOperations(module.SimulationState) []simtypes.WeightedOperation { return nil }

// WeightedOperationsX registers a factory for each message that anybody may send.
func (m AppModule) WeightedOperationsX(weights simsx.WeightSource, registry simsx.Registry) {
	registry.Add(weights.Get("msg_create_lease", 80), simulation.MsgCreateLeaseFactory(m.keeper, m.images, m.nodes))
	registry.Add(weights.Get("msg_fund_lease", 30), simulation.MsgFundLeaseFactory(m.keeper))
	registry.Add(weights.Get("msg_update_lease", 30), simulation.MsgUpdateLeaseFactory(m.keeper))
	registry.Add(weights.Get("msg_close_lease", 15), simulation.MsgCloseLeaseFactory(m.keeper))
	registry.Add(weights.Get("msg_start_placement", 150), simulation.MsgStartPlacementFactory(m.keeper, m.nodes))
	registry.Add(weights.Get("msg_reject_placement", 15), simulation.MsgRejectPlacementFactory(m.keeper, m.nodes))
	registry.Add(weights.Get("msg_migrate_placement", 15), simulation.MsgMigratePlacementFactory(m.keeper))
	registry.Add(weights.Get("msg_request_snapshot", 15), simulation.MsgRequestSnapshotFactory(m.keeper))
	registry.Add(weights.Get("msg_record_snapshot", 60), simulation.MsgRecordSnapshotFactory(m.keeper, m.nodes))
	registry.Add(weights.Get("msg_remove_snapshot", 10), simulation.MsgRemoveSnapshotFactory(m.keeper))
	registry.Add(weights.Get("msg_restore_snapshot", 10), simulation.MsgRestoreSnapshotFactory(m.keeper))
}

// ProposalMsgsX registers a factory for each message of governance.
func (AppModule) ProposalMsgsX(weights simsx.WeightSource, registry simsx.Registry) {
	registry.Add(weights.Get("msg_update_params", 100), simulation.MsgUpdateParamsFactory())
}
