package chain

import (
	"context"
	"fmt"
	"slices"

	"github.com/cosmos/cosmos-sdk/types/query"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// KeyHolders implements vault.Chain.
func (c *Cloud) KeyHolders(ctx context.Context, subject vault.Subject) (vault.Record, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return vault.Record{}, err
	}
	defer cancel()
	res, err := conn.UAI().KeyHolders(ctx, &uaitypes.QueryKeyHoldersRequest{Subject: string(subject)})
	if err != nil {
		return vault.Record{}, fmt.Errorf("key holders of %s: %w", subject, err)
	}
	k := res.KeyHolders
	record := vault.Record{
		Subject: vault.Subject(k.Subject), Recipient: k.Recipient, Threshold: k.Threshold, Commitments: k.Commitments,
		Shares: make([]vault.SealedShare, len(k.Shares)),
	}
	for i, share := range k.Shares {
		record.Shares[i] = vault.SealedShare{Node: share.Node.String(), Index: share.Index, Sealed: share.Sealed}
	}
	return record, nil
}

// NodeByAgent implements vault.Chain.
func (c *Cloud) NodeByAgent(ctx context.Context, agent string) (string, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	res, err := conn.Suns().NodeByAgent(ctx, &sunstypes.QueryNodeByAgentRequest{Agent: agent})
	if err != nil {
		return "", err
	}
	if res.Node.Node.Agent != agent { // a node may have changed its agent
		return "", fmt.Errorf("node %s has the agent %s", res.Node.Node.ID, res.Node.Node.Agent)
	}
	return res.Node.Node.ID.String(), nil
}

// NodePlacements implements vault.Chain.
func (c *Cloud) NodePlacements(ctx context.Context, node string, subject vault.Subject) ([]vault.Placement, error) {
	id, err := sunstypes.ParseNodeID(node)
	if err != nil {
		return nil, err
	}
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	all, _, err := placementsOf(ctx, conn, id)
	if err != nil {
		return nil, err
	}
	newest := newestOf{conn: conn, leases: map[leasetypes.LeaseID][]leasetypes.PlacementInfo{}}
	var placements []vault.Placement
	for _, info := range all {
		p := info.Placement
		if !subject.Of(p.ID.Tenant, p.ID.Number, p.Image) {
			continue
		}
		generation, err := newest.generation(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		placements = append(placements, vault.Placement{
			Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation, Newest: generation,
			Node: p.Node.String(), Live: p.Live() && !p.Ending(), Image: p.Image,
		})
	}
	return placements, nil
}

// newestOf finds the newest generations of replicas, asking once for a lease.
type newestOf struct {
	conn   *chainclient.Conn
	leases map[leasetypes.LeaseID][]leasetypes.PlacementInfo
}

func (n newestOf) generation(ctx context.Context, id leasetypes.PlacementID) (uint64, error) {
	lease := leasetypes.LeaseID{Tenant: id.Tenant, Number: id.Number}
	placements, known := n.leases[lease]
	if !known {
		res, err := n.conn.Lease().Lease(ctx, &leasetypes.QueryLeaseRequest{Tenant: id.Tenant, Number: id.Number})
		if err != nil {
			return 0, fmt.Errorf("lease %s: %w", lease, err)
		}
		placements = res.Placements
		n.leases[lease] = placements
	}
	newest := id.Generation
	for _, info := range placements {
		if info.Placement.ID.Replica == id.Replica {
			newest = max(newest, info.Placement.ID.Generation)
		}
	}
	return newest, nil
}

// MayRun implements vault.Chain.
func (c *Cloud) MayRun(ctx context.Context, image, account string) error {
	id, err := uaitypes.ParseImageID(image)
	if err != nil {
		return err
	}
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	res, err := conn.UAI().Image(ctx, &uaitypes.QueryImageRequest{Publisher: id.Publisher, Name: id.Name, Tag: id.Tag})
	if err != nil {
		return fmt.Errorf("image %s: %w", image, err)
	}
	if !res.Image.Restricted || res.Image.Owner == account {
		return nil
	}
	page := &query.PageRequest{Limit: pageSize}
	for {
		access, err := conn.UAI().Access(ctx, &uaitypes.QueryAccessRequest{Image: image, Pagination: page})
		if err != nil {
			return fmt.Errorf("access to %s: %w", image, err)
		}
		if slices.Contains(access.Grantees, account) {
			return nil
		}
		if access.Pagination == nil || len(access.Pagination.NextKey) == 0 {
			return uaitypes.ErrNotAllowed.Wrapf("%s to %s", image, account)
		}
		page = &query.PageRequest{Key: access.Pagination.NextKey, Limit: pageSize}
	}
}

// KeyContact says how a node that holds a share is reached.
func (c *Cloud) KeyContact(ctx context.Context, node string) (peer.Contact, error) {
	id, err := sunstypes.ParseNodeID(node)
	if err != nil {
		return peer.Contact{}, err
	}
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return peer.Contact{}, err
	}
	defer cancel()
	found, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	if err != nil {
		return peer.Contact{}, fmt.Errorf("node %s: %w", id, err)
	}
	contact, err := conn.Suns().Contact(ctx, &sunstypes.QueryContactRequest{Operator: id.Operator, Number: id.Number})
	if err != nil {
		return peer.Contact{}, fmt.Errorf("contact of %s: %w", id, err)
	}
	return peer.Contact{Agent: found.Node.Node.Agent, Addresses: contact.Contact.Addresses}, nil
}
