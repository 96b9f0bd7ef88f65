package chaintest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	cmttypes "github.com/cometbft/cometbft/types"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"
)

// Fault is a way for a node to fail.
type Fault int

const (
	// Works answers.
	Works Fault = iota
	// Breaks closes the connection before it does anything.
	Breaks
	// BreaksAfter does what it was asked and closes the connection instead of answering.
	BreaksAfter
	// Hangs answers nothing until the client gives up.
	Hangs
	// Unavailable answers as a proxy does whose node is down.
	Unavailable
)

// Node is one RPC endpoint of a chain.
type Node struct {
	chain  *Chain
	server *httptest.Server

	mu         sync.Mutex
	faults     map[string]Fault
	calls      map[string]int
	catchingUp bool
	lag        int64
}

// anyMethod is the key of a fault of all methods.
const anyMethod = "*"

// NewNode starts a node of a chain; it ends with the test.
func NewNode(t testing.TB, c *Chain) *Node {
	t.Helper()
	n := &Node{chain: c, faults: make(map[string]Fault), calls: make(map[string]int)}
	mux := http.NewServeMux()
	rpcserver.RegisterRPCFuncs(mux, map[string]*rpcserver.RPCFunc{
		"status":            rpcserver.NewRPCFunc(n.status, ""),
		"abci_query":        rpcserver.NewRPCFunc(n.abciQuery, "path,data,height,prove"),
		"broadcast_tx_sync": rpcserver.NewRPCFunc(n.broadcast, "tx"),
		"tx":                rpcserver.NewRPCFunc(n.tx, "hash,prove"),
	}, log.NewNopLogger())
	n.server = httptest.NewServer(n.withFaults(mux))
	t.Cleanup(func() {
		n.server.CloseClientConnections()
		n.server.Close()
	})
	return n
}

// URL is where the node's RPC is.
func (n *Node) URL() string { return n.server.URL }

// Stop closes the port for good.
func (n *Node) Stop() {
	n.server.CloseClientConnections()
	n.server.Close()
}

// Fail makes a method fail, such as "abci_query"; with no method, all.
func (n *Node) Fail(fault Fault, methods ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(methods) == 0 {
		n.faults = map[string]Fault{anyMethod: fault}
	}
	for _, m := range methods {
		n.faults[m] = fault
	}
}

// SetCatchingUp makes the node say that it is still loading blocks, and refuse transactions.
func (n *Node) SetCatchingUp(catchingUp bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.catchingUp = catchingUp
}

// SetLag makes the node's blocks older than the chain's.
func (n *Node) SetLag(blocks int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lag = blocks
}

// Calls counts the calls of a method.
func (n *Node) Calls(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[method]
}

// withFaults counts calls and lets those fail that should.
func (n *Node) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var call struct{ Method string }
		if err := json.Unmarshal(body, &call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch n.count(call.Method) {
		case Works:
			next.ServeHTTP(w, r)
		case Breaks:
			panic(http.ErrAbortHandler)
		case BreaksAfter:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case Hangs:
			<-r.Context().Done()
		case Unavailable:
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}
	})
}

func (n *Node) count(method string) Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls[method]++
	if fault, ok := n.faults[method]; ok {
		return fault
	}
	return n.faults[anyMethod]
}

func (n *Node) status(*rpctypes.Context) (*ctypes.ResultStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	height := n.chain.Height() - n.lag
	return &ctypes.ResultStatus{
		NodeInfo: p2p.DefaultNodeInfo{Network: n.chain.ID},
		SyncInfo: ctypes.SyncInfo{
			LatestBlockHeight: height,
			LatestBlockTime:   genesisTime.Add(time.Duration(height) * time.Second),
			CatchingUp:        n.catchingUp,
		},
	}, nil
}

func (n *Node) abciQuery(
	ctx *rpctypes.Context, path string, data cmtbytes.HexBytes, _ int64, _ bool,
) (*ctypes.ResultABCIQuery, error) {
	return &ctypes.ResultABCIQuery{Response: *n.chain.query(ctx.Context(), path, data)}, nil
}

func (n *Node) broadcast(_ *rpctypes.Context, tx cmttypes.Tx) (*ctypes.ResultBroadcastTx, error) {
	n.mu.Lock()
	catchingUp := n.catchingUp
	n.mu.Unlock()
	if catchingUp {
		return nil, errors.New("endpoint is closed while node is catching up")
	}
	if n.chain.wasSeen(tx) {
		return nil, errors.New("tx already exists in cache")
	}
	res := n.chain.check(tx)
	return &ctypes.ResultBroadcastTx{Code: res.Code, Codespace: res.Codespace, Log: res.Log, Hash: tx.Hash()}, nil
}

func (n *Node) tx(_ *rpctypes.Context, hash []byte, _ bool) (*ctypes.ResultTx, error) {
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	found, ok := n.chain.included[fmt.Sprintf("%X", hash)]
	if !ok {
		return nil, fmt.Errorf("tx (%X) not found", hash)
	}
	return &ctypes.ResultTx{Hash: hash, Height: found.height, TxResult: found.result, Tx: found.bytes}, nil
}

func (c *Chain) wasSeen(bytes []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[txHash(bytes)]
}

// signerData is what a signature of the account's next transaction must cover.
func signerData(chainID string, acc *account, pubKey cryptotypes.PubKey) (txsigning.SignerData, error) {
	packed, err := codectypes.NewAnyWithValue(pubKey)
	if err != nil {
		return txsigning.SignerData{}, err
	}
	return txsigning.SignerData{
		Address: sdk.AccAddress(pubKey.Address()).String(), ChainID: chainID,
		AccountNumber: acc.number, Sequence: acc.checked,
		PubKey: &anypb.Any{TypeUrl: packed.TypeUrl, Value: packed.Value},
	}, nil
}
