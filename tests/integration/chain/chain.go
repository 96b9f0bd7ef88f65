// Package chain runs the whole application in a test: real signed transactions in real blocks, as CometBFT would deliver
// them, with the invariants checked after each.
package chain

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	"github.com/cosmos/cosmos-sdk/server"
	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/app/bootstrap"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// ID is the chain id.
	ID = "isun-test"
	// MinGasPrice is what the node asks for a unit of gas.
	MinGasPrice = "0.001" + sunstypes.BaseDenom
	// Funds is what every account starts with, in uisc.
	Funds = 1_000_000_000_000
	// Stake is what each validator puts up of it, in uisc.
	Stake = 100_000_000_000

	blockTime = time.Second
)

// GenesisTime is the time of genesis.
var GenesisTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Chain is a running chain.
type Chain struct {
	T    testing.TB
	App  *app.App
	Keys keyring.Keyring
	// Genesis is what the chain began with.
	Genesis *genutiltypes.AppGenesis
	// Time is the time of the last block.
	Time time.Time

	options       options
	initialHeight int64
	// sequences counts the transactions signed for the block to come.
	sequences map[string]uint64
	// misbehaviour is reported in the next block.
	misbehaviour []abci.Misbehavior
	// unsigned leaves the votes out of the next block.
	unsigned bool
}

type options struct {
	executor   string
	validators int
	accounts   []string
	fixedKeys  bool
	home       string
	estimate   bool
	unchecked  bool
	workers    int
	prepare    func(*app.App)
	recording  *Recording
	db         dbm.DB
	edit       func(codec.JSONCodec, app.GenesisState) error
}

// Option changes how a chain is made.
type Option func(*options)

// WithExecutor chooses how blocks run: "sequential" or "block-stm".
func WithExecutor(name string) Option { return func(o *options) { o.executor = name } }

// WithValidators starts with more than one validator. Their operators are "validator0", "validator1", ….
func WithValidators(n int) Option { return func(o *options) { o.validators = n } }

// WithAccounts adds funded accounts to the usual ones.
func WithAccounts(names ...string) Option {
	return func(o *options) { o.accounts = append(o.accounts, names...) }
}

// WithFixedKeys derives keys from the accounts' names, so that two chains can be compared byte for byte.
func WithFixedKeys() Option { return func(o *options) { o.fixedKeys = true } }

// WithEstimates lets the parallel executor guess beforehand which keys a transaction writes.
func WithEstimates() Option { return func(o *options) { o.estimate = true } }

// WithWorkers says on how many threads the parallel executor runs, instead of 8.
func WithWorkers(n int) Option { return func(o *options) { o.workers = n } }

// WithPreparation changes the application before it loads its state, for example to watch its transactions.
func WithPreparation(prepare func(*app.App)) Option { return func(o *options) { o.prepare = prepare } }

// WithoutInvariants leaves the check after every block to the caller: it walks the whole state.
func WithoutInvariants() Option { return func(o *options) { o.unchecked = true } }

// WithHome gives the node a home folder, where an upgrade that is due leaves word for the next binary.
func WithHome(folder string) Option { return func(o *options) { o.home = folder } }

// WithDB keeps state in a database of the caller's.
func WithDB(db dbm.DB) Option { return func(o *options) { o.db = db } }

// WithGenesis changes the modules' genesis.
func WithGenesis(edit func(codec.JSONCodec, app.GenesisState) error) Option {
	return func(o *options) { o.edit = edit }
}

// New starts a chain and runs its first block. Its accounts, all funded, are "operator", "operator2", "tenant", "tenant2",
// "publisher" and the validators'.
func New(t testing.TB, opts ...Option) *Chain {
	t.Helper()
	o := options{
		validators: 1,
		executor:   "sequential",
		accounts:   []string{"operator", "operator2", "tenant", "tenant2", "publisher"},
		db:         dbm.NewMemDB(),
	}
	for _, opt := range opts {
		opt(&o)
	}
	c := &Chain{T: t, options: o, Time: GenesisTime, sequences: map[string]uint64{}}
	c.open()
	c.Keys = keyring.NewInMemory(c.App.AppCodec())
	c.Genesis = c.makeGenesis()
	c.start(c.Genesis)
	return c
}

// FromGenesis starts a chain from a genesis, with the keys of another chain.
func FromGenesis(t testing.TB, keys keyring.Keyring, genesis *genutiltypes.AppGenesis, opts ...Option) *Chain {
	t.Helper()
	o := options{validators: 1, executor: "sequential", db: dbm.NewMemDB()}
	for _, opt := range opts {
		opt(&o)
	}
	c := &Chain{T: t, options: o, Time: genesis.GenesisTime, Keys: keys, sequences: map[string]uint64{}}
	c.open()
	c.start(genesis)
	return c
}

// TryGenesis is FromGenesis for a genesis that may be refused, with the error then.
func TryGenesis(t testing.TB, keys keyring.Keyring, genesis *genutiltypes.AppGenesis, opts ...Option) (*Chain, error) {
	t.Helper()
	c := empty(t, opts...)
	c.Time, c.Keys, c.sequences = genesis.GenesisTime, keys, map[string]uint64{}
	request := initRequest(t, genesis)
	c.initialHeight = request.InitialHeight
	if _, err := c.App.InitChain(request); err != nil {
		return nil, err
	}
	c.NextBlock()
	return c, nil
}

// open builds the application over the database.
func (c *Chain) open() {
	workers := c.options.workers
	if workers == 0 {
		workers = 8 // more threads than this machine may have, so that transactions really meet
	}
	settings := appOptions{
		server.FlagBlockExecutor:       c.options.executor,
		server.FlagBlockSTMPreEstimate: c.options.estimate,
		server.FlagBlockSTMWorkers:     workers,
		flags.FlagHome:                 c.options.home,
	}
	c.App = app.NewAt(log.NewNopLogger(), c.options.db, settings,
		baseapp.SetChainID(ID), baseapp.SetMinGasPrices(MinGasPrice))
	if c.options.prepare != nil {
		c.options.prepare(c.App)
	}
	require.NoError(c.T, c.App.LoadLatestVersion())
}

// appOptions are settings as app.toml would give them.
type appOptions map[string]any

func (o appOptions) Get(key string) any { return o[key] }

// Restart closes the application, as the end of a node's process would, and opens it again from its database.
func (c *Chain) Restart() {
	c.T.Helper()
	last := c.App.LastCommitID()
	require.NoError(c.T, c.App.Close())
	if reopen, ok := c.options.db.(*reopenableDB); ok {
		reopen.reopen(c.T)
	}
	c.open()
	require.Equal(c.T, last, c.App.LastCommitID(), "what was committed must be there again")
}

func (c *Chain) makeGenesis() *genutiltypes.AppGenesis {
	spec := bootstrap.Spec{ChainID: ID, Time: GenesisTime, Keyring: c.Keys, Edit: c.options.edit}
	names := append([]string{}, c.options.accounts...)
	for i := range c.options.validators {
		name := fmt.Sprintf("validator%d", i)
		names = append(names, name)
		spec.Validators = append(spec.Validators, bootstrap.Validator{
			KeyName: name, Moniker: name, ConsensusKey: consensusKey(i).PubKey(), Stake: math.NewInt(Stake),
		})
	}
	for _, name := range names {
		spec.Accounts = append(spec.Accounts, bootstrap.Account{
			Address: c.makeKey(name), Coins: sdk.NewCoins(sdk.NewInt64Coin(sunstypes.BaseDenom, Funds)),
		})
	}
	genesis, err := bootstrap.Genesis(context.Background(), c.App, spec)
	require.NoError(c.T, err)
	return genesis
}

// consensusKey is the i-th validator's key, the same in every test.
func consensusKey(i int) *ed25519.PrivKey {
	return ed25519.GenPrivKeyFromSecret(fmt.Appendf(nil, "validator %d", i))
}

// start initialises the chain and runs its first block.
func (c *Chain) start(genesis *genutiltypes.AppGenesis) {
	c.T.Helper()
	request := initRequest(c.T, genesis)
	c.initialHeight = request.InitialHeight
	response, err := c.App.InitChain(request)
	require.NoError(c.T, err)
	c.options.recording.begin(request, response)
	c.NextBlock()
}

// initRequest is how CometBFT hands a genesis over.
func initRequest(t testing.TB, genesis *genutiltypes.AppGenesis) *abci.RequestInitChain {
	t.Helper()
	doc, err := genesis.ToGenesisDoc()
	require.NoError(t, err)
	params := doc.ConsensusParams.ToProto()
	request := &abci.RequestInitChain{
		ChainId: doc.ChainID, Time: doc.GenesisTime, InitialHeight: doc.InitialHeight,
		ConsensusParams: &params, AppStateBytes: doc.AppState,
	}
	for _, validator := range doc.Validators {
		key, err := cryptocodec.FromCmtPubKeyInterface(validator.PubKey)
		require.NoError(t, err)
		proto, err := cryptocodec.ToCmtProtoPublicKey(key)
		require.NoError(t, err)
		request.Validators = append(request.Validators, abci.ValidatorUpdate{PubKey: proto, Power: validator.Power})
	}
	return request
}

// empty is a chain without state.
func empty(t testing.TB, opts ...Option) *Chain {
	t.Helper()
	c := &Chain{T: t, options: options{validators: 1, executor: "sequential", db: dbm.NewMemDB()}}
	for _, opt := range opts {
		opt(&c.options)
	}
	c.open()
	return c
}

// Import initialises a chain from a genesis and exports it again, with no block between.
func Import(t testing.TB, genesis *genutiltypes.AppGenesis) *genutiltypes.AppGenesis {
	t.Helper()
	c := empty(t)
	_, err := c.App.InitChain(initRequest(t, genesis))
	require.NoError(t, err)
	ctx := c.App.GetContextForFinalizeBlock(nil)
	state, err := c.App.ExportModules(ctx, nil)
	require.NoError(t, err)
	raw, err := json.Marshal(state)
	require.NoError(t, err)
	return genutiltypes.NewAppGenesisWithVersion(ID, raw)
}

// InitError tries to initialise a chain from a state and gives the error.
func InitError(t testing.TB, state []byte) error {
	t.Helper()
	params := app.DefaultConsensusParams().ToProto()
	_, err := empty(t).App.InitChain(&abci.RequestInitChain{
		ChainId: ID, Time: GenesisTime, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: state,
	})
	return err
}

// Export writes the chain's state as a genesis.
func (c *Chain) Export(forZeroHeight bool, jailExcept ...string) *genutiltypes.AppGenesis {
	c.T.Helper()
	exported, err := c.App.Export(forZeroHeight, jailExcept, nil)
	require.NoError(c.T, err)
	genesis := genutiltypes.NewAppGenesisWithVersion(ID, exported.AppState)
	genesis.GenesisTime = c.Time
	genesis.InitialHeight = max(exported.Height, 1)
	genesis.Consensus = genutiltypes.NewConsensusGenesis(exported.ConsensusParams, exported.Validators)
	require.NoError(c.T, genesis.ValidateAndComplete())
	return genesis
}

// State reads a module's part of a genesis.
func State(t testing.TB, genesis *genutiltypes.AppGenesis) map[string]json.RawMessage {
	t.Helper()
	var state map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(genesis.AppState, &state))
	return state
}
