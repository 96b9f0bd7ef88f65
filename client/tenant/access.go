package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Access says who may order an image, as scripts see it.
type Access struct {
	Image string `json:"image"`
	Owner string `json:"owner"`
	// Restricted images may be ordered by their owner and by grantees alone.
	Restricted bool `json:"restricted"`
	// Grantees stay, whether it is restricted or not.
	Grantees []string `json:"grantees"`
}

// AccessChange says what to change of who may order an image.
type AccessChange struct {
	// Restricted is what it is from now on; nil leaves it.
	Restricted *bool
	// Grant and Revoke are addresses.
	Grant, Revoke []string
}

// Access says who may order an image.
func (c *Client) Access(ctx context.Context, ref string) (Access, error) {
	image, err := c.image(ctx, ref)
	if err != nil {
		return Access{}, err
	}
	access := Access{Image: ref, Owner: image.Owner, Restricted: image.Restricted, Grantees: []string{}}
	err = pages(0, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.UAI().Access(ctx, &uaitypes.QueryAccessRequest{Image: ref, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("access to %s: %w", ref, err)
		}
		access.Restricted = res.Restricted
		access.Grantees = append(access.Grantees, res.Grantees...)
		return res.Pagination, len(res.Grantees), nil
	})
	return access, err
}

// SetAccess changes who may order an image of the signer's. It binds orders from now on.
func (c *Client) SetAccess(ctx context.Context, ref string, change AccessChange) (Sent, error) {
	owner, err := c.Address()
	if err != nil {
		return Sent{}, err
	}
	msg := &uaitypes.MsgSetAccess{Owner: owner, Image: ref, Grant: change.Grant, Revoke: change.Revoke}
	if change.Restricted != nil {
		msg.Restricted = *change.Restricted
	} else {
		image, err := c.image(ctx, ref)
		if err != nil {
			return Sent{}, err
		}
		msg.Restricted = image.Restricted
	}
	result, err := c.send(ctx, msg)
	if err != nil {
		return Sent{}, fmt.Errorf("access to %s: %w", ref, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// KeyHolders says who holds the key to an image or a lease, as scripts see it.
type KeyHolders struct {
	// Subject is "image/PUBLISHER/NAME:TAG" or "lease/TENANT/NUMBER".
	Subject   string `json:"subject"`
	Owner     string `json:"owner"`
	Recipient string `json:"recipient"`
	// Threshold is how many of the nodes give the key back; 0 when the owner keeps it alone.
	Threshold uint32    `json:"threshold"`
	Nodes     []KeyNode `json:"nodes"`
	// Alive is how many of them still answer, as far as the chain knows.
	Alive    uint32 `json:"alive"`
	Revision uint64 `json:"revision"`
}

// KeyNode is a node that holds a share of a key.
type KeyNode struct {
	Node   string `json:"node"`
	Status string `json:"status"`
	// Alive nodes are active or drain.
	Alive bool `json:"alive"`
	// Reachable nodes say how they are reached.
	Reachable bool `json:"reachable"`
}

// KeyHolders says who holds the key to a subject, and which of them are alive. chain.IsNotFound tells that nobody does.
func (c *Client) KeyHolders(ctx context.Context, subject string) (KeyHolders, error) {
	res, err := c.conn.UAI().KeyHolders(ctx, &uaitypes.QueryKeyHoldersRequest{Subject: subject})
	if err != nil {
		return KeyHolders{}, fmt.Errorf("key holders of %s: %w", subject, err)
	}
	k := res.KeyHolders
	view := KeyHolders{
		Subject: subject, Owner: k.Owner, Recipient: k.Recipient, Threshold: k.Threshold, Revision: k.Revision, Nodes: []KeyNode{},
	}
	for _, share := range k.Shares {
		node, err := c.keyNode(ctx, share.Node)
		if err != nil {
			return KeyHolders{}, err
		}
		if node.Alive && node.Reachable {
			view.Alive++
		}
		view.Nodes = append(view.Nodes, node)
	}
	return view, nil
}

func (c *Client) keyNode(ctx context.Context, id sunstypes.NodeID) (KeyNode, error) {
	view := KeyNode{Node: id.String()}
	node, err := c.conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	if chain.IsNotFound(err) {
		view.Status = "gone"
		return view, nil
	}
	if err != nil {
		return view, fmt.Errorf("node %s: %w", id, err)
	}
	status := node.Node.Node.Status
	view.Status = statusName(status.String())
	view.Alive = slices.Contains([]sunstypes.NodeStatus{sunstypes.NODE_STATUS_ACTIVE, sunstypes.NODE_STATUS_DRAINING}, status)
	contact, err := c.conn.Suns().Contact(ctx, &sunstypes.QueryContactRequest{Operator: id.Operator, Number: id.Number})
	if err != nil && !chain.IsNotFound(err) && !errors.Is(err, sunstypes.ErrContactNotFound) {
		return view, fmt.Errorf("contact of node %s: %w", id, err)
	}
	view.Reachable = err == nil && len(contact.Contact.Addresses) > 0
	return view, nil
}

// SetKeyHolders says who holds the key to an image or a lease of the signer's.
func (c *Client) SetKeyHolders(ctx context.Context, msg *uaitypes.MsgSetKeyHolders) (Sent, error) {
	result, err := c.send(ctx, msg)
	if err != nil {
		return Sent{}, fmt.Errorf("key holders of %s: %w", msg.Subject, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}
