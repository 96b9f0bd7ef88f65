package integration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// attack is a message with one field changed, and what its handler says of it.
type attack struct {
	variant[sdk.Msg]
	signer string
	err    error
}

// attacks changes every field of every message and asks the handlers. What they take must leave a state that the next block
// ends with and whose invariants hold; what they refuse must have an error of its own.
func (b *busy) attacks() (refused, taken []attack) {
	b.T.Helper()
	for _, url := range b.ours() {
		s := b.attackable(url)
		for _, v := range variants(b.T, s.msg) {
			ctx, err := b.execute(v.msg)
			if err != nil {
				checkRegistered(b.T, v.msg, err, v.String())
				refused = append(refused, attack{v, s.signer, err})
				continue
			}
			_, err = b.App.EndBlocker(ctx)
			assert.NoError(b.T, err, "%s of %T", v, v.msg)
			assert.NoError(b.T, b.App.CheckInvariants(ctx), "%s of %T", v, v.msg)
			taken = append(taken, attack{v, s.signer, nil})
		}
	}
	return refused, taken
}

// anyText are the fields that are for programs alone: they may hold what no terminal shows, but no NUL, which would end a
// string of C.
var anyText = []string{"Args[0]", "Env[0].Value", "Health.Command[0]"}

// Every field of every message, one at a time, set to whatever may break who reads it.
func TestEveryFieldOfEveryMessage(t *testing.T) {
	b := newBusy(t)
	refused, taken := b.attacks()
	t.Logf("%d attacks refused, %d are messages like others", len(refused), len(taken))
	require.Greater(t, len(refused), 1_000)
	for _, a := range taken {
		assert.False(t, a.huge, "%s of %T is taken", a, a.msg)
		assert.NotEqual(t, notUTF8, a.value, "%s of %T is taken", a, a.msg)
		if strings.HasPrefix(a.was, sunstypes.Bech32Prefix+"1") {
			assert.NotContains(t, []string{foreign, mixedAddress}, a.value, "%s of %T is taken", a, a.msg)
		}
		if _, bad := unprintable[a.value]; bad && a.value == "a NUL" || bad && !slices.Contains(anyText, a.path) {
			assert.Fail(t, "taken", "%s of %T goes to terminals", a, a.msg)
		}
	}
}

// deliverable says whether an attack can be put into a signed transaction of the rightful signer that can be decoded.
func (b *busy) deliverable(a attack) bool {
	return a.signer != noSigner && !a.huge && a.value != notUTF8 && !b.changesSigner(a)
}

// changesSigner says whether the changed field is the one that names the signer: every message names it first.
func (b *busy) changesSigner(a attack) bool {
	signers, _, err := b.App.AppCodec().GetMsgV1Signers(a.msg)
	return err != nil || len(signers) != 1 || !b.Address(a.signer).Equals(sdk.AccAddress(signers[0]))
}

const (
	txsPerBlock = 40
	// gasPerByte is what the chain takes for a byte of a transaction, and a little more for the signature.
	gasPerByte = 11
)

// The same attacks as real transactions in real blocks: every one pays its fee, gets the error its handler gives, and
// changes nothing of our modules' state.
func TestRefusedTransactionsPayAndChangeNothing(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor), chain.WithoutInvariants())
		refused, _ := b.attacks()
		refused = slices.DeleteFunc(refused, func(a attack) bool { return !b.deliverable(a) })
		before, sequences := b.ourState(), b.sequences()
		sent := map[string]uint64{}
		for batch := range slices.Chunk(refused, txsPerBlock) {
			var txs [][]byte
			for _, a := range batch {
				txs = append(txs, b.Tx(a.signer, []sdk.Msg{a.msg}))
				sent[a.signer]++
			}
			block := b.BlockAfter(0, txs...)
			for i, result := range block.Results {
				requireSameError(t, batch[i], result)
			}
		}
		b.CheckInvariants()
		for signer, count := range sent {
			require.Equal(t, sequences[signer]+count, b.sequences()[signer], "every transaction of %s was paid for", signer)
		}
		require.Equal(t, before, b.ourState())
	})
}

// requireSameError demands in a block the error that the handler gave.
func requireSameError(t *testing.T, a attack, result *abci.ExecTxResult) {
	t.Helper()
	space, code, log := errorsmod.ABCIInfo(a.err, false)
	require.Equal(t, space, result.Codespace, "%s of %T: %s, not %s", a, a.msg, result.Log, log)
	require.Equal(t, code, result.Code, "%s of %T: %s, not %s", a, a.msg, result.Log, log)
	require.Positive(t, result.GasUsed)
}

// sequences are the accounts' numbers of paid transactions.
func (b *busy) sequences() map[string]uint64 {
	sequences := map[string]uint64{}
	for _, s := range b.signed {
		if s.signer != noSigner {
			sequences[s.signer] = b.App.AccountKeeper.GetAccount(b.Ctx(), b.Address(s.signer)).GetSequence()
		}
	}
	return sequences
}

// Attacks that handlers take are messages like others: the chain goes on with them, one after the other.
func TestStrangeButValidTransactions(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor))
		_, taken := b.attacks()
		taken = slices.DeleteFunc(taken, func(a attack) bool { return !b.deliverable(a) })
		require.NotEmpty(t, taken)
		worked := 0
		for batch := range slices.Chunk(taken, txsPerBlock) {
			var txs [][]byte
			for _, a := range batch {
				txs = append(txs, b.Tx(a.signer, []sdk.Msg{a.msg}))
			}
			for i, result := range b.NextBlock(txs...).Results {
				if result.Code == 0 {
					worked++
					continue
				}
				// One that came before it may have closed its lease or retired its node.
				checkKnown(t, batch[i].msg, result.Codespace, result.Code, result.Log, batch[i].String())
			}
		}
		require.Positive(t, worked)
		b.Run(2 * exampleHour)
	})
}

// Whatever its size, a message is refused before it costs the block more than its gas says: by the mempool and the block for
// want of gas, and by its handler when it has paid for all its bytes.
func TestHugeMessagesAreRefusedAtTheirPrice(t *testing.T) {
	b := newBusy(t)
	var worst time.Duration
	for _, url := range b.ours() {
		s := b.attackable(url)
		for _, v := range variants(t, s.msg) {
			if !v.huge || s.signer == noSigner || b.changesSigner(attack{v, s.signer, nil}) {
				continue
			}
			cheap := b.Tx(s.signer, []sdk.Msg{v.msg})
			checked, err := b.App.CheckTx(&abci.RequestCheckTx{Tx: cheap})
			require.NoError(t, err)
			require.Equal(t, sdkerrors.ErrOutOfGas.ABCICode(), checked.Code, "%s of %T: %s", v, v.msg, checked.Log)
			block := b.BlockAfter(0, cheap)
			require.Equal(t, sdkerrors.ErrOutOfGas.ABCICode(), block.Results[0].Code, block.Results[0].Log)

			paid := b.BlockAfter(0, b.Tx(s.signer, []sdk.Msg{v.msg}, chain.WithGas(chain.TxGas+gasPerByte*uint64(len(cheap)))))
			checkKnown(t, v.msg, paid.Results[0].Codespace, paid.Results[0].Code, paid.Results[0].Log, v.String())
			worst = max(worst, block.CPU, paid.CPU)
		}
	}
	t.Logf("the dearest block took %s of processor time", worst)
	require.Less(t, worst, 5*time.Second)
}
