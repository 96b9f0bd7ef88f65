package chain

import (
	"context"
	"fmt"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	clientcloud "github.com/isuncoin/isuncoin/client/cloud"
	"github.com/isuncoin/isuncoin/uai"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// catalogue asks the chain about content.
func (c *Client) catalogue(ctx context.Context) (*clientcloud.Catalogue, error) {
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return clientcloud.NewCatalogue(conn), nil
}

// Holders are the nodes that announced a root and are alive, this one left out.
func (c *Client) Holders(ctx context.Context, root uai.Digest) ([]clientcloud.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	catalogue, err := c.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	holders, err := catalogue.Holders(ctx, root)
	others := holders[:0]
	for _, h := range holders {
		if h.ID != c.node {
			others = append(others, h)
		}
	}
	return others, err
}

// Contact is the node's own, empty if it has none.
func (c *Client) Contact(ctx context.Context) (sunstypes.Contact, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := c.Connect(ctx)
	if err != nil {
		return sunstypes.Contact{}, err
	}
	res, err := conn.Suns().Contact(ctx, &sunstypes.QueryContactRequest{Operator: c.node.Operator, Number: c.node.Number})
	if chainclient.IsNotFound(err) {
		return sunstypes.Contact{}, nil
	}
	if err != nil {
		return sunstypes.Contact{}, fmt.Errorf("contact of %s: %w", c.node, err)
	}
	return res.Contact, nil
}
