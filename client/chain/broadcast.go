package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

const (
	// DefaultWait is how long Send waits for a block.
	DefaultWait = time.Minute
	// DefaultTimeoutBlocks is how many blocks a transaction may wait for its own: a minute of 1 s blocks.
	DefaultTimeoutBlocks = 60
	// maxSignings bounds how often one Send signs anew after a wrong sequence or too low a fee.
	maxSignings = 5
)

// Options of one transaction.
type Options struct {
	// FeeGranter pays the fee from its grant to the signer; empty lets the signer pay.
	FeeGranter sdk.AccAddress
	Memo       string
	// GasLimit 0 simulates the transaction to find it.
	GasLimit uint64
	// Wait bounds the waiting for a block; 0 is DefaultWait. The context bounds it as well.
	Wait time.Duration
	// TimeoutBlocks is how many blocks it may wait for its own; 0 is DefaultTimeoutBlocks.
	TimeoutBlocks uint64
}

func (o Options) withDefaults() Options {
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	if o.TimeoutBlocks == 0 {
		o.TimeoutBlocks = DefaultTimeoutBlocks
	}
	return o
}

// Broadcaster sends transactions. One Broadcaster serves all signers of a program; sends of different accounts run beside
// each other, those of one account are signed one after the other and waited for together.
type Broadcaster struct {
	conn *Conn

	mu       sync.Mutex
	accounts map[string]*account
	prices   sdk.DecCoins
	priced   bool
}

// NewBroadcaster sends through a connection.
func NewBroadcaster(conn *Conn) *Broadcaster {
	return &Broadcaster{conn: conn, accounts: make(map[string]*account)}
}

// Send signs messages, sends them in one transaction and waits until it is in a block.
//
// It gives a *TxError when the chain refuses the transaction, ErrTxExpired when it can no longer get into a block, and a
// *TimeoutError with the hash when its fate is unknown. The result is filled with what is known in each case.
func (b *Broadcaster) Send(ctx context.Context, signer Signer, msgs []sdk.Msg, opts Options) (TxResult, error) {
	if len(msgs) == 0 {
		return TxResult{}, errors.New("a transaction needs at least one message")
	}
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, opts.Wait, fmt.Errorf("waited %s: %w", opts.Wait, context.DeadlineExceeded))
	defer cancel()

	acc := b.account(signer.Address())
	sent, err := b.sign(ctx, acc, signer, msgs, opts)
	if err != nil {
		return TxResult{Hash: sent.hash}, err
	}
	result, err := b.conn.waitTx(ctx, sent)
	if err != nil {
		// Nobody knows whether it took its sequence: ask before the next one.
		acc.forget()
		return TxResult{Hash: sent.hash}, err
	}
	return result, result.Err()
}

// sign signs and broadcasts until a node has taken the transaction.
func (b *Broadcaster) sign(ctx context.Context, acc *account, signer Signer, msgs []sdk.Msg, opts Options) (signedTx, error) {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	var sent signedTx
	var err error
	for range maxSignings {
		sent, err = b.signOnce(ctx, acc, signer, msgs, opts)
		switch {
		case err == nil:
			acc.sequence++
			return sent, nil
		case isWrongSequence(err):
			if acc.adopt(err) {
				continue
			}
			if err := b.conn.pause(ctx); err != nil {
				return signedTx{}, err
			}
		case isPriceTooLow(err) && b.conn.cfg.GasPrices == "":
			b.forgetPrices()
		default:
			// The node may have taken the transaction before it failed to say so.
			acc.known = acc.known && sent.hash == ""
			return sent, err
		}
	}
	return signedTx{}, err
}

// signOnce signs and broadcasts one transaction.
func (b *Broadcaster) signOnce(ctx context.Context, acc *account, signer Signer, msgs []sdk.Msg, opts Options) (signedTx, error) {
	if err := acc.load(ctx, b.conn); err != nil {
		return signedTx{}, err
	}
	tx, err := b.build(ctx, acc, signer, msgs, opts)
	if err != nil {
		return signedTx{}, err
	}
	return b.conn.broadcast(ctx, tx)
}

// gasPrices are the configured ones, or the node's least.
func (b *Broadcaster) gasPrices(ctx context.Context) (sdk.DecCoins, error) {
	b.mu.Lock()
	prices, priced := b.prices, b.priced
	b.mu.Unlock()
	if priced {
		return prices, nil
	}
	prices, err := b.conn.GasPrices(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.prices, b.priced = prices, true
	b.mu.Unlock()
	return prices, nil
}

func (b *Broadcaster) forgetPrices() {
	b.mu.Lock()
	b.priced = false
	b.mu.Unlock()
}

func (b *Broadcaster) account(address sdk.AccAddress) *account {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := address.String()
	if b.accounts[key] == nil {
		b.accounts[key] = &account{address: key}
	}
	return b.accounts[key]
}
