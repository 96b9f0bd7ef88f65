//go:build sims

package sim

import (
	"context"
	"math/rand"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/server"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/app"
)

const simAccounts = 60

// twin is one of the chains that run the same blocks.
type twin struct {
	*app.App
	name string
	// imported says that it began with another's export: its tree has another history, so its hashes differ.
	imported bool
}

// world draws random blocks from the state of its first chain and runs them on all its chains, which must agree.
type world struct {
	t          testing.TB
	r          *rand.Rand
	chains     []twin
	accounts   []simtypes.Account
	factories  *factories
	diary      diary
	validators validators
	time       time.Time
	height     int64
	seen       tally
}

// newTwin builds an application; workers are those of the parallel executor, none means in order.
func newTwin(t testing.TB, name string, workers int, estimate bool) twin {
	t.Helper()
	options := simtestutil.AppOptionsMap{flags.FlagHome: t.TempDir()}
	if workers > 0 {
		options[server.FlagBlockExecutor] = "block-stm"
		options[server.FlagBlockSTMWorkers] = workers
		options[server.FlagBlockSTMPreEstimate] = estimate
	}
	return twin{
		App:  app.New(log.NewNopLogger(), dbm.NewMemDB(), options, baseapp.SetChainID(simsx.SimAppChainID)),
		name: name,
	}
}

// newWorld starts chains from one random genesis.
func newWorld(t testing.TB, seed int64) *world {
	t.Helper()
	w := &world{t: t, r: rand.New(rand.NewSource(seed)), seen: tally{}, chains: []twin{
		newTwin(t, "in order", 0, false),
		newTwin(t, "in parallel", 8, false),
		newTwin(t, "in parallel with estimates", 2, true),
	}}
	first := w.chains[0]
	w.factories = factoriesOf(first.App)
	draw := simtestutil.AppStateFn(first.AppCodec(), first.SimulationManager(), first.BasicManager().DefaultGenesis(first.AppCodec()))
	state, accounts, _, began := draw(w.r, simtypes.RandomAccounts(w.r, simAccounts), simtypes.Config{
		ChainID: simsx.SimAppChainID, GenesisTime: 1_767_225_600,
	})
	blocked := app.BlockedAddresses()
	for _, account := range accounts {
		if !blocked[account.AddressBech32] {
			w.accounts = append(w.accounts, account)
		}
	}
	w.time, w.height = began.UTC(), 0
	params := app.DefaultConsensusParams().ToProto()
	params.Block.MaxGas = -1
	for i, chain := range w.chains {
		response, err := chain.InitChain(&abci.RequestInitChain{
			ChainId: simsx.SimAppChainID, Time: w.time, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: state,
		})
		require.NoError(t, err)
		if i == 0 {
			w.validators.update(t, response.Validators)
			w.validators.update(t, nil)
		}
	}
	w.run(nil)
	return w
}

// run runs a block on every chain, compares everything that comes of it, and checks the invariants.
func (w *world) run(txs [][]byte) {
	w.t.Helper()
	w.height++
	w.time = w.time.Add(w.pause())
	request := &abci.RequestFinalizeBlock{
		Height: w.height, Time: w.time, Txs: txs, Hash: cmttypes.Tx(sdk.Uint64ToBigEndian(uint64(w.height))).Hash(),
		ProposerAddress: w.validators.proposer(w.r), Misbehavior: w.validators.misbehaviour(w.r, w.height-1, w.time),
	}
	if w.height > 1 {
		request.DecidedLastCommit = abci.CommitInfo{Votes: w.validators.votes(w.r)}
	}
	var want *abci.ResponseFinalizeBlock
	for _, chain := range w.chains {
		response, err := chain.FinalizeBlock(request)
		require.NoError(w.t, err, "block %d, %s", w.height, chain.name)
		_, err = chain.Commit()
		require.NoError(w.t, err)
		if want == nil {
			want = response
		}
		w.compare(chain, txs, want, response)
	}
	w.seen.note(want)
	w.validators.update(w.t, want.ValidatorUpdates)
	require.NoError(w.t, w.chains[0].CheckInvariants(w.ctx()), "after block %d", w.height)
}

// compare holds a chain's results to the first one's: codes, codespaces, data, gas, logs, events, validators and state. Of an
// imported one only what our modules did: the SDK's do not export everything, such as the numbers of unbondings.
func (w *world) compare(chain twin, txs [][]byte, want, got *abci.ResponseFinalizeBlock) {
	w.t.Helper()
	require.Len(w.t, got.TxResults, len(want.TxResults))
	for i := range want.TxResults {
		if !chain.imported || w.isOurs(txs[i]) {
			require.Equal(w.t, want.TxResults[i], got.TxResults[i], "block %d, transaction %d, %s", w.height, i, chain.name)
		}
	}
	if chain.imported {
		require.Equal(w.t, ourEvents(want.Events), ourEvents(got.Events), "block %d, %s", w.height, chain.name)
		return
	}
	require.Equal(w.t, want.AppHash, got.AppHash, "block %d, %s", w.height, chain.name)
	require.Equal(w.t, want.Events, got.Events, "block %d, %s", w.height, chain.name)
	require.Equal(w.t, want.ValidatorUpdates, got.ValidatorUpdates, "block %d, %s", w.height, chain.name)
	require.Equal(w.t, want.ConsensusParamUpdates, got.ConsensusParamUpdates, "block %d, %s", w.height, chain.name)
}

// isOurs says that a transaction's message is one of our modules'.
func (w *world) isOurs(bytes []byte) bool {
	tx, err := w.chains[0].TxDecode(bytes)
	require.NoError(w.t, err)
	return strings.HasPrefix(sdk.MsgTypeURL(tx.GetMsgs()[0]), "/isun.")
}

// ourEvents are those of our modules.
func ourEvents(events []abci.Event) (ours []abci.Event) {
	for _, event := range events {
		if strings.HasPrefix(event.Type, "isun.") {
			ours = append(ours, event)
		}
	}
	return ours
}

// pause draws the time to the next block: seconds, sometimes minutes, and now and then a night.
func (w *world) pause() time.Duration {
	seconds := 1 + w.r.Intn(10)
	switch w.r.Intn(20) {
	case 0:
		seconds = w.r.Intn(12 * 3600)
	case 1, 2, 3:
		seconds = w.r.Intn(20 * 60)
	case 4, 5, 6, 7, 8, 9:
		seconds = w.r.Intn(120)
	}
	return time.Duration(seconds)*time.Second + time.Duration(w.r.Intn(1000))*time.Millisecond
}

// ctx reads the state of the first chain's last block.
func (w *world) ctx() sdk.Context {
	return w.chains[0].NewContextLegacy(true, cmtproto.Header{
		ChainID: simsx.SimAppChainID, Height: w.height, Time: w.time,
	})
}

// block draws a block of at most so many transactions; fewer when what was drawn cannot be done.
func (w *world) block(size int) [][]byte {
	w.t.Helper()
	signer := newSigner(w)
	var txs [][]byte
	due := w.diary.due(w.time)
	for len(due) < size {
		due = append(due, w.factories.draw(w.r))
	}
	for _, factory := range due {
		if tx := w.transaction(factory, signer); tx != nil {
			txs = append(txs, tx)
		}
	}
	return txs
}

// transaction draws a message, signed; nil if there is nothing to do.
func (w *world) transaction(factory simsx.SimMsgFactoryX, signer *signer) []byte {
	w.t.Helper()
	cancelled, done := context.WithCancel(w.ctx())
	defer done()
	ctx := sdk.UnwrapSDKContext(cancelled)
	first := w.chains[0]
	data := simsx.NewChainDataSource(
		ctx, w.r, first.AccountKeeper, first.BankKeeper, first.AccountKeeper.AddressCodec(), w.accounts...)
	reporter := simsx.NewBasicSimulationReporter().WithScope(factory.MsgType(), simsx.SkipHookFn(func(...any) { done() }))
	if planning, ok := factory.(simsx.HasFutureOpsRegistry); ok {
		planning.SetFutureOpsRegistry(&w.diary)
	}
	senders, msg := simsx.SafeRunFactoryMethod(ctx, data, reporter, factory.Create())
	if reporter.IsSkipped() || msg == nil || len(senders) == 0 {
		return nil
	}
	return signer.sign(senders, msg)
}
