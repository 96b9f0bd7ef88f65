package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Placement is what the chain says of a placement on a node, as far as keys go.
type Placement struct {
	// Tenant and Number name the lease.
	Tenant  string
	Number  uint64
	Replica uint32
	// Generation of this placement, and the newest of its replica.
	Generation, Newest uint64
	// Node is operator/number.
	Node string
	// Live is true while it is assigned or running.
	Live bool
	// Image is PUBLISHER/NAME:TAG.
	Image string
}

// Chain is what a release is decided by.
type Chain interface {
	// KeyHolders gives the record of a subject.
	KeyHolders(ctx context.Context, subject Subject) (Record, error)
	// NodeByAgent gives the node, operator/number, that an agent speaks for.
	NodeByAgent(ctx context.Context, agent string) (node string, err error)
	// NodePlacements lists the unsettled placements on a node that a subject
	// is of.
	NodePlacements(ctx context.Context, node string, subject Subject) ([]Placement, error)
	// MayRun is nil if an account may run an image.
	MayRun(ctx context.Context, image, account string) error
}

// Entitled decides whether a node may have the key of a subject, by its
// unsettled placements. It gives the placement that entitles. ErrNotEntitled.
func Entitled(
	subject Subject, node string, placements []Placement, mayRun func(image, account string) error,
) (Placement, error) {
	kind, _, err := subject.Split()
	if err != nil {
		return Placement{}, err
	}
	reason := errors.New("it runs no placement of it")
	for _, p := range placements {
		switch {
		case !subject.Of(p.Tenant, p.Number, p.Image) || p.Node != node:
			continue
		case !p.Live:
			reason = fmt.Errorf("generation %d of replica %d has ended", p.Generation, p.Replica)
			continue
		case p.Generation != p.Newest:
			reason = fmt.Errorf("generation %d of replica %d is older than %d", p.Generation, p.Replica, p.Newest)
			continue
		}
		if kind == KindImage {
			if err := mayRun(p.Image, p.Tenant); err != nil {
				reason = err
				continue
			}
		}
		return p, nil
	}
	return Placement{}, fmt.Errorf("%w: %s to node %s: %w", ErrNotEntitled, subject, node, reason)
}

// ReleaserConfig is what a holder of shares is told once.
type ReleaserConfig struct {
	// Node is operator/number, Key its own.
	Node  string
	Key   *NodeKey
	Chain Chain
	Log   *slog.Logger
	// PerAgent and Total bound the requests in any minute; 0 means 30 and 600.
	PerAgent, Total int
	// Now is a monotonic clock; nil means the machine's.
	Now func() time.Time
}

// Releaser gives this node's shares to whom the chain entitles. It is safe for
// concurrent use.
type Releaser struct {
	cfg ReleaserConfig

	mu    sync.Mutex
	since time.Time
	asked map[string]int
	total int
}

// NewReleaser makes a releaser.
func NewReleaser(cfg ReleaserConfig) *Releaser {
	if cfg.PerAgent == 0 {
		cfg.PerAgent = 30
	}
	if cfg.Total == 0 {
		cfg.Total = 600
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Releaser{cfg: cfg, asked: map[string]int{}}
}

// Release answers an agent, whom its connection has proved to be who it says.
// The answer is a Share's Bytes, for that connection only.
func (r *Releaser) Release(ctx context.Context, agent string, subject Subject) ([]byte, error) {
	log := r.cfg.Log.With("agent", agent, "subject", clip(string(subject)))
	answer, placement, err := r.release(ctx, agent, subject)
	if err != nil {
		log.Warn("key share refused", "error", err)
		return nil, err
	}
	log.Info("key share released", "node", placement.Node, "replica", placement.Replica, "generation", placement.Generation)
	return answer, nil
}

func (r *Releaser) release(ctx context.Context, agent string, subject Subject) ([]byte, Placement, error) {
	if err := r.admit(agent); err != nil {
		return nil, Placement{}, err
	}
	if _, _, err := subject.Split(); err != nil {
		return nil, Placement{}, err
	}
	node, err := r.cfg.Chain.NodeByAgent(ctx, agent)
	if err != nil {
		return nil, Placement{}, fmt.Errorf("%w: agent %s speaks for no node: %w", ErrNotEntitled, agent, err)
	}
	placements, err := r.cfg.Chain.NodePlacements(ctx, node, subject)
	if err != nil {
		return nil, Placement{}, fmt.Errorf("placements of node %s: %w", node, err)
	}
	placement, err := Entitled(subject, node, placements, func(image, account string) error {
		return r.cfg.Chain.MayRun(ctx, image, account)
	})
	if err != nil {
		return nil, Placement{}, err
	}
	record, err := r.cfg.Chain.KeyHolders(ctx, subject)
	if err != nil {
		return nil, Placement{}, fmt.Errorf("key holders of %s: %w", subject, err)
	}
	if record.Subject != subject {
		return nil, Placement{}, fmt.Errorf("%w: asked for %s, got %s", ErrRecord, subject, clip(string(record.Subject)))
	}
	share, err := record.Open(r.cfg.Node, r.cfg.Key)
	if err != nil {
		return nil, Placement{}, err
	}
	defer share.Wipe()
	return share.Bytes(), placement, nil
}

// admit counts requests, refused ones too, by the minute. Memory is bounded by
// the total.
func (r *Releaser) admit(agent string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.cfg.Now(); now.Sub(r.since) >= time.Minute {
		r.since, r.total = now, 0
		clear(r.asked)
	}
	if r.asked[agent] >= r.cfg.PerAgent || r.total >= r.cfg.Total {
		return fmt.Errorf("%w: agent %s, try again in a minute", ErrOften, agent)
	}
	r.asked[agent]++
	r.total++
	return nil
}

// askTimeout is how long one holder may take before it counts as dead.
const askTimeout = 20 * time.Second

// Collected says how a collection went.
type Collected struct {
	// Liars gave false shares.
	Liars []string
	// Failed gave none, and why.
	Failed map[string]error
}

// Collect asks all holders of a record at once for their shares, until there
// are enough of them, and gives the identity. Holders that are dead, refuse or
// lie are told and do no harm. ErrTooFew.
func Collect(
	ctx context.Context, record Record, ask func(ctx context.Context, node string) ([]byte, error),
) (*Identity, Collected, error) {
	collected := Collected{Failed: map[string]error{}}
	if err := record.Validate(); err != nil {
		return nil, collected, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	type answer struct {
		node  string
		share Share
		err   error
	}
	answers := make(chan answer, len(record.Shares)) // nobody waits for a slow one
	for _, s := range record.Shares {
		go func() {
			share, err := askOne(ctx, record, s.Node, ask)
			answers <- answer{s.Node, share, err}
		}()
	}
	shares := map[string]Share{}
	defer func() {
		for node, s := range shares {
			s.Wipe()
			shares[node] = s
		}
	}()
	for range record.Shares {
		var a answer
		select {
		case a = <-answers:
		case <-ctx.Done():
			return nil, collected, tooFew(record, len(shares), collected, ctx.Err())
		}
		switch {
		case errors.Is(a.err, ErrFalseShare):
			collected.Liars = append(collected.Liars, a.node)
			continue
		case a.err != nil:
			collected.Failed[a.node] = a.err
			continue
		}
		shares[a.node] = a.share
		if len(shares) == int(record.Threshold) {
			identity, _, err := record.Combine(shares)
			return identity, collected, err
		}
	}
	return nil, collected, tooFew(record, len(shares), collected, nil)
}

func askOne(
	ctx context.Context, record Record, node string, ask func(ctx context.Context, node string) ([]byte, error),
) (Share, error) {
	raw, err := ask(ctx, node)
	if err != nil {
		return Share{}, err
	}
	defer clear(raw)
	share, err := ParseShare(raw)
	if err != nil {
		return Share{}, err
	}
	return share, record.Check(node, share)
}

func tooFew(record Record, got int, collected Collected, cause error) error {
	errs := []error{cause}
	for node, err := range collected.Failed {
		errs = append(errs, fmt.Errorf("node %s: %w", node, err))
	}
	for _, node := range collected.Liars {
		errs = append(errs, fmt.Errorf("node %s: %w", node, ErrFalseShare))
	}
	return fmt.Errorf("%w: %s: %d of %d; %w", ErrTooFew, record.Subject, got, record.Threshold, errors.Join(errs...))
}
