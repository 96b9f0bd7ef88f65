package app

import (
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authsims "github.com/cosmos/cosmos-sdk/x/auth/simulation"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/auth/vesting"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/mint"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/isuncoin/isuncoin/x/audit"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/lease"
	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/suns"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/uai"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// The orders below are part of the protocol: changing one changes the state every validator computes.
var (
	preBlockOrder = []string{upgradetypes.ModuleName, authtypes.ModuleName}

	// The clock first, so that everybody in the block sees the same time; the validators' emission and yesterday's fees
	// before distribution, which hands both out; slashing after it, so that nothing of a slashed validator is left in the
	// collector.
	beginBlockOrder = []string{
		sunstypes.ModuleName,
		minttypes.ModuleName,
		distrtypes.ModuleName,
		slashingtypes.ModuleName,
		evidencetypes.ModuleName,
		stakingtypes.ModuleName,
		authz.ModuleName,
	}

	// First whatever executes messages or moves coins like a message, then the bank, once: it pays in what was credited
	// virtually. After it the module accounts hold what they were sent, so the queues of lease, audit and suns, which
	// spend from them, come last.
	endBlockOrder = []string{
		govtypes.ModuleName,
		stakingtypes.ModuleName,
		feegrant.ModuleName,
		banktypes.ModuleName,
		leasetypes.ModuleName,
		audittypes.ModuleName,
		sunstypes.ModuleName,
	}

	// Balances before suns, which notes the supply it starts from; staking before the genesis transactions, which create
	// validators.
	genesisOrder = []string{
		consensustypes.ModuleName,
		authtypes.ModuleName,
		banktypes.ModuleName,
		distrtypes.ModuleName,
		stakingtypes.ModuleName,
		slashingtypes.ModuleName,
		govtypes.ModuleName,
		minttypes.ModuleName,
		sunstypes.ModuleName,
		uaitypes.ModuleName,
		leasetypes.ModuleName,
		audittypes.ModuleName,
		genutiltypes.ModuleName,
		evidencetypes.ModuleName,
		authz.ModuleName,
		feegrant.ModuleName,
		upgradetypes.ModuleName,
		vestingtypes.ModuleName,
	}
)

// wireModules puts the modules over their keepers, registers their services and fixes their orders.
func (app *App) wireModules() {
	app.modules = module.NewManager(app.newModules()...)
	app.basics = module.NewBasicManagerFromManager(app.modules, map[string]module.AppModuleBasic{
		genutiltypes.ModuleName: genutil.NewAppModuleBasic(genutiltypes.DefaultMessageValidator),
		govtypes.ModuleName:     gov.NewAppModuleBasic(nil),
	})
	app.basics.RegisterLegacyAminoCodec(app.encoding.Amino)
	app.basics.RegisterInterfaces(app.encoding.InterfaceRegistry)

	app.modules.SetOrderPreBlockers(preBlockOrder...)
	app.modules.SetOrderBeginBlockers(beginBlockOrder...)
	app.modules.SetOrderEndBlockers(endBlockOrder...)
	app.modules.SetOrderInitGenesis(genesisOrder...)
	app.modules.SetOrderExportGenesis(genesisOrder...)

	app.configurator = module.NewConfigurator(app.encoding.Codec, app.MsgServiceRouter(), app.GRPCQueryRouter())
	must("register the modules' services", app.modules.RegisterServices(app.configurator))

	app.simulation = module.NewSimulationManagerFromAppModules(app.modules.Modules, map[string]module.AppModuleSimulation{
		authtypes.ModuleName: auth.NewAppModule(app.encoding.Codec, app.AccountKeeper, authsims.RandomGenesisAccounts, nil),
	})
	app.simulation.RegisterStoreDecoders()
}

func (app *App) newModules() []module.AppModule {
	cdc, registry := app.encoding.Codec, app.encoding.InterfaceRegistry
	return []module.AppModule{
		genutil.NewAppModule(app.AccountKeeper, app.StakingKeeper, app, app.encoding.TxConfig),
		auth.NewAppModule(cdc, app.AccountKeeper, authsims.RandomGenesisAccounts, nil),
		vesting.NewAppModule(app.AccountKeeper, app.BankKeeper),
		bank.NewAppModule(cdc, app.BankKeeper, app.AccountKeeper, nil),
		staking.NewAppModule(cdc, app.StakingKeeper, app.AccountKeeper, app.BankKeeper, nil),
		slashing.NewAppModule(
			cdc, app.SlashingKeeper, app.AccountKeeper, app.BankKeeper, app.StakingKeeper, nil, registry),
		distr.NewAppModule(cdc, app.DistrKeeper, app.AccountKeeper, app.BankKeeper, app.StakingKeeper, nil),
		mint.NewAppModule(cdc, app.MintKeeper, app.AccountKeeper, nil, nil),
		gov.NewAppModule(cdc, app.GovKeeper, app.AccountKeeper, app.BankKeeper, nil),
		authzmodule.NewAppModule(cdc, app.AuthzKeeper, app.AccountKeeper, app.BankKeeper, registry),
		feegrantmodule.NewAppModule(cdc, app.AccountKeeper, app.BankKeeper, app.FeeGrantKeeper, registry),
		upgrade.NewAppModule(app.UpgradeKeeper, app.AccountKeeper.AddressCodec()),
		evidence.NewAppModule(*app.EvidenceKeeper),
		consensus.NewAppModule(cdc, app.ConsensusKeeper),
		suns.NewAppModule(app.SunsKeeper),
		uai.NewAppModule(app.UAIKeeper),
		lease.NewAppModule(app.LeaseKeeper, app.SunsKeeper, app.UAIKeeper),
		audit.NewAppModule(app.AuditKeeper, app.SunsKeeper, leasekeeper.NewQueryServer(app.LeaseKeeper)),
	}
}
