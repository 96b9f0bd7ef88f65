package peer

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

// maxShare bounds a released share in bytes.
const maxShare = 1024

// KeyRequest asks a holder for its share of a key. The holder asks the chain
// whether the asker's node is where the placement is.
type KeyRequest struct {
	// Subject names the key as the chain does: "image/…" or "lease/…".
	Subject string `json:"subject"`
}

func (r KeyRequest) validate() error {
	if r.Subject == "" || len(r.Subject) > maxText || printable(r.Subject) != r.Subject {
		return fmt.Errorf("%w: a key for %q", errMalformed, printable(r.Subject))
	}
	return nil
}

// release answers a KeyRequest.
type release struct {
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
	Share   []byte `json:"share,omitempty"`
}

// Key asks a node for its share of a key. What it gives proves nothing until
// it is checked against the commitments on chain.
func (h *Host) Key(ctx context.Context, contact Contact, r KeyRequest) (share []byte, err error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	info, err := h.resolve(contact)
	if err != nil {
		return nil, err
	}
	s, err := h.open(ctx, info, false, protocolKey)
	if err != nil {
		return nil, fmt.Errorf("share of %s from %s: %w", r.Subject, contact.Agent, err)
	}
	defer func() {
		s.finish(err == nil)
		if err != nil {
			err = fmt.Errorf("share of %s from %s: %w", r.Subject, contact.Agent, err)
		}
	}()
	var out release
	if err = s.exchange(r, &out, h.patience.wait); err != nil {
		return nil, err
	}
	if err = asError(out.Error, out.Message); err != nil {
		return nil, err
	}
	if len(out.Share) == 0 || len(out.Share) > maxShare {
		return nil, fmt.Errorf("%w: a share of %d bytes", cloud.ErrLied, len(out.Share))
	}
	return out.Share, s.ended(h.patience.request)
}

// OnKey decides whether somebody gets this node's share of a key. Errors that
// wrap cloud.ErrRefused or ErrNotHeld are told to the asker.
type OnKey func(ctx context.Context, from From, r KeyRequest) ([]byte, error)

// HandleKey has a function answer requests for shares. It is called once.
func (h *Host) HandleKey(on OnKey) {
	h.serve(protocolKey, newSlots(keysTotal, keysEach), func(ctx context.Context, from From, s network.Stream) error {
		var r KeyRequest
		if err := h.hear(s, &r); err != nil {
			return err
		}
		err := r.validate()
		var share []byte
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, h.patience.wait)
			share, err = on(ctx, from, r)
			cancel()
		}
		if err != nil {
			return h.fail(s, err)
		}
		return h.say(s, release{Share: share})
	})
}
