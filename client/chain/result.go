package chain

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cosmos/gogoproto/proto"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// TxResult is a transaction in a block.
type TxResult struct {
	// Hash is upper-case hexadecimal.
	Hash   string
	Height int64
	// Code is 0 when it was carried out.
	Code      uint32
	Codespace string
	RawLog    string
	Events    []abci.Event
	GasWanted int64
	GasUsed   int64
	// Data holds the messages' responses; see MsgResponse.
	Data []byte
}

// Err is nil when the transaction was carried out, and a *TxError otherwise.
func (r TxResult) Err() error {
	if r.Code == 0 {
		return nil
	}
	return newTxError(r.Hash, r.Height, r.Codespace, r.Code, r.RawLog)
}

// Tx looks a transaction up by its hash, in hexadecimal. It gives ErrTxNotFound when it is in no block the node knows.
func (c *Conn) Tx(ctx context.Context, hash string) (TxResult, error) {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return TxResult{}, fmt.Errorf("transaction hash %q: %w", hash, err)
	}
	var found *ctypes.ResultTx
	err = c.pool.do(ctx, func(ctx context.Context, rpc rpcClient) error {
		result, err := rpc.Tx(ctx, raw, false)
		found = result
		return err
	})
	if err != nil {
		return TxResult{}, fmt.Errorf("transaction %s: %w", hash, notFound(err))
	}
	return TxResult{
		Hash:      strings.ToUpper(hash),
		Height:    found.Height,
		Code:      found.TxResult.Code,
		Codespace: found.TxResult.Codespace,
		RawLog:    found.TxResult.Log,
		Events:    found.TxResult.Events,
		GasWanted: found.TxResult.GasWanted,
		GasUsed:   found.TxResult.GasUsed,
		Data:      found.TxResult.Data,
	}, nil
}

// notFound gives ErrTxNotFound for a node's words of the same meaning.
func notFound(err error) error {
	var answer *rpctypes.RPCError
	if errors.As(err, &answer) && strings.Contains(answer.Data, "not found") {
		return ErrTxNotFound
	}
	return err
}

// Events decodes the typed events of one kind, in order. Events that this program cannot read are an error.
func Events[T proto.Message](events []abci.Event) ([]T, error) {
	var zero T
	name := proto.MessageName(zero)
	var found []T
	for _, event := range events {
		if event.Type != name {
			continue
		}
		msg, err := sdk.ParseTypedEvent(event)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", name, err)
		}
		typed, ok := msg.(T)
		if !ok {
			return nil, fmt.Errorf("event %s is a %T", name, msg)
		}
		found = append(found, typed)
	}
	return found, nil
}

// MsgResponse decodes the response to the transaction's message with the given index into resp.
func (r TxResult) MsgResponse(index int, resp proto.Message) error {
	var data sdk.TxMsgData
	if err := proto.Unmarshal(r.Data, &data); err != nil {
		return fmt.Errorf("responses of transaction %s: %w", r.Hash, err)
	}
	if index < 0 || index >= len(data.MsgResponses) {
		return fmt.Errorf("transaction %s has %d responses, no number %d", r.Hash, len(data.MsgResponses), index)
	}
	packed := data.MsgResponses[index]
	if want := "/" + proto.MessageName(resp); packed.TypeUrl != want {
		return fmt.Errorf("response %d of transaction %s is a %s, not a %s", index, r.Hash, packed.TypeUrl, want)
	}
	if err := proto.Unmarshal(packed.Value, resp); err != nil {
		return fmt.Errorf("response %d of transaction %s: %w", index, r.Hash, err)
	}
	return nil
}
