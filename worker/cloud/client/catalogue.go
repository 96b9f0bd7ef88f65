package client

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	pageSize = 100
	// mostHolders of one root that are looked at: more are never asked.
	mostHolders = 64
	// mostCandidates are the nodes that a push looks at before it gives up.
	mostCandidates = 1000
)

// Catalogue is what the chain knows of content and of the nodes that hold it.
type Catalogue struct{ conn *chain.Conn }

// NewCatalogue asks over a connection.
func NewCatalogue(conn *chain.Conn) *Catalogue { return &Catalogue{conn} }

// Node is a node that may hold content.
type Node struct {
	ID      sunstypes.NodeID
	Contact peer.Contact
}

// Holders are the nodes that announced a root and are alive, at most 64.
func (c *Catalogue) Holders(ctx context.Context, root uai.Digest) ([]Node, error) {
	res, err := c.conn.UAI().Holders(ctx, &uaitypes.QueryHoldersRequest{
		Digest: root.String(), Pagination: &query.PageRequest{Limit: mostHolders},
	})
	if err != nil {
		return nil, fmt.Errorf("holders of %s: %w", root, err)
	}
	var nodes []Node
	for _, h := range res.Holders {
		if Alive(h.Status) {
			nodes = append(nodes, Node{ID: h.Node, Contact: peer.Contact{Agent: h.Agent, Addresses: h.Addresses}})
		}
	}
	return nodes, nil
}

// Alive says whether a node in this state still serves what it holds.
func Alive(s sunstypes.NodeStatus) bool {
	return s == sunstypes.NODE_STATUS_ACTIVE || s == sunstypes.NODE_STATUS_DRAINING
}

// Replicas is how many holders the chain wants of what it refers to.
func (c *Catalogue) Replicas(ctx context.Context) (int, error) {
	res, err := c.conn.UAI().Params(ctx, &uaitypes.QueryParamsRequest{})
	if err != nil {
		return 0, fmt.Errorf("params of x/uai: %w", err)
	}
	return int(res.Params.Replicas), nil
}

// Candidates are active nodes that say how they are reached, at most 1,000.
func (c *Catalogue) Candidates(ctx context.Context) ([]Node, error) {
	var nodes []Node
	err := c.contacts(ctx, func(contact sunstypes.Contact) bool {
		if len(contact.Addresses) > 0 {
			nodes = append(nodes, Node{ID: contact.Node, Contact: peer.Contact{Addresses: contact.Addresses}})
		}
		return len(nodes) < mostCandidates
	})
	return nodes, err
}

// Agent completes a candidate with its agent, whom a connection must prove to be; ok is false for one that is not active.
func (c *Catalogue) Agent(ctx context.Context, node Node) (_ Node, ok bool, err error) {
	res, err := c.conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: node.ID.Operator, Number: node.ID.Number})
	if err != nil {
		return node, false, fmt.Errorf("node %s: %w", node.ID, err)
	}
	node.Contact.Agent = res.Node.Node.Agent
	return node, res.Node.Node.Status == sunstypes.NODE_STATUS_ACTIVE && node.Contact.Agent != "", nil
}
