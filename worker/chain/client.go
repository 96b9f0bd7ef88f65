package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/sender"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// queryTimeout bounds one question, failing over between endpoints
	// included: a worker asks again a second later anyway.
	queryTimeout = 15 * time.Second
	// sendTimeout bounds a transaction's way into a block.
	sendTimeout = 45 * time.Second
	// sendBlocks is how long a transaction may wait for its block: a short
	// time, since what it says is soon out of date.
	sendBlocks = 20
	pageSize   = 200
	// refresh is how old the params, the epoch and the node in a view may be;
	// placements are asked for every time.
	refresh = 5 * time.Second
)

// Client reads and writes for one node. It connects when it is first used, so
// that a worker can look after its containers before the chain answers.
type Client struct {
	cfg     chainclient.Config
	signer  chainclient.Signer
	node    sunstypes.NodeID
	granter sdk.AccAddress
	clock   func() time.Duration

	mu        sync.Mutex
	conn      *chainclient.Conn
	broadcast *chainclient.Broadcaster

	// slow is the part of a view that is not asked for every time. Only the
	// goroutine that calls View touches it.
	slow   View
	slowAt time.Duration
}

// NewClient speaks for a node with its agent's key; the operator's grant pays
// the fees. clock is the worker's monotonic one.
func NewClient(cfg chainclient.Config, signer chainclient.Signer, node sunstypes.NodeID, clock func() time.Duration) (*Client, error) {
	granter, err := sdk.AccAddressFromBech32(node.Operator)
	if err != nil {
		return nil, fmt.Errorf("operator %q: %w", node.Operator, err)
	}
	return &Client{cfg: cfg, signer: signer, node: node, granter: granter, clock: clock}, nil
}

// Connect connects unless that was done before.
func (c *Client) Connect(ctx context.Context) (*chainclient.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	conn, err := chainclient.Dial(ctx, c.cfg)
	if err != nil {
		return nil, err
	}
	c.conn, c.broadcast = conn, chainclient.NewBroadcaster(conn)
	return conn, nil
}

// Endpoint is the chain's node in use, empty while there is none.
func (c *Client) Endpoint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return ""
	}
	return c.conn.Endpoint()
}

// NewBlocks tells of blocks as they come: a hint to look.
func (c *Client) NewBlocks(ctx context.Context) (<-chan int64, error) {
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn.NewBlocks(ctx)
}

// Close lets the connection go.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Broadcast implements sender.Broadcaster.
func (c *Client) Broadcast(ctx context.Context, msgs []sdk.Msg) error {
	if _, err := c.Connect(ctx); err != nil {
		return err
	}
	_, err := c.broadcast.Send(ctx, c.signer, msgs, chainclient.Options{
		FeeGranter: c.granter, Wait: sendTimeout, TimeoutBlocks: sendBlocks,
	})
	var refused *chainclient.TxError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", sender.ErrRefused, err)
	}
	return err
}

// View asks what the chain says of the node now. It is for one goroutine.
func (c *Client) View(ctx context.Context) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if now := c.clock(); c.slowAt == 0 || now-c.slowAt >= refresh {
		slow, err := c.slowView(ctx)
		if err != nil {
			return View{}, err
		}
		c.slow, c.slowAt = slow, now
	}
	view := c.slow
	placements, nowMs, err := c.placements(ctx)
	if err != nil {
		return View{}, err
	}
	view.Placements, view.NowMs, view.Seen = placements, nowMs, c.clock()
	if view.NowMs >= view.Epoch.EndsMs {
		c.slowAt = 0 // a new epoch: ask at once next time
	}
	return view, nil
}

func (c *Client) slowView(ctx context.Context) (View, error) {
	var v View
	conn, err := c.Connect(ctx)
	if err != nil {
		return View{}, err
	}
	node, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: c.node.Operator, Number: c.node.Number})
	if err != nil {
		return View{}, fmt.Errorf("node %s: %w", c.node, err)
	}
	if v.Params, err = ReadParams(ctx, conn); err != nil {
		return View{}, err
	}
	epoch, err := conn.Suns().Epoch(ctx, &sunstypes.QueryEpochRequest{})
	if err != nil {
		return View{}, fmt.Errorf("epoch: %w", err)
	}
	v.Node = node.Node
	v.Epoch = Epoch{Number: epoch.Epoch.Number, StartMs: epoch.Epoch.StartMs, EndsMs: epoch.EndsMs}
	return v, nil
}

func (c *Client) placements(ctx context.Context) (placements []leasetypes.NodePlacement, nowMs uint64, err error) {
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	return placementsOf(ctx, conn, c.node)
}

// placementsOf gives a node's unsettled placements, and the chain clock.
func placementsOf(
	ctx context.Context, conn *chainclient.Conn, node sunstypes.NodeID,
) (placements []leasetypes.NodePlacement, nowMs uint64, err error) {
	page := &query.PageRequest{Limit: pageSize}
	for {
		res, err := conn.Lease().NodePlacements(ctx, &leasetypes.QueryNodePlacementsRequest{
			Operator: node.Operator, Node: node.Number, Pagination: page,
		})
		if err != nil {
			return nil, 0, fmt.Errorf("placements of %s: %w", node, err)
		}
		placements, nowMs = append(placements, res.Placements...), res.NowMs
		if res.Pagination == nil || len(res.Pagination.NextKey) == 0 {
			return placements, nowMs, nil
		}
		page = &query.PageRequest{Key: res.Pagination.NextKey, Limit: pageSize}
	}
}

// PlacedImages gives the digests of the images of the node's unsettled
// placements.
func (c *Client) PlacedImages(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	placements, _, err := c.placements(ctx)
	if err != nil {
		return nil, err
	}
	names, digests := map[string]bool{}, map[string]bool{}
	for _, p := range placements {
		names[p.Placement.Image] = true
	}
	for name := range names {
		image, err := c.Image(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		digests[image.Digest] = true
	}
	return digests, nil
}

// Image describes "publisher/name:tag".
func (c *Client) Image(ctx context.Context, name string) (uaitypes.Image, error) {
	id, err := uaitypes.ParseImageID(name)
	if err != nil {
		return uaitypes.Image{}, err
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		return uaitypes.Image{}, err
	}
	res, err := conn.UAI().Image(ctx, &uaitypes.QueryImageRequest{Publisher: id.Publisher, Name: id.Name, Tag: id.Tag})
	if err != nil {
		return uaitypes.Image{}, err
	}
	return res.Image, nil
}

// Usage is what was attested of a placement; zero if nothing was.
func (c *Client) Usage(ctx context.Context, id leasetypes.PlacementID) (journal.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := c.Connect(ctx)
	if err != nil {
		return journal.Usage{}, err
	}
	res, err := conn.Audit().Usage(ctx, &audittypes.QueryUsageRequest{
		Tenant: id.Tenant, Number: id.Number, Replica: id.Replica, Generation: id.Generation,
	})
	if chainclient.IsNotFound(err) {
		return journal.Usage{}, nil
	}
	if err != nil {
		return journal.Usage{}, err
	}
	return journal.UsageOf(res.Usage), nil
}

// Attestation is where the node's attestations stand.
func (c *Client) Attestation(ctx context.Context) (audittypes.NodeAttestation, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := c.Connect(ctx)
	if err != nil {
		return audittypes.NodeAttestation{}, err
	}
	res, err := conn.Audit().Attestation(ctx, &audittypes.QueryAttestationRequest{
		Operator: c.node.Operator, Node: c.node.Number,
	})
	if err != nil {
		return audittypes.NodeAttestation{}, err
	}
	return res.Attestation, nil
}

// ReadParams asks for the params of all modules that a worker heeds.
func ReadParams(ctx context.Context, conn *chainclient.Conn) (Params, error) {
	var p Params
	suns, err := conn.Suns().Params(ctx, &sunstypes.QueryParamsRequest{})
	if err != nil {
		return p, fmt.Errorf("params of x/suns: %w", err)
	}
	lease, err := conn.Lease().Params(ctx, &leasetypes.QueryParamsRequest{})
	if err != nil {
		return p, fmt.Errorf("params of x/lease: %w", err)
	}
	audit, err := conn.Audit().Params(ctx, &audittypes.QueryParamsRequest{})
	if err != nil {
		return p, fmt.Errorf("params of x/audit: %w", err)
	}
	return Params{Suns: suns.Params, Lease: lease.Params, Audit: audit.Params}, nil
}
