package app

import (
	"reflect"
	"slices"
	"testing"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/config"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// options are settings as app.toml would give them.
type options map[string]any

func (o options) Get(key string) any { return o[key] }

func newTestApp(t *testing.T, opts options) *App {
	t.Helper()
	return New(log.NewNopLogger(), dbm.NewMemDB(), opts)
}

// keysByName is implemented by the SDK's multi store.
type keysByName interface {
	StoreKeysByName() map[string]storetypes.StoreKey
}

func TestRegisteredStoresAreTheMountedOnes(t *testing.T) {
	app := newTestApp(t, nil)
	mounted, ok := app.CommitMultiStore().(keysByName)
	require.True(t, ok)

	registered := map[string]storetypes.StoreKey{}
	for _, key := range app.keys.all() {
		require.NotContains(t, registered, key.Name(), "two stores share a name")
		registered[key.Name()] = key
	}
	require.Equal(t, mounted.StoreKeysByName(), registered)
	require.Contains(t, registered, banktypes.ObjectStoreKey)
}

// The parallel executor takes a store it was not told of for another one, without an error, so what it really holds is
// looked at, past the package's boundary.
func TestParallelExecutorKnowsEveryStore(t *testing.T) {
	app := newTestApp(t, options{server.FlagBlockExecutor: config.BlockExecutorBlockSTM})
	runner := reflect.ValueOf(app.BaseApp).Elem().FieldByName("txRunner").Elem()
	require.Equal(t, "*blockstm.STMRunner", runner.Type().String())

	known := runner.Elem().FieldByName("stores")
	var names, want []string
	for i := range known.Len() {
		names = append(names, known.Index(i).Elem().Elem().FieldByName("name").String())
	}
	for _, key := range app.keys.all() {
		want = append(want, key.Name())
	}
	slices.Sort(want)
	require.Equal(t, want, names)
}

func TestBlockGasMeterIsOffInBothExecutors(t *testing.T) {
	for _, executor := range []string{config.BlockExecutorSequential, config.BlockExecutorBlockSTM} {
		app := newTestApp(t, options{server.FlagBlockExecutor: executor})
		off := reflect.ValueOf(app.BaseApp).Elem().FieldByName("disableBlockGasMeter").Bool()
		require.True(t, off, executor)
	}
}

func TestUnknownExecutorIsRefused(t *testing.T) {
	require.Panics(t, func() { newTestApp(t, options{server.FlagBlockExecutor: "quantum"}) })
}

func TestBankEndsBlocksOnceAndBeforeWhatSpends(t *testing.T) {
	count := 0
	for _, name := range endBlockOrder {
		if name == banktypes.ModuleName {
			count++
		}
	}
	require.Equal(t, 1, count)
	bank := slices.Index(endBlockOrder, banktypes.ModuleName)
	require.Less(t, slices.Index(endBlockOrder, govtypes.ModuleName), bank, "gov executes messages")
	require.Equal(t, []string{"lease", "audit", "suns"}, endBlockOrder[bank+1:])
}

func TestBlockedAddresses(t *testing.T) {
	blocked := BlockedAddresses()
	for _, name := range ModuleAccountNames() {
		address := authtypes.NewModuleAddress(name).String()
		require.Equal(t, name != govtypes.ModuleName, blocked[address], name)
	}
}

func TestOnlyTheEmissionMints(t *testing.T) {
	var minters []string
	for _, name := range ModuleAccountNames() {
		if slices.Contains(moduleAccounts[name], authtypes.Minter) {
			minters = append(minters, name)
		}
	}
	require.Equal(t, []string{minttypes.ModuleName, sunstypes.RewardPoolName}, minters)
}

func TestDefaultGenesisIsValidAndInOurCoin(t *testing.T) {
	app := newTestApp(t, nil)
	state, err := app.DefaultGenesis()
	require.NoError(t, err)
	require.NoError(t, app.BasicManager().ValidateGenesis(app.AppCodec(), app.TxConfig(), state))
	for name, raw := range state {
		require.NotContains(t, string(raw), `"stake"`, name)
	}

	var mint minttypes.GenesisState
	require.NoError(t, app.AppCodec().UnmarshalJSON(state[minttypes.ModuleName], &mint))
	require.Equal(t, sunstypes.BaseDenom, mint.Params.MintDenom)
	require.True(t, mint.Minter.Inflation.IsZero())
	require.NoError(t, DefaultConsensusParams().ValidateBasic())
	require.EqualValues(t, 200_000_000, DefaultConsensusParams().Block.MaxGas)
}
