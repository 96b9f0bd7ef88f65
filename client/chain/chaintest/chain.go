// Package chaintest is a chain in memory that answers as a node's RPC does: it checks signatures, sequences and fees, puts
// transactions in blocks and serves queries. What messages do is up to the test. Nodes of one chain can be made to fail in
// the ways real ones do.
package chaintest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	errorsmod "cosmossdk.io/errors"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"

	"github.com/isuncoin/isuncoin/client/chain"
)

// GasPerMsg is what every message uses.
const GasPerMsg = 50_000

// genesisTime is the time of block 0; each block is a second later.
var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Handler carries out a message: it gives the message's response and its typed events, or a registered error.
type Handler func(msg sdk.Msg) (response proto.Message, events []proto.Message, err error)

// Chain is the state that its nodes share.
type Chain struct {
	ID       string
	encoding chain.Encoding
	services map[string]service

	mu          sync.Mutex
	height      int64
	manual      bool
	minGasPrice string
	accounts    map[string]*account
	mempool     [][]byte
	seen        map[string]bool
	included    map[string]*includedTx
	handler     Handler
	onBlock     func(height int64)
}

type account struct {
	number    uint64
	committed uint64
	checked   uint64
}

type includedTx struct {
	height int64
	bytes  []byte
	result abci.ExecTxResult
}

type service struct {
	impl    any
	methods map[string]grpc.MethodDesc
}

var _ grpc.ServiceRegistrar = (*Chain)(nil)

// NewChain makes a chain at height 1 with no accounts, whose blocks come with every transaction.
func NewChain(id string) *Chain {
	encoding, err := chain.NewEncoding()
	if err != nil {
		panic(err)
	}
	c := &Chain{
		ID: id, encoding: encoding, height: 1,
		services: make(map[string]service),
		accounts: make(map[string]*account),
		seen:     make(map[string]bool),
		included: make(map[string]*includedTx),
		handler: func(msg sdk.Msg) (proto.Message, []proto.Message, error) {
			return nil, nil, sdkerrors.ErrUnknownRequest.Wrapf("no handler for %s", sdk.MsgTypeURL(msg))
		},
	}
	c.registerOwnServices()
	return c
}

// RegisterService serves the queries of a generated Query service, as a gRPC server would. Call it before the first query.
func (c *Chain) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s := service{impl: impl, methods: make(map[string]grpc.MethodDesc, len(desc.Methods))}
	for _, m := range desc.Methods {
		s.methods[m.MethodName] = m
	}
	c.services[desc.ServiceName] = s
}

// Handle sets what messages do.
func (c *Chain) Handle(handler Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler = handler
}

// OnBlock is called after every block.
func (c *Chain) OnBlock(hook func(height int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onBlock = hook
}

// AddAccount puts an account on the chain, or sets the sequence of one that is.
func (c *Chain) AddAccount(address sdk.AccAddress, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := address.String()
	number := uint64(len(c.accounts))
	if acc, ok := c.accounts[key]; ok {
		number = acc.number
	}
	c.accounts[key] = &account{number: number, committed: sequence, checked: sequence}
}

// Sequence is an account's sequence in the last block.
func (c *Chain) Sequence(address sdk.AccAddress) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accounts[address.String()].committed
}

// SetMinGasPrice is what nodes ask at least, such as "0.025uisc".
func (c *Chain) SetMinGasPrice(price string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minGasPrice = price
}

// SetManual lets blocks come only by NextBlock.
func (c *Chain) SetManual(manual bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manual = manual
}

// Height is that of the last block.
func (c *Chain) Height() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.height
}

// NextBlock makes a block of all that waits.
func (c *Chain) NextBlock() {
	c.mu.Lock()
	hook, height := c.nextBlock(), c.height
	c.mu.Unlock()
	if hook != nil {
		hook(height)
	}
}

// Evict forgets what waits, as a restarted node does.
func (c *Chain) Evict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mempool = nil
	c.seen = make(map[string]bool)
	for _, acc := range c.accounts {
		acc.checked = acc.committed
	}
}

// TxCount is how many transactions are in blocks.
func (c *Chain) TxCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.included)
}

func (c *Chain) nextBlock() func(int64) {
	c.height++
	for _, bytes := range c.mempool {
		c.included[txHash(bytes)] = &includedTx{height: c.height, bytes: bytes, result: c.deliver(bytes)}
	}
	c.mempool = nil
	return c.onBlock
}

// deliver carries out a transaction in a block.
func (c *Chain) deliver(bytes []byte) abci.ExecTxResult {
	tx, err := c.decode(bytes)
	if err != nil {
		return failed(err)
	}
	gas := int64(GasPerMsg * len(tx.GetMsgs()))
	if timeout := tx.GetTimeoutHeight(); timeout > 0 && uint64(c.height) > timeout {
		return failed(sdkerrors.ErrTxTimeoutHeight)
	}
	c.accounts[sdk.AccAddress(must(tx.GetSigners())[0]).String()].committed++
	var data sdk.TxMsgData
	var events []abci.Event
	for _, msg := range tx.GetMsgs() {
		response, typed, err := c.handler(msg)
		if err != nil {
			result := failed(err)
			result.GasUsed, result.GasWanted = gas, int64(tx.GetGas())
			return result
		}
		data.MsgResponses = append(data.MsgResponses, must(codectypes.NewAnyWithValue(response)))
		for _, event := range typed {
			events = append(events, abci.Event(must(sdk.TypedEventToEvent(event))))
		}
	}
	return abci.ExecTxResult{
		Data: must(proto.Marshal(&data)), Events: events, GasUsed: gas, GasWanted: int64(tx.GetGas()),
	}
}

func failed(err error) abci.ExecTxResult {
	codespace, code, log := errorsmod.ABCIInfo(err, false)
	return abci.ExecTxResult{Codespace: codespace, Code: code, Log: log}
}

// query answers an ABCI query as the SDK's query router does.
func (c *Chain) query(ctx context.Context, path string, data []byte) *abci.ResponseQuery {
	serviceName, methodName, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	method, ok := c.services[serviceName].methods[methodName]
	if !ok {
		return sdkerrors.QueryResult(sdkerrors.ErrUnknownRequest.Wrapf("unknown query path: %s", path), false)
	}
	decode := func(into any) error {
		msg, ok := into.(proto.Message)
		if !ok {
			return fmt.Errorf("%T is no message", into)
		}
		return proto.Unmarshal(data, msg)
	}
	response, err := method.Handler(c.services[serviceName].impl, ctx, decode, nil)
	if err != nil {
		return sdkerrors.QueryResult(queryError(err), false)
	}
	msg, ok := response.(proto.Message)
	if !ok {
		return sdkerrors.QueryResult(fmt.Errorf("%T is no message", response), false)
	}
	return &abci.ResponseQuery{Value: must(proto.Marshal(msg)), Height: c.Height()}
}

// queryError wraps a query's error as the SDK does, losing what it was.
func queryError(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return errorsmod.Wrap(sdkerrors.ErrInvalidRequest, err.Error())
	}
	switch st.Code().String() {
	case "NotFound":
		return errorsmod.Wrap(sdkerrors.ErrKeyNotFound, err.Error())
	case "InvalidArgument", "FailedPrecondition":
		return errorsmod.Wrap(sdkerrors.ErrInvalidRequest, err.Error())
	default:
		return errorsmod.Wrap(sdkerrors.ErrUnknownRequest, err.Error())
	}
}

func txHash(bytes []byte) string { return fmt.Sprintf("%X", cmttypes.Tx(bytes).Hash()) }

// must is for what cannot fail with messages that decoded.
func must[T any](v T, err error) T {
	if err != nil {
		panic(errors.Join(errors.New("chaintest"), err))
	}
	return v
}

// IncludedTx is a transaction in a block.
type IncludedTx struct {
	tx authsigning.Tx
}

// Tx gives a transaction in a block by its hash; it panics when there is none.
func (c *Chain) Tx(hash string) IncludedTx {
	c.mu.Lock()
	defer c.mu.Unlock()
	return IncludedTx{tx: must(c.decode(c.included[hash].bytes))}
}

// FeeGranter is the address whose grant paid, or empty.
func (t IncludedTx) FeeGranter() string {
	if granter := t.tx.FeeGranter(); len(granter) > 0 {
		return sdk.AccAddress(granter).String()
	}
	return ""
}

// Msgs are its messages.
func (t IncludedTx) Msgs() []sdk.Msg { return t.tx.GetMsgs() }
