package chain_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// bench is a chain with one node and one account that funds leases.
type bench struct {
	chain  *chaintest.Chain
	node   *chaintest.Node
	conn   *chain.Conn
	sender *chain.Broadcaster
	signer chain.Signer

	mu     sync.Mutex
	funded []leasetypes.MsgFundLease
}

func newBench(t *testing.T, more ...*chaintest.Node) *bench {
	t.Helper()
	b := &bench{chain: newChain()}
	b.node = chaintest.NewNode(t, b.chain)
	b.conn = dial(t, config(append([]*chaintest.Node{b.node}, more...)...))
	b.sender = chain.NewBroadcaster(b.conn)
	b.signer = newSigner(t, 1)
	b.chain.AddAccount(b.signer.Address(), 0)
	b.chain.Handle(b.fund)
	return b
}

func newSigner(t *testing.T, seed byte) chain.Signer {
	t.Helper()
	signer, err := chain.NewKeySigner(bytes.Repeat([]byte{seed}, 32))
	require.NoError(t, err)
	return signer
}

// fund carries out MsgFundLease; lease 404 is not there.
func (b *bench) fund(msg sdk.Msg) (proto.Message, []proto.Message, error) {
	fund, ok := msg.(*leasetypes.MsgFundLease)
	if !ok {
		return nil, nil, sdkerrors.ErrUnknownRequest
	}
	if fund.Number == 404 {
		return nil, nil, leasetypes.ErrLeaseNotFound.Wrapf("%s/%d", fund.Tenant, fund.Number)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.funded = append(b.funded, *fund)
	event := &leasetypes.EventLeaseFunded{
		Tenant: fund.Tenant, Number: fund.Number, Funder: fund.Funder, Amount: fund.Amount.Amount.String(),
	}
	return &leasetypes.MsgFundLeaseResponse{Balance: fund.Amount.Amount}, []proto.Message{event}, nil
}

func (b *bench) fundings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.funded)
}

func (b *bench) msg(number uint64) []sdk.Msg {
	return []sdk.Msg{&leasetypes.MsgFundLease{
		Funder: b.signer.Address().String(), Tenant: b.signer.Address().String(), Number: number,
		Amount: sdk.NewCoin("uisc", math.NewInt(5)),
	}}
}

func (b *bench) send(ctx context.Context, number uint64, opts chain.Options) (chain.TxResult, error) {
	return b.sender.Send(ctx, b.signer, b.msg(number), opts)
}

func TestSend(t *testing.T) {
	b := newBench(t)
	b.chain.SetMinGasPrice("0.025uisc")
	result, err := b.send(t.Context(), 3, chain.Options{Memo: "hello"})
	require.NoError(t, err)
	require.NoError(t, result.Err())
	require.EqualValues(t, 2, result.Height)
	require.Len(t, result.Hash, 64)
	require.EqualValues(t, chaintest.GasPerMsg, result.GasUsed)
	require.EqualValues(t, 1.5*chaintest.GasPerMsg, result.GasWanted)

	events, err := chain.Events[*leasetypes.EventLeaseFunded](result.Events)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.EqualValues(t, 3, events[0].Number)

	var response leasetypes.MsgFundLeaseResponse
	require.NoError(t, result.MsgResponse(0, &response))
	require.Equal(t, "5", response.Balance.String())
	require.ErrorContains(t, result.MsgResponse(1, &response), "has 1 responses")
	require.ErrorContains(t, result.MsgResponse(0, &leasetypes.MsgCloseLeaseResponse{}), "not a /isun.lease.v1.MsgCloseLeaseResponse")

	again, err := b.conn.Tx(t.Context(), result.Hash)
	require.NoError(t, err)
	require.Equal(t, result, again)
}

func TestSendFollowsTheNodesGasPrice(t *testing.T) {
	b := newBench(t)
	b.chain.SetMinGasPrice("0.01uisc")
	_, err := b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
	b.chain.SetMinGasPrice("0.05uisc")
	_, err = b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
}

func TestSendSaysThatTheFeeIsTooLow(t *testing.T) {
	b := newBench(t)
	b.chain.SetMinGasPrice("0.05uisc")
	cfg := config(b.node)
	cfg.GasPrices = "0.01uisc"
	_, err := chain.NewBroadcaster(dial(t, cfg)).Send(t.Context(), b.signer, b.msg(1), chain.Options{})
	require.ErrorIs(t, err, sdkerrors.ErrInsufficientFee)
	require.ErrorContains(t, err, "--gas-prices")
}

func TestSendGivesTheModulesError(t *testing.T) {
	b := newBench(t)
	result, err := b.send(t.Context(), 404, chain.Options{})
	require.ErrorIs(t, err, leasetypes.ErrLeaseNotFound)
	require.ErrorContains(t, err, "isun ps --all")
	var refused *chain.TxError
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, 2, refused.Height)
	require.Equal(t, leasetypes.ErrLeaseNotFound.ABCICode(), result.Code)

	_, err = b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err, "a failed transaction uses its sequence")
}

func TestSendNeedsAnAccount(t *testing.T) {
	b := newBench(t)
	_, err := b.sender.Send(t.Context(), newSigner(t, 2), b.msg(1), chain.Options{})
	require.ErrorIs(t, err, sdkerrors.ErrUnknownAddress)
	require.ErrorContains(t, err, "send it some ISC first")
	_, err = b.sender.Send(t.Context(), b.signer, nil, chain.Options{})
	require.Error(t, err)
}

func TestSendFindsItsSequenceAgain(t *testing.T) {
	for name, gas := range map[string]uint64{"simulated": 0, "gas given": 100_000} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			opts := chain.Options{GasLimit: gas}
			_, err := b.send(t.Context(), 1, opts)
			require.NoError(t, err)
			// Another program sends with the same key.
			other := chain.NewBroadcaster(b.conn)
			for range 3 {
				_, err = other.Send(t.Context(), b.signer, b.msg(2), opts)
				require.NoError(t, err)
			}
			_, err = b.send(t.Context(), 3, opts)
			require.NoError(t, err)
			require.EqualValues(t, 5, b.chain.Sequence(b.signer.Address()))
			require.Equal(t, 5, b.fundings())
		})
	}
}

func TestSendCountsWhatWaitsInTheMempool(t *testing.T) {
	b := newBench(t)
	b.chain.SetManual(true)
	results := make(chan error, 2)
	for _, sender := range []*chain.Broadcaster{b.sender, chain.NewBroadcaster(b.conn)} {
		go func() {
			_, err := sender.Send(t.Context(), b.signer, b.msg(1), chain.Options{})
			results <- err
		}()
	}
	require.Eventually(t, func() bool { return b.node.Calls("broadcast_tx_sync") >= 2 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		b.chain.NextBlock()
		return b.chain.TxCount() == 2
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Equal(t, 2, b.fundings())
}

func TestSendsOfOneAccountShareABlock(t *testing.T) {
	b := newBench(t)
	b.chain.SetManual(true)
	results := make(chan chain.TxResult, 10)
	for range 10 {
		go func() {
			result, err := b.send(t.Context(), 1, chain.Options{})
			if err != nil {
				result.Height = -1
			}
			results <- result
		}()
	}
	require.Eventually(t, func() bool { return b.node.Calls("broadcast_tx_sync") == 10 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		b.chain.NextBlock()
		return b.chain.TxCount() == 10
	}, 5*time.Second, time.Millisecond)
	for range 10 {
		require.Positive(t, (<-results).Height)
	}
	require.Equal(t, 10, b.node.Calls("broadcast_tx_sync"), "nothing was sent twice")
}

func TestSendIsNotRepeatedWhenTheAnswerIsLost(t *testing.T) {
	t.Run("taken into a block", func(t *testing.T) {
		b := newBench(t)
		b.node.Fail(chaintest.BreaksAfter, "broadcast_tx_sync")
		result, err := b.send(t.Context(), 1, chain.Options{})
		require.NoError(t, err)
		require.EqualValues(t, 2, result.Height)
		require.Equal(t, 1, b.fundings())
	})
	t.Run("another node has it in its mempool", func(t *testing.T) {
		b := newBench(t)
		second := chaintest.NewNode(t, b.chain)
		b.sender = chain.NewBroadcaster(dial(t, config(b.node, second)))
		b.node.Fail(chaintest.BreaksAfter, "broadcast_tx_sync")
		_, err := b.send(t.Context(), 1, chain.Options{})
		require.NoError(t, err)
		require.Equal(t, 1, second.Calls("broadcast_tx_sync"))
		require.Equal(t, 1, b.fundings())
	})
	t.Run("included, and the next node forgot it", func(t *testing.T) {
		b := newBench(t)
		b.node.Fail(chaintest.BreaksAfter, "broadcast_tx_sync")
		b.chain.OnBlock(func(int64) {
			b.chain.Evict()
			b.node.Fail(chaintest.Works, "broadcast_tx_sync")
		})
		_, err := b.send(t.Context(), 1, chain.Options{})
		require.NoError(t, err)
		require.Equal(t, 1, b.fundings())
	})
	t.Run("never taken, and another program used the sequence", func(t *testing.T) {
		b := newBench(t)
		_, err := b.send(t.Context(), 1, chain.Options{})
		require.NoError(t, err)
		b.node.Fail(chaintest.Breaks, "broadcast_tx_sync")
		done := make(chan error, 1)
		go func() {
			_, err := b.send(t.Context(), 2, chain.Options{})
			done <- err
		}()
		require.Eventually(t, func() bool { return b.node.Calls("broadcast_tx_sync") >= 2 }, 5*time.Second, time.Millisecond)
		b.chain.AddAccount(b.signer.Address(), 9)
		b.node.Fail(chaintest.Works, "broadcast_tx_sync")
		require.NoError(t, <-done)
		require.Equal(t, 2, b.fundings())
		require.EqualValues(t, 10, b.chain.Sequence(b.signer.Address()))
	})
}

func TestSendGoesToTheNextNode(t *testing.T) {
	b := newBench(t)
	second := chaintest.NewNode(t, b.chain)
	b.sender = chain.NewBroadcaster(dial(t, config(b.node, second)))
	b.node.SetCatchingUp(true)
	_, err := b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)

	b.node.Stop()
	_, err = b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
	require.Equal(t, 2, b.fundings())
}

func TestSendSaysTheHashWhenItTimesOut(t *testing.T) {
	b := newBench(t)
	b.chain.SetManual(true)
	result, err := b.send(t.Context(), 1, chain.Options{Wait: 50 * time.Millisecond})
	var timeout *chain.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, timeout.Hash, result.Hash)
	require.ErrorContains(t, err, timeout.Hash)
	require.EqualValues(t, 61, timeout.TimeoutHeight)

	b.chain.NextBlock()
	late, err := b.conn.WaitTx(t.Context(), timeout.Hash)
	require.NoError(t, err)
	require.EqualValues(t, 2, late.Height)

	b.chain.SetManual(false)
	_, err = b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
}

func TestSendKnowsWhenATransactionHasExpired(t *testing.T) {
	b := newBench(t)
	b.chain.SetManual(true)
	done := make(chan error, 1)
	go func() {
		_, err := b.send(t.Context(), 1, chain.Options{TimeoutBlocks: 2})
		done <- err
	}()
	require.Eventually(t, func() bool { return b.node.Calls("tx") > 1 }, 5*time.Second, time.Millisecond)
	b.node.Fail(chaintest.Breaks, "broadcast_tx_sync") // offered again, it would get in
	b.chain.Evict()
	for range 3 {
		b.chain.NextBlock()
	}
	require.ErrorIs(t, <-done, chain.ErrTxExpired)

	b.node.Fail(chaintest.Works, "broadcast_tx_sync")
	b.chain.SetManual(false)
	_, err := b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
	require.Equal(t, 1, b.fundings())
}

// A node that restarts forgets what waits for a block: the sender offers it again, and does not wait until it expires.
func TestSendOffersAForgottenTransactionAgain(t *testing.T) {
	b := newBench(t)
	b.chain.SetManual(true)
	done := make(chan error, 1)
	go func() {
		_, err := b.send(t.Context(), 1, chain.Options{})
		done <- err
	}()
	require.Eventually(t, func() bool { return b.node.Calls("tx") > 1 }, 5*time.Second, time.Millisecond)
	b.chain.Evict()
	require.Eventually(t, func() bool {
		b.chain.NextBlock()
		return b.fundings() == 1
	}, 5*time.Second, 20*time.Millisecond)
	require.NoError(t, <-done)
	require.Equal(t, 1, b.chain.TxCount())
}

func TestSendGivesUpWhenNoNodeWasReached(t *testing.T) {
	b := newBench(t)
	_, err := b.send(t.Context(), 1, chain.Options{})
	require.NoError(t, err)
	b.node.Stop()
	_, err = b.send(t.Context(), 1, chain.Options{})
	require.True(t, chain.IsUnreachable(err))
	var timeout *chain.TimeoutError
	require.False(t, errors.As(err, &timeout), "it was never sent")
}

func TestSendSetsTheFeeGranter(t *testing.T) {
	b := newBench(t)
	granter := newSigner(t, 9).Address()
	result, err := b.send(t.Context(), 1, chain.Options{FeeGranter: granter})
	require.NoError(t, err)
	require.Equal(t, granter.String(), b.chain.Tx(result.Hash).FeeGranter(), "the grant pays")
}

func TestWaitTxOfAnUnknownTransaction(t *testing.T) {
	b := newBench(t)
	_, err := b.conn.Tx(t.Context(), "AB")
	require.ErrorIs(t, err, chain.ErrTxNotFound)
	require.True(t, chain.IsNotFound(err))
	_, err = b.conn.Tx(t.Context(), "no hash")
	require.ErrorContains(t, err, "no hash")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = b.conn.WaitTx(ctx, "ab")
	var timeout *chain.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, "AB", timeout.Hash)
}
