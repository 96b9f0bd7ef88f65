//go:build sims

// Package sim runs random transactions against the whole chain, with every invariant checked at the end of every block.
package sim

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/app"
)

// chain is the app as the simulator wants it.
type chain struct {
	*app.App
	// time is that of the last block.
	time *time.Time
}

// GetBaseApp gives the part that runs blocks.
func (c chain) GetBaseApp() *baseapp.BaseApp { return c.BaseApp }

// ExportAppStateAndValidators exports the state.
func (c chain) ExportAppStateAndValidators(zeroHeight bool, jailAllowed, modules []string) (servertypes.ExportedApp, error) {
	return c.Export(zeroHeight, jailAllowed, modules)
}

// newChain builds the app so that a block whose end breaks an invariant fails.
func newChain(
	logger log.Logger, db dbm.DB, loadLatest bool, options servertypes.AppOptions, baseOptions ...func(*baseapp.BaseApp),
) chain {
	a := app.NewAt(logger, db, options, baseOptions...)
	last := new(time.Time)
	a.SetEndBlocker(func(ctx sdk.Context) (sdk.EndBlock, error) {
		*last = ctx.BlockTime()
		end, err := a.EndBlocker(ctx)
		if err != nil {
			return end, err
		}
		return end, a.CheckInvariants(ctx)
	})
	// The simulator runs a block's transactions after the block's end. What they credit virtually is paid in here, before it
	// would be lost with the object store; in a real block bank's end blocker does it.
	a.SetPrecommiter(func(ctx sdk.Context) {
		if err := a.BankKeeper.CreditVirtualAccounts(ctx); err != nil {
			panic(err)
		}
		a.SimWriteState()
	})
	if loadLatest {
		if err := a.LoadLatestVersion(); err != nil {
			panic(err)
		}
	}
	return chain{a, last}
}

func stateOf(c chain) simsx.SimStateFactory {
	return simsx.SimStateFactory{
		Codec:         c.AppCodec(),
		AppStateFn:    simtestutil.AppStateFn(c.AppCodec(), c.SimulationManager(), c.BasicManager().DefaultGenesis(c.AppCodec())),
		BlockedAddr:   app.BlockedAddresses(),
		AccountSource: c.AccountKeeper,
		BalanceSource: c.BankKeeper,
	}
}

// setting reads a positive number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	require.Positive(t, number, name)
	return number
}

func seeds(t *testing.T) []int64 {
	t.Helper()
	text := os.Getenv("SIM_SEEDS")
	if text == "" {
		return []int64{1}
	}
	var numbers []int64
	for _, part := range strings.Split(text, ",") {
		number, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		require.NoError(t, err, "SIM_SEEDS")
		numbers = append(numbers, number)
	}
	return numbers
}

func config(t *testing.T) simtypes.Config {
	return simtypes.Config{
		ChainID: simsx.SimAppChainID, InitialBlockHeight: 1, GenesisTime: 1_767_225_600,
		NumBlocks: setting(t, "SIM_BLOCKS", 30), BlockSize: setting(t, "SIM_BLOCK_SIZE", 20),
		Lean: true, Commit: true, DBBackend: string(dbm.MemDBBackend), BlockMaxGas: -1,
	}
}

// Random blocks keep every invariant, and what is exported after them is imported and exported again byte for byte, module
// by module.
func TestRandomBlocks(t *testing.T) {
	for _, seed := range seeds(t) {
		t.Run("seed "+strconv.FormatInt(seed, 10), func(t *testing.T) {
			simsx.RunWithSeed(t, config(t), newChain, stateOf, seed, nil, exportsWhatItImported)
		})
	}
}

// ourModules are those whose genesis must survive the round trip unchanged.
var ourModules = []string{"suns", "uai", "lease", "audit"}

func exportsWhatItImported(t testing.TB, instance simsx.TestInstance[chain], _ []simtypes.Account) {
	t.Helper()
	// The simulator's last transactions came after their block's end. A block later everything is as it is between blocks.
	_, err := instance.App.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: instance.App.LastBlockHeight() + 1, Time: instance.App.time.Add(time.Second),
	})
	require.NoError(t, err)
	_, err = instance.App.Commit()
	require.NoError(t, err)
	first, err := instance.App.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(t, err)

	again := newChain(log.NewNopLogger(), dbm.NewMemDB(), true, simtestutil.NewAppOptionsWithFlagHome(t.TempDir()),
		baseapp.SetChainID(instance.Cfg.ChainID))
	consensus := first.ConsensusParams
	_, err = again.InitChain(&abci.RequestInitChain{
		ChainId: instance.Cfg.ChainID, InitialHeight: first.Height, ConsensusParams: &consensus, AppStateBytes: first.AppState,
	})
	require.NoError(t, err)
	ctx := again.NewContextLegacy(false, cmtproto.Header{ChainID: instance.Cfg.ChainID, Height: first.Height})
	require.NoError(t, again.CheckInvariants(ctx), "after the import")
	second, err := again.ExportModules(ctx, ourModules)
	require.NoError(t, err)

	var state map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(first.AppState, &state))
	for _, name := range ourModules {
		require.Equal(t, compact(t, state[name]), compact(t, second[name]), "genesis of x/%s", name)
	}
}

func compact(t testing.TB, document json.RawMessage) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Compact(&out, document))
	return out.String()
}
