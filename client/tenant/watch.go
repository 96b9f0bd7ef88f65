package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/client/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// probesAtOnce bounds how many endpoints are tried at the same time.
const probesAtOnce = 8

var (
	// ErrLeaseUnfunded is a lease that waits for money.
	ErrLeaseUnfunded = errors.New("the lease has run out of money")
	// ErrLeaseSuspended is a lease that failed on several nodes.
	ErrLeaseSuspended = errors.New("the lease is suspended")
	// ErrLeaseEnded is a lease that ended while it was waited for.
	ErrLeaseEnded = errors.New("the lease has ended")
)

// Progress is how far a lease is on its way to answering.
type Progress struct {
	Lease Lease
	// Answering counts running replicas all of whose endpoints answer.
	Answering int
	// Detail says what is waited for, in a person's words; Countdown is a part of it that changes with every look.
	Detail, Countdown string
}

// WaitAnswering waits until every replica runs and answers. It fails when that cannot happen by waiting: the lease has no
// money, is suspended or has ended. Nodes of the chain that do not answer for a while are waited for.
func (c *Client) WaitAnswering(ctx context.Context, id leasetypes.LeaseID, report func(Progress)) (Lease, error) {
	w := &watch{client: c, reached: make(map[string]bool)}
	began := c.now()
	for {
		progress, err := w.look(ctx, id)
		switch {
		case chain.IsUnreachable(err):
			report(Progress{Lease: progress.Lease, Detail: "waiting for a node of the chain"})
		case err != nil:
			return progress.Lease, err
		default:
			report(progress)
			if progress.Answering == int(progress.Lease.Replicas) {
				return progress.Lease, nil
			}
		}
		if err := c.pause(ctx, began); err != nil {
			return progress.Lease, fmt.Errorf("waiting for lease %s: %w", id, err)
		}
	}
}

// watch remembers between two looks.
type watch struct {
	client *Client
	// image is the lease's, for its health check; looked up once.
	image *uaitypes.Image

	mu sync.Mutex
	// reached are endpoints that have answered, by placement and address.
	reached map[string]bool
	// failures are the last tries of endpoints that have not.
	failures map[string]error
}

func (w *watch) look(ctx context.Context, id leasetypes.LeaseID) (Progress, error) {
	nowMs, err := w.client.clock(ctx)
	if err != nil {
		return Progress{}, err
	}
	res, err := w.client.query(ctx, id)
	if err != nil {
		return Progress{}, err
	}
	progress := Progress{Lease: newLease(res, nowMs)}
	if err := w.ended(ctx, res); err != nil {
		return progress, err
	}
	if w.image == nil || w.image.Ref() != res.Lease.Lease.Image {
		image, err := w.client.image(ctx, res.Lease.Lease.Image)
		if err != nil {
			return progress, err
		}
		w.image = &image
	}
	running := make(map[uint32]leasetypes.Placement)
	for replica := range res.Lease.Lease.Replicas {
		if p := runningPlacement(res.Lease.Lease, res.Placements, replica); p != nil {
			running[replica] = *p
		}
	}
	w.probe(ctx, running)
	for _, p := range running {
		if w.answers(p) {
			progress.Answering++
		}
	}
	progress.Detail = w.detail(res, running, progress.Answering)
	progress.Countdown = countdown(res, nowMs)
	return progress, nil
}

// ended says why waiting is no use, or nil.
func (w *watch) ended(ctx context.Context, res *leasetypes.QueryLeaseResponse) error {
	l := res.Lease.Lease
	switch l.Status {
	case leasetypes.LEASE_STATUS_UNFUNDED:
		return fmt.Errorf("lease %s: %w: %s uisc are left, and one period at the cap of %d uisc an hour is needed for each "+
			"replica that waits; `isun fund %d AMOUNT` lets it go on", l.ID, ErrLeaseUnfunded, res.Lease.Money.Balance, l.MaxPrice, l.ID.Number)
	case leasetypes.LEASE_STATUS_SUSPENDED:
		return fmt.Errorf("lease %s: %w: it failed on %d nodes before its first start (%s); `isun scale` or `isun fund` tries "+
			"again, `isun close %d` gives the money back", l.ID, ErrLeaseSuspended, len(l.FailedNodes), w.whyFailed(ctx, l.ID), l.ID.Number)
	case leasetypes.LEASE_STATUS_CLOSING, leasetypes.LEASE_STATUS_CLOSED:
		return fmt.Errorf("lease %s: %w: %s", l.ID, ErrLeaseEnded, l.CloseReason)
	default:
		return nil
	}
}

// whyFailed is what the nodes said when they failed a lease.
func (w *watch) whyFailed(ctx context.Context, id leasetypes.LeaseID) string {
	placements, err := w.client.Placements(ctx, id, pageSize)
	if err != nil {
		return "the reasons cannot be read: " + err.Error()
	}
	var reasons []string
	for _, p := range placements {
		if p.EndReason == "" {
			continue
		}
		reason := p.EndReason
		if p.EndDetail != "" {
			reason += ": " + p.EndDetail
		}
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 {
		return "no reason is known"
	}
	return strings.Join(reasons, "; ")
}

// probe tries the endpoints of running placements that have not answered yet.
func (w *watch) probe(ctx context.Context, running map[uint32]leasetypes.Placement) {
	w.failures = make(map[string]error)
	var group errgroup.Group
	group.SetLimit(probesAtOnce)
	for _, p := range running {
		for _, e := range p.Endpoints {
			key := endpointKey(p, e)
			if w.reached[key] {
				continue
			}
			path := w.healthPath(e.Name)
			group.Go(func() error {
				err := w.client.reach.Probe(ctx, e, path)
				w.mu.Lock()
				defer w.mu.Unlock()
				if err == nil {
					w.reached[key] = true
				} else {
					w.failures[key] = err
				}
				return nil
			})
		}
	}
	// The tries report through the maps.
	_ = group.Wait()
}

// healthPath is where the image says it answers over HTTP at a port.
func (w *watch) healthPath(port string) string {
	if h := w.image.Health; h != nil && h.Kind == uaitypes.HealthHTTP && h.Port == port {
		return h.Path
	}
	return "/"
}

func (w *watch) answers(p leasetypes.Placement) bool {
	for _, e := range p.Endpoints {
		if !w.reached[endpointKey(p, e)] {
			return false
		}
	}
	return true
}

func endpointKey(p leasetypes.Placement, e leasetypes.Endpoint) string {
	return p.ID.String() + " " + URL(e)
}

// detail says what is waited for.
func (w *watch) detail(
	res *leasetypes.QueryLeaseResponse, running map[uint32]leasetypes.Placement, answering int,
) string {
	replicas := int(res.Lease.Lease.Replicas)
	head := fmt.Sprintf("%d of %d replicas run, %d answer", len(running), replicas, answering)
	if answering == replicas {
		return head
	}
	if len(res.Requests) > 0 {
		return head + "; " + requestDetail(res.Requests[0])
	}
	for _, info := range res.Placements {
		if info.Placement.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED {
			return head + fmt.Sprintf("; replica %d starts on %s", info.Placement.ID.Replica, info.Placement.Node)
		}
	}
	for replica := range uint32(replicas) {
		p, ok := running[replica]
		if !ok {
			continue
		}
		for _, e := range p.Endpoints {
			if err := w.failures[endpointKey(p, e)]; err != nil {
				return head + fmt.Sprintf("; %s does not answer yet", URL(e))
			}
		}
	}
	return head
}

// requestDetail says what a replica without a node waits for.
func requestDetail(r leasetypes.Request) string {
	if r.Reason == "" {
		return fmt.Sprintf("replica %d looks for a node", r.Replica)
	}
	return fmt.Sprintf("replica %d waits: %s", r.Replica, r.Reason)
}

// countdown is when the first replica without a node is tried again.
func countdown(res *leasetypes.QueryLeaseResponse, nowMs uint64) string {
	if len(res.Requests) == 0 || res.Requests[0].RetryMs <= nowMs {
		return ""
	}
	return fmt.Sprintf(", next try in %ds", secondsSince(nowMs, res.Requests[0].RetryMs))
}

// WaitClosed waits until a closing lease is settled and refunded.
func (c *Client) WaitClosed(ctx context.Context, id leasetypes.LeaseID, report func(Progress)) (Lease, error) {
	var last Lease
	began := c.now()
	for {
		lease, err := c.Lease(ctx, id)
		switch {
		case chain.IsUnreachable(err):
			report(Progress{Lease: last, Detail: "waiting for a node of the chain"})
		case err != nil:
			return last, err
		case lease.Status == "closed":
			return lease, nil
		default:
			last = lease
			report(Progress{Lease: lease, Detail: closingDetail(lease)})
		}
		if err := c.pause(ctx, began); err != nil {
			return last, fmt.Errorf("waiting for lease %s to be settled: %w", id, err)
		}
	}
}

func closingDetail(lease Lease) string {
	if lease.Status != "closing" {
		return "the lease is " + lease.Status
	}
	switch n := len(lease.Placements); n {
	case 0:
		return "the refund is being paid"
	case 1:
		return "1 placement waits for its node's last attestation"
	default:
		return fmt.Sprintf("%d placements wait for their nodes' last attestations", n)
	}
}
