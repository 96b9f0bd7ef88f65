package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// ErrNoKeyHolder: fewer nodes can hold a share of a key than were asked for.
var ErrNoKeyHolder = errors.New("too few nodes can hold a share of the key")

// Among how many nodes a key is split where nothing else is said: one may be gone, and one alone learns nothing.
const (
	DefaultShares    = 3
	DefaultThreshold = 2
)

// KeyNode is a node that shares can be sealed to.
type KeyNode struct {
	ID sunstypes.NodeID
	// Key is its X25519 public key, 32 bytes.
	Key []byte
}

// KeyMarket is what splitting a key asks of the chain; Catalogue is one.
type KeyMarket interface {
	// KeyNodes are nodes that say how they are reached.
	KeyNodes(ctx context.Context) ([]KeyNode, error)
	// Active says whether a node is active.
	Active(ctx context.Context, id sunstypes.NodeID) (bool, error)
}

// Sharing says among how many nodes a key is split, and how many of them give it back. Zeros mean the defaults, 2 of 3, or
// what a smaller network has.
type Sharing struct{ Threshold, Shares int }

// SplitKey is a key that is split among nodes, and that nobody was told of yet.
type SplitKey struct {
	Record vault.Record
	Nodes  []sunstypes.NodeID
	// Warning says what the network is too small for; empty if it is not.
	Warning string
}

// Message tells the chain, signed by who owns the image or the lease.
func (s SplitKey) Message(owner string) *uaitypes.MsgSetKeyHolders {
	msg := &uaitypes.MsgSetKeyHolders{
		Owner: owner, Subject: string(s.Record.Subject), Recipient: s.Record.Recipient, Threshold: s.Record.Threshold,
		Commitments: s.Record.Commitments,
	}
	for i, share := range s.Record.Shares {
		msg.Shares = append(msg.Shares, uaitypes.KeyShare{Node: s.Nodes[i], Index: share.Index, Sealed: share.Sealed})
	}
	return msg
}

// Split shares an identity among active nodes, of as many operators as there are. Which nodes are preferred follows from the
// subject, so that keys spread over the network, and renewing moves as few shares as can be. ErrNoKeyHolder.
func Split(ctx context.Context, market KeyMarket, identity *vault.Identity, subject vault.Subject, want Sharing) (SplitKey, error) {
	shares := want.Shares
	if shares == 0 {
		shares = max(DefaultShares, want.Threshold)
	}
	if shares < 1 || shares > vault.MaxShares || want.Threshold < 0 || want.Threshold > shares {
		return SplitKey{}, fmt.Errorf("a key is split among 1 to %d nodes, and 1 to all of them give it back: not %d of %d",
			vault.MaxShares, want.Threshold, shares)
	}
	nodes, err := chooseKeyNodes(ctx, market, subject, shares)
	if err != nil {
		return SplitKey{}, err
	}
	if least := max(1, want.Shares, want.Threshold); len(nodes) < least {
		return SplitKey{}, fmt.Errorf("%w: %d of %d; nodes that are active and take part in iSunCloud can", ErrNoKeyHolder, len(nodes), least)
	}
	threshold, warning := threshold(nodes, want)
	split := SplitKey{Warning: warning}
	holders := make([]vault.Holder, len(nodes))
	for i, n := range nodes {
		holders[i] = vault.Holder{Node: n.ID.String(), Key: n.Key}
		split.Nodes = append(split.Nodes, n.ID)
	}
	split.Record, err = vault.Split(identity, subject, threshold, holders)
	return split, err
}

// threshold is what was asked for, or else a majority of two of three, if as many operators hold shares: nodes of one operator
// are one machine's worth of trust.
func threshold(nodes []KeyNode, want Sharing) (int, string) {
	operators := map[string]bool{}
	for _, n := range nodes {
		operators[n.ID.Operator] = true
	}
	switch {
	case want.Threshold > 0:
		return want.Threshold, ""
	case want.Shares > 0:
		return want.Shares/2 + 1, ""
	case len(operators) >= DefaultShares:
		return DefaultThreshold, ""
	}
	return 1, fmt.Sprintf("nodes of %d operators take part in iSunCloud, and with fewer than %d each of the key's holders can open it alone (%d of them)",
		len(operators), DefaultShares, len(nodes))
}

// chooseKeyNodes gives active nodes, at most count: the preferred one of each operator first, then others.
func chooseKeyNodes(ctx context.Context, market KeyMarket, subject vault.Subject, count int) ([]KeyNode, error) {
	nodes, err := market.KeyNodes(ctx)
	if err != nil {
		return nil, err
	}
	prefer(nodes, subject)
	var chosen, others []KeyNode
	operators := map[string]bool{}
	for _, n := range nodes {
		if len(chosen) == count {
			return chosen, nil
		}
		if operators[n.ID.Operator] {
			others = append(others, n)
			continue
		}
		active, err := market.Active(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		if active {
			operators[n.ID.Operator] = true
			chosen = append(chosen, n)
		}
	}
	for _, n := range others {
		if len(chosen) == count {
			break
		}
		active, err := market.Active(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		if active {
			chosen = append(chosen, n)
		}
	}
	return chosen, nil
}

// prefer puts nodes in the subject's order (rendezvous hashing).
func prefer(nodes []KeyNode, subject vault.Subject) {
	places := make(map[sunstypes.NodeID][sha256.Size]byte, len(nodes))
	for _, n := range nodes {
		places[n.ID] = sha256.Sum256([]byte("isun/keyholder/1\x00" + string(subject) + "\x00" + n.ID.String()))
	}
	slices.SortFunc(nodes, func(a, b KeyNode) int {
		placeA, placeB := places[a.ID], places[b.ID]
		return cmp.Or(slices.Compare(placeA[:], placeB[:]), cmp.Compare(a.ID.String(), b.ID.String()))
	})
}

// KeyNodes implements KeyMarket; it looks at 1,000 nodes at most.
func (c *Catalogue) KeyNodes(ctx context.Context) ([]KeyNode, error) {
	var nodes []KeyNode
	err := c.contacts(ctx, func(contact sunstypes.Contact) bool {
		// Who has no addresses cannot be asked for its share.
		if len(contact.Addresses) > 0 && len(contact.EncryptionKey) > 0 {
			nodes = append(nodes, KeyNode{ID: contact.Node, Key: contact.EncryptionKey})
		}
		return len(nodes) < mostCandidates
	})
	return nodes, err
}

// Active implements KeyMarket.
func (c *Catalogue) Active(ctx context.Context, id sunstypes.NodeID) (bool, error) {
	res, err := c.conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	if err != nil {
		return false, fmt.Errorf("node %s: %w", id, err)
	}
	return res.Node.Node.Status == sunstypes.NODE_STATUS_ACTIVE, nil
}

// contacts tells of nodes that have set a contact until more is false.
func (c *Catalogue) contacts(ctx context.Context, more func(sunstypes.Contact) bool) error {
	page := &query.PageRequest{Limit: pageSize}
	for {
		res, err := c.conn.Suns().Contacts(ctx, &sunstypes.QueryContactsRequest{Pagination: page})
		if err != nil {
			return fmt.Errorf("contacts: %w", err)
		}
		for _, contact := range res.Contacts {
			if !more(contact) {
				return nil
			}
		}
		if res.Pagination == nil || len(res.Pagination.NextKey) == 0 {
			return nil
		}
		page = &query.PageRequest{Key: res.Pagination.NextKey, Limit: pageSize}
	}
}
