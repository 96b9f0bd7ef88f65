package app

import (
	"maps"
	"slices"

	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// storeKeys is the one register of the chain's stores. What is mounted and what the parallel executor is told both come
// from it: a store the executor does not know is silently taken for another one, so the two lists must never part.
type storeKeys struct {
	kv        map[string]*storetypes.KVStoreKey
	transient map[string]*storetypes.TransientStoreKey
	memory    map[string]*storetypes.MemoryStoreKey
	object    map[string]*storetypes.ObjectStoreKey
}

func newStoreKeys() storeKeys {
	return storeKeys{
		kv: storetypes.NewKVStoreKeys(
			authtypes.StoreKey,
			banktypes.StoreKey,
			stakingtypes.StoreKey,
			slashingtypes.StoreKey,
			distrtypes.StoreKey,
			minttypes.StoreKey,
			govtypes.StoreKey,
			authzkeeper.StoreKey,
			feegrant.StoreKey,
			upgradetypes.StoreKey,
			evidencetypes.StoreKey,
			consensustypes.StoreKey,
			sunstypes.StoreKey,
			uaitypes.StoreKey,
			leasetypes.StoreKey,
			audittypes.StoreKey,
		),
		transient: storetypes.NewTransientStoreKeys(),
		memory:    storetypes.NewMemoryStoreKeys(),
		// The bank keeps what was credited virtually during a block here, until its end blocker pays it in.
		object: storetypes.NewObjectStoreKeys(banktypes.ObjectStoreKey),
	}
}

// service is a module's own store; an unregistered name is a mistake in the wiring.
func (k storeKeys) service(name string) store.KVStoreService {
	key, ok := k.kv[name]
	if !ok {
		panic("no store is registered for " + name)
	}
	return runtime.NewKVStoreService(key)
}

// open opens every registered store of a context.
func (k storeKeys) open(stores storetypes.MultiStore) {
	for _, name := range slices.Sorted(maps.Keys(k.kv)) {
		stores.GetKVStore(k.kv[name])
	}
	for _, name := range slices.Sorted(maps.Keys(k.object)) {
		stores.GetObjKVStore(k.object[name])
	}
}

// mount mounts every registered store.
func (k storeKeys) mount(base *baseapp.BaseApp) {
	base.MountKVStores(k.kv)
	base.MountTransientStores(k.transient)
	base.MountMemoryStores(k.memory)
	base.MountObjectStores(k.object)
}

// all lists every registered store: kind by kind, each sorted by name.
func (k storeKeys) all() []storetypes.StoreKey {
	var keys []storetypes.StoreKey
	keys = appendKeys(keys, k.kv)
	keys = appendKeys(keys, k.transient)
	keys = appendKeys(keys, k.memory)
	keys = appendKeys(keys, k.object)
	return keys
}

func appendKeys[K storetypes.StoreKey](keys []storetypes.StoreKey, more map[string]K) []storetypes.StoreKey {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		keys = append(keys, more[name])
	}
	return keys
}
