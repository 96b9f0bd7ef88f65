// Package testkit gives the keeper tests of every module a small real chain: a multistore with KV, transient and object
// stores, the auth and bank keepers, transactions in cache contexts, and blocks that run the modules' blockers in the app's
// order. Only consensus and the transaction pipeline are left out.
package testkit

import (
	"testing"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/core/store"
	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/codec"
	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	"github.com/cosmos/cosmos-sdk/std"
	storev2 "github.com/cosmos/cosmos-sdk/store/v2"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// ChainID is the chain id of every fixture.
const ChainID = "isun-test-1"

// Options say what a fixture holds beside auth and bank.
type Options struct {
	// StoreKeys are the KV stores of the modules under test.
	StoreKeys []string
	// Interfaces register the modules' messages.
	Interfaces []func(codectypes.InterfaceRegistry)
	// ModuleAccounts are further module accounts with their permissions.
	ModuleAccounts map[string][]string
}

// Fixture is a chain for one test case.
type Fixture struct {
	T testing.TB
	// Ctx is the running block's context. NextBlock replaces it, so read it anew each time.
	Ctx sdk.Context

	Registry codectypes.InterfaceRegistry
	Codec    codec.Codec
	Accounts authkeeper.AccountKeeper
	Bank     bankkeeper.BaseKeeper
	// Authority is the address that may change params: the gov module account.
	Authority sdk.AccAddress

	keys     map[string]*storetypes.KVStoreKey
	stores   storev2.CommitMultiStore
	blockers blockers
	txs      int
}

// moduleAccounts are those of the app, with their permissions.
func moduleAccounts(more map[string][]string) map[string][]string {
	accounts := map[string][]string{
		authtypes.FeeCollectorName: nil,
		minttypes.ModuleName:       {authtypes.Minter},
		govtypes.ModuleName:        {authtypes.Burner},
		sunstypes.ModuleName:       nil,
		sunstypes.RewardPoolName:   {authtypes.Minter},
		"lease":                    nil,
		"audit":                    nil,
		treasury:                   {authtypes.Minter},
	}
	for name, permissions := range more {
		accounts[name] = permissions
	}
	return accounts
}

// New makes a chain at height 1, with the treasury filled and every module account created.
func New(t testing.TB, opts Options) *Fixture {
	t.Helper()
	f := &Fixture{T: t, Registry: codectypes.NewInterfaceRegistry(), Authority: authtypes.NewModuleAddress(govtypes.ModuleName)}
	std.RegisterInterfaces(f.Registry)
	authtypes.RegisterInterfaces(f.Registry)
	banktypes.RegisterInterfaces(f.Registry)
	for _, register := range opts.Interfaces {
		register(f.Registry)
	}
	f.Codec = codec.NewProtoCodec(f.Registry)

	object := storetypes.NewObjectStoreKey("object:" + banktypes.StoreKey)
	f.mountStores(append([]string{authtypes.StoreKey, banktypes.StoreKey}, opts.StoreKeys...), object)
	f.newKeepers(moduleAccounts(opts.ModuleAccounts), object)

	f.Ctx = f.newContext(1, genesisTime)
	require.NoError(t, f.Accounts.Params.Set(f.Ctx, authtypes.DefaultParams()))
	require.NoError(t, f.Bank.SetParams(f.Ctx, banktypes.DefaultParams()))
	// Accounts are numbered as they are created, so the order must not be a map's.
	for _, name := range sortedNames(moduleAccounts(opts.ModuleAccounts)) {
		f.Accounts.GetModuleAccount(f.Ctx, name)
	}
	require.NoError(t, f.Bank.MintCoins(f.Ctx, treasury, Coins(treasuryUisc)))
	return f
}

func (f *Fixture) mountStores(names []string, object *storetypes.ObjectStoreKey) {
	f.stores = storev2.NewCommitMultiStore(dbm.NewMemDB(), log.NewNopLogger())
	// Without a database of its own a store gets a prefix of the shared one.
	f.keys = storetypes.NewKVStoreKeys(names...)
	for _, name := range names {
		f.stores.MountStoreWithDB(f.keys[name], storetypes.StoreTypeIAVL, nil)
	}
	f.stores.MountStoreWithDB(storetypes.NewTransientStoreKey("transient_test"), storetypes.StoreTypeTransient, nil)
	f.stores.MountStoreWithDB(object, storetypes.StoreTypeObject, nil)
	require.NoError(f.T, f.stores.LoadLatestVersion())
}

func (f *Fixture) newKeepers(accounts map[string][]string, object *storetypes.ObjectStoreKey) {
	authority := f.Authority.String()
	f.Accounts = authkeeper.NewAccountKeeper(
		f.Codec, f.Store(authtypes.StoreKey), authtypes.ProtoBaseAccount, accounts,
		addresscodec.NewBech32Codec(sunstypes.Bech32Prefix), sunstypes.Bech32Prefix, authority,
	)
	blocked := make(map[string]bool, len(accounts))
	for name := range accounts {
		blocked[authtypes.NewModuleAddress(name).String()] = true
	}
	f.Bank = bankkeeper.NewBaseKeeper(
		f.Codec, f.Store(banktypes.StoreKey), f.Accounts, blocked, authority, log.NewNopLogger(),
	).WithObjStoreKey(object)
}

// Store is the store service of a mounted KV store, for a keeper's constructor.
func (f *Fixture) Store(name string) store.KVStoreService {
	f.T.Helper()
	key, ok := f.keys[name]
	require.True(f.T, ok, "store %q is not mounted: name it in Options.StoreKeys", name)
	return runtime.NewKVStoreService(key)
}

func (f *Fixture) newContext(height int64, at blockTime) sdk.Context {
	header := cmtproto.Header{ChainID: ChainID, Height: height, Time: at}
	return sdk.NewContext(f.stores, header, false, log.NewNopLogger()).
		WithHeaderHash(HeaderHash(height)).
		WithHeaderInfo(headerInfo(height, at))
}
