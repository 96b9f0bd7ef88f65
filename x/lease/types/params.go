package types

import (
	"time"

	errorsmod "cosmossdk.io/errors"
)

// Bounds of the params.
const (
	// MinPeriod: a shorter hour than a second bills nothing, since charges are by whole seconds.
	MinPeriod = time.Second
	// MaxPeriod: reservations of more than a month would lock tenants' money for longer than anybody plans.
	MaxPeriod = 31 * 24 * time.Hour
	// MaxWindow bounds every other duration: beyond it queue times would outlive the chain's governance.
	MaxWindow = 10 * 365 * 24 * time.Hour
	// MaxRetryFee: beyond a coin a retry, waiting costs more than computing.
	MaxRetryFee = 1_000_000
	// MaxReplicasBound: an update or a close touches each replica of a lease in one block.
	MaxReplicasBound = 1_000
	// MaxPlacementsPerNodeBound: an attestation names every placement of a node in one transaction.
	MaxPlacementsPerNodeBound = 512
	// MaxCandidatesBound: each candidate of a match is read from the store in the end blocker.
	MaxCandidatesBound = 1_000
	// MaxSuspendAfter: each failed node is listed in the lease.
	MaxSuspendAfter = 16
	// MaxBudget: beyond this a block's work would take longer than the block.
	MaxBudget = 10_000
	// MaxMatchBudget: what is matched and tried again in a block must be looked after and forgotten within MaxBudget.
	MaxMatchBudget = MaxBudget / 2
	// MinFollowUp: blocks that match one request and try one again make two placements to look after and to forget.
	MinFollowUp = 2
	// MaxMinDemand: a larger least demand would shut small machines out; 1,000 SUNS.
	MaxMinDemand = 1_000_000
)

// DefaultParams are the params of a new chain.
func DefaultParams() Params {
	return Params{
		BillingPeriod:        time.Hour,
		SettleGrace:          6 * time.Minute,
		StartDeadline:        5 * time.Minute,
		DrainGrace:           time.Hour,
		TrialPeriod:          5 * time.Minute,
		MaxWait:              24 * time.Hour,
		Retention:            7 * 24 * time.Hour,
		RetryBackoffMin:      10 * time.Second,
		RetryBackoffMax:      time.Hour,
		NodeBackoffMin:       time.Minute,
		NodeBackoffMax:       24 * time.Hour,
		RetryFee:             100,
		MinDemandMilliSuns:   100,
		ProviderShareBps:     9_000,
		MaxReplicas:          100,
		MaxPlacementsPerNode: 256,
		MaxCandidates:        50,
		SuspendAfter:         3,
		Budgets: BlockBudgets{
			LeaseUpdates:  1_000,
			Matches:       200,
			Retries:       100,
			Endings:       300,
			Evictions:     320,
			DuePlacements: 500,
			DueLeases:     100,
			NodeBackoffs:  100,
			Prunes:        1_000,
			Reindexes:     500,
		},
	}
}

// Validate says whether the params are within their bounds.
func (p Params) Validate() error {
	if err := p.validateDurations(); err != nil {
		return err
	}
	counts := []struct {
		name     string
		value    uint64
		min, max uint64
	}{
		{"retry_fee", p.RetryFee, 0, MaxRetryFee},
		{"min_demand_milli_suns", p.MinDemandMilliSuns, 1, MaxMinDemand},
		{"provider_share_bps", uint64(p.ProviderShareBps), 0, basisPoints},
		{"max_replicas", uint64(p.MaxReplicas), 1, MaxReplicasBound},
		{"max_placements_per_node", uint64(p.MaxPlacementsPerNode), 1, MaxPlacementsPerNodeBound},
		{"max_candidates", uint64(p.MaxCandidates), 1, MaxCandidatesBound},
		{"suspend_after", uint64(p.SuspendAfter), 1, MaxSuspendAfter},
		{"budgets.lease_updates", uint64(p.Budgets.LeaseUpdates), 1, MaxBudget},
		{"budgets.matches", uint64(p.Budgets.Matches), 1, MaxMatchBudget},
		{"budgets.retries", uint64(p.Budgets.Retries), 1, MaxMatchBudget},
		{"budgets.endings", uint64(p.Budgets.Endings), 1, MaxBudget},
		{"budgets.evictions", uint64(p.Budgets.Evictions), 1, MaxBudget},
		{"budgets.due_placements", uint64(p.Budgets.DuePlacements), MinFollowUp, MaxBudget},
		{"budgets.due_leases", uint64(p.Budgets.DueLeases), 1, MaxBudget},
		{"budgets.node_backoffs", uint64(p.Budgets.NodeBackoffs), 1, MaxBudget},
		{"budgets.prunes", uint64(p.Budgets.Prunes), MinFollowUp, MaxBudget},
		{"budgets.reindexes", uint64(p.Budgets.Reindexes), 1, MaxBudget},
	}
	for _, c := range counts {
		if c.value < c.min || c.value > c.max {
			return ErrInvalidParams.Wrapf("%s is %d, not within %d and %d", c.name, c.value, c.min, c.max)
		}
	}
	return p.Budgets.validate()
}

// validate says whether blocks can look after, and forget, as much as they make: with less, queues and history would grow
// for ever under a lasting load.
func (b BlockBudgets) validate() error {
	placements := b.Matches + b.Retries // each makes a placement at most
	switch {
	case b.DuePlacements < placements:
		return ErrInvalidParams.Wrapf("budgets.due_placements %d is below matches and retries together, %d", b.DuePlacements, placements)
	case b.Prunes < placements:
		return ErrInvalidParams.Wrapf("budgets.prunes %d is below matches and retries together, %d", b.Prunes, placements)
	case b.Prunes < b.LeaseUpdates: // each refunds a closed lease at most
		return ErrInvalidParams.Wrapf("budgets.prunes %d is below lease_updates, %d", b.Prunes, b.LeaseUpdates)
	default:
		return nil
	}
}

func (p Params) validateDurations() error {
	durations := []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"billing_period", p.BillingPeriod, MinPeriod, MaxPeriod},
		{"settle_grace", p.SettleGrace, 0, MaxPeriod},
		{"start_deadline", p.StartDeadline, time.Second, MaxWindow},
		{"drain_grace", p.DrainGrace, 0, MaxWindow},
		{"trial_period", p.TrialPeriod, 0, MaxWindow},
		{"max_wait", p.MaxWait, time.Second, MaxWindow},
		{"retention", p.Retention, time.Second, MaxWindow},
		{"retry_backoff_min", p.RetryBackoffMin, time.Second, MaxWindow},
		{"retry_backoff_max", p.RetryBackoffMax, time.Second, MaxWindow},
		{"node_backoff_min", p.NodeBackoffMin, time.Second, MaxWindow},
		{"node_backoff_max", p.NodeBackoffMax, time.Second, MaxWindow},
	}
	for _, d := range durations {
		if d.value < d.min || d.value > d.max {
			return ErrInvalidParams.Wrapf("%s is %s, not within %s and %s", d.name, d.value, d.min, d.max)
		}
	}
	switch {
	case p.BillingPeriod%time.Second != 0:
		return ErrInvalidParams.Wrapf("billing_period %s is not a whole number of seconds", p.BillingPeriod)
	case p.SettleGrace >= p.BillingPeriod:
		return errorsmod.Wrapf(ErrInvalidParams,
			"settle_grace %s is not below billing_period %s: more than two hours would be open at once", p.SettleGrace, p.BillingPeriod)
	case p.RetryBackoffMax < p.RetryBackoffMin:
		return ErrInvalidParams.Wrapf("retry_backoff_max %s is below retry_backoff_min %s", p.RetryBackoffMax, p.RetryBackoffMin)
	case p.NodeBackoffMax < p.NodeBackoffMin:
		return ErrInvalidParams.Wrapf("node_backoff_max %s is below node_backoff_min %s", p.NodeBackoffMax, p.NodeBackoffMin)
	}
	return nil
}

// Ms is a duration in chain-clock milliseconds.
func Ms(d time.Duration) uint64 { return uint64(d.Milliseconds()) }

// Backoff is min · 2^attempts, at most max, in milliseconds.
func Backoff(minimum, maximum time.Duration, attempts uint32) uint64 {
	backoff, limit := Ms(minimum), Ms(maximum)
	for range attempts {
		if backoff >= limit {
			break
		}
		backoff *= 2
	}
	return min(backoff, limit)
}
