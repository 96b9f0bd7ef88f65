package node

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

// KeyChain is what keys are released and collected by.
type KeyChain interface {
	vault.Chain
	// KeyContact says how a node, operator/number, is reached.
	KeyContact(ctx context.Context, node string) (peer.Contact, error)
}

// Identity gives the key of a subject, "image/PUBLISHER/NAME:TAG" or
// "lease/TENANT/NUMBER", if the chain placed a lease here that it is of. Its
// holders are asked each time, and the key is written nowhere.
//
// Errors: vault.ErrKept if no node has a part of it, vault.ErrTooFew if too
// few of those that have gave theirs, with the reason of each.
func (n *Node) Identity(ctx context.Context, subject string) (age.Identity, error) {
	record, err := n.cfg.Chain.KeyHolders(ctx, vault.Subject(subject))
	if err != nil {
		return nil, err
	}
	if string(record.Subject) != subject {
		return nil, fmt.Errorf("%w: asked for %q, got %q", vault.ErrRecord, subject, record.Subject)
	}
	identity, collected, err := vault.Collect(ctx, record, func(ctx context.Context, node string) ([]byte, error) {
		return n.askShare(ctx, node, record.Subject)
	})
	for _, node := range collected.Liars {
		n.cfg.Log.Warn("a holder gave a false share of a key", "subject", subject, "node", node)
	}
	for node, failure := range collected.Failed {
		n.cfg.Log.Warn("a holder gave no share of a key", "subject", subject, "node", node, "error", failure)
	}
	if err != nil {
		return nil, err
	}
	defer identity.Wipe()
	n.cfg.Log.Info("key collected", "subject", subject, "threshold", record.Threshold, "holders", len(record.Shares))
	return identity.Age(), nil
}

// askShare gets the share of a holder. This node's own goes by the same rules
// as any other.
func (n *Node) askShare(ctx context.Context, node string, subject vault.Subject) ([]byte, error) {
	if node == n.cfg.ID.String() {
		return n.releaser.Release(ctx, n.host.Address(), subject)
	}
	contact, err := n.cfg.Chain.KeyContact(ctx, node)
	if err != nil {
		return nil, err
	}
	return n.host.Key(ctx, contact, peer.KeyRequest{Subject: string(subject)})
}

// release is a peer.OnKey: the connection has proved who asks, and the chain
// says what that agent's node runs.
func (n *Node) release(ctx context.Context, from peer.From, r peer.KeyRequest) ([]byte, error) {
	share, err := n.releaser.Release(ctx, from.Address, vault.Subject(r.Subject))
	if err == nil {
		return share, nil
	}
	for _, final := range []error{vault.ErrNotEntitled, vault.ErrOften, vault.ErrRecord, vault.ErrSealed, vault.ErrFalseShare, vault.ErrKept} {
		if errors.Is(err, final) {
			return nil, fmt.Errorf("%w: %w", cloud.ErrRefused, err)
		}
	}
	return nil, err
}
