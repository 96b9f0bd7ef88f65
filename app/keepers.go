package app

import (
	"github.com/spf13/cast"

	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/runtime"
	"github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1beta1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1beta1"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	auditkeeper "github.com/isuncoin/isuncoin/x/audit/keeper"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Keepers are the state of every module.
type Keepers struct {
	AccountKeeper   authkeeper.AccountKeeper
	BankKeeper      bankkeeper.Keeper
	StakingKeeper   *stakingkeeper.Keeper
	SlashingKeeper  slashingkeeper.Keeper
	DistrKeeper     distrkeeper.Keeper
	MintKeeper      mintkeeper.Keeper
	GovKeeper       *govkeeper.Keeper
	AuthzKeeper     authzkeeper.Keeper
	FeeGrantKeeper  feegrantkeeper.Keeper
	UpgradeKeeper   *upgradekeeper.Keeper
	EvidenceKeeper  *evidencekeeper.Keeper
	ConsensusKeeper consensuskeeper.Keeper

	SunsKeeper  *sunskeeper.Keeper
	UAIKeeper   uaikeeper.Keeper
	LeaseKeeper *leasekeeper.Keeper
	AuditKeeper auditkeeper.Keeper
}

// newKeepers builds the keepers from the bottom up: whoever is called comes before who calls it.
func newKeepers(app *App, appOpts servertypes.AppOptions) Keepers {
	var k Keepers
	k.addAccounts(app)
	k.addCompute(app)
	k.addStaking(app)
	k.addGovernance(app, appOpts)
	return k
}

// addAccounts builds what every other module needs: consensus params, accounts and balances.
func (k *Keepers) addAccounts(app *App) {
	cdc, keys, authority := app.encoding.Codec, app.keys, Authority().String()
	accounts := accountCodec()

	k.ConsensusKeeper = consensuskeeper.NewKeeper(
		cdc, keys.service(consensustypes.StoreKey), authority, runtime.EventService{},
	)
	app.SetParamStore(k.ConsensusKeeper.ParamsStore)

	k.AccountKeeper = authkeeper.NewAccountKeeper(
		cdc, keys.service(authtypes.StoreKey), authtypes.ProtoBaseAccount, moduleAccounts, accounts,
		sdk.GetConfig().GetBech32AccountAddrPrefix(), authority,
	)
	k.BankKeeper = bankkeeper.NewBaseKeeper(
		cdc, keys.service(banktypes.StoreKey), k.AccountKeeper, BlockedAddresses(), authority, app.Logger(),
	).WithObjStoreKey(keys.object[banktypes.ObjectStoreKey])
	k.FeeGrantKeeper = feegrantkeeper.NewKeeper(cdc, keys.service(feegrant.StoreKey), k.AccountKeeper)
	k.AuthzKeeper = authzkeeper.NewKeeper(
		keys.service(authzkeeper.StoreKey), cdc, app.MsgServiceRouter(), k.AccountKeeper,
	)
}

// addCompute builds our own modules. Calls go down: audit to lease and suns, lease to suns and uai, uai to suns. What happens
// below is told upwards through hooks, to lease before audit, which reads what lease has written.
func (k *Keepers) addCompute(app *App) {
	cdc, keys, authority := app.encoding.Codec, app.keys, Authority().String()

	k.SunsKeeper = sunskeeper.NewKeeper(
		cdc, keys.service(sunstypes.StoreKey), k.AccountKeeper, k.BankKeeper, authority,
	)
	k.UAIKeeper = uaikeeper.NewKeeper(cdc, keys.service(uaitypes.StoreKey), k.BankKeeper, k.SunsKeeper, authority)
	k.LeaseKeeper = leasekeeper.NewKeeper(
		cdc, keys.service(leasetypes.StoreKey), authority, k.SunsKeeper, k.UAIKeeper, k.BankKeeper, k.AccountKeeper,
	)
	k.AuditKeeper = auditkeeper.NewKeeper(
		cdc, keys.service(audittypes.StoreKey), k.AccountKeeper, k.BankKeeper, k.SunsKeeper, k.LeaseKeeper, authority,
	)
	k.LeaseKeeper.SetHooks(k.AuditKeeper.Hooks())
	k.SunsKeeper.SetHooks(sunstypes.MultiHooks{k.LeaseKeeper.SunsHooks(), k.AuditKeeper.Hooks()})
}

// addStaking builds the validators' side: stake, slashing, the emission's share and its distribution.
func (k *Keepers) addStaking(app *App) {
	cdc, keys, authority := app.encoding.Codec, app.keys, Authority().String()
	config := sdk.GetConfig()

	k.StakingKeeper = stakingkeeper.NewKeeper(
		cdc, keys.service(stakingtypes.StoreKey), k.AccountKeeper, newRecordingBank(k.BankKeeper, k.SunsKeeper), authority,
		address.NewBech32Codec(config.GetBech32ValidatorAddrPrefix()),
		address.NewBech32Codec(config.GetBech32ConsensusAddrPrefix()),
	)
	k.MintKeeper = mintkeeper.NewKeeper(
		cdc, keys.service(minttypes.StoreKey), k.StakingKeeper, k.AccountKeeper, k.BankKeeper,
		authtypes.FeeCollectorName, authority,
		mintkeeper.WithMintFn(mintValidatorEmission(k.SunsKeeper)),
	)
	k.DistrKeeper = distrkeeper.NewKeeper(
		cdc, keys.service(distrtypes.StoreKey), k.AccountKeeper, k.BankKeeper, k.StakingKeeper,
		authtypes.FeeCollectorName, authority,
	)
	k.SlashingKeeper = slashingkeeper.NewKeeper(
		cdc, app.encoding.Amino, keys.service(slashingtypes.StoreKey), k.StakingKeeper, authority,
	)
	k.StakingKeeper.SetHooks(
		stakingtypes.NewMultiStakingHooks(k.DistrKeeper.Hooks(), k.SlashingKeeper.Hooks()),
	)
	k.EvidenceKeeper = evidencekeeper.NewKeeper(
		cdc, keys.service(evidencetypes.StoreKey), k.StakingKeeper, k.SlashingKeeper, accountCodec(),
		runtime.ProvideCometInfoService(),
	)
	// Double signing reaches the module through CometBFT; no other kind of evidence is taken. Without a router a
	// submitted one would panic instead of being refused.
	k.EvidenceKeeper.SetRouter(evidencetypes.NewRouter())
}

// addGovernance builds what decides over the rest: proposals and upgrades.
func (k *Keepers) addGovernance(app *App, appOpts servertypes.AppOptions) {
	cdc, keys, authority := app.encoding.Codec, app.keys, Authority().String()

	k.UpgradeKeeper = upgradekeeper.NewKeeper(
		skippedUpgrades(appOpts), keys.service(upgradetypes.StoreKey), cdc,
		cast.ToString(appOpts.Get(flags.FlagHome)), app.BaseApp, authority,
	)
	k.GovKeeper = govkeeper.NewKeeper(
		cdc, keys.service(govtypes.StoreKey), k.AccountKeeper, newRecordingBank(k.BankKeeper, k.SunsKeeper), k.DistrKeeper,
		app.MsgServiceRouter(), govtypes.DefaultConfig(), authority,
		govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(k.StakingKeeper),
	)
	k.GovKeeper.SetHooks(govtypes.NewMultiGovHooks())
	// Proposals of the old form hold text alone. Without a router a submitted one would panic instead of being handled.
	k.GovKeeper.SetLegacyRouter(govv1beta1.NewRouter().AddRoute(govtypes.RouterKey, govv1beta1.ProposalHandler))
}

// accountCodec reads and writes account addresses.
func accountCodec() address.Bech32Codec {
	return address.Bech32Codec{Bech32Prefix: sdk.GetConfig().GetBech32AccountAddrPrefix()}
}

// skippedUpgrades are the heights whose upgrades the operator chose to pass over.
func skippedUpgrades(appOpts servertypes.AppOptions) map[int64]bool {
	skipped := map[int64]bool{}
	for _, height := range cast.ToIntSlice(appOpts.Get(server.FlagUnsafeSkipUpgrades)) {
		skipped[int64(height)] = true
	}
	return skipped
}
