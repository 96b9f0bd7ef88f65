package chain

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/duty"
	"github.com/isuncoin/isuncoin/worker/sender"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// holdersPage is as many holders of a root as are looked at.
	holdersPage = 64
	// contactsPage is small, since each node in it is asked for by itself.
	contactsPage = 50
)

// Cloud is the chain as the node's part of iSunCloud sees it.
type Cloud struct {
	client *Client
	send   *sender.Sender
	agent  string
}

// NewCloud speaks for the client's node; what its agent has to say goes
// through send.
func NewCloud(client *Client, send *sender.Sender, agent string) *Cloud {
	return &Cloud{client: client, send: send, agent: agent}
}

// ask gives a connection and the time that a question may take.
func (c *Cloud) ask(ctx context.Context) (*chainclient.Conn, context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	conn, err := c.client.Connect(ctx)
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return conn, ctx, cancel, nil
}

// Replicas implements duty.Chain.
func (c *Cloud) Replicas(ctx context.Context) (int, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	res, err := conn.UAI().Params(ctx, &uaitypes.QueryParamsRequest{})
	if err != nil {
		return 0, fmt.Errorf("params of x/uai: %w", err)
	}
	return int(res.Params.Replicas), nil
}

// References implements duty.Chain.
func (c *Cloud) References(ctx context.Context, root uai.Digest) (uint64, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	res, err := conn.UAI().Content(ctx, &uaitypes.QueryContentRequest{Digest: root.String()})
	if chainclient.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("content %s: %w", root, err)
	}
	return res.References, nil
}

// Holders implements duty.Chain.
func (c *Cloud) Holders(ctx context.Context, root uai.Digest) ([]duty.Node, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	res, err := conn.UAI().Holders(ctx, &uaitypes.QueryHoldersRequest{
		Digest: root.String(), Pagination: &query.PageRequest{Limit: holdersPage},
	})
	if err != nil {
		return nil, fmt.Errorf("holders of %s: %w", root, err)
	}
	nodes := make([]duty.Node, 0, len(res.Holders))
	for _, h := range res.Holders {
		nodes = append(nodes, duty.Node{ID: h.Node, Agent: h.Agent, Status: h.Status, Addresses: h.Addresses})
	}
	return nodes, nil
}

// Contacts implements duty.Chain.
func (c *Cloud) Contacts(ctx context.Context, from []byte) (nodes []duty.Node, next []byte, err error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	res, err := conn.Suns().Contacts(ctx, &sunstypes.QueryContactsRequest{
		Pagination: &query.PageRequest{Key: from, Limit: contactsPage},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("contacts: %w", err)
	}
	for _, contact := range res.Contacts {
		if len(contact.Addresses) == 0 {
			continue
		}
		node, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: contact.Node.Operator, Number: contact.Node.Number})
		if err != nil {
			return nil, nil, fmt.Errorf("node %s: %w", contact.Node, err)
		}
		nodes = append(nodes, duty.Node{
			ID: contact.Node, Agent: node.Node.Node.Agent, Status: node.Node.Node.Status, Addresses: contact.Addresses,
		})
	}
	if res.Pagination != nil {
		next = res.Pagination.NextKey
	}
	return nodes, next, nil
}

// Announce implements duty.Chain.
func (c *Cloud) Announce(ctx context.Context, roots []uai.Digest) error {
	return c.tell(ctx, &uaitypes.MsgAnnounceHolding{Agent: c.agent, Digests: texts(roots)})
}

// Drop implements duty.Chain.
func (c *Cloud) Drop(ctx context.Context, roots []uai.Digest) error {
	return c.tell(ctx, &uaitypes.MsgDropHolding{Agent: c.agent, Digests: texts(roots)})
}

func texts(roots []uai.Digest) []string {
	list := make([]string, len(roots))
	for i, root := range roots {
		list[i] = root.String()
	}
	return list
}

// Contact is the node's own, empty if it has none.
func (c *Cloud) Contact(ctx context.Context) (sunstypes.Contact, error) {
	conn, ctx, cancel, err := c.ask(ctx)
	if err != nil {
		return sunstypes.Contact{}, err
	}
	defer cancel()
	node := c.client.node
	res, err := conn.Suns().Contact(ctx, &sunstypes.QueryContactRequest{Operator: node.Operator, Number: node.Number})
	if chainclient.IsNotFound(err) {
		return sunstypes.Contact{}, nil
	}
	if err != nil {
		return sunstypes.Contact{}, fmt.Errorf("contact of %s: %w", node, err)
	}
	return res.Contact, nil
}

// SetContact has the chain know how the node is reached.
func (c *Cloud) SetContact(ctx context.Context, encryptionKey []byte, addresses []string) error {
	return c.tell(ctx, &sunstypes.MsgSetContact{Agent: c.agent, EncryptionKey: encryptionKey, Addresses: addresses})
}

func (c *Cloud) tell(ctx context.Context, msg sdk.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return c.send.Send(ctx, msg)
}
