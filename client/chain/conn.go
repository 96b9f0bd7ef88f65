package chain

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	abci "github.com/cometbft/cometbft/abci/types"
	rpcclient "github.com/cometbft/cometbft/rpc/client"

	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Conn is a connection to one chain through several nodes. It is safe for concurrent use. As a grpc.ClientConnInterface it
// serves any generated query client, of this project's modules or of the SDK's.
type Conn struct {
	cfg      Config
	pool     *pool
	encoding Encoding
}

// Dial connects to a chain. It fails with UnreachableError when no endpoint answers and with ErrWrongChain when those that
// answer are on another chain than cfg.ChainID.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	encoding, err := NewEncoding()
	if err != nil {
		return nil, err
	}
	pool, err := newPool(cfg.Endpoints, cfg.ChainID, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	if _, err := pool.usable(ctx); err != nil {
		pool.close()
		return nil, fmt.Errorf("connecting to the chain: %w", err)
	}
	return &Conn{cfg: cfg, pool: pool, encoding: encoding}, nil
}

// Close lets the connections go.
func (c *Conn) Close() error {
	c.pool.close()
	return nil
}

// ChainID is the chain's id.
func (c *Conn) ChainID() string {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.pool.chainID
}

// Endpoint is the URL of the node in use.
func (c *Conn) Endpoint() string { return c.pool.current() }

// Encoding is how this chain's messages are written and read.
func (c *Conn) Encoding() Encoding { return c.encoding }

// Codec writes and reads messages, in binary and JSON.
func (c *Conn) Codec() codec.Codec { return c.encoding.Codec }

// Suns asks x/suns.
func (c *Conn) Suns() sunstypes.QueryClient { return sunstypes.NewQueryClient(c) }

// Lease asks x/lease.
func (c *Conn) Lease() leasetypes.QueryClient { return leasetypes.NewQueryClient(c) }

// Audit asks x/audit.
func (c *Conn) Audit() audittypes.QueryClient { return audittypes.NewQueryClient(c) }

// UAI asks x/uai.
func (c *Conn) UAI() uaitypes.QueryClient { return uaitypes.NewQueryClient(c) }

// Bank asks x/bank.
func (c *Conn) Bank() banktypes.QueryClient { return banktypes.NewQueryClient(c) }

// Auth asks x/auth.
func (c *Conn) Auth() authtypes.QueryClient { return authtypes.NewQueryClient(c) }

// FeeGrant asks x/feegrant.
func (c *Conn) FeeGrant() feegrant.QueryClient { return feegrant.NewQueryClient(c) }

// TxService simulates transactions.
func (c *Conn) TxService() txtypes.ServiceClient { return txtypes.NewServiceClient(c) }

// NodeService asks the node about itself, such as its least gas price.
func (c *Conn) NodeService() nodeservice.ServiceClient { return nodeservice.NewServiceClient(c) }

// Invoke makes one query. A height in the outgoing metadata (grpctypes.GRPCBlockHeightHeader) asks for the state of that
// block; a header option gets the height that was read. Errors are gRPC statuses; see IsNotFound.
func (c *Conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	pc, ok := c.encoding.Codec.(codec.GRPCCodecProvider)
	if !ok {
		return status.Errorf(codes.Internal, "%T cannot encode queries", c.encoding.Codec)
	}
	data, err := pc.GRPCCodec().Marshal(req)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "encoding %T: %s", req, err)
	}
	height, err := requestedHeight(ctx)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	res, err := c.abciQuery(ctx, method, data, height)
	if err != nil {
		return err
	}
	if err := pc.GRPCCodec().Unmarshal(res.Value, reply); err != nil {
		return status.Errorf(codes.Internal, "decoding %T: %s", reply, err)
	}
	for _, opt := range opts {
		if header, ok := opt.(grpc.HeaderCallOption); ok {
			*header.HeaderAddr = metadata.Pairs(grpctypes.GRPCBlockHeightHeader, strconv.FormatInt(res.Height, 10))
		}
	}
	return codectypes.UnpackInterfaces(reply, c.encoding.Registry)
}

// NewStream fails: queries through a node's RPC have no streams.
func (c *Conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "a chain answers single queries only")
}

// abciQuery asks the application of a node. What it answers with an error becomes a gRPC status.
func (c *Conn) abciQuery(ctx context.Context, path string, data []byte, height int64) (abci.ResponseQuery, error) {
	var res abci.ResponseQuery
	err := c.pool.do(ctx, func(ctx context.Context, rpc rpcClient) error {
		result, err := rpc.ABCIQueryWithOptions(ctx, path, data, rpcclient.ABCIQueryOptions{Height: height})
		if err != nil {
			return err
		}
		res = result.Response
		return nil
	})
	if err != nil {
		return abci.ResponseQuery{}, fmt.Errorf("query %s: %w", path, err)
	}
	if !res.IsOK() {
		return abci.ResponseQuery{}, queryStatus(res)
	}
	return res, nil
}

// queryStatus undoes what the SDK does to a query's error on its way into an ABCI response.
func queryStatus(res abci.ResponseQuery) error {
	code := codes.Unknown
	if res.Codespace == sdkerrors.RootCodespace {
		switch res.Code {
		case sdkerrors.ErrInvalidRequest.ABCICode():
			code = codes.InvalidArgument
		case sdkerrors.ErrUnauthorized.ABCICode():
			code = codes.Unauthenticated
		case sdkerrors.ErrKeyNotFound.ABCICode():
			code = codes.NotFound
		}
	}
	log := cleanQueryLog(res.Log)
	return &queryError{status: status.New(code, log), cause: registeredIn(log)}
}

// requestedHeight reads the height header of a query.
func requestedHeight(ctx context.Context) (int64, error) {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		return 0, nil
	}
	values := md.Get(grpctypes.GRPCBlockHeightHeader)
	if len(values) == 0 {
		return 0, nil
	}
	height, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("height %q: %w", values[0], err)
	}
	if height < 0 {
		return 0, errors.New("a height cannot be negative")
	}
	return height, nil
}
