package keeper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// Five items are due in the running block, and the budget of their queue is two: they are handled over three blocks, two,
// two and one, and none is lost.
func TestBudgetsSpreadWorkOverBlocks(t *testing.T) {
	const items, budget = 5, 2
	for _, tc := range []struct {
		name   string
		budget func(*types.BlockBudgets) *uint32
		// due makes the items due at the end of the running block and gives how to count those that were handled.
		due func(*fixture) func() int
	}{
		{"lease updates", func(b *types.BlockBudgets) *uint32 { return &b.LeaseUpdates }, func(f *fixture) func() int {
			f.addNode(nodeSpec{operator: "op", suns: 2 * items})
			ids := f.leases(items)
			f.NextBlock(time.Second)
			for _, id := range ids {
				f.update(id, func(m *types.MsgUpdateLease) { m.Replicas = 2 })
			}
			return func() int { return f.countLive(ids) - items }
		}},
		{"matches", func(b *types.BlockBudgets) *uint32 { return &b.Matches }, func(f *fixture) func() int {
			f.addNode(nodeSpec{operator: "op", suns: items})
			id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = items })
			return func() int { return len(f.live(id)) }
		}},
		{"retries", func(b *types.BlockBudgets) *uint32 { return &b.Retries }, func(f *fixture) func() int {
			ids := f.leases(items)
			f.NextBlock(time.Second)
			f.addNode(nodeSpec{operator: "op", suns: items})
			f.NextBlock(time.Second)
			return func() int { return f.countLive(ids) }
		}},
		{"endings", func(b *types.BlockBudgets) *uint32 { return &b.Endings }, func(f *fixture) func() int {
			f.addNode(nodeSpec{operator: "op", suns: items})
			id := f.run(func(m *types.MsgCreateLease) { m.Replicas = items })
			for _, p := range f.live(id) {
				f.reject(p)
			}
			return func() int { return items - len(f.live(id)) }
		}},
		{"evictions", func(b *types.BlockBudgets) *uint32 { return &b.Evictions }, func(f *fixture) func() int {
			nodes := f.smallNodes(items)
			ids := f.leases(items)
			f.NextBlock(time.Second)
			require.Equal(f.T, items, f.countLive(ids))
			for _, node := range nodes {
				f.retire(node)
			}
			return func() int { return items - f.countLive(ids) }
		}},
		{"due placements", func(b *types.BlockBudgets) *uint32 { return &b.DuePlacements }, func(f *fixture) func() int {
			f.addNode(nodeSpec{operator: "op", suns: items})
			id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = items })
			f.Advance(20*time.Second, 10*time.Second) // the start deadline
			return func() int { return items - len(f.live(id)) }
		}},
		{"due leases", func(b *types.BlockBudgets) *uint32 { return &b.DueLeases }, func(f *fixture) func() int {
			ids := f.leases(items)
			f.Advance(5*time.Minute, 10*time.Second)
			return func() int {
				closed := 0
				for _, id := range ids {
					if !f.get(id).Lease.Lease.Open() {
						closed++
					}
				}
				return closed
			}
		}},
		{"node backoffs", func(b *types.BlockBudgets) *uint32 { return &b.NodeBackoffs }, func(f *fixture) func() int {
			nodes := f.smallNodes(items)
			ids := f.leases(items)
			f.NextBlock(time.Second)
			for _, id := range ids {
				f.reject(f.placement(id))
			}
			f.NextBlock(time.Second)
			for _, id := range ids {
				f.close(id)
			}
			for range 3 { // the backoff ends 30 s after the rejections
				f.NextBlock(9 * time.Second)
				for _, node := range nodes {
					f.checkIn(node)
				}
			}
			f.NextBlock(2 * time.Second)
			return f.countIndexed
		}},
		{"reindexes", func(b *types.BlockBudgets) *uint32 { return &b.Reindexes }, func(f *fixture) func() int {
			f.smallNodes(items)
			return f.countIndexed
		}},
		{"prunes of placements", func(b *types.BlockBudgets) *uint32 { return &b.Prunes }, func(f *fixture) func() int {
			f.addNode(nodeSpec{operator: "op", suns: items})
			id := f.lease(func(m *types.MsgCreateLease) { m.Replicas = items })
			f.NextBlock(time.Second)
			f.close(id)
			f.NextBlock(10 * time.Second)
			f.Advance(50*time.Second, 10*time.Second)
			require.Empty(f.T, f.pruned)
			return func() int { return len(f.pruned) }
		}},
		{"prunes of leases", func(b *types.BlockBudgets) *uint32 { return &b.Prunes }, func(f *fixture) func() int {
			ids := f.leases(items)
			for _, id := range ids {
				f.close(id)
			}
			f.Advance(time.Minute, 10*time.Second)
			return func() int {
				left, err := f.query.Leases(f.Ctx, &types.QueryLeasesRequest{Tenant: f.tenant.String()})
				require.NoError(f.T, err)
				return items - len(left.Leases)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, func(p *types.Params) {
				p.Retention, p.SuspendAfter, p.MinDemandMilliSuns = time.Minute, types.MaxSuspendAfter, 1_000
			})
			handled := tc.due(f)
			f.setParams(func(p *types.Params) {
				if tc.name != "lease updates" {
					p.Budgets.Matches, p.Budgets.Retries, p.Budgets.LeaseUpdates = 1, 1, 1 // params must be able to keep up
				}
				*tc.budget(&p.Budgets) = budget
			})
			require.Zero(t, handled())
			for _, want := range []int{2, 4, 5, 5} {
				f.NextBlock(time.Millisecond)
				require.Equal(t, want, handled())
			}
		})
	}
}

func (f *fixture) leases(count int) []types.LeaseID {
	f.T.Helper()
	ids := make([]types.LeaseID, count)
	for i := range ids {
		ids[i] = f.lease()
	}
	return ids
}

// smallNodes registers nodes that hold one replica each.
func (f *fixture) smallNodes(count int) []sunstypes.NodeID {
	f.T.Helper()
	nodes := make([]sunstypes.NodeID, count)
	for i := range nodes {
		nodes[i] = f.addNode(nodeSpec{operator: fmt.Sprintf("op-%d", i), suns: 1})
	}
	return nodes
}

func (f *fixture) countLive(ids []types.LeaseID) int {
	f.T.Helper()
	live := 0
	for _, id := range ids {
		live += len(f.live(id))
	}
	return live
}

func (f *fixture) countIndexed() int {
	f.T.Helper()
	count := 0
	require.NoError(f.T, f.k.IndexedNodes.Walk(f.Ctx, nil, func(sunstypes.NodeKey, types.IndexedNode) (bool, error) {
		count++
		return false, nil
	}))
	return count
}

// A lease of as many replicas as there may be is matched, scaled and closed without going beyond the budgets.
func TestLargestLease(t *testing.T) {
	const count = 300
	f := newFixture(t, func(p *types.Params) { p.MaxReplicas, p.MaxPlacementsPerNode = count, types.MaxPlacementsPerNodeBound })
	f.addNode(nodeSpec{operator: "op", suns: count})
	id := f.lease(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = count, testkit.Coin(100_000_000) })
	for len(f.live(id)) < count {
		before := len(f.live(id))
		f.NextBlock(time.Millisecond)
		matched := len(f.live(id)) - before
		require.LessOrEqual(t, matched, int(testParams().Budgets.Matches))
		require.Positive(t, matched)
	}
	f.close(id)
	f.NextBlock(time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	require.EqualValues(t, tenantFunds, f.Balance(f.tenant))
}
