package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// oneEach is a chain that ends one thing of a kind in a block.
func oneEach(p *types.Params) {
	p.Budgets.Endings, p.Budgets.LeaseUpdates = 1, 1
	p.SettleGrace = 0
}

// attestLive attests, for all live placements of the leases, what a block of 5 s adds.
func (f *fixture) attestLive(ids ...types.LeaseID) {
	f.T.Helper()
	for _, id := range ids {
		for _, p := range f.live(id) {
			if p.StartedMs != 0 {
				_, err := f.attest(p, 5*time.Second)
				require.NoError(f.T, err)
			}
		}
	}
}

// A queue of ends that is longer than an hour pays nobody for the time after an end.
func TestEndThatWaitsInAQueuePaysNothingAfterIt(t *testing.T) {
	const replicas = 20
	for _, tc := range []struct {
		name string
		end  func(*fixture, []types.LeaseID)
		// audit is the pool's part of a placement that ended after 50 of 60 s: a tenth of them and, if the tenant ended it, the
		// other 10 s.
		audit int64
	}{
		{"migrated", func(f *fixture, ids []types.LeaseID) {
			for _, id := range ids {
				f.migrate(id, 0)
			}
		}, 5 + 10},
		{"closed", func(f *fixture, ids []types.LeaseID) {
			for _, id := range ids {
				f.close(id)
			}
		}, 5 + 10},
		{"rejected", func(f *fixture, ids []types.LeaseID) {
			for _, id := range ids {
				f.reject(f.placement(id))
			}
		}, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op", suns: replicas})
			var ids []types.LeaseID
			for range replicas {
				ids = append(ids, f.lease())
			}
			f.NextBlock(time.Second)
			for _, id := range ids {
				f.start(f.placement(id))
			}
			f.setParams(oneEach)
			for range 10 {
				f.NextBlock(5 * time.Second)
				f.attestLive(ids...)
			}
			end := f.now()
			tc.end(f, ids)
			for range 30 { // one end a block: the last comes to its turn 100 s late, when its hour is long over
				f.NextBlock(5 * time.Second)
				f.attestLive(ids...)
			}
			for _, id := range ids {
				p := f.known(types.PlacementID{Tenant: id.Tenant, Number: id.Number, Generation: 1})
				require.Equal(t, end, p.Placement.EndedMs)
				require.EqualValues(t, 50, p.Billing.BilledSeconds)
				requireInt(t, 45, p.Billing.PaidOperator)
				requireInt(t, tc.audit, p.Billing.PaidAudit)
			}
		})
	}
}

// A draining placement is not paid beside its replacement, however long its end waits.
func TestReplacedPlacementThatWaitsInAQueueIsNotPaid(t *testing.T) {
	const replicas = 20
	f := newFixture(t, func(p *types.Params) { p.DrainGrace = time.Hour })
	node := f.addNode(nodeSpec{operator: "op", suns: replicas})
	f.addNode(nodeSpec{operator: "spare", suns: replicas, ask: ask + 1})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = replicas, testkit.Coin(1_000_000) })
	for range 10 {
		f.NextBlock(5 * time.Second)
		f.attestLive(id)
	}
	f.drain(node)
	f.NextBlock(0)
	f.setParams(oneEach)
	started := f.now()
	for _, p := range f.live(id) {
		if p.StartedMs == 0 {
			f.start(p)
		}
	}
	for range 30 {
		f.NextBlock(5 * time.Second)
		f.attestLive(id)
	}
	for generation := range uint64(replicas) {
		p := f.known(types.PlacementID{Tenant: id.Tenant, Number: id.Number, Replica: uint32(generation), Generation: generation + 1})
		require.Equal(t, node, p.Placement.Node)
		require.Equal(t, types.END_REASON_NODE_DRAINED, p.Placement.EndReason)
		require.Equal(t, started, p.Placement.EndedMs)
		require.EqualValues(t, 50, p.Billing.BilledSeconds)
	}
	require.EqualValues(t, replicas*45, f.earned("op", 1)) // floor(0.9 · 50) each
}
