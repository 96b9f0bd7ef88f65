package tenant

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Snapshot is what the volumes of a replica held at an instant, as scripts see it.
type Snapshot struct {
	Replica    uint32 `json:"replica"`
	Sequence   uint64 `json:"sequence"`
	Generation uint64 `json:"generation"`
	// Node took it.
	Node       string `json:"node"`
	Digest     string `json:"digest"`
	SizeBytes  uint64 `json:"size_bytes"`
	AgeSeconds uint64 `json:"age_seconds"`
	// Restores is true for what the replica's next placement begins with.
	Restores bool `json:"restores"`
}

// Saving says how far the volumes of a lease are saved.
type Saving struct {
	// EverySeconds is the schedule; 0 is on request alone.
	EverySeconds uint32 `json:"every_seconds"`
	// Key is true if nodes know to whom to encrypt: without it they save nothing.
	Key bool `json:"key"`
	// AgeSeconds of the newest snapshot; nil if there is none.
	AgeSeconds *uint64 `json:"age_seconds"`
}

// Snapshots lists those of a lease, by replica and sequence.
func (c *Client) Snapshots(ctx context.Context, id leasetypes.LeaseID) ([]Snapshot, error) {
	nowMs, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	snapshots := []Snapshot{}
	newest := map[uint32]int{}
	err = pages(0, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.Lease().Snapshots(ctx, &leasetypes.QuerySnapshotsRequest{Tenant: id.Tenant, Number: id.Number, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("snapshots of lease %s: %w", id, err)
		}
		for _, s := range res.Snapshots {
			newest[s.Replica] = len(snapshots)
			snapshots = append(snapshots, Snapshot{
				Replica: s.Replica, Sequence: s.Sequence, Generation: s.Generation, Node: s.Node.String(), Digest: s.Digest,
				SizeBytes: s.SizeBytes, AgeSeconds: secondsSince(s.TakenMs, nowMs),
			})
		}
		return res.Pagination, len(res.Snapshots), nil
	})
	if err != nil || len(snapshots) == 0 {
		return snapshots, err
	}
	chosen, err := c.chosen(ctx, id)
	if err != nil {
		return nil, err
	}
	for replica, at := range newest {
		if _, ok := chosen[replica]; !ok {
			chosen[replica] = snapshots[at].Sequence
		}
	}
	for i := range snapshots {
		snapshots[i].Restores = chosen[snapshots[i].Replica] == snapshots[i].Sequence
	}
	return snapshots, nil
}

// chosen is what the placements that are there began with or begin with, where the tenant chose it and nothing newer was saved
// since. What a node's own queries say is what it restores.
func (c *Client) chosen(ctx context.Context, id leasetypes.LeaseID) (map[uint32]uint64, error) {
	lease, err := c.query(ctx, id)
	if err != nil {
		return nil, err
	}
	chosen := map[uint32]uint64{}
	for _, info := range lease.Placements {
		p := info.Placement
		if !p.Live() {
			continue
		}
		err := pages(0, func(page *query.PageRequest) (*query.PageResponse, int, error) {
			res, err := c.conn.Lease().NodePlacements(ctx, &leasetypes.QueryNodePlacementsRequest{
				Operator: p.Node.Operator, Node: p.Node.Number, Pagination: page,
			})
			if err != nil {
				return nil, 0, fmt.Errorf("placements of node %s: %w", p.Node, err)
			}
			for _, at := range res.Placements {
				if at.Placement.ID == p.ID && at.Restore != nil {
					chosen[p.ID.Replica] = at.Restore.Sequence
				}
			}
			return res.Pagination, len(res.Placements), nil
		})
		if err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// RequestSnapshot has the nodes of a lease save its volumes now.
func (c *Client) RequestSnapshot(ctx context.Context, id leasetypes.LeaseID) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgRequestSnapshot{Tenant: id.Tenant, Number: id.Number})
	if err != nil {
		return Sent{}, fmt.Errorf("asking for a snapshot of lease %s: %w", id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// WaitSnapshots waits until each replica that runs has a snapshot newer than those before, and gives the new ones. Progress is
// told how many there are.
func (c *Client) WaitSnapshots(
	ctx context.Context, id leasetypes.LeaseID, before []Snapshot, progress func(done, of int),
) ([]Snapshot, error) {
	last := map[uint32]uint64{}
	for _, s := range before {
		last[s.Replica] = max(last[s.Replica], s.Sequence)
	}
	for began := c.now(); ; {
		lease, err := c.Lease(ctx, id)
		if err != nil {
			return nil, err
		}
		if lease.Status == "closed" {
			return nil, fmt.Errorf("lease %s is closed", id)
		}
		running := map[uint32]bool{}
		for _, p := range lease.Placements {
			if p.Status == "running" {
				running[p.Replica] = true
			}
		}
		list, err := c.Snapshots(ctx, id)
		if err != nil {
			return nil, err
		}
		newest := map[uint32]Snapshot{}
		for _, s := range list {
			if s.Sequence > last[s.Replica] {
				newest[s.Replica] = s
			}
		}
		missing := 0
		fresh := []Snapshot{}
		for replica := range lease.Replicas {
			if s, ok := newest[replica]; ok {
				fresh = append(fresh, s)
			} else if running[replica] {
				missing++
			}
		}
		if missing == 0 && len(fresh) > 0 {
			return fresh, nil
		}
		progress(len(fresh), len(fresh)+missing)
		if err := c.pause(ctx, began); err != nil {
			return nil, err
		}
	}
}

// RestoreSnapshot places a replica anew, to begin with a snapshot.
func (c *Client) RestoreSnapshot(ctx context.Context, id leasetypes.LeaseID, replica uint32, sequence uint64) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgRestoreSnapshot{Tenant: id.Tenant, Number: id.Number, Replica: replica, Sequence: sequence})
	if err != nil {
		return Sent{}, fmt.Errorf("restoring snapshot %d of replica %d of lease %s: %w", sequence, replica, id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// RemoveSnapshot ends that a snapshot is kept.
func (c *Client) RemoveSnapshot(ctx context.Context, id leasetypes.LeaseID, replica uint32, sequence uint64) (Sent, error) {
	if err := c.mine(id); err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &leasetypes.MsgRemoveSnapshot{Tenant: id.Tenant, Number: id.Number, Replica: replica, Sequence: sequence})
	if err != nil {
		return Sent{}, fmt.Errorf("removing snapshot %d of replica %d of lease %s: %w", sequence, replica, id, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// Saving says how far the volumes of a lease are saved; nil if its image has none that outlive a placement.
func (c *Client) Saving(ctx context.Context, id leasetypes.LeaseID) (*Saving, error) {
	res, err := c.query(ctx, id)
	if err != nil {
		return nil, err
	}
	image, err := c.image(ctx, res.Lease.Lease.Image)
	if chain.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nothing is known of its volumes
	}
	if err != nil {
		return nil, err
	}
	if !lasting(image) {
		return nil, nil //nolint:nilnil // there is nothing to save
	}
	saving := &Saving{EverySeconds: res.Lease.Lease.SnapshotEverySeconds}
	_, err = c.conn.UAI().KeyHolders(ctx, &uaitypes.QueryKeyHoldersRequest{Subject: "lease/" + id.String()})
	if err != nil && !chain.IsNotFound(err) {
		return nil, fmt.Errorf("key of lease %s: %w", id, err)
	}
	saving.Key = err == nil
	snapshots, err := c.Snapshots(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, s := range snapshots {
		if saving.AgeSeconds == nil || s.AgeSeconds < *saving.AgeSeconds {
			saving.AgeSeconds = &s.AgeSeconds
		}
	}
	return saving, nil
}

// lasting says whether an image has volumes that outlive a placement.
func lasting(image uaitypes.Image) bool {
	for _, v := range image.Volumes {
		if v.Persistent() {
			return true
		}
	}
	return false
}

// Lasting says whether what is ordered has volumes that outlive a placement.
func (p Plan) Lasting() bool { return lasting(p.image) }
