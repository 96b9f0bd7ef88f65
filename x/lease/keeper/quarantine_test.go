package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// lose takes a placement's money out of state and gives how to put it back; from then on items may be set aside.
func (f *fixture) lose(id types.PlacementID) (mend func()) {
	f.T.Helper()
	key := f.placementKey(id)
	billing, err := f.k.Billings.Get(f.Ctx, key)
	require.NoError(f.T, err)
	require.NoError(f.T, f.k.Billings.Remove(f.Ctx, key))
	f.broken = true
	return func() {
		f.T.Helper()
		require.NoError(f.T, f.k.Billings.Set(f.Ctx, key, billing))
	}
}

// endBlock is the block's end without the invariants, which corrupted state breaks.
func (f *fixture) endBlock() []types.EventItemQuarantined {
	f.T.Helper()
	ctx := f.Ctx.WithEventManager(sdk.NewEventManager())
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(ctx))
	require.NoError(f.T, f.k.EndBlocker(ctx))
	require.NoError(f.T, f.suns.EndBlock(ctx))
	return testkit.EventsOf[types.EventItemQuarantined](f.T, ctx.EventManager().Events())
}

func (f *fixture) next(d time.Duration) []types.EventItemQuarantined {
	f.T.Helper()
	quarantined := f.endBlock()
	f.Commit(d)
	f.BeginBlock()
	return quarantined
}

func (f *fixture) quarantine() []duequeue.QuarantinedItem {
	f.T.Helper()
	response, err := f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{})
	require.NoError(f.T, err)
	return response.Items
}

// One placement's money is gone when its hour ends. It is set aside untouched; the other is billed, and the chain goes on.
func TestHourThatCannotBeBilledIsSetAside(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	bad, good := f.run(), f.lease()
	f.NextBlock(0)
	f.start(f.placement(good))
	lost := f.placement(bad)
	f.serve(good, 55*time.Second)
	mend := f.lose(lost.ID)

	var seen []types.EventItemQuarantined
	for range 6 { // until 85 s
		seen = append(seen, f.next(5*time.Second)...)
		_, err := f.attest(f.placement(good), 5*time.Second)
		require.NoError(t, err)
	}
	require.Len(t, seen, 1)
	require.Equal(t, lost.ID.String(), seen[0].Item)
	items := f.quarantine()
	require.Len(t, items, 1)
	require.Equal(t, f.k.PlacementDueQueue.Name(), items[0].Queue)
	require.Equal(t, seen[0].Error, items[0].Error)
	require.Contains(t, items[0].Error, "not found")
	require.EqualValues(t, lost.StartedMs+60_000, items[0].DueMs)
	_, key, err := types.PlacementKeyCodec.Decode(items[0].Key)
	require.NoError(t, err)
	require.Equal(t, lost.ID, types.PlacementIDFromKey(key))

	require.EqualValues(t, 60, f.get(good).Lease.Money.Totals.BilledSeconds, "the others go on")
	mend()
	require.NoError(t, f.k.AllInvariants(f.Ctx), "nothing was written for what failed")
	require.Zero(t, f.get(bad).Lease.Money.Totals.BilledSeconds)

	// Mended and put back by its key, it is billed as if nothing had happened.
	require.NoError(t, f.k.PlacementDueQueue.Push(f.Ctx, items[0].DueMs, key))
	f.NextBlock(5 * time.Second)
	f.NextBlock(5 * time.Second)
	require.EqualValues(t, 1, f.get(bad).Lease.Money.Totals.Periods)
}

// A record that a handler cannot read makes it panic or fail; in each queue the item alone is set aside.
func TestFailingItemOfEachQueue(t *testing.T) {
	type item struct {
		queue string
		push  func(*fixture, types.LeaseID, types.Placement)
	}
	now := func(f *fixture) uint64 { return f.now() }
	for _, tc := range []item{
		{"endings", func(f *fixture, _ types.LeaseID, p types.Placement) {
			p.EndReason, p.EndedMs = types.END_REASON_REJECTED, now(f)
			require.NoError(f.T, f.k.Placements.Set(f.Ctx, f.placementKey(p.ID), p))
			require.NoError(f.T, f.k.EndingQueue.Push(f.Ctx, now(f), f.placementKey(p.ID)))
		}},
		{"due_placements", func(f *fixture, _ types.LeaseID, p types.Placement) {
			require.NoError(f.T, f.k.PlacementDueQueue.Push(f.Ctx, now(f), f.placementKey(p.ID)))
		}},
		{"lease_updates", func(f *fixture, id types.LeaseID, _ types.Placement) {
			lease, err := f.k.GetLease(f.Ctx, id)
			require.NoError(f.T, err)
			lease.Status = types.LEASE_STATUS_CLOSING
			require.NoError(f.T, f.k.Leases.Set(f.Ctx, f.leaseKey(id), lease))
			require.NoError(f.T, f.k.LeaseUpdateQueue.Push(f.Ctx, now(f), f.leaseKey(id)))
		}},
	} {
		t.Run(tc.queue, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			id := f.run()
			f.NextBlock(time.Second)
			p := f.placement(id)
			f.lose(p.ID)
			tc.push(f, id, p)
			quarantined := f.next(time.Second)
			require.Len(t, quarantined, 1)
			require.Equal(t, tc.queue, quarantined[0].Queue)
			stays, err := f.k.Placements.Get(f.Ctx, f.placementKey(p.ID))
			require.NoError(t, err)
			require.True(t, stays.Live(), "what the handler wrote before it failed is undone")
			load, err := f.suns.GetNodeLoad(f.Ctx, p.Node)
			require.NoError(t, err)
			require.EqualValues(t, 1, load.Placements)
			require.Empty(t, f.next(time.Second), "it left its queue")
		})
	}
}

// A request whose lease has lost its money can be neither matched nor retried.
func TestFailingRequestIsSetAside(t *testing.T) {
	for _, tc := range []struct {
		queue string
		wait  bool
	}{{"new_requests", false}, {"retries", true}} {
		t.Run(tc.queue, func(t *testing.T) {
			f := newFixture(t)
			bad, good := f.lease(), f.lease()
			if tc.wait {
				f.NextBlock(time.Second)
			}
			money, err := f.k.Money.Get(f.Ctx, f.leaseKey(bad))
			require.NoError(t, err)
			if !tc.wait {
				// Already in the queue of new requests, but not matched.
				request := types.Request{Lease: bad, Tie: 5}
				key := collections.Join3(f.tenant, bad.Number, uint32(0))
				require.NoError(t, f.k.Requests.Set(f.Ctx, key, request))
				require.NoError(t, f.k.NewRequestQueue.Push(f.Ctx, 1, collections.Join(uint64(5), key)))
			}
			require.NoError(t, f.k.Money.Remove(f.Ctx, f.leaseKey(bad)))
			f.broken = true
			var queues []string
			for range 4 {
				for _, event := range f.next(time.Second) {
					queues = append(queues, event.Queue)
				}
			}
			require.Contains(t, queues, tc.queue)
			require.NoError(t, f.k.Money.Set(f.Ctx, f.leaseKey(bad), money))
			f.addNode(nodeSpec{operator: "op"})
			for range 10 {
				f.next(time.Second)
			}
			require.Len(t, f.live(good), 1)
		})
	}
}

// One placement of a lost node cannot be moved: it alone is set aside.
func TestEvictionPassesOverWhatFails(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 50})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 40, testkit.Coin(100_000_000) })
	f.addNode(nodeSpec{operator: "spare", suns: 50})
	f.NextBlock(time.Second)
	lost := f.live(id)[3]
	mend := f.lose(lost.ID)
	f.retire(node)
	var quarantined []types.EventItemQuarantined
	for range 3 {
		quarantined = append(quarantined, f.next(time.Second)...)
	}
	require.Len(t, quarantined, 1)
	require.Equal(t, lost.ID.String(), quarantined[0].Item)
	mend()
	on := map[sunstypes.NodeID]int{}
	for _, p := range f.live(id) {
		on[p.Node]++
	}
	require.Equal(t, 1, on[node])
	require.Equal(t, 39, on[sunstypes.NewNodeID(testkit.Addr("spare"), 1)])
	require.NoError(t, f.k.AllInvariants(f.Ctx))
}

// The module above fails when it is told of what is forgotten: the history stays, and is there for whoever looks into it.
func TestHookThatFailsKeepsTheHistory(t *testing.T) {
	f := newFixture(t, func(p *types.Params) { p.Retention = time.Second })
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	p := f.placement(id)
	f.refusePruned = true
	f.broken = true
	f.close(id)
	var quarantined []types.EventItemQuarantined
	for range 8 {
		quarantined = append(quarantined, f.next(5*time.Second)...)
	}
	require.Len(t, quarantined, 1)
	require.Equal(t, f.k.PlacementPruneQueue.Name(), quarantined[0].Queue)
	require.Equal(t, types.PLACEMENT_STATUS_SETTLED, f.known(p.ID).Placement.Status)
	require.NoError(t, f.k.AllInvariants(f.Ctx))
}
