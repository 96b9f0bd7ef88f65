// Package tenant is what a tenant does with leases: quote, order, watch, reach, fund, change and close them, and read the
// bill. It talks to the chain and to the leased endpoints and shows nothing; cmd/isun shows it.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// defaultPoll is half a block: what changes on the chain is seen within a block.
	defaultPoll = 500 * time.Millisecond
	// Most that is waited for comes within quickTime, and is looked for that many times as often until then.
	quickTime   = 10 * time.Second
	quickFactor = 5
	// pageSize is how many entries are asked for at once.
	pageSize = 100
)

// ErrNoSigner is an operation that needs a key without one.
var ErrNoSigner = errors.New("this needs a key: name one with --from")

// Client works for one tenant.
type Client struct {
	conn   *chain.Conn
	sender *chain.Broadcaster
	signer chain.Signer
	// poll is the pause between two looks at the chain.
	poll time.Duration
	// reach tries an endpoint.
	reach Prober
	now   func() time.Time
}

// Option changes a Client.
type Option func(*Client)

// WithPoll sets the pause between two looks at the chain.
func WithPoll(poll time.Duration) Option { return func(c *Client) { c.poll = poll } }

// WithProber sets how endpoints are tried.
func WithProber(p Prober) Option { return func(c *Client) { c.reach = p } }

// New works through a connection. The signer may be nil for what only looks.
func New(conn *chain.Conn, signer chain.Signer, opts ...Option) *Client {
	c := &Client{
		conn: conn, sender: chain.NewBroadcaster(conn), signer: signer,
		poll: defaultPoll, reach: NewProber(), now: time.Now,
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Address is the tenant's, or ErrNoSigner.
func (c *Client) Address() (string, error) {
	if c.signer == nil {
		return "", ErrNoSigner
	}
	return c.signer.Address().String(), nil
}

// LeaseID reads "tenant/number", or a number, which is one of the signer's leases.
func (c *Client) LeaseID(s string) (leasetypes.LeaseID, error) {
	if strings.Contains(s, "/") {
		return leasetypes.ParseLeaseID(s)
	}
	number, err := strconv.ParseUint(s, 10, 64)
	if err != nil || number == 0 {
		return leasetypes.LeaseID{}, fmt.Errorf("lease %q is neither a number, such as 3, nor tenant/number", s)
	}
	tenant, err := c.Address()
	if err != nil {
		return leasetypes.LeaseID{}, fmt.Errorf("lease %q: whose? %w, or write tenant/%s", s, err, s)
	}
	return leasetypes.LeaseID{Tenant: tenant, Number: number}, nil
}

// mine refuses a lease that is not the signer's.
func (c *Client) mine(id leasetypes.LeaseID) error {
	tenant, err := c.Address()
	if err != nil {
		return err
	}
	if id.Tenant != tenant {
		return fmt.Errorf("lease %s belongs to %s, and the key is %s: choose the tenant's key with --from", id, id.Tenant, tenant)
	}
	return nil
}

// ImageRef completes an image's name: "name:tag" is one of the signer's own.
func (c *Client) ImageRef(s string) (string, error) {
	if !strings.Contains(s, "/") {
		publisher, err := c.Address()
		if err != nil {
			return "", fmt.Errorf("image %q: whose? %w, or write publisher/%s", s, err, s)
		}
		s = publisher + "/" + s
	}
	id, err := uaitypes.ParseImageID(s)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", s, err)
	}
	return id.String(), nil
}

// send signs and sends messages in one transaction.
func (c *Client) send(ctx context.Context, msgs ...sdk.Msg) (chain.TxResult, error) {
	if c.signer == nil {
		return chain.TxResult{}, ErrNoSigner
	}
	return c.sender.Send(ctx, c.signer, msgs, chain.Options{})
}

// clock is the chain clock, in milliseconds.
func (c *Client) clock(ctx context.Context) (uint64, error) {
	res, err := c.conn.Suns().Clock(ctx, &sunstypes.QueryClockRequest{})
	if err != nil {
		return 0, fmt.Errorf("chain clock: %w", err)
	}
	return res.Clock.NowMs, nil
}

// pause waits one poll, less in the first seconds since a wait began.
func (c *Client) pause(ctx context.Context, began time.Time) error {
	poll := c.poll
	if c.now().Sub(began) < quickTime {
		poll /= quickFactor
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// pages calls fetch with one page request after the other until there is no next page or limit entries were fetched; limit 0
// is all.
func pages(limit int, fetch func(*query.PageRequest) (*query.PageResponse, int, error)) error {
	req := &query.PageRequest{Limit: pageSize}
	for fetched := 0; ; {
		if limit > 0 {
			req.Limit = uint64(min(pageSize, limit-fetched))
		}
		res, n, err := fetch(req)
		if err != nil {
			return err
		}
		fetched += n
		if res == nil || len(res.NextKey) == 0 || (limit > 0 && fetched >= limit) {
			return nil
		}
		req = &query.PageRequest{Limit: pageSize, Key: res.NextKey}
	}
}
