package scale

import (
	"context"
	"os"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/app/bootstrap"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

const (
	chainID = "isun-scale"
	// blockStep is short, so that nothing falls due while blocks are timed.
	blockStep = time.Millisecond
	// duePerBlock is how many placements fall due in one measured block; the chain's budget is raised to it.
	duePerBlock = 1_000

	bankUisc      = 100_000_000_000_000_000
	validatorUisc = 100_000_000_000
)

// bank is the account all coins of a market come from.
var bank = testkit.Addr("bank")

// testChain is the whole application over a database, driven block by block. Between a block's begin and its
// end it runs work of ours, which writes through the keepers.
type testChain struct {
	tb   testing.TB
	app  *app.App
	time time.Time
	work func(ctx sdk.Context) error
}

func newTestChain(tb testing.TB) *testChain {
	tb.Helper()
	c := &testChain{tb: tb, time: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)}
	c.app = app.NewAt(log.NewNopLogger(), openDB(tb), app.NoOptions{}, baseapp.SetChainID(chainID),
		// As a node runs, but with little history, which is not what is measured, and no pruning beside the clock.
		baseapp.SetIAVLCacheSize(781_250), baseapp.SetIAVLSyncPruning(true),
		baseapp.SetPruning(pruningtypes.NewPruningOptions(pruningtypes.PruningEverything)))
	c.app.SetPreBlocker(func(ctx sdk.Context, request *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
		response, err := c.app.PreBlocker(ctx, request)
		if err == nil && c.work != nil {
			err = c.work(ctx)
		}
		return response, err
	})
	require.NoError(tb, c.app.LoadLatestVersion())
	doc, err := c.genesis().ToGenesisDoc()
	require.NoError(tb, err)
	params := doc.ConsensusParams.ToProto()
	_, err = c.app.InitChain(&abci.RequestInitChain{
		ChainId: doc.ChainID, Time: doc.GenesisTime, InitialHeight: doc.InitialHeight, ConsensusParams: &params,
		AppStateBytes: doc.AppState,
	})
	require.NoError(tb, err)
	c.block(nil)
	return c
}

// openDB gives an empty database: in memory, or on disk when BENCH_DB names a kind such as "goleveldb".
func openDB(tb testing.TB) dbm.DB {
	tb.Helper()
	kind := os.Getenv("BENCH_DB")
	if kind == "" {
		return dbm.NewMemDB()
	}
	db, err := dbm.NewDB("application", dbm.BackendType(kind), tb.TempDir())
	require.NoError(tb, err)
	return db
}

// genesis is that of one validator and the bank, with block budgets that let a block do what is measured.
func (c *testChain) genesis() *genutiltypes.AppGenesis {
	c.tb.Helper()
	keys := keyring.NewInMemory(c.app.AppCodec())
	record, _, err := keys.NewMnemonic(
		"validator", keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	require.NoError(c.tb, err)
	validator, err := record.GetAddress()
	require.NoError(c.tb, err)
	genesis, err := bootstrap.Genesis(context.Background(), c.app, bootstrap.Spec{
		ChainID: chainID, Time: c.time, Keyring: keys,
		Accounts: []bootstrap.Account{
			{Address: bank, Coins: testkit.Coins(bankUisc)},
			{Address: validator, Coins: testkit.Coins(2 * validatorUisc)},
		},
		Validators: []bootstrap.Validator{{
			KeyName: "validator", Moniker: "validator", Stake: math.NewInt(validatorUisc),
			ConsensusKey: ed25519.GenPrivKeyFromSecret([]byte("validator")).PubKey(),
		}},
		Edit: func(cdc codec.JSONCodec, state app.GenesisState) error {
			return app.EditGenesis(cdc, state, leasetypes.ModuleName, func(g *leasetypes.GenesisState) {
				g.Params.Budgets.DuePlacements = duePerBlock
				g.Params.Budgets.Reindexes = leasetypes.MaxBudget
			})
		},
	})
	require.NoError(c.tb, err)
	return genesis
}

// block runs and commits a block in which work, if any, writes to state.
func (c *testChain) block(work func(ctx sdk.Context) error) {
	c.tb.Helper()
	c.time = c.time.Add(blockStep)
	c.work = work
	height := c.app.LastBlockHeight() + 1
	_, err := c.app.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: height, Time: c.time, Hash: testkit.HeaderHash(height),
		ProposerAddress: ed25519.GenPrivKeyFromSecret([]byte("validator")).PubKey().Address(),
	})
	require.NoError(c.tb, err)
	_, err = c.app.Commit()
	require.NoError(c.tb, err)
}

// next is the context of a block over what is committed; what is written to it is thrown away.
func (c *testChain) next() sdk.Context {
	height := c.app.LastBlockHeight() + 1
	header := cmtproto.Header{ChainID: chainID, Height: height, Time: c.time.Add(blockStep)}
	return sdk.NewContext(c.app.CommitMultiStore().CacheMultiStore(), header, false, log.NewNopLogger()).
		WithHeaderHash(testkit.HeaderHash(height))
}
