package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cosmossdk.io/math"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	cmttypes "github.com/cometbft/cometbft/types"

	sdkclient "github.com/cosmos/cosmos-sdk/client"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
)

// simulatedGas is the gas whose fee a simulation pays, so that it counts the cost of paying one.
const simulatedGas = 100_000

// expiryLooks is how often a transaction must be missing after its last height: the index of transactions, and a node that
// is a block behind, may lag.
const expiryLooks = 15

// signedTx is a transaction on its way.
type signedTx struct {
	bytes         []byte
	hash          string
	timeoutHeight int64
	// signer and sequence are those of its only signature.
	signer   string
	sequence uint64
}

// GasPrices are the configured gas prices, or the least that the node in use accepts.
func (c *Conn) GasPrices(ctx context.Context) (sdk.DecCoins, error) {
	text := c.cfg.GasPrices
	if text == "" {
		res, err := c.NodeService().Config(ctx, &nodeservice.ConfigRequest{})
		if err != nil {
			return nil, fmt.Errorf("the node's least gas price: %w", err)
		}
		text = res.MinimumGasPrice
	}
	prices, err := sdk.ParseDecCoins(text)
	if err != nil {
		return nil, fmt.Errorf("gas prices %q: %w", text, err)
	}
	return prices, nil
}

// build makes a signed transaction with the account's next sequence.
func (b *Broadcaster) build(ctx context.Context, acc *account, signer Signer, msgs []sdk.Msg, opts Options) (signedTx, error) {
	prices, err := b.gasPrices(ctx)
	if err != nil {
		return signedTx{}, err
	}
	block, err := b.conn.LatestBlock(ctx)
	if err != nil {
		return signedTx{}, err
	}
	timeoutHeight := block.Height + int64(opts.TimeoutBlocks)

	builder := b.conn.encoding.TxConfig.NewTxBuilder()
	if err := builder.SetMsgs(msgs...); err != nil {
		return signedTx{}, fmt.Errorf("transaction: %w", err)
	}
	builder.SetMemo(opts.Memo)
	builder.SetFeeGranter(opts.FeeGranter)
	builder.SetTimeoutHeight(uint64(timeoutHeight))
	if err := setSignature(builder, signer, acc.sequence, nil); err != nil {
		return signedTx{}, err
	}

	gas := opts.GasLimit
	if gas == 0 {
		if gas, err = b.conn.simulate(ctx, builder, prices); err != nil {
			return signedTx{}, err
		}
	}
	builder.SetGasLimit(gas)
	builder.SetFeeAmount(feeFor(prices, gas))

	bytes, err := b.conn.signTx(ctx, builder, signer, acc)
	if err != nil {
		return signedTx{}, err
	}
	hash := fmt.Sprintf("%X", cmttypes.Tx(bytes).Hash())
	return signedTx{
		bytes: bytes, hash: hash, timeoutHeight: timeoutHeight, signer: acc.address, sequence: acc.sequence,
	}, nil
}

// signTx signs what the builder holds and encodes it.
func (c *Conn) signTx(ctx context.Context, builder sdkclient.TxBuilder, signer Signer, acc *account) ([]byte, error) {
	toSign, err := authsigning.GetSignBytesAdapter(ctx, c.encoding.TxConfig.SignModeHandler(),
		signing.SignMode_SIGN_MODE_DIRECT, authsigning.SignerData{
			Address:       acc.address,
			ChainID:       c.ChainID(),
			AccountNumber: acc.number,
			Sequence:      acc.sequence,
			PubKey:        signer.PubKey(),
		}, builder.GetTx())
	if err != nil {
		return nil, fmt.Errorf("bytes to sign: %w", err)
	}
	signature, err := signer.Sign(toSign)
	if err != nil {
		return nil, err
	}
	if err := setSignature(builder, signer, acc.sequence, signature); err != nil {
		return nil, err
	}
	bytes, err := c.encoding.TxConfig.TxEncoder()(builder.GetTx())
	if err != nil {
		return nil, fmt.Errorf("encoding the transaction: %w", err)
	}
	return bytes, nil
}

func setSignature(builder sdkclient.TxBuilder, signer Signer, sequence uint64, signature []byte) error {
	err := builder.SetSignatures(signing.SignatureV2{
		PubKey:   signer.PubKey(),
		Data:     &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT, Signature: signature},
		Sequence: sequence,
	})
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

// simulate finds the gas limit of the unsigned transaction in the builder.
func (c *Conn) simulate(ctx context.Context, builder sdkclient.TxBuilder, prices sdk.DecCoins) (uint64, error) {
	builder.SetGasLimit(simulatedGas)
	builder.SetFeeAmount(feeFor(prices, simulatedGas))
	bytes, err := c.encoding.TxConfig.TxEncoder()(builder.GetTx())
	if err != nil {
		return 0, fmt.Errorf("encoding the transaction: %w", err)
	}
	res, err := c.TxService().Simulate(ctx, &txtypes.SimulateRequest{TxBytes: bytes})
	if err != nil {
		var answer *queryError
		if errors.As(err, &answer) {
			return 0, newTxError("", 0, "", 0, answer.Error())
		}
		return 0, fmt.Errorf("simulating the transaction: %w", err)
	}
	if res.GasInfo == nil {
		return 0, errors.New("simulating the transaction: the node sent no gas")
	}
	return uint64(float64(res.GasInfo.GasUsed) * c.cfg.GasAdjustment), nil
}

// feeFor is prices times gas, each coin rounded up.
func feeFor(prices sdk.DecCoins, gas uint64) sdk.Coins {
	fee := sdk.NewCoins()
	for _, price := range prices {
		amount := price.Amount.MulInt(math.NewIntFromUint64(gas)).Ceil().TruncateInt()
		fee = fee.Add(sdk.NewCoin(price.Denom, amount))
	}
	return fee
}

// broadcast hands a transaction to a node. When a node breaks off, nobody knows whether it took it: then the same bytes go
// to the next node, or to the same one later, and no other transaction is signed for that sequence until it is certain
// that this one cannot be carried out any more. It gives a *TimeoutError when that stays unknown until the context ends.
func (c *Conn) broadcast(ctx context.Context, tx signedTx) (signedTx, error) {
	uncertain := false
	for {
		res, err := c.offer(ctx, tx, &uncertain)
		switch {
		case isInMempool(res, err) && !uncertain:
			// Another program sent the very same transaction with this key: that one is not ours.
			return signedTx{}, newTxError(tx.hash, 0, sdkerrors.RootCodespace, sdkerrors.ErrWrongSequence.ABCICode(),
				fmt.Sprintf("account sequence mismatch, expected %d, got %d", tx.sequence+1, tx.sequence))
		case isInMempool(res, err), err == nil && res.Code == 0:
			return tx, nil
		case err == nil:
			err = newTxError(tx.hash, 0, res.Codespace, res.Code, res.Log)
		default:
			err = fmt.Errorf("sending the transaction: %w", err)
		}
		if !uncertain {
			return signedTx{}, err
		}
		dead := isWrongSequence(err) && c.sequenceTaken(ctx, tx)
		if c.included(ctx, tx) {
			return tx, nil
		}
		if dead {
			return signedTx{}, err
		}
		if waitErr := c.pause(ctx); waitErr != nil {
			return tx, &TimeoutError{Hash: tx.hash, TimeoutHeight: tx.timeoutHeight, Cause: fmt.Errorf("%w: %w", waitErr, err)}
		}
	}
}

// sequenceTaken says whether some transaction in a block has used the sequence of this one.
func (c *Conn) sequenceTaken(ctx context.Context, tx signedTx) bool {
	acc := account{address: tx.signer}
	return acc.load(ctx, c) == nil && acc.sequence > tx.sequence
}

// offer makes one round over the nodes. It sets uncertain when a node broke off after it may have got the transaction.
func (c *Conn) offer(ctx context.Context, tx signedTx, uncertain *bool) (*ctypes.ResultBroadcastTx, error) {
	var res *ctypes.ResultBroadcastTx
	err := c.pool.do(ctx, func(ctx context.Context, rpc rpcClient) error {
		result, err := rpc.BroadcastTxSync(ctx, tx.bytes)
		if err != nil && !isAnswer(err) && !isConnectFailure(err) {
			*uncertain = true
		}
		res = result
		return err
	})
	return res, err
}

// isInMempool says whether a node has the transaction already. When it may have come from here, that is as good as having
// taken it now.
func isInMempool(res *ctypes.ResultBroadcastTx, err error) bool {
	if res != nil && res.Codespace == sdkerrors.RootCodespace && res.Code == sdkerrors.ErrTxInMempoolCache.ABCICode() {
		return true
	}
	var answer *rpctypes.RPCError
	return errors.As(err, &answer) && strings.Contains(answer.Data+answer.Message, "already exists in cache")
}

// included looks whether a transaction is in a block. The index may lag a little behind the block.
func (c *Conn) included(ctx context.Context, tx signedTx) bool {
	for range expiryLooks {
		_, err := c.Tx(ctx, tx.hash)
		if err == nil {
			return true
		}
		if !errors.Is(err, ErrTxNotFound) || c.pause(ctx) != nil {
			return false
		}
	}
	return false
}

// WaitTx waits until a transaction is in a block, for at most the context's time. It gives a *TimeoutError when it was not
// seen by then.
func (c *Conn) WaitTx(ctx context.Context, hash string) (TxResult, error) {
	return c.waitTx(ctx, signedTx{hash: strings.ToUpper(hash)})
}

// waitTx waits for a transaction. One whose last height has passed and that is nowhere has expired.
func (c *Conn) waitTx(ctx context.Context, tx signedTx) (TxResult, error) {
	missing := 0
	var offered offers
	for {
		result, err := c.Tx(ctx, tx.hash)
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, ErrTxNotFound) && tx.timeoutHeight > 0:
			block, blockErr := c.LatestBlock(ctx)
			if blockErr != nil {
				break
			}
			if block.Height > tx.timeoutHeight {
				missing++
			} else if offered.due(block.Height) {
				// What a node answers to the same bytes changes nothing: the next look tells.
				_, _ = c.offer(ctx, tx, new(bool))
			}
			if missing >= expiryLooks {
				return TxResult{}, fmt.Errorf("transaction %s: %w: it got into no block up to height %d; send it again",
					tx.hash, ErrTxExpired, tx.timeoutHeight)
			}
		case errors.Is(err, ErrTxNotFound):
		case IsUnreachable(err):
			offered.broken = true
		case ctx.Err() == nil:
			return TxResult{}, err
		}
		if waitErr := c.pause(ctx); waitErr != nil {
			return TxResult{}, &TimeoutError{Hash: tx.hash, TimeoutHeight: tx.timeoutHeight, Cause: waitErr}
		}
	}
}

// offerBlocks is after how many blocks a transaction that is in none is offered again: most get into the next one or two.
const offerBlocks = 3

// offers says when a waiting transaction is offered again. A node that restarts forgets what waits, and all else that its
// sender has to say would wait with it, until it expires; the same bytes again are harmless, since they can be carried out
// only once.
type offers struct {
	// height of the last offer, 0 before the first look.
	height int64
	// broken is set when no node was reached since then.
	broken bool
}

func (o *offers) due(height int64) bool {
	due := o.height > 0 && height >= o.height+offerBlocks || o.broken
	if due || o.height == 0 {
		o.height, o.broken = height, false
	}
	return due
}
