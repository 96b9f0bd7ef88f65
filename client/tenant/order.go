package tenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// DefaultDepositTime is what the deposit pays for at the cap when none is given.
	DefaultDepositTime = 24 * time.Hour
	// capMarginPercent is how far the cap may be above the quote: prices move a little until the match, and a lease that
	// fails over should find another node. A placement costs its node's price whatever the cap.
	capMarginPercent = 20
	// maxQuoted is the most offers a query gives.
	maxQuoted = 100
)

// ErrNoOffer is a demand that no node can take now.
var ErrNoOffer = errors.New("no node fits now")

// Order is what a tenant asks for.
type Order struct {
	// Image is "publisher/name:tag".
	Image    string
	Replicas uint32
	// GeneralMilliSuns and Accelerator override the image's demand where they are set.
	GeneralMilliSuns uint64
	Accelerator      *sunstypes.AcceleratorDemand
	Rules            leasetypes.PlacementRules
	Args             []string
	Env              []leasetypes.EnvVar
	// MaxPrice is in uisc per placement-hour; 0 is the quote and a fifth.
	MaxPrice uint64
	// SnapshotEverySeconds and SnapshotKeep are how often volumes are saved, 0 for on request alone, and how many snapshots of a
	// replica are kept, 0 for the chain's default.
	SnapshotEverySeconds, SnapshotKeep uint32
	// Deposit is in uisc; unset is DefaultDepositTime of all replicas at the cap.
	Deposit math.Int
}

// Plan is an order with its open questions answered, ready to send.
type Plan struct {
	Msg    leasetypes.MsgCreateLease
	Demand sunstypes.Demand
	// Offers are the nodes that fit now, best first; empty when the cap was given and none fits.
	Offers []leasetypes.Offer
	// QuotedCap and DefaultDeposit say which amounts were not given but worked out.
	QuotedCap, DefaultDeposit bool
	// DepositTime is how long the deposit lasts at the cap.
	DepositTime time.Duration
	image       uaitypes.Image
}

// Plan answers an order's open questions: the demand by the image, the cap by a quote, the deposit by the cap. It fails with
// ErrNoOffer when a cap is to be quoted and no node fits.
func (c *Client) Plan(ctx context.Context, order Order) (Plan, error) {
	tenant, err := c.Address()
	if err != nil {
		return Plan{}, err
	}
	image, err := c.image(ctx, order.Image)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Demand: mergeDemand(image.Demand, order.GeneralMilliSuns, order.Accelerator), image: image,
		QuotedCap: order.MaxPrice == 0, DefaultDeposit: order.Deposit.IsNil(),
	}
	plan.Offers, err = c.Quote(ctx, QuoteRequest{
		Image: order.Image, Demand: &plan.Demand, Rules: order.Rules, MaxPrice: order.MaxPrice, Limit: int(order.Replicas),
	})
	if err != nil {
		return Plan{}, err
	}
	maxPrice := order.MaxPrice
	if maxPrice == 0 {
		if len(plan.Offers) == 0 {
			return Plan{}, ErrNoOffer
		}
		maxPrice = quotedCap(plan.Offers)
	}
	deposit := order.Deposit
	perHour := math.NewIntFromUint64(maxPrice).MulRaw(int64(order.Replicas))
	if deposit.IsNil() {
		if deposit, err = c.defaultDeposit(ctx, maxPrice, order.Replicas); err != nil {
			return Plan{}, err
		}
	}
	plan.DepositTime = time.Duration(min(fundedSeconds(deposit, perHour), maxFundedSeconds)) * time.Second
	plan.Msg = leasetypes.MsgCreateLease{
		Tenant: tenant, Image: order.Image, Demand: &plan.Demand, Replicas: order.Replicas, Rules: order.Rules,
		MaxPrice: maxPrice, Args: order.Args, Env: order.Env, Deposit: sdk.NewCoin(sunstypes.BaseDenom, deposit),
		SnapshotEverySeconds: order.SnapshotEverySeconds, SnapshotKeep: order.SnapshotKeep,
	}
	return plan, nil
}

// maxFundedSeconds keeps a time within a time.Duration: a century.
const maxFundedSeconds = 100 * 365 * 24 * 3600

// defaultDeposit is DefaultDepositTime of the replicas at the cap, and at least the one period that a lease needs to begin.
func (c *Client) defaultDeposit(ctx context.Context, maxPrice uint64, replicas uint32) (math.Int, error) {
	res, err := c.conn.Lease().Params(ctx, &leasetypes.QueryParamsRequest{})
	if err != nil {
		return math.Int{}, fmt.Errorf("params of leases: %w", err)
	}
	period := max(DefaultDepositTime, res.Params.BillingPeriod)
	return leasetypes.PeriodAtCap(maxPrice, leasetypes.Ms(period)).MulRaw(int64(replicas)), nil
}

// quotedCap is the dearest of the offers and a fifth.
func quotedCap(offers []leasetypes.Offer) uint64 {
	dearest := uint64(0)
	for _, o := range offers {
		dearest = max(dearest, o.HourPrice)
	}
	limit := math.NewIntFromUint64(dearest).MulRaw(100 + capMarginPercent).AddRaw(99).QuoRaw(100)
	return math.MinInt(limit, math.NewIntFromUint64(leasetypes.MaxPrice)).Uint64()
}

// mergeDemand is an image's demand with what a tenant asks for in its place.
func mergeDemand(image sunstypes.Demand, generalMilliSuns uint64, accelerator *sunstypes.AcceleratorDemand) sunstypes.Demand {
	demand := image
	if generalMilliSuns > 0 {
		demand.GeneralMilliSuns = generalMilliSuns
	}
	if accelerator != nil {
		demand.Accelerator = accelerator
	}
	return demand
}

// Created is a lease that was just ordered.
type Created struct {
	Sent
	ID leasetypes.LeaseID `json:"-"`
}

// Create sends a plan.
func (c *Client) Create(ctx context.Context, plan Plan) (Created, error) {
	result, err := c.send(ctx, &plan.Msg)
	if err != nil {
		return Created{}, fmt.Errorf("ordering: %w", err)
	}
	var response leasetypes.MsgCreateLeaseResponse
	if err := result.MsgResponse(0, &response); err != nil {
		return Created{}, err
	}
	return Created{
		Sent: Sent{Tx: result.Hash, Height: result.Height},
		ID:   leasetypes.LeaseID{Tenant: plan.Msg.Tenant, Number: response.Number},
	}, nil
}

// QuoteRequest is a demand to be priced.
type QuoteRequest struct {
	// Image is "publisher/name:tag" or empty.
	Image string
	// Demand is nil for the image's.
	Demand *sunstypes.Demand
	Rules  leasetypes.PlacementRules
	// MaxPrice is in uisc per placement-hour; 0 is any.
	MaxPrice uint64
	// Limit is how many offers are wanted; 0 is the chain's default.
	Limit int
}

// Quote names the nodes that fit now, best first.
func (c *Client) Quote(ctx context.Context, req QuoteRequest) ([]leasetypes.Offer, error) {
	res, err := c.conn.Lease().Quote(ctx, &leasetypes.QueryQuoteRequest{
		Image: req.Image, Demand: req.Demand, Rules: req.Rules, MaxPrice: req.MaxPrice, Limit: uint32(min(req.Limit, maxQuoted)),
	})
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	return res.Offers, nil
}
