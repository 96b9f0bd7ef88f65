package types_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

func TestDefaultParamsAreValid(t *testing.T) { require.NoError(t, types.DefaultParams().Validate()) }

func TestUnsetParamsAreInvalid(t *testing.T) {
	require.ErrorIs(t, types.Params{}.Validate(), types.ErrInvalidParams)
}

// durationBound is a param's least and greatest value; settings make both valid beside the rest.
type durationBound struct {
	name       string
	set        func(*types.Params, time.Duration)
	least      time.Duration
	most       time.Duration
	beforehand func(*types.Params)
}

func durationBounds() []durationBound {
	return []durationBound{
		{
			"billing_period", func(p *types.Params, d time.Duration) { p.BillingPeriod = d }, types.MinPeriod, types.MaxPeriod,
			func(p *types.Params) { p.SettleGrace = 0 },
		},
		{
			"settle_grace", func(p *types.Params, d time.Duration) { p.SettleGrace = d }, 0, types.MaxPeriod - 1,
			func(p *types.Params) { p.BillingPeriod = types.MaxPeriod },
		},
		{"start_deadline", func(p *types.Params, d time.Duration) { p.StartDeadline = d }, time.Second, types.MaxWindow, nil},
		{"drain_grace", func(p *types.Params, d time.Duration) { p.DrainGrace = d }, 0, types.MaxWindow, nil},
		{"trial_period", func(p *types.Params, d time.Duration) { p.TrialPeriod = d }, 0, types.MaxWindow, nil},
		{"max_wait", func(p *types.Params, d time.Duration) { p.MaxWait = d }, time.Second, types.MaxWindow, nil},
		{"retention", func(p *types.Params, d time.Duration) { p.Retention = d }, time.Second, types.MaxWindow, nil},
		{
			"retry_backoff_min", func(p *types.Params, d time.Duration) { p.RetryBackoffMin = d }, time.Second, types.MaxWindow,
			func(p *types.Params) { p.RetryBackoffMax = types.MaxWindow },
		},
		{
			"retry_backoff_max", func(p *types.Params, d time.Duration) { p.RetryBackoffMax = d }, time.Second, types.MaxWindow,
			func(p *types.Params) { p.RetryBackoffMin = time.Second },
		},
		{
			"node_backoff_min", func(p *types.Params, d time.Duration) { p.NodeBackoffMin = d }, time.Second, types.MaxWindow,
			func(p *types.Params) { p.NodeBackoffMax = types.MaxWindow },
		},
		{
			"node_backoff_max", func(p *types.Params, d time.Duration) { p.NodeBackoffMax = d }, time.Second, types.MaxWindow,
			func(p *types.Params) { p.NodeBackoffMin = time.Second },
		},
	}
}

func TestDurationBounds(t *testing.T) {
	for _, b := range durationBounds() {
		for _, tc := range []struct {
			name  string
			value time.Duration
			ok    bool
		}{
			{"least", b.least, true},
			{"below", b.least - 1, false},
			{"most", b.most, true},
			{"above", b.most + 1, false},
			{"beyond all", 1<<63 - 1, false},
			{"before all", -1 << 63, false},
		} {
			t.Run(b.name+"/"+tc.name, func(t *testing.T) {
				params := types.DefaultParams()
				if b.beforehand != nil {
					b.beforehand(&params)
				}
				b.set(&params, tc.value)
				requireBound(t, tc.ok, types.ErrInvalidParams, params.Validate())
				if !tc.ok {
					require.ErrorContains(t, params.Validate(), b.name)
				}
			})
		}
	}
}

type countBound struct {
	name  string
	set   func(*types.Params, uint64)
	least uint64
	most  uint64
}

func countBounds() []countBound {
	budget := func(name string, of func(*types.BlockBudgets) *uint32) countBound {
		return countBound{"budgets." + name, func(p *types.Params, v uint64) { *of(&p.Budgets) = uint32(v) }, 1, types.MaxBudget}
	}
	// A budget that another must be able to follow is tried beside the widest, and one that must follow beside the least.
	with := func(b countBound, others func(*types.BlockBudgets)) countBound {
		set := b.set
		b.set = func(p *types.Params, v uint64) {
			others(&p.Budgets)
			set(p, v)
		}
		return b
	}
	widest := func(b *types.BlockBudgets) { b.DuePlacements, b.Prunes = types.MaxBudget, types.MaxBudget }
	least := func(b *types.BlockBudgets) { b.Matches, b.Retries, b.LeaseUpdates = 1, 1, 1 }
	matches := with(budget("matches", func(b *types.BlockBudgets) *uint32 { return &b.Matches }), widest)
	retries := with(budget("retries", func(b *types.BlockBudgets) *uint32 { return &b.Retries }), widest)
	matches.most, retries.most = types.MaxMatchBudget, types.MaxMatchBudget
	due := with(budget("due_placements", func(b *types.BlockBudgets) *uint32 { return &b.DuePlacements }), least)
	prunes := with(budget("prunes", func(b *types.BlockBudgets) *uint32 { return &b.Prunes }), least)
	due.least, prunes.least = 2, 2
	return []countBound{
		{"retry_fee", func(p *types.Params, v uint64) { p.RetryFee = v }, 0, types.MaxRetryFee},
		{"min_demand_milli_suns", func(p *types.Params, v uint64) { p.MinDemandMilliSuns = v }, 1, types.MaxMinDemand},
		{"provider_share_bps", func(p *types.Params, v uint64) { p.ProviderShareBps = uint32(v) }, 0, 10_000},
		{"max_replicas", func(p *types.Params, v uint64) { p.MaxReplicas = uint32(v) }, 1, types.MaxReplicasBound},
		{"max_placements_per_node", func(p *types.Params, v uint64) { p.MaxPlacementsPerNode = uint32(v) }, 1, types.MaxPlacementsPerNodeBound},
		{"max_candidates", func(p *types.Params, v uint64) { p.MaxCandidates = uint32(v) }, 1, types.MaxCandidatesBound},
		{"suspend_after", func(p *types.Params, v uint64) { p.SuspendAfter = uint32(v) }, 1, types.MaxSuspendAfter},
		with(budget("lease_updates", func(b *types.BlockBudgets) *uint32 { return &b.LeaseUpdates }), widest),
		matches,
		retries,
		budget("endings", func(b *types.BlockBudgets) *uint32 { return &b.Endings }),
		budget("evictions", func(b *types.BlockBudgets) *uint32 { return &b.Evictions }),
		due,
		budget("due_leases", func(b *types.BlockBudgets) *uint32 { return &b.DueLeases }),
		budget("node_backoffs", func(b *types.BlockBudgets) *uint32 { return &b.NodeBackoffs }),
		prunes,
		budget("reindexes", func(b *types.BlockBudgets) *uint32 { return &b.Reindexes }),
	}
}

func TestCountBounds(t *testing.T) {
	for _, b := range countBounds() {
		cases := map[string]struct {
			value uint64
			ok    bool
		}{
			"least": {b.least, true}, "most": {b.most, true}, "above": {b.most + 1, false}, "beyond all": {1<<32 - 1, false},
		}
		if b.least > 0 {
			cases["below"] = struct {
				value uint64
				ok    bool
			}{b.least - 1, false}
		}
		for name, tc := range cases {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				params := types.DefaultParams()
				b.set(&params, tc.value)
				requireBound(t, tc.ok, types.ErrInvalidParams, params.Validate())
				if !tc.ok {
					require.ErrorContains(t, params.Validate(), b.name)
				}
			})
		}
	}
}

func TestParamsThatDoNotFitTogether(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*types.Params)
		ok     bool
	}{
		{"grace just below a period", func(p *types.Params) { p.SettleGrace = p.BillingPeriod - 1 }, true},
		{"grace of a period", func(p *types.Params) { p.SettleGrace = p.BillingPeriod }, false},
		{"period of broken seconds", func(p *types.Params) { p.BillingPeriod += time.Millisecond }, false},
		{"retries without growth", func(p *types.Params) { p.RetryBackoffMax = p.RetryBackoffMin }, true},
		{"retries that shrink", func(p *types.Params) { p.RetryBackoffMax = p.RetryBackoffMin - 1 }, false},
		{"backoff without growth", func(p *types.Params) { p.NodeBackoffMax = p.NodeBackoffMin }, true},
		{"backoff that shrinks", func(p *types.Params) { p.NodeBackoffMax = p.NodeBackoffMin - 1 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			params := types.DefaultParams()
			tc.change(&params)
			requireBound(t, tc.ok, types.ErrInvalidParams, params.Validate())
		})
	}
}
