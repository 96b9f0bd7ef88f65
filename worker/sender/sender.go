// Package sender puts the agent's messages on the chain. One account's
// transactions must follow each other, and a block takes a second; so what
// gathers while one transaction waits for its block goes out together in the
// next.
package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// maxMessages bounds one transaction, far below what a block's gas allows.
const maxMessages = 50

// ErrRefused marks an error that the chain answered with: sending the same
// again cannot help.
var ErrRefused = errors.New("the chain refused")

// Broadcaster signs, sends and waits for the block. Its error wraps
// ErrRefused when the chain refused the messages.
type Broadcaster interface {
	Broadcast(ctx context.Context, msgs []sdk.Msg) error
}

// Sender gathers messages into transactions.
type Sender struct {
	chain Broadcaster
	log   *slog.Logger
	queue chan group
}

// group is what one caller wants in one transaction.
type group struct {
	ctx  context.Context //nolint:containedctx // ends with the caller's wait, not with the sender
	msgs []sdk.Msg
	done chan error
}

// New returns a sender; Run makes it work.
func New(chain Broadcaster, log *slog.Logger) *Sender {
	return &Sender{chain: chain, log: log, queue: make(chan group, 1024)}
}

// Send puts messages into one transaction, perhaps with those of others, and
// waits until they are in a block. A message that the chain refuses fails its
// own group alone.
func (s *Sender) Send(ctx context.Context, msgs ...sdk.Msg) error {
	if len(msgs) == 0 {
		return errors.New("nothing to send")
	}
	g := group{ctx: ctx, msgs: msgs, done: make(chan error, 1)}
	select {
	case s.queue <- g:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-g.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-s.queue:
			s.send(ctx, s.gather(first))
		}
	}
}

// gather takes what else is waiting.
func (s *Sender) gather(first group) []group {
	groups, size := []group{first}, len(first.msgs)
	for size < maxMessages {
		select {
		case g := <-s.queue:
			groups, size = append(groups, g), size+len(g.msgs)
		default:
			return groups
		}
	}
	return groups
}

func (s *Sender) send(ctx context.Context, groups []group) {
	var live []group
	for _, g := range groups {
		if err := g.ctx.Err(); err != nil {
			g.done <- context.Cause(g.ctx) // nobody waits for it any more
			continue
		}
		live = append(live, g)
	}
	if len(live) == 0 {
		return
	}
	var msgs []sdk.Msg
	for _, g := range live {
		msgs = append(msgs, g.msgs...)
	}
	err := s.chain.Broadcast(ctx, msgs)
	if err == nil || len(live) == 1 || !errors.Is(err, ErrRefused) {
		for _, g := range live {
			g.done <- wrap(err)
		}
		return
	}
	// One of them is at fault and a transaction is all or nothing: alone,
	// each gets its own answer.
	s.log.Debug("a transaction for several was refused, sending one by one", "messages", len(msgs), "error", err)
	for _, g := range live {
		g.done <- wrap(s.chain.Broadcast(ctx, g.msgs))
	}
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("send transaction: %w", err)
}
