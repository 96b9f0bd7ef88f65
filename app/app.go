// Package app wires the chain from the SDK's modules and our own: keepers, block order, ante handler, proposals, executor,
// genesis, export and upgrades. It holds no rules of its own beyond how the parts meet.
package app

import (
	"fmt"
	"sync" //consensus:ok closing is no part of a block

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/cosmos/cosmos-sdk/version"
)

// Name is the application's name in handshakes, events and exported genesis files.
const Name = "isuncoin"

var _ servertypes.Application = (*App)(nil)

// App is the chain: a BaseApp with the keepers and modules of iSunCoin.
type App struct {
	*baseapp.BaseApp
	Keepers

	encoding EncodingConfig
	keys     storeKeys

	modules      *module.Manager
	basics       module.BasicManager
	configurator module.Configurator
	simulation   *module.SimulationManager

	closing  sync.Once
	closeErr error
}

// New builds the application over db and loads its latest state. Broken wiring or a database that cannot be read is an
// error no node can run with, so it panics, as the server's application creator expects.
func New(
	logger log.Logger, db dbm.DB, appOpts servertypes.AppOptions, baseAppOptions ...func(*baseapp.BaseApp),
) *App {
	app := NewAt(logger, db, appOpts, baseAppOptions...)
	must("load the latest version", app.LoadLatestVersion())
	return app
}

// NewAt is New without loading any state: the caller loads the height it wants, as an export of the past does.
func NewAt(
	logger log.Logger, db dbm.DB, appOpts servertypes.AppOptions, baseAppOptions ...func(*baseapp.BaseApp),
) *App {
	encoding := MakeEncodingConfig()
	base := baseapp.NewBaseApp(Name, logger, db, encoding.TxConfig.TxDecoder(), baseAppOptions...)
	base.SetVersion(version.Version)
	base.SetInterfaceRegistry(encoding.InterfaceRegistry)
	base.SetTxEncoder(encoding.TxConfig.TxEncoder())

	app := &App{BaseApp: base, encoding: encoding, keys: newStoreKeys()}
	must("register streaming services", base.RegisterStreamingServices(appOpts, app.keys.kv))
	app.Keepers = newKeepers(app, appOpts)
	app.wireModules()
	app.keys.mount(base)

	app.SetInitChainer(app.InitChainer)
	app.SetPreBlocker(app.PreBlocker)
	app.SetBeginBlocker(app.BeginBlocker)
	app.SetEndBlocker(app.EndBlocker)
	app.setAnteHandler()
	app.setProposalHandlers()
	app.setBlockExecutor(appOpts)
	app.registerUpgrades(appOpts)
	app.checkProtoAnnotations()
	return app
}

// NoOptions are the settings of an application that runs no node: everything is at its default. The command line reads
// modules and codecs from such an application, and genesis is checked in one.
type NoOptions struct{}

// Get knows nothing.
func (NoOptions) Get(string) any { return nil }

// must turns an error of the wiring into a panic that says what was being done.
func must(doing string, err error) {
	if err != nil {
		panic(fmt.Errorf("%s: %w", doing, err))
	}
}

// PreBlocker runs what must come before everything else: upgrades, and the account module's own cleaning.
func (app *App) PreBlocker(ctx sdk.Context, _ *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
	return app.modules.PreBlock(ctx)
}

// BeginBlocker runs the modules' begin blockers in the order of modules.go.
func (app *App) BeginBlocker(ctx sdk.Context) (sdk.BeginBlock, error) {
	return app.modules.BeginBlock(ctx)
}

// EndBlocker runs the modules' end blockers in the order of modules.go.
func (app *App) EndBlocker(ctx sdk.Context) (sdk.EndBlock, error) {
	return app.modules.EndBlock(ctx)
}

// Close closes the databases. The server closes the application on more than one way out, so only the first call counts.
func (app *App) Close() error {
	app.closing.Do(func() { app.closeErr = app.BaseApp.Close() })
	return app.closeErr
}

// LoadHeight loads the state of a height that is still kept.
func (app *App) LoadHeight(height int64) error { return app.LoadVersion(height) }

// AppCodec is the codec of state and messages.
func (app *App) AppCodec() codec.Codec { return app.encoding.Codec }

// LegacyAmino is the codec of amino JSON signing.
func (app *App) LegacyAmino() *codec.LegacyAmino { return app.encoding.Amino }

// InterfaceRegistry knows every message the chain accepts.
func (app *App) InterfaceRegistry() codectypes.InterfaceRegistry {
	return app.encoding.InterfaceRegistry
}

// TxConfig encodes and signs transactions.
func (app *App) TxConfig() client.TxConfig { return app.encoding.TxConfig }

// ModuleManager gives the modules, for the command line's generated commands and for tests.
func (app *App) ModuleManager() *module.Manager { return app.modules }

// BasicManager gives the modules' parts that need no state.
func (app *App) BasicManager() module.BasicManager { return app.basics }

// Configurator holds the modules' migrations, which upgrades run.
func (app *App) Configurator() module.Configurator { return app.configurator }

// SimulationManager gives the modules' simulations.
func (app *App) SimulationManager() *module.SimulationManager { return app.simulation }

// checkProtoAnnotations refuses to run with a message service whose signers the SDK cannot see.
func (app *App) checkProtoAnnotations() {
	files, err := proto.MergedRegistry()
	must("merge the proto registries", err)
	must("check the proto annotations", msgservice.ValidateProtoAnnotations(files))
}
