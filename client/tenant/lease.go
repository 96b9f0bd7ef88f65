package tenant

import (
	"context"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Sent is a transaction in a block.
type Sent struct {
	Tx     string `json:"tx"`
	Height int64  `json:"height"`
}

// query asks for a lease as the chain has it.
func (c *Client) query(ctx context.Context, id leasetypes.LeaseID) (*leasetypes.QueryLeaseResponse, error) {
	res, err := c.conn.Lease().Lease(ctx, &leasetypes.QueryLeaseRequest{Tenant: id.Tenant, Number: id.Number})
	if chain.IsNotFound(err) {
		// The chain's error names the lease.
		return nil, fmt.Errorf("%w (`isun ps --all` lists yours; closed ones are forgotten after a while)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", id, err)
	}
	return res, nil
}

// Lease looks at a lease.
func (c *Client) Lease(ctx context.Context, id leasetypes.LeaseID) (Lease, error) {
	nowMs, err := c.clock(ctx)
	if err != nil {
		return Lease{}, err
	}
	res, err := c.query(ctx, id)
	if err != nil {
		return Lease{}, err
	}
	return newLease(res, nowMs), nil
}

// Leases lists a tenant's leases, oldest first; without ended those that are closed are left out. The placements of ended
// ones are not looked at.
func (c *Client) Leases(ctx context.Context, tenant string, ended bool) ([]Lease, error) {
	nowMs, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	leases := []Lease{}
	err = pages(0, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.Lease().Leases(ctx, &leasetypes.QueryLeasesRequest{Tenant: tenant, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("leases of %s: %w", tenant, err)
		}
		for _, info := range res.Leases {
			closed := info.Lease.Status == leasetypes.LEASE_STATUS_CLOSED
			if closed && !ended {
				continue
			}
			full := &leasetypes.QueryLeaseResponse{Lease: info, Reserved: math.ZeroInt()}
			if !closed {
				if full, err = c.query(ctx, info.Lease.ID); err != nil {
					return nil, 0, err
				}
			}
			leases = append(leases, newLease(full, nowMs))
		}
		return res.Pagination, len(res.Leases), nil
	})
	return leases, err
}

// Placements lists the last placements of a lease, settled ones included, at most limit.
func (c *Client) Placements(ctx context.Context, id leasetypes.LeaseID, limit int) ([]Placement, error) {
	nowMs, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	placements := []Placement{}
	err = pages(limit, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.Lease().Placements(ctx, &leasetypes.QueryPlacementsRequest{
			Tenant: id.Tenant, Number: id.Number, Pagination: page,
		})
		if err != nil {
			return nil, 0, fmt.Errorf("placements of lease %s: %w", id, err)
		}
		for _, info := range res.Placements {
			placements = append(placements, newPlacement(info, nowMs))
		}
		return res.Pagination, len(res.Placements), nil
	})
	return placements, err
}

// Fund adds uisc to a lease's balance; anybody may. It gives the free balance, in uisc.
func (c *Client) Fund(ctx context.Context, id leasetypes.LeaseID, uisc math.Int) (Sent, math.Int, error) {
	funder, err := c.Address()
	if err != nil {
		return Sent{}, math.Int{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgFundLease{
		Funder: funder, Tenant: id.Tenant, Number: id.Number, Amount: sdk.NewCoin(sunstypes.BaseDenom, uisc),
	})
	if err != nil {
		return Sent{}, math.Int{}, fmt.Errorf("funding lease %s: %w", id, err)
	}
	var response leasetypes.MsgFundLeaseResponse
	if err := result.MsgResponse(0, &response); err != nil {
		return Sent{}, math.Int{}, err
	}
	return Sent{Tx: result.Hash, Height: result.Height}, response.Balance, nil
}

// Change is what an update sets; what is zero stays.
type Change struct {
	Replicas uint32
	Demand   *sunstypes.Demand
	Image    string
	// MaxPrice is in uisc per placement-hour.
	MaxPrice uint64
	// SnapshotEverySeconds and SnapshotKeep are those of an order; NoSchedule leaves snapshots to requests.
	SnapshotEverySeconds, SnapshotKeep uint32
	NoSchedule                         bool
}

// Update changes a lease.
func (c *Client) Update(ctx context.Context, id leasetypes.LeaseID, change Change) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgUpdateLease{
		Tenant: id.Tenant, Number: id.Number, Replicas: change.Replicas, Demand: change.Demand,
		Image: change.Image, MaxPrice: change.MaxPrice, SnapshotEverySeconds: change.SnapshotEverySeconds,
		SnapshotKeep: change.SnapshotKeep, ClearSnapshotSchedule: change.NoSchedule,
	})
	if err != nil {
		return Sent{}, fmt.Errorf("updating lease %s: %w", id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// Migrate moves a replica to another node.
func (c *Client) Migrate(ctx context.Context, id leasetypes.LeaseID, replica uint32) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number, Replica: replica})
	if err != nil {
		return Sent{}, fmt.Errorf("migrating replica %d of lease %s: %w", replica, id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// Close ends a lease; its refund follows when its last placements are settled.
func (c *Client) Close(ctx context.Context, id leasetypes.LeaseID) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgCloseLease{Tenant: id.Tenant, Number: id.Number})
	if err != nil {
		return Sent{}, fmt.Errorf("closing lease %s: %w", id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}
