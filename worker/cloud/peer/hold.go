package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/time/rate"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// What a hold is for.
const (
	// PurposePush: a tenant brings content that the chain may not know yet.
	PurposePush = "push"
	// PurposeReplica: a node seeks another holder for what it holds.
	PurposeReplica = "replica"
)

// HoldRequest asks a node to hold a tree of blobs.
type HoldRequest struct {
	// Root is the tree's index or manifest.
	Root uai.Digest `json:"root"`
	// Size is that of all its blobs in bytes, as the asker says.
	Size int64 `json:"size"`
	// Purpose is one of the constants.
	Purpose string `json:"purpose"`
}

func (r HoldRequest) validate() error {
	if _, err := uai.ParseDigest(string(r.Root)); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if r.Size <= 0 || r.Purpose != PurposePush && r.Purpose != PurposeReplica {
		return fmt.Errorf("%w: a hold of %d bytes for %.20q", errMalformed, r.Size, r.Purpose)
	}
	return nil
}

// Progress is how far a node is with a hold, in bytes.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// word is what a node says while it works on a hold: progress, or the end.
type word struct {
	Error    string    `json:"error,omitempty"`
	Message  string    `json:"message,omitempty"`
	Held     bool      `json:"held,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
}

// Words a second that a node may say; one that says more is at no work.
const (
	wordsEach = 250 * time.Millisecond
	wordsMost = 20
	wordsOnce = 200
)

// Hold asks a node to hold a root that this host's library has, and returns
// once it does. The node pulls over the same connection. Asking again is
// harmless, and goes on where an attempt ended; if this side goes away, the
// node stops. Progress may be nil.
func (h *Host) Hold(ctx context.Context, contact Contact, r HoldRequest, progress func(Progress)) (err error) {
	if h.config.Library == nil {
		return errors.New("this host serves nothing that another could pull")
	}
	if err := r.validate(); err != nil {
		return err
	}
	info, err := h.resolve(contact)
	if err != nil {
		return err
	}
	s, err := h.open(ctx, info, false, protocolHold)
	if err != nil {
		return fmt.Errorf("hold %s at %s: %w", r.Root, contact.Agent, err)
	}
	defer func() { s.finish(err == nil) }()
	if err = h.say(s, r); err == nil {
		err = h.listen(s, progress)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("hold %s at %s: %w", r.Root, contact.Agent, streamError(err))
	}
	return nil
}

// listen follows a node's words to the last.
func (h *Host) listen(s *stream, progress func(Progress)) error {
	pace := rate.NewLimiter(wordsMost, wordsOnce)
	for {
		if err := s.SetReadDeadline(time.Now().Add(h.patience.silence)); err != nil {
			return err
		}
		var w word
		if err := readMessage(s, &w); err != nil {
			return err
		}
		switch {
		case w.Error != "":
			return asError(w.Error, w.Message)
		case w.Held:
			return s.ended(h.patience.request)
		case w.Progress == nil || w.Progress.Done < 0 || w.Progress.Total < 0 || !pace.Allow():
			return fmt.Errorf("%w: endless or senseless progress", cloud.ErrLied)
		case progress != nil:
			progress(*w.Progress)
		}
	}
}

// OnHold pulls what somebody asks this node to hold, and returns when it is
// held for good. Errors that wrap cloud.ErrRefused or ErrFull are told to the
// asker. Its context ends when the asker goes away.
type OnHold func(ctx context.Context, from From, r HoldRequest, progress func(Progress)) error

// HandleHold has a function answer requests to hold. It is called once, when
// the node is ready for them.
func (h *Host) HandleHold(on OnHold) {
	h.serve(protocolHold, newSlots(holdsTotal, holdsEach), func(ctx context.Context, from From, s network.Stream) error {
		var r HoldRequest
		if err := h.hear(s, &r); err != nil {
			return err
		}
		err := r.validate()
		if err == nil && h.config.Authority != nil {
			err = h.config.Authority(ctx, from, r)
		}
		if err != nil {
			return h.fail(s, err)
		}
		return h.hold(ctx, s, func(ctx context.Context, progress func(Progress)) error {
			return on(ctx, from, r, progress)
		})
	})
}

// hold runs the work of a hold and tells the asker how it goes.
func (h *Host) hold(ctx context.Context, s network.Stream, work func(context.Context, func(Progress)) error) error {
	ctx, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer cancel()
		// The asker says nothing more. When this returns it has gone away, or
		// the stream was closed below.
		_ = s.SetReadDeadline(time.Time{})
		_, _ = io.ReadFull(s, make([]byte, 1))
	}()
	defer func() { cancel(); _ = s.CloseRead(); <-gone }()

	latest := make(chan Progress, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- work(ctx, func(p Progress) {
			select {
			case <-latest: // an older word that nobody has heard
			default:
			}
			select {
			case latest <- p:
			default:
			}
		})
	}()
	err, sayErr := h.report(s, latest, ended, cancel)
	switch {
	case sayErr != nil:
		return sayErr
	case err != nil:
		return h.fail(s, err)
	default:
		return h.say(s, word{Held: true})
	}
}

// report says how far the work is, at most every wordsEach and at least every
// beat, until the work ends. If nobody listens, it has the work end.
func (h *Host) report(s network.Stream, latest <-chan Progress, ended <-chan error, stop func()) (err, sayErr error) {
	var now Progress
	beat := time.NewTicker(h.patience.beat)
	defer beat.Stop()
	said := time.Time{}
	for {
		select {
		case err := <-ended:
			return err, sayErr
		case now = <-latest:
			if time.Since(said) < wordsEach {
				continue
			}
		case <-beat.C:
		}
		if sayErr == nil {
			if sayErr = h.say(s, word{Progress: &now}); sayErr != nil {
				stop()
			}
			said = time.Now()
		}
	}
}
